"""A packet's way through a namespace: routing, forwarding, local delivery, errors."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.kernel_node import delivered, router, sent, wire
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
from scapy.packet import Raw

from fakecluster.errors import CommandError
from fakecluster.kernel.effects import Arp, Drop, SendError
from fakecluster.kernel.netns import Netns
from fakecluster.sim import Clock, Seeded


def test_a_packet_is_forwarded_with_one_hop_less() -> None:
    [(iface, packet)] = sent(router().receive(wire("10.244.0.2", "10.244.0.3", UDP(sport=1, dport=2), ttl=9), "podA"))
    assert (iface, packet.ttl, packet.dst) == ("podB", 8, "10.244.0.3")


def test_a_host_that_does_not_forward_drops() -> None:
    netns = router()
    netns.run("sysctl -w net.ipv4.ip_forward=0")
    [drop] = netns.receive(wire("10.244.0.2", "10.244.0.3", UDP()), "podA")
    assert isinstance(drop, Drop)
    assert drop.reason == "forwarding is off"


def test_the_last_hop_is_answered_with_time_exceeded() -> None:
    [(iface, answer)] = sent(router().receive(wire("10.244.0.2", "10.244.0.3", UDP(), ttl=1), "podA"))
    assert (iface, answer.src, answer[ICMP].type, answer[ICMP].code) == ("podA", "10.244.0.1", 11, 0)


def test_a_closed_udp_port_is_answered_with_port_unreachable() -> None:
    [(_, answer)] = sent(router().receive(wire("10.244.0.2", "10.244.0.1", UDP(sport=5, dport=6)), "podA"))
    assert (answer.src, answer.dst, answer[ICMP].type, answer[ICMP].code) == ("10.244.0.1", "10.244.0.2", 3, 3)


def test_a_closed_tcp_port_is_answered_with_a_reset_of_the_same_tos() -> None:
    syn = wire("10.244.0.2", "10.244.0.1", TCP(sport=5, dport=6, flags="S", seq=7), tos=0x10)
    [(_, answer)] = sent(router().receive(syn, "podA"))
    assert (str(answer[TCP].flags), answer[TCP].seq, answer[TCP].ack, answer.tos) == ("RA", 0, 8, 0x10)


def test_an_echo_request_is_answered() -> None:
    ping = wire("10.244.0.2", "10.244.0.1", ICMP(type=8, id=9, seq=1) / b"hello")
    [(_, answer)] = sent(router().receive(ping, "podA"))
    assert (answer[ICMP].type, answer[ICMP].id, bytes(answer[ICMP].payload)) == (0, 9, b"hello")


def test_too_large_a_packet_is_answered_with_the_mtu() -> None:
    netns = router()
    netns.run("ip link set podB mtu 1000")
    large = wire("10.244.0.2", "10.244.0.3", UDP() / Raw(bytes(1100)), flags="DF")
    [(_, answer)] = sent(netns.receive(large, "podA"))
    assert (answer[ICMP].type, answer[ICMP].code, answer[ICMP].nexthopmtu) == (3, 4, 1000)


def test_a_packet_that_may_be_fragmented_is() -> None:
    netns = router()
    netns.run("ip link set podB mtu 1000")
    pieces = sent(netns.receive(wire("10.244.0.2", "10.244.0.3", UDP() / Raw(bytes(1100))), "podA"))
    assert [(packet.frag, str(packet.flags), packet.len) for _, packet in pieces] == [(0, "MF", 996), (122, "", 152)]


def test_the_longest_prefix_wins_and_blackholes_are_silent() -> None:
    netns = router()
    netns.run("ip route add blackhole 203.0.113.0/24")
    netns.run("ip route add 203.0.113.7 dev podB")
    netns.neighbours[4, 0xCB007107] = b"\2\0\0\0\0\3"
    assert [iface for iface, _ in sent(netns.receive(wire("10.244.0.2", "203.0.113.7", UDP()), "podA"))] == ["podB"]
    assert sent(netns.receive(wire("10.244.0.2", "203.0.113.8", UDP()), "podA")) == []


def test_a_policy_rule_by_mark_chooses_the_table() -> None:
    netns = router()
    netns.run("ip rule add fwmark 1 table 100")
    netns.run("ip route add default dev podB table 100")
    netns.neighbours[4, 0xCB007107] = b"\2\0\0\0\0\3"
    netns.run("iptables -t mangle -A PREROUTING -p udp -j MARK --set-mark 1")
    assert [iface for iface, _ in sent(netns.receive(wire("10.244.0.2", "203.0.113.7", UDP()), "podA"))] == ["podB"]
    assert [iface for iface, _ in sent(netns.receive(wire("10.244.0.2", "203.0.113.7", TCP()), "podA"))] == ["eth0"]


def test_an_unknown_neighbour_is_asked_for() -> None:
    [effect] = router().receive(wire("10.244.0.2", "192.168.1.99", UDP()), "podA")
    assert isinstance(effect, Arp)
    assert (effect.iface, effect.address) == ("eth0", 0xC0A80163)


def test_reverse_path_filtering_drops_what_cannot_come_from_there() -> None:
    netns = router()
    netns.run("sysctl -w net.ipv4.conf.all.rp_filter=1")
    assert sent(netns.receive(wire("10.244.0.3", "203.0.113.7", UDP()), "podA")) == []
    assert len(sent(netns.receive(wire("10.244.0.2", "203.0.113.7", UDP()), "podA"))) == 1


def test_record_route_is_filled_in_by_the_router() -> None:
    option = IPOption_RR(length=7, routers=["0.0.0.0"])
    packet = wire("10.244.0.2", "192.168.1.1", UDP(), options=[option])
    [(_, forwarded)] = sent(router().receive(packet, "podA"))
    assert (forwarded.options[0].pointer, forwarded.options[0].routers) == (8, ["192.168.1.10"])


def test_source_routes_are_refused() -> None:
    packet = IP(src="10.244.0.2", dst="192.168.1.1", options=b"\x83\x07\x04\x0a\xf4\x00\x03\x00") / UDP()
    assert sent(router().receive(bytes(packet), "podA")) == []


def test_a_process_that_sends_into_a_drop_is_told() -> None:
    netns = router()
    netns.run("iptables -A OUTPUT -p udp -j DROP")
    with pytest.raises(SendError, match="Operation not permitted"):
        netns.send_local(wire("192.168.1.10", "10.244.0.2", UDP()))
    assert len(sent(netns.send_local(wire("192.168.1.10", "10.244.0.2", TCP())))) == 1


def test_loopback_packets_come_back_in() -> None:
    effects = router().send_local(wire("127.0.0.1", "127.0.0.1", ICMP(type=8, id=1)))
    assert [packet[ICMP].type for packet in delivered(effects)] == [8, 0]


def test_ipv6_is_forwarded_and_its_errors_come_from_the_inbound_interface() -> None:
    netns = router()
    [(iface, packet)] = sent(netns.receive(wire("fd00:2::2", "fd00:2::3", UDP(), hlim=5), "podA"))
    assert (iface, packet.hlim) == ("podB", 4)
    [(_, answer)] = sent(netns.receive(wire("fd00:2::2", "fd00:2::3", UDP(), hlim=1), "eth0"))
    assert (answer.src, answer.payload.type) == ("fd00:1::10", 3)


def test_walks_are_numbered_in_the_order_in_which_they_began() -> None:
    netns = router()
    netns.run("iptables -A FORWARD -j REJECT")
    effects = netns.receive(wire("10.244.0.2", "10.244.0.3", UDP()), "podA", trace=True)
    walks = [(type(e).__name__, e.hop.walk) for e in effects if not isinstance(e, type(None)) and e.hop]  # type: ignore[union-attr]
    assert walks == [("Transmit", 2), ("Drop", 1)]


def test_a_fork_goes_its_own_way() -> None:
    netns = router()
    netns.run("iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE")
    twin = netns.fork(Clock(), Seeded(2))
    twin.receive(wire("10.244.0.2", "203.0.113.7", UDP(sport=9, dport=53)), "podA")
    twin.run("iptables -A FORWARD -j DROP")
    assert (len(netns.conntrack), len(twin.conntrack)) == (0, 1)
    assert "DROP" not in netns.run("iptables-save")


DROPS = {
    "iptables": ("iptables -A FORWARD -j DROP", "iptables -F FORWARD"),
    "nft": (
        "nft add table ip t; add chain ip t c { type filter hook forward priority 0; policy drop; }",
        "nft flush ruleset",
    ),
}


@pytest.mark.parametrize("language", DROPS)
@pytest.mark.parametrize("who_changes", ["original", "fork"])
def test_rules_that_one_side_of_a_fork_removes_hold_on_the_other(language: str, who_changes: str) -> None:
    put, remove = DROPS[language]
    netns = router()
    netns.run(put.split(maxsplit=1) if language == "nft" else put)
    twin = netns.fork(Clock(), Seeded(2))
    changed, other = (netns, twin) if who_changes == "original" else (twin, netns)
    changed.run(remove)
    packet = wire("10.244.0.2", "10.244.0.3", UDP(sport=1, dport=2))
    assert [iface for iface, _ in sent(changed.receive(packet, "podA"))] == ["podB"]
    assert sent(other.receive(packet, "podA")) == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("frobnicate", "sh: 1: frobnicate: not found"),
        ("ip route add 10.9.0.0/16 via 172.31.0.1", "Network is unreachable"),
        ("ip address add 10.0.0.1/24 dev nosuch", 'Cannot find device "nosuch"'),
        ("ip address add 192.168.1.10/24 dev eth0", "File exists"),
        ("sh -c 'ip route | wc'", "only `sh -c` with plain commands"),
    ],
)
def test_wrong_commands_fail_in_the_tools_words(command: str, words: str) -> None:
    with pytest.raises(CommandError) as failed:
        router().run(command)
    assert words in failed.value.stderr


def test_a_shell_line_goes_on_after_a_failure_and_fails_with_its_last_command() -> None:
    netns = router()
    netns.run(["sh", "-c", "ip addr del 10.9.9.9/32 dev eth0 2>/dev/null; ip addr add 10.9.9.9/32 dev eth0"])
    assert "10.9.9.9/32" in netns.run("ip addr show eth0")
    with pytest.raises(CommandError, match="File exists"):
        netns.run(["sh", "-c", "true && ip addr add 10.9.9.9/32 dev eth0"])


@given(st.binary(max_size=80), st.sampled_from(("podA", "eth0")))
@settings(max_examples=200, deadline=None)
def test_garbage_on_the_wire_is_dropped_not_crashed_on(data: bytes, iface: str) -> None:
    netns = router()
    netns.run("iptables -t nat -A POSTROUTING -p tcp --dport 80 -j MASQUERADE")
    for packet in (data, b"\x45\x00" + data, b"\x60\x00" + data, _headed(data)):
        netns.receive(packet, iface)


def _headed(payload: bytes) -> bytes:
    return bytes(IP(src="10.244.0.2", dst="10.244.0.3", proto=payload[0] if payload else 6) / Raw(payload))


def test_rules_that_fail_to_load_change_nothing() -> None:
    netns = router()
    netns.run("iptables-restore", "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n")
    before = netns.run("iptables-save")
    with pytest.raises(CommandError):
        netns.run("iptables-restore", "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j NOWHERE\nCOMMIT\n")
    assert netns.run("iptables-save") == before


def test_an_unused_namespace_makes_none_of_its_parts() -> None:
    assert not {"conntrack", "nat", "xtables", "nftables", "sockets"} & Netns("pod").__dict__.keys()
