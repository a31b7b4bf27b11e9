"""Headers rewritten: checksums follow by what has changed, right or wrong."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from kernel.kernel_node import wire
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from fakecluster.kernel.checksums import checksum
from fakecluster.kernel.packet import Skb

FAMILIES = st.sampled_from((("10.0.0.1", "10.0.0.2", 32), ("fd00::1", "fd00::2", 128)))
PAYLOADS = st.binary(max_size=33)
PORTS = st.integers(0, 65535)


@given(FAMILIES, st.data(), PAYLOADS, st.sampled_from((TCP, UDP)))
def test_a_right_checksum_stays_right(
    family: tuple[str, str, int], data: st.DataObject, payload: bytes, kind: type
) -> None:
    src, dst, bits = family
    skb = Skb(wire(src, dst, kind(sport=1, dport=2) / Raw(payload)))
    skb.set_src(data.draw(st.integers(1, (1 << bits) - 1)))
    skb.set_dst(data.draw(st.integers(1, (1 << bits) - 1)))
    skb.set_sport(data.draw(PORTS))
    skb.set_dport(data.draw(PORTS))
    skb.set_ttl(data.draw(st.integers(0, 255)))
    skb.set_tos(data.draw(st.integers(0, 255)))
    assert skb.l4_checksum_ok()
    assert bits == 128 or checksum(skb.data[:20]) == 0
    again = Skb(bytes(skb.data))
    assert (again.src, again.dst, again.sport, again.dport, again.ttl, again.tos) == (
        skb.src, skb.dst, skb.sport, skb.dport, skb.ttl, skb.tos,
    )  # fmt: skip


def test_a_wrong_checksum_stays_wrong() -> None:
    skb = Skb(bytes(IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2, chksum=0x1234)))
    skb.set_dst(0x0A000003)
    skb.set_dport(99)
    assert not skb.l4_checksum_ok()
    assert IP(bytes(skb.data))[TCP].chksum == 0x11D2


def test_no_udp_checksum_stays_none_in_ipv4() -> None:
    skb = Skb(bytes(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2, chksum=0)))
    skb.set_dst(0x0A000003)
    assert IP(bytes(skb.data))[UDP].chksum == 0


def test_an_ipv6_packet_is_parsed_behind_its_extension_headers() -> None:
    from scapy.layers.inet6 import IPv6ExtHdrDestOpt

    skb = Skb(bytes(IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrDestOpt() / UDP(sport=7, dport=8)))
    assert (skb.proto, skb.sport, skb.dport) == (17, 7, 8)


@given(st.data(), PAYLOADS, st.sampled_from((TCP, UDP)), st.sampled_from((None, 0, 0x1234)), st.booleans())
def test_both_parts_of_an_end_change_as_one_after_the_other(
    data: st.DataObject, payload: bytes, kind: type, check: int | None, source: bool
) -> None:
    packet = bytes(IP(src="10.0.0.1", dst="10.0.0.2") / kind(sport=1, dport=2, chksum=check) / Raw(payload))
    address, port = data.draw(st.integers(0, (1 << 32) - 1)), data.draw(PORTS)
    at_once, in_turn = Skb(packet), Skb(packet)
    at_once.set_end4(address, port, source=source)
    if source:
        in_turn.set_src(address)
        in_turn.set_sport(port)
    else:
        in_turn.set_dst(address)
        in_turn.set_dport(port)
    assert at_once.data == in_turn.data
    assert (at_once.src, at_once.sport, at_once.dst, at_once.dport) == (
        in_turn.src, in_turn.sport, in_turn.dst, in_turn.dport,
    )  # fmt: skip
