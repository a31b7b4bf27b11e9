"""What rules remember between packets: buckets, lists and counts, who shares them and when they begin anew."""

from __future__ import annotations

import pytest
from kernel.kernel_node import router, sent, wire
from scapy.layers.inet import TCP, UDP
from scapy.packet import Packet

from fakecluster.errors import CommandError
from fakecluster.kernel.netns import Netns

HASHLIMIT, RECENT = "-m hashlimit --hashlimit-name h", "-m recent --name r"
EVERY_THIRD = ("-A FORWARD -m statistic --mode nth --every 3 --packet 0 -j ACCEPT", "-A FORWARD -j DROP")


def restore(*rules: str) -> str:
    return "\n".join(("*filter", *rules, "COMMIT", ""))


def loaded(*rules: str, tool: str = "iptables") -> Netns:
    netns = router()
    netns.run(f"{tool}-restore", restore(*rules))
    return netns


def passed(netns: Netns, *transports: Packet) -> list[bool]:
    return [bool(sent(netns.receive(wire("10.244.0.2", "10.244.0.3", each), "podA"))) for each in transports]


def udp(sport: int = 4000) -> Packet:
    return UDP(sport=sport, dport=53)


def syn() -> Packet:
    return TCP(sport=1000, dport=80, flags="S")


def test_a_table_of_hashlimit_is_gone_through_at_its_interval() -> None:
    netns = loaded(
        f"-A FORWARD {HASHLIMIT} --hashlimit-above 1/minute --hashlimit-burst 2 --hashlimit-mode srcip"
        " --hashlimit-htable-expire 100 --hashlimit-htable-gcinterval 1000 -j DROP"
    )
    assert passed(netns, *[udp()] * 3) == [True, True, False]
    netns.clock.advance(0.4)
    assert passed(netns, udp()) == [False]
    netns.clock.advance(1.0)
    assert passed(netns, *[udp()] * 3) == [True, True, False]


def test_the_first_rule_of_a_name_says_how_its_table_counts() -> None:
    netns = loaded(
        f"-A FORWARD -p udp {HASHLIMIT} --hashlimit-above 1/s --hashlimit-burst 2 --hashlimit-mode srcip -j DROP",
        f"-A FORWARD -p tcp {HASHLIMIT} --hashlimit-above 9/s --hashlimit-burst 5 --hashlimit-mode dstport -j DROP",
    )
    assert passed(netns, syn(), syn(), syn(), udp()) == [True, True, False, False]


@pytest.mark.parametrize(
    ("sizes", "held"),
    [
        ("--hashlimit-htable-size 1", 8),
        ("--hashlimit-htable-size 1 --hashlimit-htable-max 2", 2),
        ("--hashlimit-htable-size 4 --hashlimit-htable-max 2", 4),
    ],
)
def test_a_full_table_of_hashlimit_drops(sizes: str, held: int) -> None:
    netns = loaded(f"-A FORWARD {HASHLIMIT} --hashlimit-above 1/s --hashlimit-burst 9 --hashlimit-mode srcport {sizes}")
    assert passed(netns, *[udp(port) for port in range(1, 11)]) == [True] * held + [False] * (10 - held)


def test_a_list_is_emptied_by_a_rule_that_wants_more_hits() -> None:
    netns = loaded(
        f"-A FORWARD -p tcp {RECENT} --set -j ACCEPT", f"-A FORWARD -p udp {RECENT} --rcheck -j ACCEPT",
        "-A FORWARD -j DROP",
    )  # fmt: skip
    assert passed(netns, syn(), udp()) == [True, True]
    netns.run(f"iptables -A INPUT {RECENT} --rcheck --hitcount 32")
    assert passed(netns, udp()) == [True]
    netns.run(f"iptables -A INPUT {RECENT} --rcheck --hitcount 33")
    assert passed(netns, udp()) == [False]


def test_connlimit_counts_dead_connections_behind_the_one_it_looks_for() -> None:
    netns = loaded("-A FORWARD -m connlimit --connlimit-above 1 -j DROP")
    assert passed(netns, udp(1), udp(1), udp(2), udp(1), udp(2)) == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("tool", "command", "begins_anew"),
    [
        ("iptables", "-A INPUT -p tcp", False),
        ("iptables", "-A FORWARD -p tcp", False),
        ("iptables", "-Z FORWARD", True),
        ("iptables", "-Z FORWARD 1", True),
        ("iptables", "-Z FORWARD 2", False),
        ("iptables-legacy", "-A INPUT -p tcp", True),
        ("iptables-legacy", "-P INPUT ACCEPT", True),
        ("iptables-legacy", "-Z FORWARD 2", True),
        ("iptables-legacy", "-C FORWARD -j DROP", False),
        ("iptables-legacy", "-t mangle -A FORWARD -p tcp", False),
    ],
)
def test_when_a_rule_begins_anew(tool: str, command: str, begins_anew: bool) -> None:
    netns = loaded(*EVERY_THIRD, tool=tool)
    assert passed(netns, udp(), udp()) == [True, False]
    netns.run(f"{tool} {command}")
    assert passed(netns, udp(), udp()) == ([True, False] if begins_anew else [False, True])


@pytest.mark.parametrize("tool", ["iptables", "iptables-legacy"])
def test_a_restore_of_the_same_rules_begins_anew(tool: str) -> None:
    netns = loaded(*EVERY_THIRD, tool=tool)
    assert passed(netns, udp(), udp()) == [True, False]
    netns.run(f"{tool}-restore", restore(*EVERY_THIRD))
    assert passed(netns, udp()) == [True]
    netns.run(f"{tool}-restore --noflush", restore())
    assert passed(netns, udp()) == [False]


def test_a_rule_remembers_when_the_chain_it_jumps_to_is_renamed() -> None:
    netns = loaded(":U - [0:0]", EVERY_THIRD[0].replace("ACCEPT", "U"), EVERY_THIRD[1], "-A U -j ACCEPT")
    assert passed(netns, udp(), udp()) == [True, False]
    netns.run("iptables -E U V")
    netns.run("iptables -E V W")
    assert passed(netns, udp(), udp()) == [False, True]


def test_counters_that_are_zero_are_not_set_to_zero() -> None:
    netns = loaded("-A FORWARD -m quota ! --quota 50 -j DROP")
    assert passed(netns, udp()) == [True]
    netns.run("iptables -Z")
    assert passed(netns, udp()) == [False]
    netns.run("iptables -Z")
    assert passed(netns, udp()) == [True]


def test_a_chain_that_iptables_nft_has_not_made_cannot_be_set_to_zero() -> None:
    netns = loaded(*EVERY_THIRD)
    with pytest.raises(CommandError, match="No chain/target/match by that name"):
        netns.run("iptables -Z INPUT")
    with pytest.raises(CommandError, match="Bad rule"):
        netns.run("iptables -Z INPUT 1")


def test_what_a_rule_adds_to_a_set_has_its_packet_counted() -> None:
    netns = router()
    netns.run("ipset create c hash:ip counters")
    netns.run("iptables-restore", restore("-A FORWARD -j SET --add-set c src --exist"))
    passed(netns, udp())
    assert "add c 10.244.0.2 packets 1 bytes 28" in netns.run("ipset save")
