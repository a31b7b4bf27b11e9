"""Segments that go straight from the wire to a socket: which do, and that nothing shows it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.kernel_node import wire
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

from fakecluster.apps.echo import Echo
from fakecluster.kernel.effects import Deliver, Drop, Effect, Looped, Transmit
from fakecluster.kernel.hooks import ACCEPT, DROP, Hook
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import Skb
from fakecluster.sim import Seeded

OWN, PEER = {4: "10.244.0.3", 6: "fd00:2::3"}, {4: "10.244.0.2", 6: "fd00:2::2"}
MAC = b"\2\0\0\0\0\1"


def pod() -> Netns:
    """A Pod's namespace: an echo server on port 80 of both families, a sink on 81."""
    netns = Netns("pod", choices=Seeded(1))
    netns.add_interface("eth0", mac=MAC, noarp=True)
    for command in (
        "ip address add 10.244.0.3/32 dev eth0",
        "ip address add fd00:2::3/128 dev eth0",
        "ip route add default dev eth0",
        "ip -6 route add default dev eth0",
    ):
        netns.run(command)
    netns.sockets.bind("tcp", 80, Echo("web"), family=6, dual_stack=True)
    netns.sockets.bind("tcp", 81)
    return netns


def both() -> tuple[Netns, Netns]:
    """The same Pod twice: one lets segments go straight, one does not."""
    pods = pod(), pod()
    pods[1].flow_cache.enabled = False
    return pods


def segment(
    flags: str = "S", *, family: int = 4, load: bytes = b"", sport: int = 1000, dport: int = 80, **fields: object
) -> bytes:  # fmt: skip
    return wire(PEER[family], OWN[family], TCP(sport=sport, dport=dport, flags=flags, **fields) / load)


def shown(effects: list[Effect]) -> list[tuple[object, ...]]:
    """Effects with their sockets as text: those of two Pods are never the same."""
    return [
        tuple(repr(part) if name == "socket" else part for name, part in effect._asdict().items()) for effect in effects
    ]


def state(netns: Netns) -> list[tuple[object, ...]]:
    return [
        (key, one.name, one.state, one.mss, one.snd_nxt, one.rcv_nxt, one.unacknowledged, one.out_of_order, one.due_ns,
         one.program, one.uid, sorted(one.context), one.error)
        for key, one in netns.sockets.connections.items()
    ]  # fmt: skip


def alike(pods: tuple[Netns, Netns], packet: bytes, dst_mac: bytes = b"") -> list[Effect]:
    """Give a packet to both; the same must come of it."""
    effects = [netns.receive(packet, "eth0", dst_mac=dst_mac) for netns in pods]
    assert shown(effects[0]) == shown(effects[1])
    assert state(pods[0]) == state(pods[1])
    assert pods[0].clock.next_ns == pods[1].clock.next_ns
    return effects[0]


def opened(pods: tuple[Netns, Netns], family: int = 4) -> int:
    """Open a connection; gives the acknowledgment number of what it sent."""
    alike(pods, segment("S", family=family, sport=999))  # its route is remembered
    [_, answer] = alike(pods, segment("S", family=family, seq=100))
    assert isinstance(answer, Transmit)
    l4 = 20 if family == 4 else 40
    ack = (int.from_bytes(answer.packet[l4 + 4 : l4 + 8]) + 1) & 0xFFFFFFFF
    alike(pods, segment("A", family=family, seq=101, ack=ack))
    return ack


def goes_straight(netns: Netns, packet: bytes, dst_mac: bytes = b"") -> bool:
    return netns.flow_cache.receive(packet, "eth0", dst_mac) is not None


@pytest.mark.parametrize("family", [4, 6])
def test_a_connection_is_opened_and_speaks_straight(family: int) -> None:
    pods = both()
    ack = opened(pods, family)
    [connection] = [one for one in pods[0].sockets.connections.values() if one.remote[1] == 1000]
    assert (connection.state, connection.mss, connection.rcv_nxt) == ("ESTABLISHED", 536, 101)
    effects = pods[0].flow_cache.receive(segment("PA", family=family, seq=101, ack=ack, load=b"hi"), "eth0", MAC)
    assert effects is not None
    assert [type(effect) for effect in effects] == [Deliver, Transmit, Transmit]
    assert effects[2].packet.endswith(b"\nhi")
    assert goes_straight(pods[0], segment("S", family=family, sport=1001, options=[("MSS", 1300)]))
    assert pods[0].sockets.connections[family, *_ends(family), 1001].mss == 1300


