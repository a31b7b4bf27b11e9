"""TCP as conntrack follows it: states and the window check (nf_conntrack_proto_tcp.c).

States follow from the flags alone, by two tables (one per direction); whether a packet may drive them follows from the
window check after Guido van Rooij, "Real Stateful TCP Packet Filtering in IP Filter".
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import attrs

from fakecluster.kernel.conntrack.entry import ASSURED, ORIGINAL, REPLY, SEEN_REPLY, Conn
from fakecluster.kernel.packet import ACK, FIN, RST, SYN, Skb

if TYPE_CHECKING:
    from fakecluster.kernel.conntrack.table import Conntrack

NONE, SYN_SENT, SYN_RECV, ESTAB, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE, SYN_SENT2 = range(10)
INVALID, IGNORE = -1, -2
STATE_NAMES = (
    "NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",
    "SYN_SENT2",
)  # fmt: skip
TIMEOUTS = {
    SYN_SENT: "syn_sent", SYN_RECV: "syn_recv", ESTAB: "established", FIN_WAIT: "fin_wait", CLOSE_WAIT: "close_wait",
    LAST_ACK: "last_ack", TIME_WAIT: "time_wait", CLOSE: "close", SYN_SENT2: "syn_sent",
}  # fmt: skip


class Flags(IntEnum):
    """What kind of segment it is, as the tables are indexed."""

    SYN = 0
    SYNACK = 1
    FIN = 2
    ACK = 3
    RST = 4
    NONE = 5


_V, _G = INVALID, IGNORE
_SS, _SR, _ES, _FW, _CW, _LA, _TW, _CL, _S2 = range(1, 10)
#: next state by [direction][kind of segment][state]
NEXT = (
    (
        (_SS, _SS, _G, _G, _G, _G, _G, _SS, _SS, _S2),
        (_V, _V, _SR, _V, _V, _V, _V, _V, _V, _SR),
        (_V, _V, _FW, _FW, _LA, _LA, _LA, _TW, _CL, _V),
        (_ES, _V, _ES, _ES, _CW, _CW, _TW, _TW, _CL, _V),
        (_V, _CL, _CL, _CL, _CL, _CL, _CL, _CL, _CL, _CL),
        (_V,) * 10,
    ),
    (
        (_V, _S2, _V, _V, _V, _V, _V, _SS, _V, _S2),
        (_V, _SR, _G, _G, _G, _G, _G, _G, _G, _SR),
        (_V, _V, _FW, _FW, _LA, _LA, _LA, _TW, _CL, _V),
        (_V, _G, _SR, _ES, _CW, _CW, _TW, _TW, _CL, _G),
        (_V, _CL, _CL, _CL, _CL, _CL, _CL, _CL, _CL, _CL),
        (_V,) * 10,
    ),
)

WINDOW_SCALE, SACK_PERM, CLOSE_INIT, BE_LIBERAL, UNACKNOWLEDGED, MAXACK_SET = 1, 2, 4, 8, 16, 32
CHALLENGE_ACK, SIMULTANEOUS_OPEN = 64, 128
MAXACKWINCONST = 66000
MASK = 0xFFFFFFFF


def before(a: int, b: int) -> bool:
    """Sequence number a comes before b (modulo 2^32)."""
    return (a - b) & 0x80000000 != 0


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


@attrs.frozen
class Segment:
    """The header of one TCP segment as the tracker reads it."""

    index: Flags
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
        if len(data) < at + 20:
            return None
        offset = (data[at + 12] >> 4) * 4
        flags = data[at + 13]
        if offset < 20 or at + offset > len(data) or (flags & ~(PSH_ECE_CWR)) not in VALID_FLAGS:
            return None
        seq = int.from_bytes(data[at + 4 : at + 8])
        length = len(data) - at - offset + bool(flags & SYN) + bool(flags & FIN)
        window = data[at + 14] << 8 | data[at + 15]
        ack = int.from_bytes(data[at + 8 : at + 12])
        options = bytes(data[at + 20 : at + offset])
        return cls(kind_of(flags), flags, seq, ack, window, (seq + length) & MASK, options)


PSH_ECE_CWR = 8 | 64 | 128
#: tcp_valid_flags: combinations without PSH, ECE, CWR
VALID_FLAGS = frozenset((SYN, SYN | 32, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | 32, ACK, ACK | 32))


def kind_of(flags: int) -> Flags:
    if flags & RST:
        return Flags.RST
    if flags & SYN:
        return Flags.SYNACK if flags & ACK else Flags.SYN
    if flags & FIN:
        return Flags.FIN
    return Flags.ACK if flags & ACK else Flags.NONE


def options_of(segment: Segment, side: Side) -> None:
    """Window scale and SACK-permitted out of a SYN (tcp_options)."""
    side.td_scale = side.flags = 0
    options, at = segment.options, 0
    while at < len(options):
        kind = options[at]
        if kind == 0:
            return
        if kind == 1:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if size < 2 or at + size > len(options):
            return
        if kind == 4 and size == 2:
            side.flags |= SACK_PERM
        elif kind == 3 and size == 3:
            side.td_scale = min(options[at + 2], 14)
            side.flags |= WINDOW_SCALE
        at += size


def highest_sack(segment: Segment, sack: int) -> int:
    """The right edge of the highest SACK block, or `sack` (tcp_sack)."""
    options, at = segment.options, 0
    while at < len(options):
        kind = options[at]
        if kind == 0:
            break
        if kind == 1:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if size < 2 or at + size > len(options):
            break
        if kind == 5 and size >= 10 and (size - 2) % 8 == 0:
            for block in range(at + 2, at + size, 8):
                edge = int.from_bytes(options[block + 4 : block + 8])
                sack = edge if after(edge, sack) else sack
        at += size
    return sack


def in_window(table: Conntrack, info: TcpInfo, direction: int, segment: Segment) -> str:
    """tcp_in_window(): "accept", "ignore" (let through, drive no state) or "invalid"."""
    sender, receiver = info.seen[direction], info.seen[1 - direction]
    seq, ack, end, flags = segment.seq, segment.ack, segment.end, segment.flags
    window = segment.window
    sack = highest_sack(segment, ack) if receiver.flags & SACK_PERM and flags & ACK else ack
    if sender.td_maxwin == 0:
        if flags & SYN:
            _init_sender(sender, receiver, segment, direction)
            if not flags & ACK:
                return "accept"
        else:
            _pick_up(sender, receiver, segment, sack)
    elif flags & SYN and after(end, sender.td_end) and info.state in (SYN_SENT, SYN_RECV):
        _init_sender(sender, receiver, segment, direction)
        if direction == REPLY and not flags & ACK:
            return "accept"
    if not flags & ACK or (flags & RST and ack == 0):
        ack = sack = receiver.td_end
    if flags & RST and seq == 0 and info.state == SYN_SENT:
        seq = end = sender.td_end
    verdict = _judge(sender, receiver, seq, end, sack)
    if verdict != "accept":
        liberal = sender.flags & BE_LIBERAL or table.sysctls.number("net.netfilter.nf_conntrack_tcp_be_liberal")
        return "accept" if liberal else verdict
    if not flags & SYN:
        window <<= sender.td_scale
    _update(info, direction, segment, ack, sack, end, window)
    return "accept"


def _init_sender(sender: Side, receiver: Side, segment: Segment, direction: int) -> None:
    sender.td_end = sender.td_maxend = segment.end
    sender.td_maxwin = segment.window or 1
    options_of(segment, sender)
    if direction == REPLY and not (sender.flags & WINDOW_SCALE and receiver.flags & WINDOW_SCALE):
        sender.td_scale = receiver.td_scale = 0


def _pick_up(sender: Side, receiver: Side, segment: Segment, sack: int) -> None:
    sender.td_end = segment.end
    sender.td_maxwin = segment.window << sender.td_scale or 1
    sender.td_maxend = (segment.end + sender.td_maxwin) & MASK
    if receiver.td_maxwin == 0:
        receiver.td_end = receiver.td_maxend = sack
    elif sack == (receiver.td_end + 1) & MASK:
        receiver.td_end = sack


def _judge(sender: Side, receiver: Side, seq: int, end: int, sack: int) -> str:
    if not before(seq, sender.td_maxend + 1):
        overshot = (end - sender.td_maxend + 1) & MASK
        return "invalid" if overshot > receiver.td_maxwin else "ignore"
    if not before(sack, receiver.td_end + 1):
        return "invalid"
    if receiver.td_maxwin and not after(end, sender.td_end - receiver.td_maxwin - 1):
        return "ignore"
    if not after(sack, receiver.td_end - max(sender.td_maxwin, MAXACKWINCONST) - 1):
        return "ignore"
    return "accept"


def _update(info: TcpInfo, direction: int, segment: Segment, ack: int, sack: int, end: int, window: int) -> None:
    sender, receiver = info.seen[direction], info.seen[1 - direction]
    sender.td_maxwin = max(sender.td_maxwin, window + ((sack - ack) & MASK))
    if after(end, sender.td_end):
        sender.td_end = end
        sender.flags |= UNACKNOWLEDGED
    if segment.flags & ACK:
        if not sender.flags & MAXACK_SET:
            sender.td_maxack = ack
            sender.flags |= MAXACK_SET
        elif after(ack, sender.td_maxack):
            sender.td_maxack = ack
    if receiver.td_maxwin and after(end, sender.td_maxend):
        receiver.td_maxwin += (end - sender.td_maxend) & MASK
    if after(sack + window, receiver.td_maxend - 1):
        receiver.td_maxend = (sack + window + (window == 0)) & MASK
    if ack == receiver.td_end:
        receiver.flags &= ~UNACKNOWLEDGED
    if segment.index == Flags.ACK:
        last = (info.last_dir, info.last_seq, info.last_ack, info.last_end, info.last_win)
        now = (direction, segment.seq, ack, end, segment.window)
        if last == now:
            info.retrans += 1
        else:
            info.last_dir, info.last_seq, info.last_ack, info.last_end, info.last_win = now
            info.retrans = 0


def new_flow(table: Conntrack, ct: Conn, segment: Segment) -> bool:
    """Whether a first segment may open a flow (tcp_new); fills in its protocol part."""
    state = NEXT[ORIGINAL][segment.index][NONE]
    if state < 0:
        return False
    info = ct.proto_info = TcpInfo()
    side = info.seen[ORIGINAL]
    side.td_end = segment.end
    side.td_maxwin = segment.window or 1
    if state == SYN_SENT:
        side.td_maxend = side.td_end
        options_of(segment, side)
        return True
    if not table.sysctls.number("net.netfilter.nf_conntrack_tcp_loose"):
        return False
    side.td_maxend = (side.td_end + side.td_maxwin) & MASK
    for each in info.seen:
        each.flags |= SACK_PERM | BE_LIBERAL
    return True


def track(table: Conntrack, ct: Conn, skb: Skb, direction: int) -> str:
    """nf_conntrack_tcp_packet(): "accept", "invalid", "drop" or "repeat" (the entry died: look up again)."""
    segment = Segment.read(skb)
    if segment is None or (not ct.confirmed and not new_flow(table, ct, segment)):
        return "invalid"
    info: TcpInfo = ct.proto_info
    old = info.state
    new = NEXT[direction][segment.index][old]
    new, verdict = _special_case(table, ct, info, direction, segment, old, new)
    if verdict not in ("", "in window"):
        return verdict
    if verdict == "":
        match in_window(table, info, direction, segment):
            case "ignore":
                return "accept"
            case "invalid":
                _shorten(table, ct, info, direction, segment)
                return "invalid"
    info.last_index, info.last_dir = segment.index, direction
    if info.state != new and new == FIN_WAIT:
        info.seen[direction].flags |= CLOSE_INIT
    info.state = new
    ct.state = STATE_NAMES[new]
    _refresh(table, ct, info, segment, skb, old, new)
    return "accept"


def _special_case(
    table: Conntrack, ct: Conn, info: TcpInfo, direction: int, segment: Segment, old: int, new: int
) -> tuple[int, str]:
    """The switch over the new state: (state, verdict), verdict "" to go on to the window check."""
    if new == SYN_SENT and old >= TIME_WAIT:
        closing = (info.seen[0].flags | info.seen[1].flags) & CLOSE_INIT
        if closing or (info.last_dir == direction and info.last_index == Flags.RST):
            table.kill(ct)
            return new, "repeat"
        new = IGNORE
    if new == IGNORE:
        return _ignored(info, direction, segment, old)
    if new == INVALID:
        return new, "invalid"
    if new == TIME_WAIT and old == LAST_ACK and segment.index == Flags.ACK:
        if info.last_dir != direction and info.last_index == Flags.SYN and info.last_flags & CHALLENGE_ACK:
            info.last_flags &= ~CHALLENGE_ACK
            return new, "accept"
    elif new == SYN_SENT2:
        info.last_flags |= SIMULTANEOUS_OPEN
    elif new == SYN_RECV and direction == REPLY and segment.index == Flags.ACK:
        if info.last_flags & SIMULTANEOUS_OPEN:
            new = ESTAB
    elif new == CLOSE and segment.index == Flags.RST:
        return _reset(table, ct, info, direction, segment, old)
    return new, ""


def _ignored(info: TcpInfo, direction: int, segment: Segment, old: int) -> tuple[int, str]:
    answers = segment.index == Flags.SYNACK and info.last_index == Flags.SYN and info.last_dir != direction
    if answers and segment.ack == info.last_end:
        other = info.seen[info.last_dir]
        other.td_end = other.td_maxend = info.last_end
        other.td_maxwin, other.td_scale = info.last_win or 1, info.last_wscale
        info.last_flags &= ~CHALLENGE_ACK
        other.flags = info.last_flags
        mine = info.seen[direction]
        mine.td_end = mine.td_maxend = mine.td_maxwin = mine.td_maxack = mine.td_scale = mine.flags = 0
        info.state = SYN_SENT
        return SYN_RECV, ""
    info.last_index, info.last_dir, info.last_seq = segment.index, direction, segment.seq
    info.last_end, info.last_win = segment.end, segment.window
    if segment.index == Flags.SYN and direction == ORIGINAL:
        seen = Side()
        options_of(segment, seen)
        info.last_flags, info.last_wscale = seen.flags & (WINDOW_SCALE | SACK_PERM), seen.td_scale
        if old == LAST_ACK:
            info.last_flags |= CHALLENGE_ACK
    if old == SYN_SENT and segment.index == Flags.ACK and direction == REPLY:
        info.last_ack = segment.ack
    return old, "accept"


def _reset(table: Conntrack, ct: Conn, info: TcpInfo, direction: int, segment: Segment, old: int) -> tuple[int, str]:
    """A RST: exact, roughly right (challenge ACK will tell), or an answer to something that was let through."""
    other, seq = info.seen[1 - direction], segment.seq
    established = bool(ct.status & ASSURED) and ESTAB <= info.state <= LAST_ACK
    if info.state in (FIN_WAIT, LAST_ACK, TIME_WAIT, CLOSE, CLOSE_WAIT):
        return CLOSE, "in window"
    if other.flags & MAXACK_SET and info.last_index != Flags.SYN:
        if seq == 0 and not established:
            return CLOSE, ""
        if before(seq, other.td_maxack) and not table.sysctls.number(
            "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst"
        ):
            return CLOSE, "invalid"
        train = info.last_index == Flags.ACK and info.last_dir == direction and seq == info.last_end
        if established and seq != other.td_maxack and not train:
            return old, ""
        return CLOSE, ""
    answers_syn = bool(ct.status & SEEN_REPLY) and info.last_index == Flags.SYN
    answers_ack = not ct.status & ASSURED and info.last_index == Flags.ACK
    if (answers_syn or answers_ack) and segment.ack == info.last_end:
        return CLOSE, "in window"
    if old == SYN_SENT and info.last_index == Flags.ACK and info.last_dir == REPLY and seq == info.last_ack:
        return CLOSE, "in window"
    return CLOSE, ""


def _shorten(table: Conntrack, ct: Conn, info: TcpInfo, direction: int, segment: Segment) -> None:
    """An out-of-window FIN or RST answered by another: do not keep the entry for days (nf_tcp_handle_invalid)."""
    if not ct.status & ASSURED or segment.index not in (Flags.RST, Flags.FIN):
        return
    if info.last_dir != direction and info.last_index in (Flags.RST, Flags.FIN):
        limit = table.timeout_ns("tcp_timeout_unacknowledged")
        if ct.expires_ns - table.clock.now_ns > max(limit, 120 * 10**9):
            ct.expires_ns = table.clock.now_ns + limit
    else:
        info.last_index, info.last_dir = segment.index, direction


def _refresh(table: Conntrack, ct: Conn, info: TcpInfo, segment: Segment, skb: Skb, old: int, new: int) -> None:
    timeout = table.timeout_ns(f"tcp_timeout_{TIMEOUTS[new]}")
    retransmitted = table.timeout_ns("tcp_timeout_max_retrans")
    unacknowledged = table.timeout_ns("tcp_timeout_unacknowledged")
    limit = table.sysctls.number("net.netfilter.nf_conntrack_tcp_max_retrans")
    if info.retrans >= limit and timeout > retransmitted:
        timeout = retransmitted
    elif segment.index == Flags.RST:
        timeout = table.timeout_ns("tcp_timeout_close")
    elif (info.seen[0].flags | info.seen[1].flags) & UNACKNOWLEDGED and timeout > unacknowledged:
        timeout = unacknowledged
    elif info.last_win == 0 and timeout > retransmitted:
        timeout = retransmitted
    if not ct.status & SEEN_REPLY:
        if segment.flags & RST:
            table.kill(ct)
            return
        if segment.index == Flags.SYN and old == SYN_SENT:
            return  # a SYN sent again does not renew the time-out
        if new == ESTAB:
            timeout = min(timeout, unacknowledged)
    elif not ct.status & ASSURED and old in (SYN_RECV, ESTAB) and new == ESTAB:
        ct.status |= ASSURED
    table.refresh(ct, timeout, skb)
