"""Whether a TCP segment lies within the window that both sides have announced (tcp_in_window).

After Guido van Rooij, "Real Stateful TCP Packet Filtering in IP Filter".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel.conntrack.entry import REPLY
from fakecluster.kernel.packet import ACK, RST, SYN
from fakecluster.kernel.tcp_segments import options_in

if TYPE_CHECKING:
    from fakecluster.kernel.conntrack.table import Conntrack
from fakecluster.kernel.conntrack.tcp_state import (
    BE_LIBERAL,
    MAXACK_SET,
    MAXACKWINCONST,
    SACK_PERM,
    SYN_RECV,
    SYN_SENT,
    UNACKNOWLEDGED,
    WINDOW_SCALE,
    Flags,
    Segment,
    Side,
    TcpInfo,
    after,
    options_of,
)
from fakecluster.kernel.tcp_segments import HALF, MASK


def sack_edges(options: bytes) -> list[int]:
    """Where the edges of SACK blocks stand in TCP options, left and right in turns."""
    edges: list[int] = []
    for kind, at, size in options_in(options):
        if kind == 5 and size >= 10 and (size - 2) % 8 == 0:
            edges += range(at + 2, at + size, 4)
    return edges


def highest_sack(options: bytes, sack: int) -> int:
    """The right edge of the highest SACK block, or `sack` (tcp_sack)."""
    for at in sack_edges(options)[1::2]:
        edge = int.from_bytes(options[at : at + 4])
        sack = edge if after(edge, sack) else sack
    return sack


def in_window(table: Conntrack, info: TcpInfo, direction: int, segment: Segment) -> str:
    """tcp_in_window(): "accept", "ignore" (let through, drive no state) or "invalid"."""
    sender, receiver = info.seen[direction], info.seen[1 - direction]
    seq, ack, end, flags = segment.seq, segment.ack, segment.end, segment.flags
    window = segment.window
    sack = highest_sack(segment.options, ack) if receiver.flags & SACK_PERM and flags & ACK else ack
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
    verdict = judge(sender, receiver, seq, end, sack)
    if verdict != "accept":
        liberal = sender.flags & BE_LIBERAL or table.sysctls.number("net.netfilter.nf_conntrack_tcp_be_liberal")
        return "accept" if liberal else verdict
    slide(sender, receiver, ack, sack, end, window if flags & SYN else window << sender.td_scale, acks=flags & ACK != 0)
    if segment.kind == Flags.ACK:
        count_repeats(info, direction, seq, ack, end, window)
    return "accept"


def _init_sender(sender: Side, receiver: Side, segment: Segment, direction: int) -> None:
    sender.td_end = sender.td_maxend = segment.end
    sender.td_maxwin = segment.window or 1
    options_of(segment.options, sender)
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


def judge(sender: Side, receiver: Side, seq: int, end: int, sack: int) -> str:
    """The four bounds of the window: "accept", "ignore" or "invalid". Every open connection's segments pass here."""
    beyond = end - sender.td_maxend + 1
    if not (seq - sender.td_maxend - 1) & HALF:
        return "invalid" if beyond & MASK > receiver.td_maxwin else "ignore"
    if not (sack - receiver.td_end - 1) & HALF:
        return "invalid"
    if receiver.td_maxwin and not (sender.td_end - receiver.td_maxwin - 1 - end) & HALF:
        return "ignore"
    reach = sender.td_maxwin
    if not (receiver.td_end - (reach if reach > MAXACKWINCONST else MAXACKWINCONST) - 1 - sack) & HALF:
        return "ignore"
    return "accept"


def slide(sender: Side, receiver: Side, ack: int, sack: int, end: int, window: int, *, acks: bool) -> None:
    """Take an accepted segment into both windows; `window` is scaled, `acks` says that it has the ACK flag."""
    widest = window + (sack - ack & MASK)
    if widest > sender.td_maxwin:
        sender.td_maxwin = widest
    if (sender.td_end - end) & HALF:
        sender.td_end = end
        sender.flags |= UNACKNOWLEDGED
    if acks:
        if not sender.flags & MAXACK_SET:
            sender.td_maxack = ack
            sender.flags |= MAXACK_SET
        elif (sender.td_maxack - ack) & HALF:
            sender.td_maxack = ack
    if receiver.td_maxwin and (sender.td_maxend - end) & HALF:
        receiver.td_maxwin += (end - sender.td_maxend) & MASK
    if (receiver.td_maxend - 1 - sack - window) & HALF:
        receiver.td_maxend = (sack + window + (window == 0)) & MASK
    if ack == receiver.td_end:
        receiver.flags &= ~UNACKNOWLEDGED


def count_repeats(info: TcpInfo, direction: int, seq: int, ack: int, end: int, window: int) -> None:
    """Notice an acknowledgment that is sent again; `window` is the header's."""
    if (
        info.last_ack == ack
        and info.last_seq == seq
        and info.last_dir == direction
        and info.last_end == end
        and info.last_win == window
    ):
        info.retrans += 1
        return
    info.last_dir, info.last_seq, info.last_ack, info.last_end, info.last_win = direction, seq, ack, end, window
    info.retrans = 0
