"""iptables rules on packets: order, jumps, counters, and that long chains are not walked rule by rule."""

from __future__ import annotations

import pytest
from kernel.kernel_node import router, sent, wire
from scapy.layers.inet import ICMP, TCP, UDP

from fakecluster.errors import CommandError, Unsupported
from fakecluster.kernel.effects import Effect, Transmit
from fakecluster.kernel.netns import Netns
from fakecluster.sim import Scripted


def loaded(*rules: str, table: str = "filter") -> Netns:
    netns = router()
    netns.run("iptables-restore", "\n".join((f"*{table}", *rules, "COMMIT", "")))
    return netns


def passes(netns: Netns, packet: bytes = wire("10.244.0.2", "10.244.0.3", UDP(sport=1000, dport=53))) -> bool:
    return any(iface == "podB" for iface, _ in sent(netns.receive(packet, "podA")))


def test_jump_return_and_goto() -> None:
    netns = loaded(
        ":A - [0:0]", ":B - [0:0]", "-A FORWARD -j A", "-A FORWARD -j DROP", "-A A -p tcp -j RETURN", "-A A -g B",
        "-A B -p udp -j ACCEPT",
    )  # fmt: skip
    assert passes(netns)
    assert not passes(netns, wire("10.244.0.2", "10.244.0.3", TCP()))


def test_counters_count_packets_and_bytes() -> None:
    netns = loaded("-A FORWARD -p udp", "-A FORWARD -p tcp -j DROP")
    for _ in range(3):
        passes(netns)
    assert "[3:84] -A FORWARD -p udp" in netns.run("iptables-save -c")


@pytest.mark.parametrize("which", ["1", "-p udp -m ttl --ttl-gt 9"])
def test_rules_behind_a_deleted_one_keep_their_counters(which: str) -> None:
    netns = loaded("-A FORWARD -p udp -m ttl --ttl-gt 9", "-A FORWARD -p udp", "-A FORWARD -p tcp", "-A FORWARD")
    for packet in (UDP(sport=1000, dport=53), UDP(sport=1000, dport=53), TCP()):
        passes(netns, wire("10.244.0.2", "10.244.0.3", packet))
    netns.run(f"iptables -D FORWARD {which}")
    assert [line for line in netns.run("iptables-save -c").splitlines() if "FORWARD" in line] == [
        ":FORWARD ACCEPT [0:0]",
        "[2:56] -A FORWARD -p udp",
        "[1:40] -A FORWARD -p tcp",
        "[3:96] -A FORWARD",
    ]


def test_a_policy_counts_once_its_chain_was_declared_or_zeroed() -> None:
    netns = loaded("-A FORWARD -p udp")
    passes(netns)
    assert ":FORWARD ACCEPT [0:0]" in netns.run("iptables-save -c")
    netns.run("iptables -Z FORWARD")
    passes(netns)
    assert ":FORWARD ACCEPT [1:28]" in netns.run("iptables-save -c")
    netns = loaded(":FORWARD ACCEPT [0:0]", "-A FORWARD -p udp")
    passes(netns)
    assert ":FORWARD ACCEPT [1:28]" in netns.run("iptables-save -c")


def test_statistic_splits_exactly_by_the_choice() -> None:
    rule = "-A FORWARD -m statistic --mode random --probability 0.25 -j DROP"
    for script, passed in (((0,), False), ((1,), True)):
        netns = router(choices=Scripted(script))
        netns.run("iptables-restore", f"*filter\n{rule}\nCOMMIT\n")
        assert passes(netns) == passed
        [choice] = netns.choices.taken
        assert (choice.weights, choice.why) == ((1 << 29, 3 << 29), "statistic --probability 536870912/2^31")


def test_every_third_packet_matches() -> None:
    netns = loaded("-A FORWARD -m statistic --mode nth --every 3 --packet 0 -j DROP")
    assert [passes(netns) for _ in range(6)] == [False, True, True, False, True, True]


