"""iptables rules said in nft's language do the same to packets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.kernel_node import router, sent, wire
from packets import scripts
from rules.playing import play
from scapy.layers.inet import TCP
from scenario import Inject, Send, Step
from topology import model

from fakecluster.errors import CommandError
from fakecluster.rules.iptables import RuleProblem, parse
from fakecluster.rules.translate import NoTranslation, as_nft
from fakecluster.rules.translate.to_nft import rule
from fakecluster.sim import Seeded
from fakecluster.strategies import iptables_rules


def translated(text: str, *, table: str = "filter", chain: str = "FORWARD", family: int = 4) -> str:
    tables = parse(f"*{table}\n-A {chain} {text}\nCOMMIT\n", family=family)
    return rule(tables.tables[table].chains[chain].rules[0])


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("-s 10.0.0.0/8 ! -d 10.1.2.3 -i eth0 -o veth+ -p tcp --dport 80 -j ACCEPT",
         'iifname "eth0" oifname "veth*" ip saddr 10.0.0.0/8 ip daddr != 10.1.2.3 tcp dport 80 counter accept'),
        ("-m mark ! --mark 0x10/0xff -j RETURN", "meta mark & 0xff != 0x10 counter return"),
        ("-m conntrack --ctstate NEW,RELATED -m comment --comment why", 'ct state new,related counter comment "why"'),
        ("-m addrtype ! --src-type LOCAL --limit-iface-in", "fib saddr . iif type != local counter"),
        ("-m statistic --mode nth --every 3 --packet 1", "numgen inc mod 3 1 counter"),
        ("-m statistic --mode random --probability 0.5", "numgen random mod 2 < 1 counter"),
        ("-m statistic --mode random ! --probability 0.33333333349", "numgen random mod 2147483648 >= 715827883 counter"),
        ("-m limit --limit 3/min", "limit rate 3/minute burst 5 packets counter"),
        ("-p icmp --icmp-type 3/4 -j REJECT", "icmp type 3 icmp code 4 counter reject with icmp port-unreachable"),
        ("-p udp -m multiport --dports 53,80:90", "meta l4proto 17 udp dport { 53, 80-90 } counter"),
    ],
)  # fmt: skip
def test_a_rule_in_nfts_words(written: str, expected: str) -> None:
    assert translated(written) == expected


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("-m recent --set", "match recent"),
        ("-m conntrack --ctstate NEW,DNAT", "a state or a translation"),
        ("-m statistic --mode random --probability 1", "a chance that is none"),
        ("-s 10.0.0.1/255.0.0.255", "a mask with holes"),
    ],
)
def test_what_has_no_faithful_form_says_so(written: str, why: str) -> None:
    with pytest.raises(NoTranslation, match=why):
        translated(written)


def test_a_command_shows_a_whole_file() -> None:
    netns = router()
    text = netns.run(
        "iptables-restore-translate", "*nat\n-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 81\nCOMMIT\n"
    )
    assert text == (
        "add table ip nat\n"
        "add chain ip nat PREROUTING { type nat hook prerouting priority -100; policy accept; }\n"
        "add rule ip nat PREROUTING tcp dport 80 counter redirect to :81\n"
    )
    netns.run("nft -f -", text)
    [(_, answer)] = sent(netns.receive(wire("10.244.0.2", "203.0.113.7", TCP(sport=5, dport=80, flags="S")), "podA"))
    assert answer[TCP].sport == 80


def without_the_untranslatable(text: str, family: int) -> str:
    """The rules that can be said in nft, draw nothing, and say the same of packets without a connection."""
    tables, lines = parse(text, family=family), []
    for line in text.splitlines():
        if line.startswith("-A"):
            table = lines[[i for i, each in enumerate(lines) if each.startswith("*")][-1]][1:]
            if any(word in line for word in ("ctorig", "ctrepl", "ctdir", "ctstatus", "ctproto", "--mode random")):
                continue
            single = parse(f"*{table}\n:U1 - [0:0]\n:U2 - [0:0]\n{line}\nCOMMIT\n", family=family).tables[table]
            try:
                rule(next(each.rules[0] for each in single.chains.values() if each.rules))
            except (NoTranslation, StopIteration):
                continue
        lines.append(line)
    assert tables.tables
    return "\n".join(lines) + "\n"


@given(
    st.sampled_from((4, 4, 6)).flatmap(
        lambda family: st.tuples(st.just(family), iptables_rules.restores(family), scripts(family))
    )
)
@settings(max_examples=60, deadline=None)
def test_translated_rules_treat_packets_alike(drawn: tuple[int, str, tuple[Step, ...]]) -> None:
    family, text, steps = drawn
    ours, theirs = model(Seeded(1)), model(Seeded(1))
    try:
        text = without_the_untranslatable(text, family)
        ours.run("iptables-restore" if family == 4 else "ip6tables-restore", text)
        commands = "\n".join(as_nft(parse(text, family=family))) + "\n"
    except (CommandError, RuleProblem):
        return
    theirs.run("nft -f -", commands)
    for step in steps:
        if isinstance(step, Inject | Send):
            assert play(ours, step) == play(theirs, step), f"{text}\n{commands}\n{step}"
