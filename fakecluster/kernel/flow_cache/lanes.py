"""Reading, judging and rewriting a packet of a known flow: one lane for each protocol, of both families.

Each gives what comes of the packet, or None, with nothing changed, when it must go the long way. A packet meets one
function here and, in TCP, one of conntrack's: a call more would cost it a thirtieth of its time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING

from fakecluster.kernel.checksums import folded
from fakecluster.kernel.conntrack import tcp
from fakecluster.kernel.conntrack.entry import ASSURED, SEEN_REPLY
from fakecluster.kernel.conntrack.tcp_state import SACK_PERM
from fakecluster.kernel.conntrack.tcp_window import highest_sack
from fakecluster.kernel.effects import Effect, SendError, Transmit
from fakecluster.kernel.flow_cache.flow import Arrival, Flow
from fakecluster.kernel.packet import ACK, FRAGMENT, PSH, TCP, UDP, Skb

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

#: Interface, protocol, first 16 bits without the flow label, addresses and ports.
Key = tuple[str, int, int, bytes]
Flows = dict[Key, Flow]
#: The options of nearly every segment that has some: two fillers and a timestamp.
TIMESTAMP_ONLY = b"\1\1\x08\x0a"
NOT_PSH = 0xFF ^ PSH

# first 16 bits, length, fragment bits, TTL, header checksum, sequence, acknowledgment, offset and flags, window, checksum
_READ_TCP4 = Struct("!HHxxHBxH12xLLHHH").unpack_from
# first 16 bits, length, hop limit, sequence, acknowledgment, offset and flags, window, checksum
_READ_TCP6 = Struct("!HxxHxB36xLLHHH").unpack_from
# first 16 bits, length, fragment bits, TTL, header checksum, UDP length, UDP checksum
_READ_UDP4 = Struct("!HHxxHBxH12xHH").unpack_from
# first 16 bits, length, hop limit, UDP length, UDP checksum
_READ_UDP6 = Struct("!HxxHxB36xHH").unpack_from
WRITE_TCP4 = Struct("!8sBBH12s12sH").pack
WRITE_TCP6 = Struct("!7sB36s12sH").pack
_WRITE_UDP4 = Struct("!8sBBH12sHH").pack
_WRITE_UDP6 = Struct("!7sB36sHH").pack
# TTL, header checksum, (UDP length,) transport checksum
CHANGED_TCP4, _CHANGED_UDP4 = Struct("!8xBxH24xH").unpack_from, Struct("!8xBxH12xHH").unpack_from
CHANGED_TCP6, _CHANGED_UDP6 = Struct("!7xB48xH").unpack_from, Struct("!7xB36xHH").unpack_from
_number = int.from_bytes
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


def flow_key(packet: bytes, iface: str) -> Key:
    """Under what the entry of a packet's flow is kept: a whole packet of TCP or UDP."""
    first = packet[0] << 8 | packet[1]
    if packet[0] >> 4 == 4:
        return iface, packet[9], first, packet[12:24]
    return iface, packet[6], first & 0xFFF0, packet[8:44]


def _tcp(netns: Netns, flows: Flows, packet: bytes, iface: str, dst_mac: bytes) -> list[Effect] | None:
    size = len(packet)
    if packet[0] == 0x45:
        if size < 40:
            return None
        first, length, fragment, ttl, check, seq, ack, bits, window, tcp_check = _READ_TCP4(packet)
        flow = flows.get((iface, TCP, first, packet[12:24]))
        if flow is None or length != size or fragment & FRAGMENT or _number(packet[:20]) % 0xFFFF:
            return None
        family, l4, pseudo = 4, 20, 12
    else:
        if size < 60:
            return None
        first, length, ttl, seq, ack, bits, window, tcp_check = _READ_TCP6(packet)
        flow = flows.get((iface, TCP, first & 0xFFF0, packet[8:44]))
        if flow is None or length + 40 != size:
            return None
        family, l4, pseudo = 6, 40, 8
    header, load = bits >> 10 & 0x3C, size - l4
    if bits & NOT_PSH != ACK or header < 20 or header > load or ttl < flow.ttl_least or size > flow.mtu:
        return None
    if (dst_mac and dst_mac != flow.dst_mac) or (flow.neighbour and flow.neighbour not in netns.neighbours):
        return None
    ct = flow.ct
    if ct is not None:
        now_ns = netns.clock.now_ns
        if ct.status != flow.status or ct.mark != flow.ct_mark or ct.expires_ns <= now_ns:
            return None
        if flow.verified:
            total = _number(packet[pseudo:])
            if size > 200:
                total = folded(total, size)
            if ((total << 8 if size & 1 else total) + load + TCP) % 0xFFFF:
                return None
        sack = ack
        if header > 20 and ct.proto_info.seen[1 - flow.way].flags & SACK_PERM:
            options = packet[l4 + 20 : l4 + header]
            if header != 32 or options[:4] != TIMESTAMP_ONLY:
                sack = highest_sack(options, ack)
        end = seq + load - header & 0xFFFFFFFF
        if not tcp.follow(flow.timeouts, ct, flow.way, seq, ack, sack, end, window, now_ns):
            return None
        if flow.accounted:
            ct.packets[flow.way] += 1
            ct.octets[flow.way] += size
    for pair in flow.counters:
        pair[0] += 1
        pair[1] += size
    if family == 4:
        packet = _tcp4_rewritten(flow, packet, ttl, check, tcp_check)
    else:
        packet = _tcp6_rewritten(flow, packet, ttl, tcp_check)
    if flow.arrival is not None:
        return _delivered(netns, flow, flow.arrival, packet)
    return [_new(Transmit, (flow.oif, packet, flow.next_hop, family, flow.mark, False, None))]


