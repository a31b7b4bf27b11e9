"""What is read of a packet: at a glance, or closely."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.packet import Packet

from fakecluster.kernel.packet import BadPacket, Skb
from fakecluster.replay.flows import FlowKey
from fakecluster.replay.headers import Headers, _read_closely, read

V4, V6 = IP(src="10.0.0.1", dst="10.0.0.2"), IPv6(src="fd00::1", dst="fd00::2")
KEY4, KEY6 = FlowKey(4, 6, 0x0A000001, 0x0A000002, 5, 80), FlowKey(6, 6, 0xFD << 120 | 1, 0xFD << 120 | 2, 5, 80)
NO_PORTS = KEY4._replace(sport=0, dport=0)
SEGMENT = TCP(sport=5, dport=80, flags="PA", options=[("MSS", 1400)]) / b"hello"

#: packet -> key, code, payload, where TCP begins, plain
PACKETS: dict[str, tuple[Packet, tuple[FlowKey, int, int, int, bool]]] = {
    "IPv4": (V4 / SEGMENT, (KEY4, 24, 5, 20, True)),
    "IPv6": (V6 / SEGMENT, (KEY6, 24, 5, 40, True)),
    "IPv4 options": (IP(src="10.0.0.1", dst="10.0.0.2", options=b"\1\1\1\1") / SEGMENT, (KEY4, 24, 5, 24, False)),
    "IPv6 extensions": (V6 / IPv6ExtHdrDestOpt() / SEGMENT, (KEY6, 24, 5, 48, False)),
    "a first fragment": (IP(src="10.0.0.1", dst="10.0.0.2", flags="MF") / SEGMENT, (KEY4, 24, 5, 20, False)),
    "a later fragment": (IP(src="10.0.0.1", dst="10.0.0.2", frag=9) / SEGMENT, (NO_PORTS, 0, 5, 0, False)),
    "a first fragment of IPv6": (V6 / IPv6ExtHdrFragment(m=1) / SEGMENT, (KEY6, 24, 5, 48, False)),
    "a header that says too much": (V4 / TCP(sport=5, dport=80, dataofs=15), (KEY4, 2, 0, 20, True)),
    "half a header": (IP(src="10.0.0.1", dst="10.0.0.2", proto=6) / bytes(SEGMENT)[:14], (KEY4, 24, 0, 0, True)),
    "UDP": (V4 / UDP(sport=5, dport=80) / b"hello", (KEY4._replace(proto=17), 0, 5, 0, False)),
    "ICMP": (V4 / ICMP(type=3, code=1) / b"hello", (NO_PORTS._replace(proto=1), 0x301, 13, 0, False)),
}  # fmt: skip


@pytest.mark.parametrize("what", PACKETS)
def test_headers_are_read(what: str) -> None:
    packet, expected = PACKETS[what]
    assert read(bytes(packet)) == Headers(bytes(packet), *expected)


def test_what_follows_a_packet_is_cut_off() -> None:
    for packet in (bytes(V4 / SEGMENT), bytes(V6 / SEGMENT)):
        assert read(packet + b"\0\0") == read(packet)
        assert read(packet + b"\0\0").packet == packet


@pytest.mark.parametrize("packet", [b"", b"\x45", bytes(V4 / SEGMENT)[:30], bytes(V6 / SEGMENT)[:50]])
def test_what_is_no_packet_is_refused(packet: bytes) -> None:
    with pytest.raises(BadPacket):
        read(packet)


CHANGES = st.lists(st.tuples(st.integers(0, 63), st.integers(0, 255)), max_size=3)


@given(st.sampled_from([bytes(V4 / SEGMENT), bytes(V6 / SEGMENT)]), CHANGES)
def test_a_glance_sees_what_a_close_look_sees(packet: bytes, changes: list[tuple[int, int]]) -> None:
    data = bytearray(packet)
    for at, value in changes:
        data[at % len(data)] = value
    try:
        expected = _read_closely(Skb(data))
    except BadPacket:
        with pytest.raises(BadPacket):
            read(bytes(data))
    else:
        assert read(bytes(data)) == expected
