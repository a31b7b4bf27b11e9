"""Reading, judging and rewriting a packet of a known flow: one lane for each family and protocol.

Each gives what comes of the packet, or None, with nothing changed, when it must go the long way. One call a packet, so
that there is no more here than must be.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING

from fakecluster.kernel.effects import Effect, SendError, Transmit
from fakecluster.kernel.flow_cache.flow import Arrival, Flow
from fakecluster.kernel.flow_cache.following import datagram_fits, segment_fits
from fakecluster.kernel.packet import TCP, UDP, Skb

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

#: Interface, protocol, first 16 bits without the flow label, addresses and ports.
Key = tuple[str, int, int, bytes]
Flows = dict[Key, Flow]
#: More fragments, or not the first one.
FRAGMENT = 0x3FFF

# first 16 bits, length, fragment bits, TTL, header checksum, sequence, acknowledgment, offset and flags, window, checksum
_READ_TCP4 = Struct("!HHxxHBxH12xLLHHH").unpack_from
# first 16 bits, length, hop limit, sequence, acknowledgment, offset and flags, window, checksum
_READ_TCP6 = Struct("!HxxHxB36xLLHHH").unpack_from
# first 16 bits, length, fragment bits, TTL, header checksum, UDP length, UDP checksum
_READ_UDP4 = Struct("!HHxxHBxH12xHH").unpack_from
# first 16 bits, length, hop limit, UDP length, UDP checksum
_READ_UDP6 = Struct("!HxxHxB36xHH").unpack_from
_WRITE_TCP4 = Struct("!8sBBH12s12sH").pack
_WRITE_TCP6 = Struct("!7sB36s12sH").pack
_WRITE_UDP4 = Struct("!8sBBH12sHH").pack
_WRITE_UDP6 = Struct("!7sB36sHH").pack
_number = int.from_bytes
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


def _tcp4(netns: Netns, flows: Flows, packet: bytes, iface: str, dst_mac: bytes) -> list[Effect] | None:
    size = len(packet)
    if size < 40:
        return None
    first, total, fragment, ttl, check, seq, ack, bits, window, tcp_check = _READ_TCP4(packet)
    flow = flows.get((iface, TCP, first, packet[12:24]))
    if flow is None or total != size or fragment & FRAGMENT or ttl < flow.ttl_least or size > flow.mtu:
        return None
    if _number(packet[:20]) % 0xFFFF or (dst_mac and dst_mac != flow.dst_mac):
        return None
    if not segment_fits(netns, flow, packet, 20, seq, ack, bits, window):
        return None
    return _ended(netns, flow, _tcp4_rewritten(flow, packet, ttl, check, tcp_check), 4)


def _tcp4_rewritten(flow: Flow, packet: bytes, ttl: int, check: int, tcp_check: int) -> bytes:
    if flow.ip_change:
        check = (check - flow.ip_change) % 0xFFFF
    if flow.l4_change:
        tcp_check = (tcp_check - flow.l4_change) % 0xFFFF
    head = _WRITE_TCP4(packet, ttl - flow.ttl_step, TCP, check, flow.ends, packet[24:36], tcp_check)
    return head + packet[38:]


def _tcp6(netns: Netns, flows: Flows, packet: bytes, iface: str, dst_mac: bytes) -> list[Effect] | None:
    size = len(packet)
    if size < 60:
        return None
    first, total, ttl, seq, ack, bits, window, tcp_check = _READ_TCP6(packet)
    flow = flows.get((iface, TCP, first & 0xFFF0, packet[8:44]))
    if flow is None or total + 40 != size or ttl < flow.ttl_least or size > flow.mtu:
        return None
    if dst_mac and dst_mac != flow.dst_mac:
        return None
    if not segment_fits(netns, flow, packet, 40, seq, ack, bits, window):
        return None
    return _ended(netns, flow, _tcp6_rewritten(flow, packet, ttl, tcp_check), 6)


def _tcp6_rewritten(flow: Flow, packet: bytes, ttl: int, tcp_check: int) -> bytes:
    if flow.l4_change:
        tcp_check = (tcp_check - flow.l4_change) % 0xFFFF
    return _WRITE_TCP6(packet, ttl - flow.ttl_step, flow.ends, packet[44:56], tcp_check) + packet[58:]


def _udp4(netns: Netns, flows: Flows, packet: bytes, iface: str, dst_mac: bytes) -> list[Effect] | None:
    size = len(packet)
    first, total, fragment, ttl, check, length, udp_check = _READ_UDP4(packet)
    flow = flows.get((iface, UDP, first, packet[12:24]))
    if flow is None or total != size or fragment & FRAGMENT or ttl < flow.ttl_least or size > flow.mtu:
        return None
    if _number(packet[:20]) % 0xFFFF or (dst_mac and dst_mac != flow.dst_mac):
        return None
    if not datagram_fits(netns, flow, packet, 20, length, udp_check):
        return None
    return _ended(netns, flow, _udp4_rewritten(flow, packet, ttl, check, length, udp_check), 4)


def _udp4_rewritten(flow: Flow, packet: bytes, ttl: int, check: int, length: int, udp_check: int) -> bytes:
    if flow.ip_change:
        check = (check - flow.ip_change) % 0xFFFF
    if flow.l4_change and udp_check:
        udp_check = (udp_check - flow.l4_change) % 0xFFFF or 0xFFFF
    return _WRITE_UDP4(packet, ttl - flow.ttl_step, UDP, check, flow.ends, length, udp_check) + packet[28:]


def _udp6(netns: Netns, flows: Flows, packet: bytes, iface: str, dst_mac: bytes) -> list[Effect] | None:
    size = len(packet)
    if size < 48:
        return None
    first, total, ttl, length, udp_check = _READ_UDP6(packet)
    flow = flows.get((iface, UDP, first & 0xFFF0, packet[8:44]))
    if flow is None or total + 40 != size or ttl < flow.ttl_least or size > flow.mtu:
        return None
    if dst_mac and dst_mac != flow.dst_mac:
        return None
    if not datagram_fits(netns, flow, packet, 40, length, udp_check):
        return None
    return _ended(netns, flow, _udp6_rewritten(flow, packet, ttl, length, udp_check), 6)


def _udp6_rewritten(flow: Flow, packet: bytes, ttl: int, length: int, udp_check: int) -> bytes:
    if flow.l4_change and udp_check:
        udp_check = (udp_check - flow.l4_change) % 0xFFFF or 0xFFFF
    return _WRITE_UDP6(packet, ttl - flow.ttl_step, flow.ends, length, udp_check) + packet[48:]


Lane = Callable[["Netns", Flows, bytes, str, bytes], "list[Effect] | None"]
LANES4: dict[int, Lane] = {TCP: _tcp4, UDP: _udp4}
LANES6: dict[int, Lane] = {TCP: _tcp6, UDP: _udp6}
#: What becomes of the packet that a flow was learned from: it must be what the long way made of it.
REWRITES: dict[tuple[int, int], Callable[[Flow, bytes], bytes]] = {
    (4, TCP): lambda flow, packet: _tcp4_rewritten(flow, packet, packet[8], _word(packet, 10), _word(packet, 36)),
    (6, TCP): lambda flow, packet: _tcp6_rewritten(flow, packet, packet[7], _word(packet, 56)),
    (4, UDP): lambda flow, packet: _udp4_rewritten(
        flow, packet, packet[8], _word(packet, 10), _word(packet, 24), _word(packet, 26)
    ),
    (6, UDP): lambda flow, packet: _udp6_rewritten(flow, packet, packet[7], _word(packet, 44), _word(packet, 46)),
}


def _ended(netns: Netns, flow: Flow, packet: bytes, family: int) -> list[Effect]:
    """Count the packet and let it go where it goes."""
    size = len(packet)
    for pair in flow.counters:
        pair[0] += 1
        pair[1] += size
    if flow.arrival is None:
        return [_new(Transmit, (flow.oif, packet, flow.next_hop, family, flow.mark, False, None))]
    return _delivered(netns, flow, flow.arrival, packet)


def _delivered(netns: Netns, flow: Flow, arrival: Arrival, packet: bytes) -> list[Effect]:
    skb = Skb(packet, iif=arrival.iif, mark=arrival.mark)
    skb.ct, skb.ctinfo, skb.priority, skb.route = flow.ct, arrival.ctinfo, arrival.priority, arrival.route
    netns.enter(trace=False)
    with suppress(SendError):
        netns.deliver(skb)
    return netns.leave()


def _word(packet: bytes, at: int) -> int:
    return packet[at] << 8 | packet[at + 1]
