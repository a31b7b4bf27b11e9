"""What conntrack reads of a TCP segment and keeps of a connection: states, kinds of segments, both windows."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

import attrs

from fakecluster.kernel.conntrack.entry import ORIGINAL
from fakecluster.kernel.packet import ACK, FIN, RST, SYN, Skb
from fakecluster.kernel.tcp_segments import HALF, MASK, options_in

NONE, SYN_SENT, SYN_RECV, ESTAB, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE, SYN_SENT2 = range(10)


class Flags:
    """What kind of segment it is, as the tables are indexed."""

    SYN = 0
    SYNACK = 1
    FIN = 2
    ACK = 3
    RST = 4
    NONE = 5


WINDOW_SCALE, SACK_PERM, CLOSE_INIT, BE_LIBERAL, UNACKNOWLEDGED, MAXACK_SET = 1, 2, 4, 8, 16, 32


MAXACKWINCONST = 66000


#: Numbers that are less apart than this are compared as they are: nothing has wrapped around, and sums of three are not
#: half of all either.
NEAR = 0x20000000


def before(a: int, b: int) -> bool:
    """Sequence number a comes before b (modulo 2^32)."""
    return (a - b) & HALF != 0


def after(a: int, b: int) -> bool:
    return before(b, a)


@attrs.define
class Side:
    """What one end has sent (`td_end`), may send (`td_maxend`), and the largest window it offered."""

    td_end: int = 0
    td_maxend: int = 0
    td_maxwin: int = 0
    td_maxack: int = 0
    td_scale: int = 0
    flags: int = 0


@attrs.define
class TcpInfo:
    """The protocol part of an entry: both sides and the last segment seen."""

    seen: tuple[Side, Side] = attrs.field(factory=lambda: (Side(), Side()))
    state: int = NONE
    last_index: int = Flags.NONE
    last_dir: int = ORIGINAL
    last_seq: int = 0
    last_ack: int = 0
    last_end: int = 0
    last_win: int = 0
    last_wscale: int = 0
    last_flags: int = 0
    retrans: int = 0

    def fork(self) -> TcpInfo:
        return attrs.evolve(self, seen=(attrs.evolve(self.seen[0]), attrs.evolve(self.seen[1])))


# sequence, acknowledgment, offset and flags, window
_READ = Struct("!LLHH").unpack_from
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


class Segment(NamedTuple):
    """The header of one TCP segment as the tracker reads it; `kind` is what the tables are indexed by."""

    kind: int
    flags: int
    seq: int
    ack: int
    window: int
    end: int
    options: bytes

    @classmethod
    def read(cls, skb: Skb) -> Segment | None:
        """None for what tcp_error() calls invalid: short header, bad offset, flag combinations that make no sense."""
        data, at = skb.data, skb.l4
        load = len(data) - at
        if load < 20:
            return None
        seq, ack, bits, window = _READ(data, at + 4)
        offset, flags = bits >> 10 & 0x3C, bits & 0xFF
        if offset < 20 or offset > load:
            return None
        kind = KINDS.get(flags)
        if kind is None:
            return None
        end = seq + load - offset + ((flags & SYN) >> 1) + (flags & FIN) & MASK
        options = bytes(data[at + 20 : at + offset]) if offset > 20 else b""
        return _new(cls, (kind, flags, seq, ack, window, end, options))


PSH_ECE_CWR = 8 | 64 | 128


#: tcp_valid_flags: combinations without PSH, ECE, CWR
VALID_FLAGS = frozenset((SYN, SYN | 32, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | 32, ACK, ACK | 32))


def _kind_of(flags: int) -> int:
    if flags & RST:
        return Flags.RST
    if flags & SYN:
        return Flags.SYNACK if flags & ACK else Flags.SYN
    if flags & FIN:
        return Flags.FIN
    return Flags.ACK if flags & ACK else Flags.NONE


#: The kind of every combination of flags that makes sense.
KINDS = {flags: _kind_of(flags) for flags in range(256) if flags & ~PSH_ECE_CWR in VALID_FLAGS}


def options_of(options: bytes, side: Side) -> None:
    """Window scale and SACK-permitted out of a SYN (tcp_options)."""
    side.td_scale = side.flags = 0
    for kind, at, size in options_in(options):
        if kind == 4 and size == 2:
            side.flags |= SACK_PERM
        elif kind == 3 and size == 3:
            side.td_scale = min(options[at + 2], 14)
            side.flags |= WINDOW_SCALE
