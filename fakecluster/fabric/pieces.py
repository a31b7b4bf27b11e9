"""Pieces of a capture, to be read in columns: packets in a list, or records as they stand in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fakecluster.fabric.captures import NS_PER_S, Captured
from fakecluster.fabric.link_layer import ETHERNET_HEADER, MAX_PADDED, PLAIN, raw_ip
from fakecluster.fabric.records import RECORD_SIZE, Records

Numbers = NDArray[np.int64]
Words = NDArray[np.uint64]
Truths = NDArray[np.bool_]


class Piece(Protocol):
    """Packets that follow each other: `times_ns`, the bytes that were captured of each, and which can be read in columns.

    `clear` are those of which nothing was cut off and that are not recorded as leaving.
    """

    times_ns: Numbers
    sizes: Numbers
    clear: Truths

    def __len__(self) -> int: ...

    def words(self, places: Numbers, count: int) -> Words:
        """The 32-bit words of packets that are so long: an array of (count, packets)."""
        ...

    def packet(self, place: int) -> bytes:
        """One packet's bytes."""
        ...

    def packets(self, begin: int, end: int) -> Sequence[bytes]:
        """The bytes of those between two places."""
        ...

    def captured(self, begin: int, end: int) -> list[Captured]:
        """The packets between two places."""
        ...


class Listed:
    """Packets in a list."""

    def __init__(self, packets: list[Captured]) -> None:
        self.list = packets
        self._packets: tuple[bytes, ...]
        times_ns, self._packets, lengths, _, directions = zip(*packets, strict=True)
        self.sizes = np.fromiter(map(len, self._packets), np.int64, len(packets))
        self.clear = self.sizes == np.array(lengths)
        if "out" in directions:
            self.clear &= np.array(directions) != "out"
        try:
            self.times_ns = np.array(times_ns, np.int64)
        except OverflowError:  # a damaged time
            self.times_ns = np.zeros(len(packets), np.int64)
            self.clear[:] = False

    def __len__(self) -> int:
        return len(self.list)

    def words(self, places: Numbers, count: int) -> Words:
        packets = self._packets
        if len(places) < len(packets):
            packets = tuple([packets[place] for place in places.tolist()])
        return np.frombuffer(b"".join(packets), ">u4").reshape(len(places), count).T.astype(np.uint64)

    def packet(self, place: int) -> bytes:
        return self._packets[place]

    def packets(self, begin: int, end: int) -> Sequence[bytes]:
        return self._packets[begin:end]

    def captured(self, begin: int, end: int) -> list[Captured]:
        return self.list[begin:end]


class Recorded:
    """Records of a classic capture; those of raw IP packets and of Ethernet frames without tags may be `clear`."""

    def __init__(self, records: Records) -> None:
        self.records, data = records, records.data
        at = np.array(records.places, np.int64)
        fields = np.ndarray((len(data) - 3,), f"{records.order}u4", data, strides=(1,))
        seconds, fraction, size, length = (fields[at + 4 * n].astype(np.int64) for n in range(4))
        self.times_ns = seconds * NS_PER_S + fraction * records.unit_ns
        #: a word for every byte of the file, and where packets begin
        self._word = np.ndarray((len(data) - 3,), ">u4", data, strides=(1,))
        self._at, self.sizes = at + RECORD_SIZE, size
        self.clear = size >= length
        if records.link is not raw_ip:
            self.clear &= PLAIN.get(records.link) == ETHERNET_HEADER
            self._unwrap()

    def _unwrap(self) -> None:
        """Take the frames off; see `link_layer.packet_in` for padding."""
        self.clear &= self.sizes >= ETHERNET_HEADER + 20
        self._at, self.sizes = self._at + ETHERNET_HEADER, self.sizes - ETHERNET_HEADER
        self._at[~self.clear] = RECORD_SIZE  # somewhere in the file
        word = self._word
        kind, first, second = word[self._at - 4] & 0xFFFF, word[self._at], word[self._at + 4]
        self.clear &= (kind == 0x0800) | (kind == 0x86DD)
        inner = np.where(first >> 28 == 4, first & 0xFFFF, (second >> 16) + 40).astype(np.int64)
        padded = self.clear & (self.sizes <= MAX_PADDED) & (inner >= 20) & (inner < self.sizes)
        self.sizes[padded] = inner[padded]

    def __len__(self) -> int:
        return len(self.records)

    def words(self, places: Numbers, count: int) -> Words:
        at = self._at[places]
        return np.stack([self._word[at + 4 * n] for n in range(count)]).astype(np.uint64)

    def packet(self, place: int) -> bytes:
        at = int(self._at[place])
        return self.records.data[at : at + int(self.sizes[place])]

    def packets(self, begin: int, end: int) -> Sequence[bytes]:
        data, ends = self.records.data, self._at[begin:end] + self.sizes[begin:end]
        return [data[at:end] for at, end in zip(self._at[begin:end].tolist(), ends.tolist(), strict=True)]

    def captured(self, begin: int, end: int) -> list[Captured]:
        return self.records.captured(begin, end)
