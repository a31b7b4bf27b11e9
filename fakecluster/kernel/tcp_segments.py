"""TCP segments: those that a connection has sent and may send again, and what the options of a SYN ask for."""

from __future__ import annotations

from typing import NamedTuple

from fakecluster.kernel.packet import FIN, SYN, Skb

#: Sequence numbers are modulo 2^32.
MASK = 0xFFFFFFFF
#: No path and no peer makes segments smaller (TCP_MIN_MSS).
MIN_MSS = 88


class Outgoing(NamedTuple):
    """One segment that has not been acknowledged; `end` is the sequence number after it."""

    sequence: int
    flags: int
    data: bytes
    end: int

    @classmethod
    def of(cls, sequence: int, flags: int, data: bytes) -> Outgoing:
        return cls(sequence, flags, data, sequence + len(data) + bool(flags & SYN) + bool(flags & FIN) & MASK)

    def cut(self, mss: int) -> list[Outgoing]:
        """The same in segments of at most `mss` bytes; a FIN goes with the last."""
        pieces = []
        for at in range(0, len(self.data), mss) or (0,):
            flags = self.flags if at + mss >= len(self.data) else self.flags & ~FIN
            pieces.append(Outgoing.of((self.sequence + at) & MASK, flags, self.data[at : at + mss]))
        return pieces


def peer_mss(skb: Skb, default: int) -> int:
    """The MSS option of a SYN."""
    at, end = skb.l4 + 20, skb.l4 + (skb.data[skb.l4 + 12] >> 4) * 4
    options = skb.data[at:end]
    place = 0
    while place < len(options):
        kind = options[place]
        if kind == 0:
            break
        if kind == 1:
            place += 1
            continue
        size = options[place + 1] if place + 1 < len(options) else 0
        if size < 2:
            break
        if kind == 2 and size == 4 and place + 4 <= len(options):
            return max(MIN_MSS, options[place + 2] << 8 | options[place + 3])
        place += size
    return default