def _ends(family: int) -> tuple[int, int, int]:
    own, peer = ({4: (0x0AF40003, 0x0AF40002), 6: (0xFD000002 << 96 | 3, 0xFD000002 << 96 | 2)})[family]
    return own, 80, peer


def _spoilt(packet: bytes, at: int) -> bytes:
    return packet[:at] + bytes((packet[at] ^ 0x55,)) + packet[at + 1 :]


#: What is not a plain segment of an open connection, nor a first one to a listener.
OTHERS: dict[str, bytes] = {
    "the IP checksum is wrong": _spoilt(segment("A"), 10),
    "the TCP checksum is wrong": _spoilt(segment("A"), 36),
    "there are IP options": wire(PEER[4], OWN[4], TCP(sport=1000, dport=80, flags="A"), options=b"\1\1\1\1"),
    "a fragment": wire(PEER[4], OWN[4], TCP(sport=1000, dport=80, flags="A") / b"12345678", flags="MF"),
    "bytes behind the packet": segment("A") + b"\0",
    "the TCP header is cut off": wire(PEER[4], OWN[4], UDP(sport=1000, dport=80), proto=6),
    "options that reach behind the packet": segment("A", dataofs=15),
    "a header without an end": segment("A", dataofs=3),
    "a reset": segment("R", seq=101),
    "a SYN on an open connection": segment("S", seq=5),
    "no SYN to a listener": segment("A", sport=1234),
    "a reset of nothing": segment("SR", sport=1234),
    "a port that nobody listens on": segment("S", dport=82),
    "a sink": segment("S", dport=81),
    "another source": wire("10.244.0.9", OWN[4], TCP(sport=1000, dport=80)),
    "a connection of another service type": wire(PEER[4], OWN[4], TCP(sport=1000, dport=80, flags="A"), tos=4),
    "a datagram": wire(PEER[4], OWN[4], UDP(sport=1000, dport=80) / b"0123456789ab"),
    "IPv6 extensions": bytes(IPv6(src=PEER[6], dst=OWN[6], nh=60) / bytes((6, 0, 1, 4, 0, 0, 0, 0)) / TCP(dport=80)),
}


@pytest.mark.parametrize("what", OTHERS)
def test_everything_else_goes_the_long_way(what: str) -> None:
    pods = both()
    opened(pods)
    assert not goes_straight(pods[0], OTHERS[what])
    alike(pods, OTHERS[what])


@pytest.mark.parametrize("hook", [Hook.PREROUTING, Hook.INPUT])
def test_hooks_see_every_segment(hook: Hook) -> None:
    pods, seen = both(), ([], [])  # type: tuple[Netns, Netns], tuple[list[int], list[int]]
    for netns, flags in zip(pods, seen, strict=True):
        netns.hooks.register(4, hook, 0, "watch", lambda skb, _ctx, seen=flags: seen.append(skb.tcp_flags) or ACCEPT)
    opened(pods)
    assert seen == ([2, 2, 16], [2, 2, 16])


def test_a_client_is_not_taken_in_by_what_answers_no_syn() -> None:
    pods = both()
    opened(pods)
    for netns in pods:
        netns.sockets.connect(0x0AF40002, 80)
    port = next(key[2] for key, one in pods[0].sockets.connections.items() if one.state == "SYN_SENT")
    packet = segment("A", sport=80, dport=port, ack=77)
    assert not goes_straight(pods[0], packet)
    for netns in pods:
        netns.take_effects()
    [_, refusal] = alike(pods, packet)
    assert isinstance(refusal, Transmit)
    assert IP(refusal.packet)[TCP].flags == "R"


def test_a_frame_for_another_host_goes_the_long_way() -> None:
    pods = both()
    ack = opened(pods)
    packet = segment("A", seq=101, ack=ack)
    assert goes_straight(pods[0], packet, MAC)
    assert not goes_straight(pods[0], packet, b"\2\0\0\0\0\2")
    [effect] = alike(pods, packet, b"\2\0\0\0\0\2")
    assert isinstance(effect, Drop)


def _drop_all(netns: Netns) -> None:
    netns.hooks.register(4, Hook.PREROUTING, 0, "deaf", lambda _skb, _ctx: DROP)


def _drop_own(netns: Netns) -> None:
    netns.hooks.register(4, Hook.OUTPUT, 0, "mute", lambda _skb, _ctx: DROP)


def _device(field: str, value: object) -> Callable[[Netns], object]:
    return lambda netns: setattr(netns.interfaces["eth0"], field, value)


