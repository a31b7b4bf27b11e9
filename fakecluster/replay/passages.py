"""Packets of known ways as pcapng blocks: as they come to every port on the way, and out of it, in one piece.

    block head, interface | time | size, size | packet | padding, options, block's end

Only the times, the packets and the few fields that hosts rewrite differ from one packet of a flow to the next; what
surrounds them is made once for all packets of a size.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from fakecluster.fabric.pcapng import Stamp, between
from fakecluster.fabric.ways import Step
from fakecluster.kernel.packet import TCP
from fakecluster.kernel.tcp_segments import MASK

#: Sizes of packets whose surroundings a layout keeps ready.
SIZES_KEPT = 64
#: Bytes of IPv4 addresses and ports.
ENDS4 = 12

# what stands before the TTL, TTL, header checksum, sequence, acknowledgment, flags and window, checksum
_READ4 = Struct("!8sBxH12x4sL4sH").unpack_from
# what stands before the hop limit, hop limit, sequence, acknowledgment, flags and window, checksum
_READ6 = Struct("!7sB36x4sL4sH").unpack_from
_WRITE4, _WRITE6 = Struct("!8sBBH12s4sL4sH").pack, Struct("!7sB36s4sL4sH").pack
_FROM_ACK = Struct("!L4sH").pack
_TIME, _SIZES = Struct("<II").pack, Struct("<II").pack


class Layout:
    """The blocks of a packet with these stamps, without the packet; flows share it."""

    __slots__ = ("around", "stamps")

    def __init__(self, stamps: tuple[Stamp, ...]) -> None:
        self.stamps = stamps
        #: by size: what stands before the first time, its own block's sizes, what stands behind the last packet, between
        self.around: dict[int, tuple[bytes, bytes, bytes, list[bytes]]] = {}

    def of(self, size: int) -> tuple[bytes, bytes, bytes, list[bytes]]:
        """What surrounds packets of a size that is not in `around`, where it is from now on."""
        if len(self.around) >= SIZES_KEPT:
            self.around.clear()
        first, *others, last = between(self.stamps, size)
        found = self.around[size] = first, _SIZES(size, size), last, others
        return found


#: Behind a step: what TTL, IP and TCP checksum have lost since the packet came in, and its addresses and ports.
Change = tuple[int, int, int, bytes]


class Passage4:
    """A flow's way through `steps`, each of which rewrites its TCP packets (without IP options), and the stamps on it."""

    __slots__ = ("change", "changes", "further", "layout")
    is_ipv4 = True

    def __init__(self, layout: Layout, steps: tuple[Step, ...]) -> None:
        self.layout = layout
        self.change, *self.further = self.changes = list(_changes(steps))

    def blocks(self, time_ns: int, packet: bytes, ack_shift: int) -> bytes:
        """A packet at every port, at a Unix time in ns; `ack_shift` is added to its acknowledgment number first."""
        size, layout = len(packet), self.layout
        first, sizes, last, between = layout.around.get(size) or layout.of(size)
        time, rest = _TIME(time_ns >> 32, time_ns & MASK), packet[38:]
        begin, ttl, check, seq, ack, bits, tcp_check = _READ4(packet)
        if ack_shift:
            before, ack = ack, ack + ack_shift & MASK
            tcp_check = (tcp_check - (ack - before)) % 0xFFFF
            packet = packet[:28] + _FROM_ACK(ack, bits, tcp_check) + rest
        ttl_step, ip_change, l4_change, ends = self.change
        ip_check = (check - ip_change) % 0xFFFF if ip_change else check
        l4_check = (tcp_check - l4_change) % 0xFFFF if l4_change else tcp_check
        head = _WRITE4(begin, ttl - ttl_step, TCP, ip_check, ends, seq, ack, bits, l4_check)
        if not self.further:
            return b"".join((first, time, sizes, packet, between[0], time, sizes, head, rest, last))
        parts = [first, time, sizes, packet, between[0], time, sizes, head, rest]
        for around, (ttl_step, ip_change, l4_change, ends) in zip(between[1:], self.further, strict=True):
            ip_check = (check - ip_change) % 0xFFFF if ip_change else check
            l4_check = (tcp_check - l4_change) % 0xFFFF if l4_change else tcp_check
            head = _WRITE4(begin, ttl - ttl_step, TCP, ip_check, ends, seq, ack, bits, l4_check)
            parts += around, time, sizes, head, rest
        return b"".join((*parts, last))


class Passage6:
    """As `Passage4`, of the other family."""

    __slots__ = ("changes", "layout")
    is_ipv4 = False

    def __init__(self, layout: Layout, steps: tuple[Step, ...]) -> None:
        self.layout, self.changes = layout, list(_changes(steps))

    def blocks(self, time_ns: int, packet: bytes, ack_shift: int) -> bytes:
        """See `Passage4`."""
        size, layout = len(packet), self.layout
        first, sizes, last, between = layout.around.get(size) or layout.of(size)
        time, rest = _TIME(time_ns >> 32, time_ns & MASK), packet[58:]
        begin, ttl, seq, ack, bits, tcp_check = _READ6(packet)
        if ack_shift:
            before, ack = ack, ack + ack_shift & MASK
            tcp_check = (tcp_check - (ack - before)) % 0xFFFF
            packet = packet[:48] + _FROM_ACK(ack, bits, tcp_check) + rest
        parts = [first, time, sizes, packet]
        for around, (ttl_step, _, l4_change, ends) in zip(between, self.changes, strict=True):
            l4_check = (tcp_check - l4_change) % 0xFFFF if l4_change else tcp_check
            parts += around, time, sizes, _WRITE6(begin, ttl - ttl_step, ends, seq, ack, bits, l4_check), rest
        return b"".join((*parts, last))


Passage = Passage4 | Passage6


def _changes(steps: tuple[Step, ...]) -> Iterator[Change]:
    ttl_step = ip_change = l4_change = 0
    for step in steps:
        flow = step.flow
        ttl_step += flow.ttl_step
        ip_change += flow.ip_change
        l4_change += flow.l4_change
        yield ttl_step, ip_change, l4_change, flow.ends


def passage(stamps: Layout, steps: tuple[Step, ...]) -> Passage:
    """What a flow's packets are written with, by the family of its addresses."""
    return Passage4(stamps, steps) if len(steps[0].flow.ends) == ENDS4 else Passage6(stamps, steps)
