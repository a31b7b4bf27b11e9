"""nft rules said in iptables' language do the same to packets."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packets import scripts
from rules.playing import play
from scenario import Inject, Send, Step
from topology import model

from fakecluster.errors import CommandError
from fakecluster.rules.iptables import parse as parse_iptables
from fakecluster.rules.nft import NftError, TableView, parse, ruleset, tables
from fakecluster.rules.nft.print_statement import rule as rule_text
from fakecluster.rules.translate import Translation, as_iptables, as_nft
from fakecluster.sim import Seeded
from fakecluster.strategies import nft_rules


def translated(rule: str, *, chain: str = "type filter hook forward priority 0", family: int = 4) -> Translation:
    """One rule in a table for both families, with some sets."""
    sets = """
        set hosts { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 }; }
        set nets { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.1-192.0.2.3 }; }
        set seen { type ipv4_addr; flags dynamic,timeout; }
        map ways { type ipv4_addr : verdict; elements = { 10.0.0.1 : drop }; }
        """
    text = f"table inet t {{\n{sets}\nchain sub {{ }}\nchain c {{ {chain}\n{rule}\n}}\n}}\n"
    return as_iptables(tables(parse(text)), family=family)


def lines(rule: str, *, chain: str = "type filter hook forward priority 0", family: int = 4) -> list[str]:
    shown = translated(rule, chain=chain, family=family)
    assert shown.missing == ()
    return [line.partition("-A ")[2].partition(" ")[2] for line in shown.rules.splitlines() if "-A " in line]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('iifname "eth0" oifname "veth*" ip saddr 10.0.0.0/8 ip daddr != 10.1.2.3 tcp dport 80 counter accept',
         ["-s 10.0.0.0/8 ! -d 10.1.2.3/32 -i eth0 -o veth+ -p tcp -m tcp --dport 80 -j ACCEPT"]),
        ("tcp dport { 22, 80-90 } accept", ["-p tcp -m multiport --dports 22,80:90 -j ACCEPT"]),
        ("meta l4proto { tcp, udp } th dport 53 drop",
         ["-p tcp -m tcp --dport 53 -j DROP", "-p udp -m udp --dport 53 -j DROP"]),
        ("ct state vmap { established : accept, invalid : drop }",
         ["-m conntrack --ctstate INVALID -j DROP", "-m conntrack --ctstate ESTABLISHED -j ACCEPT"]),
        ("tcp dport 80 log prefix \"x \" drop",
         ['-p tcp -m tcp --dport 80 -j LOG --log-prefix "x " --log-level 4', "-p tcp -m tcp --dport 80 -j DROP"]),
        ("ip saddr 10.0.0.1 counter tcp dport 80 accept",
         ["-s 10.0.0.1/32", "-s 10.0.0.1/32 -p tcp -m tcp --dport 80 -j ACCEPT"]),
        ("meta mark set meta mark | 0x4000", ["-j MARK --set-xmark 0x4000/0x4000"]),
        ("ct mark set meta mark & 0xff", ["-j CONNMARK --save-mark --nfmask 0xff --ctmask 0xffffffff"]),
        ("ct status & (dnat | assured) == assured",
         ["-m conntrack --ctstatus ASSURED -m conntrack ! --ctstate DNAT -m conntrack ! --ctstate INVALID,UNTRACKED"]),
        ("icmp type destination-unreachable icmp code port-unreachable jump sub", ["-p icmp -m icmp --icmp-type 3/3 -j sub"]),
        ("ip saddr @nets accept", ["-m set --match-set nets src -j ACCEPT"]),
        ("ip daddr . tcp dport { 10.0.0.1 . 80 } accept", ["-p tcp -m set --match-set pairs dst,dst -j ACCEPT"]),
        ("limit rate 5/minute burst 7 packets accept", ["-m limit --limit 5/minute --limit-burst 7 -j ACCEPT"]),
        ("numgen random mod 4 0 accept", ["-m statistic --mode random --probability 0.25000000000 -j ACCEPT"]),
        ("tcp flags syn tcp option maxseg size set rt mtu",
         ["-p tcp -m tcp --tcp-flags SYN SYN -m tcpmss --mss 0:65535 -j TCPMSS --clamp-mss-to-pmtu"]),
        ("ip ttl 5-9 reject", ["-m ttl --ttl-gt 4 -m ttl --ttl-lt 10 -j REJECT --reject-with icmp-port-unreachable"]),
        ("ip6 saddr fe80::/10 accept", []),
        ("counter packets 3 bytes 120 comment \"why not\"", ['-m comment --comment "why not"']),
    ],
)  # fmt: skip
def test_a_rule_in_iptables_words(written: str, expected: list[str]) -> None:
    assert lines(written) == expected


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("ip saddr vmap @ways", "a named verdict map"),
        ("ip saddr @seen drop", "set seen, which packets or time change"),
        ("tcp sport != 1 tcp dport != 2 drop", "two fields compared as one"),
        ("limit rate over 5/second drop", "a limit of this kind"),
        ("limit rate 5/second log drop", "several rules behind what counts or draws"),
        ("numgen inc mod 2 0 tcp dport 80 drop", "a match behind what counts or draws"),
        ("meta mark 1 meta mark set 2 drop", "a match on what the rule itself has changed"),
        ("meta mark set ip saddr map { 10.0.0.1 : 1 }", "meta mark set ip saddr map { 10.0.0.1 : 0x00000001 }"),
        ("th dport 53 drop", "ports of any protocol"),
        ('iifname != { "a", "b" } drop', "several values of iifname left out at once"),
        ("jhash ip saddr mod 2 0 drop", "jhash ip saddr mod 2"),
        ("tcp dport 80 log prefix \"a prefix of more than twenty-nine letters\"", "a log prefix of more than 29 letters"),
    ],
)  # fmt: skip
def test_what_has_no_faithful_form_says_so(written: str, why: str) -> None:
    [said] = translated(written).missing
    assert said.startswith("# inet t c ")
    assert f"(no faithful form in iptables: {why}" in said


def test_base_chains_stand_where_iptables_has_one() -> None:
    chains = {
        "type nat hook postrouting priority srcnat": "*nat", "type route hook output priority mangle": "*mangle",
        "type filter hook prerouting priority raw": "*raw", "type filter hook input priority 150": "*security",
    }  # fmt: skip
    for chain, table in chains.items():
        assert table in translated("accept", chain=chain).rules
    [said] = translated("accept", chain="type filter hook prerouting priority 10").missing
    assert said == "inet t c: no table of iptables has a prerouting chain of type filter at priority 10"


def test_sets_come_along_for_ipset() -> None:
    shown = translated("ip saddr @hosts ip daddr @nets accept")
    assert shown.ipset == (
        "create hosts hash:ip family inet\nadd hosts 10.0.0.1\nadd hosts 10.0.0.2\n"
        "create nets hash:net family inet\nadd nets 10.0.0.0/8\nadd nets 192.0.2.1/32\nadd nets 192.0.2.2/31\n"
    )


def test_long_chain_names_are_cut_and_stay_apart() -> None:
    names = ["service-2QRHZV4L-default/kubernetes/tcp/https", "service-2QRHZV4L-default/kubernetes/tcp/http", "LOG"]
    text = "table ip t {\n" + "".join(f"chain {name} {{ }}\n" for name in names) + "}\n"
    shown = as_iptables(tables(parse(text)), family=4).rules
    made = [line[1:].split()[0] for line in shown.splitlines() if line.endswith("- [0:0]")]
    assert made == ["service-2QRHZV4L-de-127463ce", "service-2QRHZV4L-de-c3a8cfd5", "LOG-aa731949"]


SAVED = """*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -i lo -j CT --notrack
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -m mark ! --mark 0x10/0xff -j MARK --set-xmark 0x4000/0x4000
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -m tcpmss --mss 1400:65535 -j TCPMSS --set-mss 1360
-A POSTROUTING -j CONNMARK --save-mark
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.2:8080
-A PREROUTING -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353
-A POSTROUTING -s 10.0.0.0/8 -o eth0 -j MASQUERADE --random-fully
-A POSTROUTING -s 10.1.0.0/16 -j SNAT --to-source 192.0.2.1-192.0.2.9
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:WEB - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT ! -s 10.0.0.0/8 -i eth+ -p tcp -m multiport --dports 80,443,8000:8010 -m comment --comment "the web" -j WEB
-A INPUT -p icmp -m icmp --icmp-type 8 -m limit --limit 5/second -j ACCEPT
-A INPUT -m addrtype --dst-type BROADCAST -j DROP
-A INPUT -m iprange --src-range 10.0.0.5-10.0.0.9 -j RETURN
-A INPUT -m ttl --ttl-lt 5 -j DROP
-A INPUT -m pkttype --pkt-type multicast -j DROP
-A INPUT -m statistic --mode nth --every 3 --packet 1 -j NFLOG --nflog-group 5
-A INPUT -p tcp -j REJECT --reject-with tcp-reset
-A INPUT -j LOG --log-prefix "in: "
-A INPUT -g WEB
-A WEB -m conntrack --ctorigdst 192.0.2.1 -j ACCEPT
-A WEB -m length --length 40:100 -j REJECT --reject-with icmp-host-prohibited
COMMIT
"""


def test_there_and_back_again_is_the_same_rule_set() -> None:
    there = "\n".join(as_nft(parse_iptables(SAVED))) + "\n"
    back = as_iptables(tables(parse(there)), family=4)
    assert back.missing == ()
    assert parse_iptables(back.rules).save() == parse_iptables(SAVED).save()


def without_the_untranslatable(views: list[TableView], family: int) -> list[TableView]:
    """The tables without the chains and rules that have no faithful form."""
    missing = as_iptables(views, family=family).missing
    kept = []
    for view in views:
        chains = []
        for chain in view.chains:
            if any(said.startswith(f"{view.name} {chain.spec.name}: ") for said in missing):
                continue
            here = f"# {view.name} {chain.spec.name} "
            rules = [
                each for each in chain.rules
                if not any(said.startswith(f"{here}{rule_text(each, view.name.family)} (no") for said in missing)
            ]  # fmt: skip
            chains.append(attrs.evolve(chain, rules=rules))
        kept.append(attrs.evolve(view, chains=chains))
    return kept


@given(
    st.sampled_from((4, 4, 6)).flatmap(
        lambda family: st.tuples(st.just(family), nft_rules.files(family), scripts(family))
    )
)
@settings(max_examples=60, deadline=None)
def test_translated_rules_treat_packets_alike(drawn: tuple[int, str, tuple[Step, ...]]) -> None:
    family, text, steps = drawn
    ours, theirs = model(Seeded(1)), model(Seeded(1))
    try:
        views = without_the_untranslatable(tables(parse(text)), family)
        ours.run("nft -f -", ruleset(views))
    except (NftError, CommandError):
        return
    shown = as_iptables(views, family=family)
    assert not [each for each in shown.missing if each.startswith("#")]
    theirs.run("ipset restore", shown.ipset)
    theirs.run("iptables-restore" if family == 4 else "ip6tables-restore", shown.rules)
    for step in steps:
        if isinstance(step, Inject | Send):
            assert play(ours, step) == play(theirs, step), f"{ruleset(views)}\n{shown}\n{step}"
