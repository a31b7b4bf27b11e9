"""A TCP segment as it comes from the wire, when nothing about the packet is unusual."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from fakecluster.kernel.checksums import folded
from fakecluster.kernel.packet import FRAGMENT, TCP
from fakecluster.kernel.tcp_segments import MASK

# first 16 bits, length, fragment bits, TTL, protocol, addresses, ports, sequence, acknowledgment, offset and flags, window
_READ4 = Struct("!HHxxHBBxxLLHHLLHH").unpack_from
# first 16 bits, length, next header, hop limit, addresses, ports, sequence, acknowledgment, offset and flags, window
_READ6 = Struct("!HxxHBB16s16sHHLLHH").unpack_from
_number = int.from_bytes
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


class Segment(NamedTuple):
    """Of a whole segment, without options of IP or extension headers: `first` are the first 16 bits without flow label."""

    family: int
    first: int
    ttl: int
    src: int
    dst: int
    sport: int
    dport: int
    seq: int
    ack: int
    bits: int
    window: int


def read(packet: bytes) -> Segment | None:
    """None for everything else, and for what has wrong lengths or a wrong IPv4 checksum."""
    size = len(packet)
    if packet[0] == 0x45:
        if size < 40:
            return None
        first, total, fragment, ttl, proto, src, dst, sport, dport, seq, ack, bits, window = _READ4(packet)
        if fragment & FRAGMENT or _number(packet[:20]) % 0xFFFF:
            return None
        family, load = 4, size - 20
    else:
        if size < 60 or packet[0] >> 4 != 6:
            return None
        first, total, proto, ttl, source, destination, sport, dport, seq, ack, bits, window = _READ6(packet)
        first, src, dst, total = first & 0xFFF0, _number(source), _number(destination), total + 40
        family, load = 6, size - 40
    if proto != TCP or total != size or not 20 <= bits >> 10 & 0x3C <= load:
        return None
    return _new(Segment, (family, first, ttl, src, dst, sport, dport, seq, ack, bits, window))


def checksum_is_right(packet: bytes, family: int) -> bool:
    """Whether TCP's checksum is."""
    size = len(packet)
    load = size - (20 if family == 4 else 40)
    total = _number(packet[12 if family == 4 else 8 :])
    if size > 200:
        total = folded(total, size)
    return not ((total << 8 if size & 1 else total) + load + TCP) % 0xFFFF


def after_syn(segment: Segment, packet: bytes) -> tuple[int, int, bytes]:
    """The sequence number after a SYN or SYN-ACK, its window and its options."""
    begin, header = 20 if segment.family == 4 else 40, segment.bits >> 10 & 0x3C
    end = segment.seq + len(packet) - begin - header + 1 & MASK
    return end, segment.window, packet[begin + 20 : begin + header] if header > 20 else b""
