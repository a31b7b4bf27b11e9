"""TCP segments: those that a connection has sent and may send again, and what the options of a SYN ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fakecluster.kernel.packet import FIN, SYN, Skb

#: Sequence numbers are modulo 2^32.
MASK = 0xFFFFFFFF
#: Set in a difference of sequence numbers that is negative.
HALF = 0x80000000
#: No path and no peer makes segments smaller (TCP_MIN_MSS).
MIN_MSS = 88
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


class Outgoing(NamedTuple):
    """One segment that has not been acknowledged; `end` is the sequence number after it."""

    sequence: int
    flags: int
    data: bytes
    end: int

    @classmethod
    def of(cls, sequence: int, flags: int, data: bytes) -> Outgoing:
        end = sequence + len(data) + ((flags & SYN) >> 1) + (flags & FIN) & MASK
        return _new(cls, (sequence, flags, data, end))

    def cut(self, mss: int) -> list[Outgoing]:
        """The same in segments of at most `mss` bytes; a FIN goes with the last."""
        pieces = []
        for at in range(0, len(self.data), mss) or (0,):
            flags = self.flags if at + mss >= len(self.data) else self.flags & ~FIN
            pieces.append(Outgoing.of((self.sequence + at) & MASK, flags, self.data[at : at + mss]))
        return pieces


def options_in(options: bytes | bytearray) -> Iterator[tuple[int, int, int]]:
    """Kind, place and size of each TCP option, up to one that is cut off; fillers are left out."""
    at, end = 0, len(options)
    while at < end:
        kind = options[at]
        if kind == 0:
            return
        if kind == 1:
            at += 1
            continue
        size = options[at + 1] if at + 1 < end else 0
        if size < 2 or at + size > end:
            return
        yield kind, at, size
        at += size


def options_of(skb: Skb) -> bytes:
    """The options of a TCP packet."""
    return bytes(skb.data[skb.l4 + 20 : skb.l4 + (skb.data[skb.l4 + 12] >> 4) * 4])


def peer_mss(options: bytes, default: int) -> int:
    """The MSS option of a SYN."""
    for kind, at, size in options_in(options):
        if kind == 2 and size == 4:
            return max(MIN_MSS, options[at + 2] << 8 | options[at + 3])
    return default
