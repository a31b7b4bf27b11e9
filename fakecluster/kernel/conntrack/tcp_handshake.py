"""The three segments that open a TCP connection, taken in at once where nothing about them is odd.

Each does what `tcp.track` does with such a segment; what it asks in between can have one answer only.
"""

from __future__ import annotations

from fakecluster.kernel.conntrack.entry import ASSURED, ORIGINAL, REPLY, SEEN_REPLY, Conn
from fakecluster.kernel.conntrack.tcp import STATE_NAMES, TcpTimeouts, lifetime
from fakecluster.kernel.conntrack.tcp_state import (
    ESTAB,
    MAXACK_SET,
    SYN_RECV,
    SYN_SENT,
    UNACKNOWLEDGED,
    WINDOW_SCALE,
    Flags,
    Side,
    TcpInfo,
    options_of,
)
from fakecluster.kernel.conntrack.tcp_window import highest_sack
from fakecluster.kernel.tcp_segments import HALF, MASK

#: The option of TCP that has SACK blocks.
SACK = b"\5"


def begin(timeouts: TcpTimeouts, ct: Conn, end: int, window: int, options: bytes) -> None:
    """The SYN of a new entry; `end` is the sequence number after it."""
    reach = window or 1
    sender = Side(end, end, reach)
    if options:
        options_of(options, sender)
    info = ct.proto_info = TcpInfo((sender, Side(0, reach)), SYN_SENT, Flags.SYN)
    ct.state = STATE_NAMES[SYN_SENT]
    ct.expires_ns = lifetime(timeouts, info, SYN_SENT, reset=False)


def answer(timeouts: TcpTimeouts, ct: Conn, ack: int, end: int, window: int, options: bytes, now_ns: int) -> bool:
    """The SYN-ACK that acknowledges all of it. False, and nothing changed, when `track` has to look closer."""
    info: TcpInfo = ct.proto_info
    receiver, sender = info.seen
    if info.state != SYN_SENT or sender.td_maxwin or ack != receiver.td_end or not receiver.td_maxwin:
        return False
    if SACK in options and highest_sack(options, ack) != ack:
        return False
    reach = window or 1
    sender.td_end = sender.td_maxend = end
    sender.td_maxwin, sender.td_maxack = reach, ack
    options_of(options, sender)
    if not sender.flags & receiver.flags & WINDOW_SCALE:
        sender.td_scale = receiver.td_scale = 0
    sender.flags |= MAXACK_SET
    if (receiver.td_maxend - 1 - ack - window) & HALF:
        receiver.td_maxend = ack + reach & MASK
    receiver.flags &= ~UNACKNOWLEDGED
    info.last_index, info.last_dir, info.state = Flags.SYNACK, REPLY, SYN_RECV
    ct.state = STATE_NAMES[SYN_RECV]
    ct.status |= SEEN_REPLY
    ct.expires_ns = now_ns + lifetime(timeouts, info, SYN_RECV, reset=False)
    return True


def awaits_last(ct: Conn, way: int) -> bool:
    """Whether a connection is open once an acknowledgment in this direction is taken in."""
    return way == ORIGINAL and ct.proto_info.state == SYN_RECV and ct.status & (SEEN_REPLY | ASSURED) == SEEN_REPLY


def open_up(ct: Conn, ack: int) -> tuple[int, int]:
    """The acknowledgment is about to be taken in (see `tcp.follow`): the connection is open. What takes that back."""
    info: TcpInfo = ct.proto_info
    sender = info.seen[ORIGINAL]
    before = sender.td_maxack, sender.flags
    info.state = ESTAB
    ct.state = STATE_NAMES[ESTAB]
    ct.status |= ASSURED
    if not sender.flags & MAXACK_SET:
        sender.td_maxack = ack
        sender.flags |= MAXACK_SET
    return before


def close_again(ct: Conn, before: tuple[int, int]) -> None:
    """It was not."""
    info: TcpInfo = ct.proto_info
    info.state = SYN_RECV
    ct.state = STATE_NAMES[SYN_RECV]
    ct.status &= ~ASSURED
    info.seen[ORIGINAL].td_maxack, info.seen[ORIGINAL].flags = before
