"""A TCP segment that opens a connection, as recipes read it, and what leaves in its place."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple, Protocol

from fakecluster.kernel.checksums import folded
from fakecluster.kernel.conntrack.entry import Tuple
from fakecluster.kernel.effects import Transmit
from fakecluster.kernel.flow_cache.flow import sum_change
from fakecluster.kernel.flow_cache.lanes import CHANGED_TCP4, CHANGED_TCP6, WRITE_TCP4, WRITE_TCP6
from fakecluster.kernel.packet import FRAGMENT, TCP
from fakecluster.kernel.tcp_segments import MASK

# first 16 bits, length, fragment bits, TTL, protocol, addresses, ports, sequence, acknowledgment, offset and flags, window
_READ4 = Struct("!HHxxHBBxxLLHHLLHH").unpack_from
# first 16 bits, length, next header, hop limit, addresses, ports, sequence, acknowledgment, offset and flags, window
_READ6 = Struct("!HxxHBB16s16sHHLLHH").unpack_from
_ENDS4, _PORTS = Struct("!LLHH").pack, Struct("!HH").pack
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


def ends_behind(other: Tuple) -> bytes:
    """The addresses and ports of packets that are answered by packets of this tuple."""
    family, _proto, src, dst, sport, dport = other
    if family == 4:
        return _ENDS4(dst, src, dport, sport)
    return dst.to_bytes(16) + src.to_bytes(16) + _PORTS(dport, sport)


def after_syn(segment: Segment, packet: bytes) -> tuple[int, int, bytes]:
    """The sequence number after a SYN or SYN-ACK, its window and its options."""
    begin, header = 20 if segment.family == 4 else 40, segment.bits >> 10 & 0x3C
    end = segment.seq + len(packet) - begin - header + 1 & MASK
    return end, segment.window, packet[begin + 20 : begin + header] if header > 20 else b""


class Leaving(Protocol):
    """How packets leave (see Flow): a known flow's, or by recipe."""

    counters: list[list[int]]
    oif: str
    next_hop: int
    mark: int
    ip_change: int
    ttl_step: int


def sent(flow: Leaving, packet: bytes, family: int, ends: bytes) -> Transmit:
    """Count a packet and let it go that way, between these ends."""
    size = len(packet)
    for pair in flow.counters:
        pair[0] += 1
        pair[1] += size
    packet = readdressed(flow, packet, family, ends)
    return _new(Transmit, (flow.oif, packet, flow.next_hop, family, flow.mark, False, None))


def readdressed(flow: Leaving, packet: bytes, family: int, ends: bytes) -> bytes:
    """What becomes of a packet; the addresses are those that packets have which leave so."""
    if family == 4:
        ttl, check, tcp_check = CHANGED_TCP4(packet)
        change = sum_change(packet[12:24], ends)
        if change:
            tcp_check = (tcp_check - change) % 0xFFFF
        if flow.ip_change:
            check = (check - flow.ip_change) % 0xFFFF
        return WRITE_TCP4(packet, ttl - flow.ttl_step, TCP, check, ends, packet[24:36], tcp_check) + packet[38:]
    ttl, tcp_check = CHANGED_TCP6(packet)
    change = sum_change(packet[8:44], ends)
    if change:
        tcp_check = (tcp_check - change) % 0xFFFF
    return WRITE_TCP6(packet, ttl - flow.ttl_step, ends, packet[44:56], tcp_check) + packet[58:]
