"""Reading pcapng many packets at a time: the same as block by block, whatever the file is like."""

from __future__ import annotations

from io import BytesIO
from struct import pack

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fakecluster.fabric import captures, pcapng
from fakecluster.fabric.captures import Captured, CaptureError, open_capture

IPV4 = bytes.fromhex("450000200001000040110000c0000201c000020200010002000c00006869fa11")
IPV6 = bytes.fromhex("6000000000083a40") + bytes(32) + bytes(8)
FRAMES = {
    101: (IPV4, IPV6, IPV4 + bytes(30), b"\x25" + IPV4[1:], IPV4[:10], b"", IPV6[:2] + b"\0\x32" + IPV6[4:48] + b"pa"),
    1: tuple(bytes(12) + rest for rest in (
        b"\x08\x00" + IPV4, b"\x08\x00" + IPV4 + bytes(14), b"\x86\xdd" + IPV6, b"\x08\x06" + bytes(28), b"\x08\x00",
        b"\x81\x00\x00\x05\x08\x00" + IPV4, b"\x08\x00" + IPV4 + bytes(99), b"\x08\x00" + bytes(50),
    )),
    113: (bytes.fromhex("0004000100060000000000000000") + b"\x08\x00" + IPV4, bytes(14) + b"\x08\x00" + IPV4, bytes(5)),
}  # fmt: skip
COMMENT = pack("<HH", 1, 5) + b"hello\0\0\0"
INWARD, OUTWARD = (pack("<HHI", 2, 4, way) + bytes(4) for way in (1, 2))
OPTIONS = (b"", bytes(4), INWARD, COMMENT + OUTWARD, COMMENT, b"\2\0\4\0", b"\2\0")
LINKS = (101, 1, 113)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    return pack(f"{order}II", kind, len(body) + 12) + body + pack(f"{order}I", len(body) + 12)


def head(order: str = "<", resolution: int = 6) -> bytes:
    options = pack(f"{order}HH", 9, 1) + bytes((resolution, 0, 0, 0)) + pack(f"{order}HHq", 14, 8, 7) + bytes(4)
    described = [block(1, pack(f"{order}HHI", link, 0, 0) + options, order) for link in LINKS]
    return block(0x0A0D0D0A, pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order) + b"".join(described)


@st.composite
def blocks(draw: st.DrawFn) -> bytes:
    """A section: packets of every kind and what stands between them; some are wrong."""
    order = draw(st.sampled_from("<>"))
    found = [head(order, draw(st.sampled_from([3, 6, 9, 12, 0x80 | 10])))]
    for _ in range(draw(st.integers(0, 12))):
        number = draw(st.sampled_from([0, 0, 1, 1, 1, 2, 2, 3]))
        frame = draw(st.sampled_from(FRAMES[LINKS[number % 3]]))
        wrong = draw(st.sampled_from([0] * 30 + [1, 4, 900, 1 << 30]))
        length = len(frame) + draw(st.sampled_from([0, 0, 0, 5, -3]))
        body = pack(f"{order}IIIII", number, draw(st.integers(0, 9)), 77, len(frame) + wrong, max(length, 0))
        body += frame + bytes(-len(frame) % 4) + draw(st.sampled_from(OPTIONS))
        kind = draw(st.sampled_from([6] * 12 + [2, 5, 0xBAD]))
        found.append(block(kind, body, order))
        if draw(st.integers(0, 9)) == 0:
            found.append(block(3, pack(f"{order}I", len(frame)) + frame, order))
    return b"".join(found)


def read(data: bytes) -> tuple[list[Captured], str, int]:
    capture, found = open_capture(BytesIO(data)), []
    try:
        found.extend(capture)
    except CaptureError as damaged:
        return found, str(damaged), damaged.packets
    return found, "", capture.packets


@settings(max_examples=150, deadline=None)
@given(
    sections=st.lists(blocks(), min_size=1, max_size=2), chunk=st.sampled_from([1, 300, 1 << 16, 1 << 16]),
    flips=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=2), cut=st.sampled_from([0, 0, 1, 9]),
)  # fmt: skip
@example(sections=[head() + block(6, pack("<IIIII", 1, 0, 0, 12, 30) + bytes(12) + b"\x08\0\0\0")], chunk=999, flips=[], cut=0)
@example(sections=[head() + block(6, pack("<IIIII", 1, 0, 0, 14, 14) + FRAMES[1][4])], chunk=999, flips=[], cut=0)
@example(sections=[head() + block(6, pack("<IIIII", 0, 0, 0, 50, 50) + FRAMES[101][6])], chunk=999, flips=[], cut=0)
@example(sections=[head() + b"\6\0\0\0\x42\0\0\0" + bytes(54) + b"\x42\0\0\0"], chunk=999, flips=[], cut=0)
@example(sections=[head() + b"\6\0\0\0\x40\0\0\0" + bytes(52) + b"\x44\0\0\0"], chunk=999, flips=[], cut=0)
@example(sections=[head() + block(6, pack("<IIIII", 0, 0, 0, 1 << 19, 9) + bytes(1 << 19))], chunk=1 << 20, flips=[], cut=0)
def test_many_at_a_time_are_read_as_one_by_one(
    sections: list[bytes], chunk: int, flips: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(b"".join(sections))
    for at, value in flips:
        data[at % len(data)] = value
    whole = bytes(data[: len(data) - cut])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(captures, "CHUNK", chunk)
        together = read(whole)
        patch.setattr(pcapng, "_whole", lambda capture, section: [])
        assert together == read(whole)


def test_packets_come_many_at_a_time() -> None:
    packet = block(6, pack("<IIIII", 1, 0, 5, 46, 46) + FRAMES[1][0])
    data = head() + packet * 100 + block(5, bytes(12)) + packet * 20
    batches = list(open_capture(data).batches())
    assert [len(batch) for batch in batches] == [100, 20]
    assert batches[0][0] == (7_000_005_000, IPV4, 32, 1, "")
