"""Conntrack's part in a packet of a known flow: is it as usual? Then the connection takes it in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel.conntrack import tcp
from fakecluster.kernel.conntrack.entry import ASSURED, SEEN_REPLY
from fakecluster.kernel.conntrack.tcp_segment import SACK_PERM
from fakecluster.kernel.conntrack.tcp_window import highest_sack
from fakecluster.kernel.packet import ACK, PSH, TCP, UDP

if TYPE_CHECKING:
    from fakecluster.kernel.flow_cache.flow import Flow
    from fakecluster.kernel.netns import Netns

#: The options of nearly every segment that has some: two fillers and a timestamp.
TIMESTAMP_ONLY = b"\1\1\x08\x0a"
NOT_PSH = 0xFF ^ PSH
_number = int.from_bytes


def segment_fits(netns: Netns, flow: Flow, packet: bytes, l4: int, seq: int, ack: int, bits: int, window: int) -> bool:
    """Let conntrack take in a TCP segment; False, and nothing changed, when the long way has to.

    `bits` are the header's data offset, reserved bits and flags.
    """
    size, header = len(packet) - l4, bits >> 10 & 0x3C
    if bits & NOT_PSH != ACK or header < 20 or header > size:
        return False
    if flow.neighbour is not None and flow.neighbour not in netns.neighbours:
        return False
    ct = flow.ct
    if ct is None:
        return True
    now_ns = netns.clock.now_ns
    if ct.status != flow.status or ct.mark != flow.ct_mark or ct.expires_ns <= now_ns:
        return False
    if flow.verified:  # as in _checksum_holds, without a call
        total = _number(packet[12 if l4 == 20 else 8 :])
        if ((total << 8 if size & 1 else total) + size + TCP) % 0xFFFF:
            return False
    sack = ack
    if header > 20 and ct.proto_info.seen[1 - flow.way].flags & SACK_PERM:
        options = packet[l4 + 20 : l4 + header]
        if header != 32 or options[:4] != TIMESTAMP_ONLY:
            sack = highest_sack(options, ack)
    end = seq + size - header & 0xFFFFFFFF
    if not tcp.follow(flow.timeouts, ct, flow.way, seq, ack, sack, end, window, now_ns):
        return False
    if flow.accounted:
        ct.packets[flow.way] += 1
        ct.octets[flow.way] += len(packet)
    return True


def datagram_fits(netns: Netns, flow: Flow, packet: bytes, l4: int, length: int, check: int) -> bool:
    """Let conntrack take in a UDP datagram; False, and nothing changed, when the long way has to."""
    if length < 8 or l4 + length > len(packet):
        return False
    if flow.neighbour is not None and flow.neighbour not in netns.neighbours:
        return False
    ct = flow.ct
    if ct is None:
        return True
    now_ns = netns.clock.now_ns
    if ct.status != flow.status or ct.mark != flow.ct_mark or ct.expires_ns <= now_ns:
        return False
    timeout_ns, stream_timeout_ns = flow.timeouts
    if ct.status & SEEN_REPLY and now_ns > ct.proto_info.stream_ns:
        if not ct.status & ASSURED:
            return False
        timeout_ns = stream_timeout_ns
    if flow.verified and (check or l4 == 40) and not _checksum_holds(packet, l4, UDP):
        return False
    ct.expires_ns = now_ns + timeout_ns
    if flow.accounted:
        ct.packets[flow.way] += 1
        ct.octets[flow.way] += len(packet)
    return True


def _checksum_holds(packet: bytes, l4: int, proto: int) -> bool:
    """The transport checksum over addresses, protocol, length and the rest: words add up to their number modulo 0xFFFF."""
    total = _number(packet[12 if l4 == 20 else 8 :])
    if len(packet) & 1:
        total <<= 8
    return not (total + len(packet) - l4 + proto) % 0xFFFF
