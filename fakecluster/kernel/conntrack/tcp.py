"""TCP as conntrack follows it: the states (nf_conntrack_proto_tcp.c).

States follow from the flags alone, by two tables (one per direction); whether a packet may drive them follows from the
window check (see `tcp_window`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fakecluster.kernel.conntrack.entry import ASSURED, FIXED_TIMEOUT, ORIGINAL, REPLY, SEEN_REPLY, Conn
from fakecluster.kernel.conntrack.tcp_state import (
    BE_LIBERAL,
    CLOSE,
    CLOSE_INIT,
    CLOSE_WAIT,
    ESTAB,
    FIN_WAIT,
    LAST_ACK,
    MAXACK_SET,
    MAXACKWINCONST,
    NEAR,
    NONE,
    SACK_PERM,
    SYN_RECV,
    SYN_SENT,
    SYN_SENT2,
    TIME_WAIT,
    UNACKNOWLEDGED,
    WINDOW_SCALE,
    Flags,
    Segment,
    Side,
    TcpInfo,
    before,
    options_of,
)
from fakecluster.kernel.conntrack.tcp_window import in_window, judge, slide
from fakecluster.kernel.packet import RST, TCP, Skb
from fakecluster.kernel.tcp_segments import MASK

if TYPE_CHECKING:
    from fakecluster.kernel.conntrack.table import Conntrack

INVALID, IGNORE = -1, -2
STATE_NAMES = (
    "NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",
    "SYN_SENT2",
)  # fmt: skip
TIMEOUTS = {
    SYN_SENT: "syn_sent", SYN_RECV: "syn_recv", ESTAB: "established", FIN_WAIT: "fin_wait", CLOSE_WAIT: "close_wait",
    LAST_ACK: "last_ack", TIME_WAIT: "time_wait", CLOSE: "close", SYN_SENT2: "syn_sent",
}  # fmt: skip


@attrs.frozen
class TcpTimeouts:
    """The net.netfilter.nf_conntrack_tcp_* values, times in nanoseconds."""

    by_state: tuple[int, ...]
    retransmitted: int
    unacknowledged: int
    max_retrans: int
    #: of an open connection, with everything acknowledged and not
    established: int = attrs.field(init=False)
    waiting: int = attrs.field(init=False)

    @established.default
    def _established(self) -> int:
        return self.by_state[ESTAB]

    @waiting.default
    def _waiting(self) -> int:
        return min(self.by_state[ESTAB], self.unacknowledged)

    @classmethod
    def of(cls, table: Conntrack) -> TcpTimeouts:
        def timeout(name: str) -> int:
            return table.timeout_ns(f"tcp_timeout_{name}")

        by_state = (0, *[timeout(TIMEOUTS[state]) for state in range(SYN_SENT, SYN_SENT2 + 1)])
        limit = table.sysctls.number("net.netfilter.nf_conntrack_tcp_max_retrans")
        return cls(by_state, timeout("max_retrans"), timeout("unacknowledged"), limit)


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

KIND_ACK = Flags.ACK
CHALLENGE_ACK, SIMULTANEOUS_OPEN = 64, 128


def new_flow(table: Conntrack, ct: Conn, segment: Segment) -> bool:
    """Whether a first segment may open a flow (tcp_new); fills in its protocol part."""
    state = NEXT[ORIGINAL][segment.kind][NONE]
    if state < 0:
        return False
    info = ct.proto_info = TcpInfo()
    side = info.seen[ORIGINAL]
    side.td_end = segment.end
    side.td_maxwin = segment.window or 1
    if state == SYN_SENT:
        side.td_maxend = side.td_end
        options_of(segment.options, side)
        return True
    if not table.sysctls.number("net.netfilter.nf_conntrack_tcp_loose"):
        return False
    side.td_maxend = (side.td_end + side.td_maxwin) & MASK
    for each in info.seen:
        each.flags |= SACK_PERM | BE_LIBERAL
    return True


def follow(
    timeouts: TcpTimeouts, ct: Conn, direction: int, seq: int, ack: int, sack: int, end: int, window: int, now_ns: int
) -> bool:
    """Take in an acknowledgment (with or without data) of an open connection that is assured.

    Most segments are one, and most of those lie where their connection is: for these `judge`, `slide` and
    `count_repeats` stand here at once, in plain differences (half the time of a packet of a known flow went into the
    calls and the arithmetic modulo 2^32). False, and nothing changed, when `track` has to look closer.
    """
    info: TcpInfo = ct.proto_info
    seen = info.seen
    sender, receiver = seen[direction], seen[1 - direction]
    widest, reach = sender.td_maxwin, receiver.td_maxwin
    if info.state != ESTAB or not widest:
        return False
    scaled = window << sender.td_scale
    fresh, acked, behind = end - sender.td_end, ack - sender.td_maxack, receiver.td_end - sack
    room, opened = sender.td_maxend - end, sack + scaled - receiver.td_maxend
    if (
        0 <= behind <= MAXACKWINCONST
        and -NEAR < acked < NEAR
        and -NEAR < opened < NEAR
        and 0 <= room < NEAR
        and -reach <= fresh < NEAR
        and reach < NEAR
        and widest < NEAR
        and sack == ack
        and sender.flags & MAXACK_SET
    ):
        if scaled > widest:
            sender.td_maxwin = scaled
        if fresh > 0:
            sender.td_end = end
            sender.flags |= UNACKNOWLEDGED
        if acked > 0:
            sender.td_maxack = ack
        if opened >= 0:
            receiver.td_maxend = sack + (scaled or 1) & MASK
        if not behind:
            receiver.flags &= ~UNACKNOWLEDGED
    else:
        if judge(sender, receiver, seq, end, sack) != "accept":
            return False
        slide(sender, receiver, ack, sack, end, scaled, acks=True)
    if (
        info.last_end == end
        and info.last_ack == ack
        and info.last_seq == seq
        and info.last_win == window
        and info.last_dir == direction
    ):
        info.retrans += 1
    else:
        info.last_end, info.last_ack = end, ack
        info.last_seq, info.last_win = seq, window
        info.last_dir, info.retrans = direction, 0
    info.last_index = KIND_ACK
    if info.retrans >= timeouts.max_retrans or not window:
        ct.expires_ns = now_ns + lifetime(timeouts, info, ESTAB, reset=False)
    elif (sender.flags | receiver.flags) & UNACKNOWLEDGED:
        ct.expires_ns = now_ns + timeouts.waiting
    else:
        ct.expires_ns = now_ns + timeouts.established
    return True


def track(table: Conntrack, ct: Conn, skb: Skb, direction: int) -> str:
    """nf_conntrack_tcp_packet(): "accept", "invalid", "drop" or "repeat" (the entry died: look up again)."""
    segment = Segment.read(skb)
    if segment is None or (not ct.confirmed and not new_flow(table, ct, segment)):
        return "invalid"
    info: TcpInfo = ct.proto_info
    old = info.state
    new = NEXT[direction][segment.kind][old]
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
    info.last_index, info.last_dir = segment.kind, direction
    if info.state != new and new == FIN_WAIT:
        info.seen[direction].flags |= CLOSE_INIT
    info.state = new
    ct.state = STATE_NAMES[new]
    _refresh(table, ct, info, segment, skb, old, new)
    return "accept"


def set_closing(table: Conntrack, ct: Conn) -> None:
    """A RST of our own goes to the sender (nf_conntrack_tcp_set_closing): the flow is closed before it leaves."""
    if not ct.confirmed or ct.orig.proto != TCP:
        return
    info: TcpInfo = ct.proto_info
    old, info.state, ct.state = info.state, CLOSE, STATE_NAMES[CLOSE]
    if old != CLOSE and not ct.status & FIXED_TIMEOUT:
        ct.expires_ns = table.clock.now_ns + table.tcp_timeouts().by_state[CLOSE]


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
    if new == TIME_WAIT and old == LAST_ACK and segment.kind == Flags.ACK:
        if info.last_dir != direction and info.last_index == Flags.SYN and info.last_flags & CHALLENGE_ACK:
            info.last_flags &= ~CHALLENGE_ACK
            return new, "accept"
    elif new == SYN_SENT2:
        info.last_flags |= SIMULTANEOUS_OPEN
    elif new == SYN_RECV and direction == REPLY and segment.kind == Flags.ACK:
        if info.last_flags & SIMULTANEOUS_OPEN:
            new = ESTAB
    elif new == CLOSE and segment.kind == Flags.RST:
        return _reset(table, ct, info, direction, segment, old)
    return new, ""


def _ignored(info: TcpInfo, direction: int, segment: Segment, old: int) -> tuple[int, str]:
    answers = segment.kind == Flags.SYNACK and info.last_index == Flags.SYN and info.last_dir != direction
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
    info.last_index, info.last_dir, info.last_seq = segment.kind, direction, segment.seq
    info.last_end, info.last_win = segment.end, segment.window
    if segment.kind == Flags.SYN and direction == ORIGINAL:
        seen = Side()
        options_of(segment.options, seen)
        info.last_flags, info.last_wscale = seen.flags & (WINDOW_SCALE | SACK_PERM), seen.td_scale
        if old == LAST_ACK:
            info.last_flags |= CHALLENGE_ACK
    if old == SYN_SENT and segment.kind == Flags.ACK and direction == REPLY:
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
    if not ct.status & ASSURED or segment.kind not in (Flags.RST, Flags.FIN):
        return
    if info.last_dir != direction and info.last_index in (Flags.RST, Flags.FIN):
        limit = table.timeout_ns("tcp_timeout_unacknowledged")
        if ct.expires_ns - table.clock.now_ns > max(limit, 120 * 10**9):
            ct.expires_ns = table.clock.now_ns + limit
    else:
        info.last_index, info.last_dir = segment.kind, direction


def _refresh(table: Conntrack, ct: Conn, info: TcpInfo, segment: Segment, skb: Skb, old: int, new: int) -> None:
    timeouts = table.tcp_timeouts()
    timeout = lifetime(timeouts, info, new, reset=segment.kind == Flags.RST)
    if not ct.status & SEEN_REPLY:
        if segment.flags & RST:
            table.count(ct, skb)
            table.kill(ct)
            return
        if segment.kind == Flags.SYN and old == SYN_SENT:
            return  # a SYN sent again does not renew the time-out
        if new == ESTAB:
            timeout = min(timeout, timeouts.unacknowledged)
    elif not ct.status & ASSURED and old in (SYN_RECV, ESTAB) and new == ESTAB:
        ct.status |= ASSURED
    table.refresh(ct, timeout, skb)


def lifetime(timeouts: TcpTimeouts, info: TcpInfo, state: int, *, reset: bool) -> int:
    timeout = timeouts.by_state[state]
    if info.retrans >= timeouts.max_retrans and timeout > timeouts.retransmitted:
        return timeouts.retransmitted
    if reset:
        return timeouts.by_state[CLOSE]
    if (info.seen[0].flags | info.seen[1].flags) & UNACKNOWLEDGED and timeout > timeouts.unacknowledged:
        return timeouts.unacknowledged
    if info.last_win == 0 and timeout > timeouts.retransmitted:
        return timeouts.retransmitted
    return timeout