def _udp(netns: Netns, flows: Flows, packet: bytes, iface: str, dst_mac: bytes) -> list[Effect] | None:
    size = len(packet)
    if packet[0] == 0x45:
        first, total, fragment, ttl, check, length, udp_check = _READ_UDP4(packet)
        flow = flows.get((iface, UDP, first, packet[12:24]))
        if flow is None or total != size or fragment & FRAGMENT or _number(packet[:20]) % 0xFFFF:
            return None
        family, load, pseudo = 4, size - 20, 12
    else:
        if size < 48:
            return None
        first, total, ttl, length, udp_check = _READ_UDP6(packet)
        flow = flows.get((iface, UDP, first & 0xFFF0, packet[8:44]))
        if flow is None or total + 40 != size:
            return None
        family, load, pseudo = 6, size - 40, 8
    if length < 8 or length > load or ttl < flow.ttl_least or size > flow.mtu:
        return None
    if (dst_mac and dst_mac != flow.dst_mac) or (flow.neighbour and flow.neighbour not in netns.neighbours):
        return None
    ct = flow.ct
    if ct is not None:
        now_ns = netns.clock.now_ns
        if ct.status != flow.status or ct.mark != flow.ct_mark or ct.expires_ns <= now_ns:
            return None
        timeout_ns, stream_timeout_ns = flow.timeouts
        if ct.status & SEEN_REPLY and now_ns > ct.proto_info.stream_ns:
            if not ct.status & ASSURED:
                return None
            timeout_ns = stream_timeout_ns
        if flow.verified and (udp_check or family == 6):
            total = _number(packet[pseudo:])
            if size > 200:
                total = folded(total, size)
            if ((total << 8 if size & 1 else total) + load + UDP) % 0xFFFF:
                return None
        ct.expires_ns = now_ns + timeout_ns
        if flow.accounted:
            ct.packets[flow.way] += 1
            ct.octets[flow.way] += size
    for pair in flow.counters:
        pair[0] += 1
        pair[1] += size
    if family == 4:
        packet = _udp4_rewritten(flow, packet, ttl, check, length, udp_check)
    else:
        packet = _udp6_rewritten(flow, packet, ttl, length, udp_check)
    if flow.arrival is not None:
        return _delivered(netns, flow, flow.arrival, packet)
    return [_new(Transmit, (flow.oif, packet, flow.next_hop, family, flow.mark, False, None))]


Lane = Callable[["Netns", Flows, bytes, str, bytes], "list[Effect] | None"]
#: By protocol.
LANES: dict[int, Lane] = {TCP: _tcp, UDP: _udp}


def _tcp4_rewritten(flow: Flow, packet: bytes, ttl: int, check: int, tcp_check: int) -> bytes:
    if flow.ip_change:
        check = (check - flow.ip_change) % 0xFFFF
    if flow.l4_change:
        tcp_check = (tcp_check - flow.l4_change) % 0xFFFF
    head = WRITE_TCP4(packet, ttl - flow.ttl_step, TCP, check, flow.ends, packet[24:36], tcp_check)
    return head + packet[38:]


def _tcp6_rewritten(flow: Flow, packet: bytes, ttl: int, tcp_check: int) -> bytes:
    if flow.l4_change:
        tcp_check = (tcp_check - flow.l4_change) % 0xFFFF
    return WRITE_TCP6(packet, ttl - flow.ttl_step, flow.ends, packet[44:56], tcp_check) + packet[58:]


def _udp4_rewritten(flow: Flow, packet: bytes, ttl: int, check: int, length: int, udp_check: int) -> bytes:
    if flow.ip_change:
        check = (check - flow.ip_change) % 0xFFFF
    if flow.l4_change and udp_check:
        udp_check = (udp_check - flow.l4_change) % 0xFFFF or 0xFFFF
    return _WRITE_UDP4(packet, ttl - flow.ttl_step, UDP, check, flow.ends, length, udp_check) + packet[28:]


def _udp6_rewritten(flow: Flow, packet: bytes, ttl: int, length: int, udp_check: int) -> bytes:
    if flow.l4_change and udp_check:
        udp_check = (udp_check - flow.l4_change) % 0xFFFF or 0xFFFF
    return _WRITE_UDP6(packet, ttl - flow.ttl_step, flow.ends, length, udp_check) + packet[48:]


#: What becomes of the packet that a flow was learned from: it must be what the long way made of it.
REWRITES: dict[tuple[int, int], Callable[[Flow, bytes], bytes]] = {
    (4, TCP): lambda flow, packet: _tcp4_rewritten(flow, packet, *CHANGED_TCP4(packet)),
    (6, TCP): lambda flow, packet: _tcp6_rewritten(flow, packet, *CHANGED_TCP6(packet)),
    (4, UDP): lambda flow, packet: _udp4_rewritten(flow, packet, *_CHANGED_UDP4(packet)),
    (6, UDP): lambda flow, packet: _udp6_rewritten(flow, packet, *_CHANGED_UDP6(packet)),
}


def _delivered(netns: Netns, flow: Flow, arrival: Arrival, packet: bytes) -> list[Effect]:
    skb = Skb(packet, iif=arrival.iif, mark=arrival.mark)
    skb.ct, skb.ctinfo, skb.priority, skb.route = flow.ct, arrival.ctinfo, arrival.priority, arrival.route
    netns.enter(trace=False)
    with suppress(SendError):
        netns.deliver(skb)
    return netns.leave()
