"""Damaged captures: whatever the bytes, there are packets or a `CaptureError`, and nothing else."""

from __future__ import annotations

from io import BytesIO

from hypothesis import given, settings
from hypothesis import strategies as st

from fakecluster.fabric.captures import CaptureError, open_capture
from fakecluster.fabric.pcapng import PcapngWriter

PACKET = bytes.fromhex("450000200001000040110000c0000201c000020200010002000c00006869fa11")


def _pcapng() -> bytes:
    file = BytesIO()
    writer = PcapngWriter(file)
    for number in range(3):
        writer.write(writer.stamp(f"eth{number}", direction="in", comment="a comment"), number, PACKET)
    return file.getvalue()


def _pcap() -> bytes:
    record = bytes(8) + len(PACKET).to_bytes(4, "little") * 2 + PACKET
    return bytes.fromhex("d4c3b2a1020004000000000000000000ffff000065000000") + record * 3


WHOLE = {"pcap": _pcap(), "pcapng": _pcapng()}


def read(data: bytes) -> tuple[int, CaptureError | None]:
    """How many packets came, and what was wrong."""
    count = 0
    try:
        for _ in open_capture(data):
            count += 1
    except CaptureError as damaged:
        assert 0 <= damaged.offset <= len(data)
        return count, damaged
    return count, None


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(sorted(WHOLE)), flips=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=6))
def test_changed_bytes_give_packets_or_an_error_with_its_offset(kind: str, flips: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE[kind])
    for at, value in flips:
        data[at % len(data)] = value
    count, _ = read(bytes(data))
    assert count <= len(data) // 12


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(WHOLE)), cut=st.integers(1))
def test_a_cut_file_gives_every_whole_packet_before_the_cut(kind: str, cut: int) -> None:
    whole = WHOLE[kind]
    size = cut % len(whole)
    count, error = read(whole[:size])
    record = {"pcap": 16 + len(PACKET), "pcapng": 12 + 20 + len(PACKET) + 28}[kind]
    assert count <= size // record
    if error is not None:
        assert error.packets == count
    assert read(whole) == (3, None)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_no_capture(data: bytes) -> None:
    _, error = read(data)
    assert error is None or str(error)
