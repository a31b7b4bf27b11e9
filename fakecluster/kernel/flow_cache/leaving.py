"""What leaves in the place of a packet: by a known flow, or by recipe."""

from __future__ import annotations

from struct import Struct
from typing import Protocol

from fakecluster.kernel.conntrack.entry import Tuple
from fakecluster.kernel.effects import Transmit
from fakecluster.kernel.flow_cache.flow import sum_change
from fakecluster.kernel.flow_cache.lanes import CHANGED_TCP4, CHANGED_TCP6, WRITE_TCP4, WRITE_TCP6
from fakecluster.kernel.packet import TCP

#: Bytes of IPv4 addresses and ports.
ENDS4_SIZE = 12
_ENDS4, _PORTS = Struct("!LLHH").pack, Struct("!HH").pack
_READ_ENDS4, _READ_PORTS = Struct("!LLHH").unpack, Struct("!HH").unpack_from
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


def ends_behind(other: Tuple) -> bytes:
    """The addresses and ports of packets that are answered by packets of this tuple."""
    family, _proto, src, dst, sport, dport = other
    if family == 4:
        return _ENDS4(dst, src, dport, sport)
    return dst.to_bytes(16) + src.to_bytes(16) + _PORTS(dport, sport)


def tuple_of(ends: bytes) -> Tuple:
    """The tuple of TCP packets with these addresses and ports."""
    if len(ends) == ENDS4_SIZE:
        src, dst, sport, dport = _READ_ENDS4(ends)
        return Tuple(4, TCP, src, dst, sport, dport)
    sport, dport = _READ_PORTS(ends, 32)
    return Tuple(6, TCP, int.from_bytes(ends[:16]), int.from_bytes(ends[16:32]), sport, dport)


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