#: What the next segment of an open connection, or its answer, fares differently after; and the first effects then.
CHANGES: dict[str, tuple[Callable[[Netns], object], list[type]]] = {
    "nothing": (lambda netns: None, [Deliver, Transmit, Transmit]),
    "a hook for what comes": (_drop_all, [Drop]),
    "a hook for what goes": (_drop_own, [Deliver, Drop, Drop]),
    "an address": (lambda netns: netns.run("ip address del 10.244.0.3/32 dev eth0"), [Drop]),
    "a route back": (lambda netns: netns.run("ip route replace unreachable default"), [Deliver]),
    "a device that is down": (_device("up", False), [Deliver, Drop, Drop]),
    "a device whose neighbours must be known": (_device("noarp", False), [Deliver, Transmit, Transmit]),
    "a smaller MTU": (_device("mtu", 60), [Deliver, Transmit, Looped]),
    "a port of a bridge": (_device("master", "lo"), [Deliver, Transmit, Transmit]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_changes_are_minded(what: str) -> None:
    change, expected = CHANGES[what]
    pods = both()
    ack = opened(pods)
    for netns in pods:
        change(netns)
        netns.neighbours[4, 0x0AF40002] = MAC
    effects = alike(pods, segment("PA", seq=101, ack=ack, load=b"hi"))
    assert [type(effect) for effect in effects[:3]] == expected


def test_a_traced_segment_takes_the_long_way() -> None:
    netns, _ = pods = both()
    ack = opened(pods)
    effect = netns.receive(segment("A", seq=101, ack=ack), "eth0", trace=True)[0]
    assert isinstance(effect, Deliver)
    assert effect.hop is not None


def test_an_answer_that_gets_lost_is_sent_again() -> None:
    pods = both()
    opened(pods)
    alike(pods, segment("S", sport=1001))
    sent: list[list[Effect]] = [[], []]
    for netns, effects in zip(pods, sent, strict=True):
        netns.on_effects = effects.extend
        netns.clock.advance(8)
    assert shown(sent[0]) == shown(sent[1])
    assert [IP(effect.packet)[TCP].dport for effect in sent[0]] == [999, 1001, 999, 1001, 999, 1001]  # type: ignore[union-attr]


FLAGS = st.sampled_from(["S", "A", "A", "PA", "PA", "FA", "R", "RA", "SA", "", "SF", "SR", "FPU"])
OPTIONS = st.sampled_from([[], [("MSS", 1300)], [("Timestamp", (1, 2))], [("NOP", None)], [("SAck", (1, 2))]])
SEGMENTS = st.fixed_dictionaries(
    {"flags": FLAGS, "family": st.sampled_from([4, 6]), "sport": st.sampled_from([1000, 1001])},
    optional={
        "dport": st.sampled_from([80, 81, 82]),
        "load": st.binary(max_size=300),
        "options": OPTIONS,
        "ahead": st.integers(-3, 3),
        "wait": st.sampled_from([0.5, 61.0]),
    },
)


@settings(max_examples=30)
@given(st.lists(SEGMENTS, min_size=1, max_size=12))
def test_conversations_of_any_kind_are_alike(segments: list[dict[str, object]]) -> None:
    pods = both()
    following = {(family, sport): [100, 0] for family in (4, 6) for sport in (1000, 1001)}
    for fields in segments:
        ahead, wait = fields.pop("ahead", 0), fields.pop("wait", 0)
        seq, ack = following[fields["family"], fields["sport"]]  # type: ignore[index]
        packet = segment(seq=(seq + ahead) & 0xFFFFFFFF, ack=ack, **fields)  # type: ignore[operator, arg-type]
        effects = alike(pods, packet)
        read = Skb(packet)
        following[fields["family"], fields["sport"]] = [_end(read), _end(_last(effects)) or ack]  # type: ignore[index]
        for netns in pods:
            netns.clock.advance(wait)  # type: ignore[arg-type]
            netns.take_effects()


def _last(effects: list[Effect]) -> Skb | None:
    sent = [effect.packet for effect in effects if isinstance(effect, Transmit)]
    return Skb(sent[-1]) if sent else None


def _end(skb: Skb | None) -> int:
    """The sequence number after a segment."""
    if skb is None or skb.proto != 6:
        return 0
    packet: Packet = (IP if skb.family == 4 else IPv6)(bytes(skb.data))
    return (packet[TCP].seq + len(packet[TCP].payload) + bool(skb.tcp_flags & 2) + bool(skb.tcp_flags & 1)) & 0xFFFFFFFF
