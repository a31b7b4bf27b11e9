"""Acknowledgments read in columns: which packets are plain, and what their trains are."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack

import numpy as np
import pytest

from fakecluster.fabric.captures import Captured, open_capture
from fakecluster.fabric.pieces import Listed, Piece, Recorded
from fakecluster.fabric.trains import Columns
from fakecluster.kernel.conntrack.tcp_trains import Train
from fakecluster.kernel.packet import Skb

MASK = 0xFFFFFFFF
TIMESTAMP = b"\1\1\x08\x0a" + bytes(8)


def ack4(sport: int, sequence: int = 1, ack: int = 1, window: int = 100, *, ttl: int = 64, options: bytes = b"") -> bytes:
    """An acknowledgment from 192.0.2.1 to 192.0.2.2:80."""
    header = bytes([0x45, 0, 0, 40 + len(options), 0, 0, 0x40, 0, ttl, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2])
    return _sound(header + _tcp(sport, sequence, ack, window, options))


def ack6(sport: int, sequence: int = 1, ack: int = 1, window: int = 100, *, ttl: int = 64, label: int = 0) -> bytes:
    """An acknowledgment from 2001:db8::1 to 2001:db8::2, port 80."""
    ends = bytes.fromhex("20010db8000000000000000000000001" "20010db8000000000000000000000002")
    header = (6 << 28 | label).to_bytes(4) + bytes([0, 20, 6, ttl]) + ends
    return _sound(header + _tcp(sport, sequence, ack, window, b""))


def _tcp(sport: int, sequence: int, ack: int, window: int, options: bytes) -> bytes:
    ports = sport.to_bytes(2) + bytes([0, 80])
    bits = bytes([(20 + len(options)) * 4, 16])
    return ports + sequence.to_bytes(4) + ack.to_bytes(4) + bits + window.to_bytes(2) + bytes(4) + options


def _sound(packet: bytes) -> bytes:
    skb = Skb(packet)
    skb.refresh_ip_checksum()
    skb.refresh_l4_checksum()
    return bytes(skb.data)


def changed(at: int, value: int, make: Callable[[int], bytes] = ack4) -> bytes:
    """An acknowledgment with another byte somewhere, and checksums that fit."""
    packet = bytearray(make(5000))
    packet[at] = value
    return _sound(bytes(packet))


def broken(at: int, make: Callable[[int], bytes] = ack4) -> bytes:
    """An acknowledgment with a byte that its checksums know nothing of."""
    packet = bytearray(make(5000))
    packet[at] ^= 1
    return bytes(packet)


PLAIN = {
    "an acknowledgment": ack4(5000),
    "IPv6": ack6(5000),
    "a timestamp": ack4(5000, options=TIMESTAMP),
    "PSH": changed(33, 24),
    "IPv6, PSH": changed(53, 24, ack6),
    "a type of service": changed(1, 0x10),
    "reserved bits": changed(32, 0x51),
}
DATA = _sound(ack4(5000)[:2] + b"\0\x29" + ack4(5000)[4:] + b"x")
OTHER = {
    "SYN, ACK": changed(33, 18), "FIN, ACK": changed(33, 17), "RST, ACK": changed(33, 20), "no ACK": changed(33, 8),
    "URG, ACK": changed(33, 48), "UDP": changed(9, 17), "the first fragment": changed(6, 0x20), "a fragment": changed(7, 1),
    "another length": changed(3, 39), "IP options": changed(0, 0x46), "another header length": changed(32, 0x60),
    "other options": ack4(5000, options=b"\1" * 12), "data": DATA, "a broken header": broken(10),
    "a broken segment": broken(36), "a broken address": broken(15), "IPv6, broken": broken(20, ack6),
    "IPv6, UDP": changed(6, 17, ack6), "IPv6, another length": changed(5, 19, ack6), "IPv6, SYN": changed(53, 2, ack6),
    "40 bytes of something": bytes(40), "nothing": b"",
}  # fmt: skip


def listed(packets: list[bytes]) -> Piece:
    return Listed([Captured(0, packet, len(packet)) for packet in packets])


def recorded(packets: list[bytes], link_type: int = 101, frame: Callable[[bytes], bytes] = bytes, order: str = "<") -> Piece:
    """The same as records of a file."""
    data = pack(f"{order}IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, link_type)
    for number, packet in enumerate(packets):
        data += pack(f"{order}IIII", 7, number, len(frame(packet)), len(frame(packet))) + frame(packet)
    records = open_capture(data).records()
    assert records is not None
    (piece,) = records
    return Recorded(piece)


def in_ethernet(packet: bytes) -> bytes:
    """Of at least 60 bytes."""
    kind = b"\x86\xdd" if packet[:1] >= b"\x60" else b"\x08\x00"
    return (bytes(12) + kind + packet).ljust(60, b"\0")


PIECES: dict[str, Callable[[list[bytes]], Piece]] = {
    "list": listed,
    "raw IP": recorded,
    "big endian": lambda packets: recorded(packets, order=">"),
    "Ethernet": lambda packets: recorded(packets, 1, in_ethernet),
}


@pytest.mark.parametrize("kind", PIECES)
def test_plain_acknowledgments_are_rows(kind: str) -> None:
    packets = [b"", *PLAIN.values(), b""]
    piece = PIECES[kind](packets)
    columns = Columns.of(piece)
    assert [list(PLAIN)[place - 1] for place in columns.place.tolist()] == list(PLAIN)
    assert [piece.packet(place) for place in range(1, len(packets) - 1)] == list(PLAIN.values())


@pytest.mark.parametrize("kind", PIECES)
@pytest.mark.parametrize("name", OTHER)
def test_others_are_not(kind: str, name: str) -> None:
    columns = Columns.of(PIECES[kind]([ack4(1), OTHER[name], ack6(2)]))
    assert columns.place.tolist() == [0, 2]


def test_of_other_links_no_packet_is_a_row() -> None:
    tagged = bytes(12) + b"\x81\0\0\7\x08\0" + ack4(1)
    assert Columns.of(recorded([tagged], 1)).place.tolist() == []
    assert Columns.of(recorded([bytes(14) + b"\x08\0" + ack4(1)], 113)).place.tolist() == []


def test_times_and_what_is_clear() -> None:
    """Of the second packet one byte was cut off."""
    data = pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    for seconds, fraction, length in ((1, 5, 40), (2, 6, 41), (4_000_000_000, 7, 40)):
        data += pack("<IIII", seconds, fraction, 40, length) + ack4(1)
    (records,) = open_capture(data).records() or ()
    for piece in (Recorded(records), Listed(records.captured(0, 3))):
        assert piece.times_ns.tolist() == [1_000_005_000, 2_000_006_000, 4_000_000_000_000_007_000]
        assert piece.clear.tolist() == [True, False, True]
        assert len(piece) == 3


def test_of_a_piece_with_a_damaged_time_nothing_is_clear() -> None:
    piece = Listed([Captured(time_ns, ack4(1), 40) for time_ns in (1, 1 << 63)])
    assert piece.clear.tolist() == [False, False]


def test_what_leaves_is_not_clear() -> None:
    piece = Listed([Captured(0, ack4(1), 40, 0, direction) for direction in ("in", "out", "")])
    assert piece.clear.tolist() == [True, False, True]


def test_flows_are_told_apart_by_ends_and_first_bits() -> None:
    packets = [ack4(1), ack6(1), ack4(2), ack6(1, label=7), ack4(1, window=9), ack6(2), changed(1, 8)]
    columns = Columns.of(listed(packets))
    first, ends = zip(*(columns.flows[flow] for flow in columns.flow.tolist()), strict=True)
    assert first == (0x4500, 0x6000, 0x4500, 0x6000, 0x4500, 0x6000, 0x4508)
    assert ends == tuple(packet[8:44] if packet[0] >> 4 == 6 else packet[12:24] for packet in packets)
    assert len(columns.flows) == 5


def test_equal_mixed_keys_of_different_flows_are_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakecluster.fabric.trains._MIX", (0, 0, 0, 0, 0))
    columns = Columns.of(listed([ack4(1), ack4(2), ack4(1)]))
    assert columns.place.tolist() == [0, 2]


def test_trains_of_interleaved_flows() -> None:
    packets = [
        ack4(1, MASK, 9, 0, ttl=9), ack6(1, 5, 7, 3), ack4(1, 2, MASK - 1, 7), ack4(2, 1, 1, 1),
        ack4(1, 1, 8, 5, options=TIMESTAMP), ack6(1, 5, 7, 3), ack4(1, 1, 8, 5, ttl=7),
    ]  # fmt: skip
    columns = Columns.of(listed(packets))
    ports = {flow: int.from_bytes(found.ends[-4:-2]) * (1 if len(found.ends) == 12 else 10)
             for flow, found in enumerate(columns.flows)}  # fmt: skip
    times_ns = np.arange(100, 107)
    trains = {ports[flow]: tuple(rest) for flow, *rest in columns.trains(slice(0, 7), times_ns)}
    assert trains == {
        1: (0, 100, 106, Train(4, 172, 7, MASK, 2, MASK - 1, 9, 13, 7, 1, 8, 5, 2)),
        2: (3, 103, 103, Train(1, 40, 64, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1)),
        10: (1, 101, 105, Train(2, 120, 64, 5, 5, 7, 7, 10, 3, 5, 7, 3, 2)),
    }
    later = {ports[flow]: rest[:3] for flow, *rest in columns.trains(slice(3, 6), times_ns[3:6])}
    assert later == {2: [0, 103, 103], 1: [1, 104, 104], 10: [2, 105, 105]}


def test_a_closed_window_lets_one_byte_through() -> None:
    ((_, first, _, _, train),) = Columns.of(listed([ack4(1, 1, 20, 0), ack4(1, 1, 20, 0)])).trains(slice(0, 2), np.zeros(2))
    assert (first, train.edge) == (0, 21)


def test_places_of_flows() -> None:
    columns = Columns.of(listed([ack4(1), b"", ack4(2), ack4(1), ack4(3)]))
    flow = int(columns.flow[0])
    assert np.array_equal(columns.places_of([flow], slice(0, 4)), [0, 3])
    assert columns.places_of([flow], slice(1, 4)) == [3]
    assert columns.places_of([], slice(0, 4)) == []
    assert (columns.rows(1, 4), columns.flows_among(slice(0, 4))) == (slice(1, 3), 3)
