"""Trains of acknowledgments against one segment after another."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fakecluster.kernel.conntrack.entry import Conn, Tuple
from fakecluster.kernel.conntrack.tcp import TcpTimeouts, follow
from fakecluster.kernel.conntrack.tcp_state import ESTAB, FIN_WAIT, MAXACK_SET, UNACKNOWLEDGED, Side, TcpInfo
from fakecluster.kernel.conntrack.tcp_trains import Train, follow_train, would_follow_train

MASK = 0xFFFFFFFF
TIMEOUTS = TcpTimeouts((0, 1, 2, 1000, 4, 5, 6, 7, 8, 9), retransmitted=300, unacknowledged=200, max_retrans=3)
Ack = tuple[int, int, int]


def entry(info: TcpInfo) -> Conn:
    orig = Tuple(4, 6, 1, 2, 3, 4)
    reply = orig.inverted()
    assert reply is not None
    ct = Conn(orig, reply)
    ct.proto_info, ct.expires_ns = info, 50
    return ct


def relative(number: int, base: int) -> int:
    return (number - base + 0x80000000 & MASK) - 0x80000000


def train_of(acks: list[Ack]) -> Train:
    seq0, ack0, _ = acks[0]
    seqs, numbers = [relative(seq, seq0) for seq, _, _ in acks], [relative(ack, ack0) for _, ack, _ in acks]
    edge = max(number + window + (window == 0) for number, (_, _, window) in zip(numbers, acks, strict=True))
    alike = next((n for n, one in enumerate(reversed(acks)) if one != acks[-1]), len(acks))
    return Train(
        len(acks), 40 * len(acks), 64, seq0 + min(seqs) & MASK, seq0 + max(seqs) & MASK, ack0 + min(numbers) & MASK,
        ack0 + max(numbers) & MASK, ack0 + edge & MASK, max(window for _, _, window in acks), *acks[-1], alike,
    )  # fmt: skip


NEAR = st.one_of(st.integers(-3, 3), st.integers(-70_000, 70_000), st.sampled_from([1 << 29, 1 << 30, 1 << 31, -66_000]))
WINDOWS = st.one_of(st.sampled_from([0, 1, 2, 1000, 65535]), st.integers(0, 65535))


@st.composite
def cases(draw: st.DrawFn) -> tuple[TcpInfo, int, list[Ack]]:
    """A connection where it may be, a direction, and acknowledgments about there."""
    base, peer = draw(st.sampled_from([1000, MASK - 5, 1 << 31])), draw(st.sampled_from([77, MASK, 1 << 30]))
    flags = st.sampled_from([MAXACK_SET, MAXACK_SET, MAXACK_SET | UNACKNOWLEDGED, 0])

    def side(own: int, other: int) -> Side:
        width = draw(st.sampled_from([65535, 65535, 1000, 0]))
        room, scale = draw(st.integers(-2, 65535)), draw(st.sampled_from([0, 0, 0, 0, 7]))
        return Side(own, own + room & MASK, width, other + draw(st.sampled_from([0, 0, -5, 5])) & MASK, scale, draw(flags))

    direction = draw(st.integers(0, 1))
    seen = (side(base, peer), side(peer, base))
    one = st.tuples(st.one_of(st.just(0), st.just(0), NEAR), st.one_of(st.just(0), st.just(0), NEAR), WINDOWS)
    drawn = [one for some, times in draw(st.lists(st.tuples(one, st.integers(1, 4)), min_size=1, max_size=5))
             for one in [some] * times]  # fmt: skip
    acks = [(base + seq & MASK, peer + ack & MASK, window) for seq, ack, window in drawn]
    info = TcpInfo(seen if direction == 0 else (seen[1], seen[0]), draw(st.sampled_from([ESTAB, ESTAB, ESTAB, FIN_WAIT])))
    if draw(st.booleans()):  # as the first of them was before
        info.last_seq, info.last_ack, info.last_win = acks[0]
        info.last_dir, info.last_end = draw(st.sampled_from([(direction, acks[0][0]), (1 - direction, acks[0][0]), (0, 9)]))
        info.retrans = draw(st.integers(0, 3))
    return info, direction, acks


@settings(max_examples=400, deadline=None)
@given(case=cases())
@example(case=(TcpInfo((Side(9, 99, 50, 7, 0, MAXACK_SET), Side(7, 60, 50, 9, 0, MAXACK_SET)), ESTAB), 0, [(9, 7, 0)] * 5))
@example(case=(TcpInfo((Side(9, 99, 50, 7, 0, MAXACK_SET), Side(7, 7, 50, 9, 0, MAXACK_SET)), ESTAB), 0, [(9, 7, 0)]))
@example(case=(TcpInfo((Side(9, 99, 50, 7, 0, MAXACK_SET), Side(7, 9, 50, 9, 0, 48)), ESTAB), 0, [(9, 7, 3), (9, 5, 9)]))
def test_a_train_leaves_what_its_segments_would(case: tuple[TcpInfo, int, list[Ack]]) -> None:
    info, direction, acks = case
    train = train_of(acks)
    if not would_follow_train(info, direction, train):
        return  # they go one by one
    one_by_one, at_once = entry(info.fork()), entry(info.fork())
    for now_ns, (seq, ack, window) in enumerate(acks, 10):
        assert follow(TIMEOUTS, one_by_one, direction, seq, ack, ack, seq, window, now_ns)
    follow_train(TIMEOUTS, at_once, direction, train, 9 + len(acks))
    assert (at_once.proto_info, at_once.expires_ns) == (one_by_one.proto_info, one_by_one.expires_ns)


def test_acknowledgments_of_all_that_was_sent_go_by_train() -> None:
    """The window moves to the widest; the last two are alike, so that one was sent again."""
    info = TcpInfo((Side(101, 9000, 4000, 500, 0, MAXACK_SET), Side(700, 5000, 4000, 101, 0, MAXACK_SET | 16)), ESTAB)
    train = train_of([(101, 600, 1000), (101, 700, 8000), (101, 700, 0), (101, 700, 0)])
    assert train == (4, 160, 64, 101, 101, 600, 700, 8700, 8000, 101, 700, 0, 2)
    assert would_follow_train(info, 0, train)
    ct = entry(info)
    follow_train(TIMEOUTS, ct, 0, train, 10)
    assert info.seen == (Side(101, 9000, 8000, 700, 0, MAXACK_SET), Side(700, 8700, 4000, 101, 0, MAXACK_SET))
    assert (info.retrans, ct.expires_ns) == (1, 310)  # the window is shut: the time of retransmissions


def test_what_was_never_sent_is_not_acknowledged_by_train() -> None:
    info = TcpInfo((Side(101, 9000, 4000, 500, 0, MAXACK_SET), Side(700, 5000, 4000, 101, 0, MAXACK_SET)), ESTAB)
    assert would_follow_train(info, 0, train_of([(101, 700, 9)] * 3))
    assert not would_follow_train(info, 0, train_of([(101, 700, 9), (101, 701, 9), (101, 700, 9)]))
    assert not would_follow_train(info, 0, train_of([(101, 700, 9), (102, 700, 9), (101, 700, 9)]))
