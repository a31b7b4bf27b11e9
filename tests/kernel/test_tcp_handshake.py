"""The segments of a handshake that are taken in at once: as conntrack takes them in turn."""

from __future__ import annotations

import copy

from hypothesis import event, given, settings
from hypothesis import strategies as st

from fakecluster.kernel.conntrack import tcp, tcp_handshake
from fakecluster.kernel.conntrack.entry import CONFIRMED, ESTABLISHED_REPLY, NEW, SEEN_REPLY, Conn, Tuple
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import ACK, SYN, TCP, Skb
from fakecluster.kernel.tcp_segments import MASK

EDGES = (0, 1, 2, 1000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF)
numbers = st.one_of(st.sampled_from(EDGES), st.integers(0, MASK))
windows = st.sampled_from((0, 1, 100, 64240, 65535))
options = st.lists(
    st.sampled_from((
        b"\1", b"\2\4\5\xb4", b"\4\2", b"\3\3\7", b"\3\3\x0f", b"\x08\x0a" + bytes(8), b"\5\x0a\0\0\0\1\0\0\0\x09",
    )),
    max_size=4,
).map(lambda parts: b"".join(parts)[:40])  # fmt: skip


def segment(flags: int, seq: int, ack: int, window: int, options: bytes, load: int, *, back: bool) -> Skb:
    options += bytes(-len(options) % 4)
    ends = ((0x0A000002, 80), (0x0A000001, 1000)) if back else ((0x0A000001, 1000), (0x0A000002, 80))
    (src, sport), (dst, dport) = ends
    head = sport.to_bytes(2) + dport.to_bytes(2) + seq.to_bytes(4) + ack.to_bytes(4)
    body = head + bytes((20 + len(options) << 2, flags)) + window.to_bytes(2) + bytes(4) + options + bytes(load)
    skb = Skb(
        b"\x45\0" + (20 + len(body)).to_bytes(2) + bytes(4) + b"\x40\6\0\0" + src.to_bytes(4) + dst.to_bytes(4) + body
    )
    skb.ctinfo = ESTABLISHED_REPLY if back else NEW
    return skb


def state(ct: Conn) -> tuple[object, ...]:
    return ct.proto_info, ct.state, ct.status, ct.expires_ns


@st.composite
def sysctls(draw: st.DrawFn) -> list[str]:
    return draw(
        st.lists(
            st.sampled_from((
                "nf_conntrack_tcp_max_retrans=0", "nf_conntrack_tcp_timeout_max_retrans=20",
                "nf_conntrack_tcp_timeout_unacknowledged=30", "nf_conntrack_tcp_timeout_syn_sent=500",
            )),
            max_size=2,
        )
    )  # fmt: skip


@settings(deadline=None)
@given(sysctls(), numbers, numbers, windows, windows, windows, options, options, st.data())
def test_a_handshake_is_taken_in_at_once_as_in_turn(
    words: list[str], seq: int, seq_back: int, window: int, window_back: int, last: int, asked: bytes, answered: bytes,
    data: st.DataObject,
) -> None:  # fmt: skip
    netns = Netns()
    for word in words:
        netns.run(f"sysctl -w net.netfilter.{word}")
    table, orig = netns.conntrack, Tuple(4, TCP, 0x0A000001, 0x0A000002, 1000, 80)
    times, reply = table.tcp_timeouts(), orig.inverted()
    assert reply is not None
    ct, at_once = Conn(orig, reply), Conn(orig, reply)

    load, load_back = (data.draw(st.sampled_from((0, 0, 5, 500))) for _ in range(2))
    assert tcp.track(table, ct, segment(SYN, seq, 0, window, asked, load, back=False), 0) == "accept"
    end = seq + 1 + load & MASK
    tcp_handshake.begin(times, at_once, end, window, asked)
    assert state(at_once) == state(ct)
    for each in (ct, at_once):
        each.expires_ns += netns.clock.now_ns
        each.status |= CONFIRMED

    ack = end + data.draw(st.sampled_from((0, 0, 0, 1, -1, -70_000))) & MASK
    before = copy.deepcopy(state(at_once))
    end_back = seq_back + 1 + load_back & MASK
    if not tcp_handshake.answer(times, at_once, ack, end_back, window_back, answered, netns.clock.now_ns):
        event("an answer that is odd")
        assert state(at_once) == before
        return
    verdict = tcp.track(table, ct, segment(SYN | ACK, seq_back, ack, window_back, answered, load_back, back=True), 1)
    ct.status |= SEEN_REPLY
    assert (verdict, state(at_once)) == ("accept", state(ct))

    assert not tcp_handshake.awaits_last(at_once, 1)
    assert tcp_handshake.awaits_last(at_once, 0)
    before = copy.deepcopy(state(at_once))
    there, acked = (end + data.draw(st.sampled_from((0, 0, 1, -3, 90_000))) & MASK for end in (end, end_back))
    taken_back = tcp_handshake.open_up(at_once, acked)
    size = data.draw(st.sampled_from((0, 0, 9)))
    if not tcp.follow(times, at_once, 0, there, acked, acked, there + size & MASK, last, netns.clock.now_ns):
        event("a last one that is odd")
        tcp_handshake.close_again(at_once, taken_back)
        assert state(at_once) == before
        return
    assert tcp.track(table, ct, segment(ACK, there, acked, last, b"", size, back=False), 0) == "accept"
    assert state(at_once) == state(ct)
