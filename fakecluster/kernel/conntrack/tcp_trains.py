"""Trains: acknowledgments without data that come one after another in one direction, taken in by conntrack at once.

Each only moves windows on, and never back: what is left of many of them is what the highest numbers and the last one
leave. Where that does not hold (`would_follow_train`) they are taken one by one (`tcp.follow`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fakecluster.kernel.conntrack.tcp import lifetime
from fakecluster.kernel.conntrack.tcp_state import (
    ESTAB,
    MAXACK_SET,
    MAXACKWINCONST,
    NEAR,
    UNACKNOWLEDGED,
    Flags,
    TcpInfo,
)
from fakecluster.kernel.conntrack.tcp_window import judge
from fakecluster.kernel.tcp_segments import HALF, MASK

if TYPE_CHECKING:
    from fakecluster.kernel.conntrack.entry import Conn
    from fakecluster.kernel.conntrack.tcp import TcpTimeouts


class Train(NamedTuple):
    """What matters of `packets` acknowledgments with `octets` bytes in all, whose TTL is at least `ttl`.

    Numbers are modulo 2^32. `edge` is the highest of acknowledgment + window (+ 1 where the window is 0), `window` the
    widest. The last `alike` are equal but for options, and are (`last_seq`, `last_ack`, `last_window`).
    """

    packets: int
    octets: int
    ttl: int
    seq_low: int
    seq_high: int
    ack_low: int
    ack_high: int
    edge: int
    window: int
    last_seq: int
    last_ack: int
    last_window: int
    alike: int

    def shifted(self, shift: int) -> Train:
        """The same with something added to all acknowledgment numbers."""
        return self._replace(
            ack_low=self.ack_low + shift & MASK,
            ack_high=self.ack_high + shift & MASK,
            edge=self.edge + shift & MASK,
            last_ack=self.last_ack + shift & MASK,
        )


def would_follow_train(info: TcpInfo, direction: int, train: Train) -> bool:
    """Whether every segment of a train would be accepted, and change no more than `follow_train` says.

    Nearly always its numbers lie close by the connection's, so that plain differences show it (see `tcp.follow`).
    """
    seen = info.seen
    sender, receiver = seen[direction], seen[1 - direction]
    _, _, _, seq_low, seq_high, ack_low, ack_high, *_ = train
    if (
        info.state != ESTAB
        or not sender.td_maxwin
        or not sender.flags & MAXACK_SET
        or sender.td_scale  # the edge is that of windows as they are
    ):
        return False
    if (
        seq_low <= seq_high
        and ack_low <= ack_high
        and receiver.td_end - ack_high >= 0
        and receiver.td_end - ack_low <= MAXACKWINCONST
        and sender.td_end - seq_high >= 0
        and sender.td_end - seq_low <= receiver.td_maxwin
        and 0 <= sender.td_maxend - seq_high < NEAR
        and receiver.td_maxwin < NEAR
    ):
        return True
    return (
        (seq_high - seq_low & MASK) < NEAR
        and (ack_high - ack_low & MASK) < NEAR
        and not (sender.td_end - seq_high) & HALF  # nothing new was sent before
        and judge(sender, receiver, seq_low, seq_low, ack_low) == "accept"
        and judge(sender, receiver, seq_high, seq_high, ack_high) == "accept"
    )


def follow_train(timeouts: TcpTimeouts, ct: Conn, direction: int, train: Train, now_ns: int) -> None:
    """Take in a train, as `would_follow_train` allows it, whose last segment comes now (see `tcp.follow`)."""
    info: TcpInfo = ct.proto_info
    sender, receiver = info.seen[direction], info.seen[1 - direction]
    packets, _, _, _, _, _, ack_high, edge, window, seq, ack, last_window, alike = train
    if window > sender.td_maxwin:
        sender.td_maxwin = window
    if (sender.td_maxack - ack_high) & HALF:
        sender.td_maxack = ack_high
    if (receiver.td_maxend - edge) & HALF:
        receiver.td_maxend = edge
    if ack_high == receiver.td_end:
        receiver.flags &= ~UNACKNOWLEDGED
    last = (direction, seq, ack, seq, last_window)
    if alike == packets and last == (info.last_dir, info.last_seq, info.last_ack, info.last_end, info.last_win):
        info.retrans += packets
    else:
        info.last_dir, info.last_seq, info.last_ack, info.last_end, info.last_win = last
        info.retrans = alike - 1
    info.last_index = Flags.ACK
    timeout = timeouts.established
    if info.retrans >= timeouts.max_retrans or not last_window or (sender.flags | receiver.flags) & UNACKNOWLEDGED:
        timeout = lifetime(timeouts, info, ESTAB, reset=False)
    ct.expires_ns = now_ns + timeout
