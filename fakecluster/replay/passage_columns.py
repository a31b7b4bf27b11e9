"""Many packets of known ways as pcapng blocks at once, in columns: what `passages` writes of one after another.

    row of a packet:  head | time | sizes | packet | between | time | sizes | packet, rewritten | ... | end
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from fakecluster.fabric.pieces import Numbers
from fakecluster.kernel.tcp_segments import MASK
from fakecluster.replay.passages import ENDS4, Layout, Passage

Octets = NDArray[np.uint8]
#: Packets whose blocks are made at once: what is made of them stays in the cache of a processor.
ROWS = 4096


@attrs.frozen(eq=False)
class Group:
    """Passages of one layout and family: behind each step (an axis) of each, as `passages.Change` has it."""

    layout: Layout
    ttl_step: Octets
    ip_change: Numbers
    l4_change: Numbers
    ends: Octets
    ack_shift: Numbers

    @classmethod
    def of(cls, layout: Layout, passages: Sequence[Passage], ack_shifts: Sequence[int]) -> Group:
        ttl_step, ip_change, l4_change, ends = zip(*(zip(*one.changes, strict=True) for one in passages), strict=True)
        octets = np.frombuffer(b"".join(b"".join(each) for each in ends), np.uint8)
        shape = (len(passages), len(ends[0]), -1)
        return cls(
            layout, np.array(ttl_step, np.uint8), np.array(ip_change), np.array(l4_change), octets.reshape(shape),
            np.array(ack_shifts),
        )  # fmt: skip

    def rows(self, size: int, which: Numbers, packets: Sequence[bytes], time: Octets) -> Octets:
        """A row for each packet of this size: its blocks. `which` are their passages."""
        first, sizes, last, between = self.layout.around.get(size) or self.layout.of(size)
        parts = [first, *(bytes(8) + sizes + bytes(size) + around for around in (*between, last))]
        rows = np.tile(np.frombuffer(b"".join(parts), np.uint8), (len(packets), 1))
        seen = np.frombuffer(b"".join(packets), np.uint8).reshape(len(packets), size)
        ends_at, l4 = (slice(12, 24), 20) if self.ends.shape[2] == ENDS4 else (slice(8, 44), 40)
        at = len(first)
        for port, part in enumerate(parts[1:]):
            rows[:, at : at + 8] = time
            packet = rows[:, at + 16 : at + 16 + size]
            packet[:] = seen
            if not port:
                self._shift(packet, which, l4)
                seen = packet
                l4_check = _words(seen[:, l4 + 16 : l4 + 18])
                ip_check = _words(seen[:, 10:12])
            else:
                packet[:, ends_at] = self.ends[which, port - 1]
                _write(packet[:, l4 + 16 : l4 + 18], _less(l4_check, self.l4_change[which, port - 1]))
                packet[:, 8 if l4 == 20 else 7] -= self.ttl_step[which, port - 1]
                if l4 == 20:
                    _write(packet[:, 10:12], _less(ip_check, self.ip_change[which, port - 1]))
            at += len(part)
        return rows

    def _shift(self, packet: Octets, which: Numbers, l4: int) -> None:
        """Add to acknowledgment numbers."""
        shift = self.ack_shift[which]
        if not shift.any():
            return
        field, check = packet[:, l4 + 8 : l4 + 12], packet[:, l4 + 16 : l4 + 18]
        high, low = _words(field[:, :2]), _words(field[:, 2:])
        before = high << 16 | low
        after = before + shift & MASK
        _write(field[:, :2], after >> 16)
        _write(field[:, 2:], after & 0xFFFF)
        _write(check, np.where(shift, (_words(check) - (after - before)) % 0xFFFF, _words(check)))


class Columns:
    """Passages, with what is added to acknowledgment numbers on each, for many packets that go them."""

    def __init__(self, passages: Sequence[Passage], ack_shifts: Sequence[int]) -> None:
        members: dict[tuple[Layout, bool], list[int]] = {}
        for place, one in enumerate(passages):
            members.setdefault((one.layout, one.is_ipv4), []).append(place)
        self.groups: list[Group] = []
        self.group, self.member = np.empty(len(passages), np.int64), np.empty(len(passages), np.int64)
        for (layout, _), places in members.items():
            self.group[places], self.member[places] = len(self.groups), range(len(places))
            some = [passages[place] for place in places]
            self.groups.append(Group.of(layout, some, [ack_shifts[place] for place in places]))

    def blocks(self, which: Numbers, packets: Sequence[bytes], times_ns: Numbers) -> Iterator[bytes]:
        """The blocks of packets in order, in pieces. `which` are their passages; times are Unix times in ns."""
        for begin in range(0, len(packets), ROWS):
            end = begin + ROWS
            yield self._blocks(which[begin:end], packets[begin:end], times_ns[begin:end])

    def _blocks(self, which: Numbers, packets: Sequence[bytes], times_ns: Numbers) -> bytes:
        sizes = np.fromiter(map(len, packets), np.int64, len(packets))
        kinds = self.group[which] << 32 | sizes
        time = np.stack((times_ns >> 32, times_ns & MASK), axis=1).astype("<u4").view(np.uint8)
        found = np.unique(kinds).tolist()
        if len(found) == 1:
            blocks: bytes = self.groups[found[0] >> 32].rows(len(packets[0]), self.member[which], packets, time).tobytes()
            return blocks
        pieces = [b""] * len(packets)
        for kind in found:
            places = np.flatnonzero(kinds == kind)
            some = [packets[place] for place in places.tolist()]
            rows = self.groups[kind >> 32].rows(kind & MASK, self.member[which[places]], some, time[places])
            size, octets = rows.shape[1], rows.tobytes()
            for row, place in enumerate(places.tolist()):
                pieces[place] = octets[row * size : row * size + size]
        return b"".join(pieces)


def _words(octets: Octets) -> Numbers:
    """Big-endian numbers of 16 bits, of two columns."""
    return octets[:, 0].astype(np.int64) << 8 | octets[:, 1]


def _write(octets: Octets, words: Numbers) -> None:
    octets[:, 0], octets[:, 1] = words >> 8, words & 0xFF


def _less(check: Numbers, change: Numbers) -> Numbers:
    """Checksums that lose so much, where anything changes."""
    return np.where(change, (check - change) % 0xFFFF, check)