def test_a_set_decides() -> None:
    netns = router()
    netns.run("ipset restore", "create s hash:ip,port\nadd s 10.244.0.3,udp:53\n")
    netns.run("iptables -A FORWARD -m set --match-set s dst,dst -j DROP")
    assert not passes(netns)
    assert passes(netns, wire("10.244.0.2", "10.244.0.3", UDP(sport=1000, dport=54)))
    with pytest.raises(CommandError, match="in use by a kernel component"):
        netns.run("ipset destroy s")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("icmp-net-unreachable", 0),
        ("icmp-host-unreachable", 1),
        ("icmp-port-unreachable", 3),
        ("icmp-admin-prohibited", 13),
    ],
)
def test_reject_answers_with_its_code(kind: str, code: int) -> None:
    netns = loaded(f"-A FORWARD -j REJECT --reject-with {kind}")
    [(_, answer)] = sent(netns.receive(wire("10.244.0.2", "10.244.0.3", UDP()), "podA"))
    assert (answer[ICMP].type, answer[ICMP].code) == (3, code)


def test_errors_are_not_answered_with_errors() -> None:
    netns = loaded("-A FORWARD -j REJECT")
    assert sent(netns.receive(wire("10.244.0.2", "10.244.0.3", ICMP(type=3, code=1)), "podA")) == []


def services(count: int) -> Netns:
    rules = [f"-A FORWARD -d 10.96.{n >> 8}.{n & 255}/32 -p tcp -m tcp --dport 80 -j DROP" for n in range(count)]
    return loaded(*rules, "-A FORWARD -d 10.244.0.3/32 -p udp -j ACCEPT", ":FORWARD DROP [0:0]")


def test_a_trace_says_how_many_rules_the_kernel_would_walk() -> None:
    [effect] = services(500).receive(wire("10.244.0.2", "10.244.0.3", UDP()), "podA", trace=True)
    assert isinstance(effect, Transmit)
    assert effect.hop is not None
    assert effect.hop.rules_walked == 501


def test_a_packet_does_not_meet_the_rules_of_other_destinations() -> None:
    from fakecluster.kernel.xtables.dispatch import compiled

    netns = services(500)
    effects: list[Effect] = netns.receive(wire("10.244.0.2", "10.244.0.3", UDP()), "podA")
    assert len(effects) == 1
    code = compiled(netns.xtables.of(4).tables["filter"].chains["FORWARD"], "nft")
    assert len(code._codes) == 1  # only the rule that can match was ever compiled


@pytest.mark.parametrize(
    "rule", ["-A INPUT -j REDIRECT", "-A FORWARD -m owner --uid-owner 0", "-A FORWARD ! -d 10.0.0.1/0 -j DROP"]
)
def test_what_the_kernel_refuses_is_refused_when_it_is_loaded(rule: str) -> None:
    with pytest.raises(CommandError, match="RULE_APPEND failed"):
        loaded(rule)


def test_what_is_not_modelled_is_refused_when_it_is_loaded() -> None:
    with pytest.raises(Unsupported, match="gid"):
        loaded("-A OUTPUT -m owner --gid-owner 5")


def test_nft_chains_and_iptables_tables_stand_together_in_order_of_priority() -> None:
    netns = loaded("-A FORWARD -m mark --mark 7 -j DROP")
    netns.run(
        "nft -f -",
        "table ip t {\nchain c { type filter hook forward priority -1; policy accept;\nmeta mark set 7\n}\n}\n",
    )
    assert [entry.name for entry in netns.hooks.entries[4][2]] == ["nft/ip/t/c", "iptables/filter/FORWARD"]
    assert not passes(netns)


def test_two_unequal_ports_of_nft_are_unequal_together() -> None:
    netns = router()
    chain = "chain c { type filter hook forward priority 0; policy accept\nudp sport != 1000 udp dport != 53 drop\n}"
    netns.run("nft -f -", f"table ip t {{\n{chain}\n}}\n")
    found = [
        passes(netns, wire("10.244.0.2", "10.244.0.3", UDP(sport=sport, dport=dport)))
        for sport, dport in ((1000, 53), (1000, 54), (1001, 53), (1001, 54))
    ]
    assert found == [True, False, False, False]


@pytest.mark.parametrize(("backend", "priority"), [("", 150), ("-legacy", 50)])
def test_the_security_table_stands_where_its_backend_puts_it(backend: str, priority: int) -> None:
    netns = router()
    netns.run(f"iptables{backend}-restore", "*security\n:INPUT ACCEPT [0:0]\n-A INPUT -p udp -j DROP\nCOMMIT\n")
    [entry] = netns.hooks.entries[4][1]
    assert entry.priority == priority
