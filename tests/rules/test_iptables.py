"""iptables' language: what is read prints as iptables-save prints it, and reads back as itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakecluster.errors import Unsupported
from fakecluster.rules.iptables import RuleProblem, parse
from fakecluster.strategies import iptables_rules

SAVED = """*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.0.0.5:6443
COMMIT
"""


def saved(rule: str, *, table: str = "filter", chain: str = "FORWARD", family: int = 4, backend: str = "nft") -> str:
    """One rule as iptables-save prints it."""
    text = parse(f"*{table}\n-A {chain} {rule}\nCOMMIT\n", family=family, backend=backend).save()
    return next(line for line in text.splitlines() if line.startswith("-A")).removeprefix(f"-A {chain}").lstrip()


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("-p tcp --dport 80 -j ACCEPT", "-p tcp -m tcp --dport 80 -j ACCEPT"),
        ("-s 10.1.2.3/8 -j DROP", "-s 10.0.0.0/8 -j DROP"),
        ("-s 10.0.0.1/255.255.0.255", "-s 10.0.0.1/255.255.0.255"),
        ("! -i eth0 -o veth+", "! -i eth0 -o veth+"),
        ("-p icmp --icmp-type echo-request", "-p icmp -m icmp --icmp-type 8"),
        ("-m mark --mark 16", "-m mark --mark 0x10"),
        ("-j MARK --set-mark 1/0xff", "-j MARK --set-xmark 0x1/0xff"),
        ("-m state --state NEW,RELATED", "-m state --state NEW,RELATED"),
        ("-m multiport -p udp --dports 53,80:90", "-p udp -m multiport --dports 53,80:90"),
        ("-j REJECT", "-j REJECT --reject-with icmp-port-unreachable"),
        ("-m limit --limit 3/min", "-m limit --limit 3/min"),
        ("-p tcp ! --syn", "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN"),
        ("-p tcp --tcp-flags SYN,ACK SYN", "-p tcp -m tcp --tcp-flags SYN,ACK SYN"),
        ("-m comment --comment x -j RETURN", "-m comment --comment x -j RETURN"),
        ("-m conntrack --ctorigdst 10.0.0.7/24", "-m conntrack --ctorigdst 10.0.0.7/24"),
        ("-p tcp ! --sport 0:1023", "-p tcp -m tcp --sport 1024:65535"),
        ("-p tcp ! --sport 1024:65535", "-p tcp -m tcp ! --sport 1024:65535"),
        ("-p tcp ! --sport 0:65535", "-p tcp"),
    ],
)
def test_a_rule_prints_as_iptables_save_prints_it(written: str, printed: str) -> None:
    assert saved(written) == printed


def test_the_legacy_tool_keeps_port_ranges_as_they_were_written() -> None:
    assert saved("-p tcp ! --sport 0:1023", backend="legacy") == "-p tcp -m tcp ! --sport 0:1023"


def test_ipv6_addresses_print_compressed() -> None:
    assert saved("-d 2001:0db8:0:0::1 -j DROP", family=6) == "-d 2001:db8::1/128 -j DROP"


def test_a_saved_table_prints_as_it_was_read() -> None:
    assert parse(SAVED).save() == SAVED


def test_counters_are_kept_when_asked_for() -> None:
    text = SAVED.replace("-A KUBE", "[3:180] -A KUBE").replace("-A PRE", "[4:240] -A PRE")
    assert "[3:180] -A KUBE-SERVICES" in parse(text).save(counters=True)


@given(st.sampled_from((4, 6)).flatmap(lambda family: st.tuples(st.just(family), iptables_rules.restores(family))))
@settings(max_examples=60, deadline=None)
def test_what_is_printed_reads_back_as_itself(drawn: tuple[int, str]) -> None:
    family, text = drawn
    try:
        first = parse(text, family=family).save()
    except RuleProblem:
        return
    assert parse(first, family=family).save() == first


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-A FORWARD -p tcp --dport http-", "invalid port/service `http-' specified"),
        ("-A FORWARD --dport 80", "unknown option"),
        ("-A FORWARD -j NOWHERE", "NOWHERE"),
        ("-A NOCHAIN -j ACCEPT", "No chain/target/match by that name"),
        ("-A FORWARD -s 10.0.0.0/33", "invalid mask `33' specified"),
        ("-A FORWARD -m mark --mark 0x1ffffffff", "mark"),
    ],
)
def test_a_wrong_line_is_refused_with_iptables_words(line: str, words: str) -> None:
    with pytest.raises(RuleProblem) as refused:
        parse(f"*filter\n{line}\nCOMMIT\n")
    assert words in str(refused.value)
    assert refused.value.line in (2, 3)


def test_a_loop_of_jumps_is_refused() -> None:
    with pytest.raises(RuleProblem, match="Too many links"):
        parse("*filter\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A A -j B\n-A B -j A\nCOMMIT\n")


def test_what_is_not_modelled_says_so() -> None:
    with pytest.raises(Unsupported, match="time") as gap:
        parse("*filter\n-A FORWARD -m time --timestart 10:00\nCOMMIT\n")
    assert gap.value.line == 2


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda data: data.decode("latin-1"))))
@settings(max_examples=200, deadline=None)
def test_garbage_is_refused_not_crashed_on(text: str) -> None:
    for garbage in (text, f"*filter\n{text}\nCOMMIT\n", f"*filter\n-A FORWARD {text}\nCOMMIT\n"):
        try:
            parse(garbage)
        except (RuleProblem, Unsupported):
            continue
