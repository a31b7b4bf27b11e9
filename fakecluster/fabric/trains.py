"""Acknowledgments without data, read in columns: many packets at the cost of a few.

    packets ─► columns (one row for each that is a plain acknowledgment) ─► run of rows ─► a train for each flow

What is read here is what `fabric.express` reads of one packet: whole TCP segments with the ACK flag (and perhaps PSH),
without data and with no options but a timestamp, in packets without options whose checksums are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import attrs
import numpy as np
from numpy.typing import NDArray

from fakecluster.fabric.pieces import Numbers, Piece, Truths, Words
from fakecluster.kernel.conntrack.tcp_trains import Train
from fakecluster.kernel.flow_cache.lanes import NOT_PSH, TIMESTAMP_ONLY
from fakecluster.kernel.packet import ACK, FRAGMENT, TCP
from fakecluster.kernel.tcp_segments import HALF, MASK

#: What place, seq, ack, window, TTL and size are kept as.
_KINDS = (np.int64, np.uint32, np.uint32, np.uint16, np.uint8, np.uint8)
_TIMESTAMP = int.from_bytes(TIMESTAMP_ONLY)
#: Odd numbers that keys are mixed with; equal sums are looked at again.
_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5, 0x85EBCA77C2B2AE63)


class Layout(NamedTuple):
    """Packets of one length: where the TCP header begins and how long it is, in words of 32 bits."""

    family: int
    tcp: int
    header: int

    @property
    def size(self) -> int:
        return 4 * (self.tcp + self.header)


LAYOUTS = {4: (Layout(4, 5, 5), Layout(4, 5, 8)), 6: (Layout(6, 10, 5), Layout(6, 10, 8))}
#: Packets whose headers are looked at together: so many stay in a processor's cache.
BLOCK = 1 << 15


class Flow(NamedTuple):
    """Packets of the same first 16 bits, addresses and ports (`ends`, as they stand in the packet)."""

    first: int
    ends: bytes


@attrs.frozen(eq=False)
class Columns:
    """One row for each packet that is a plain acknowledgment; `place` is where it stands among the packets.

    `flow` indexes `flows`. Of rows whose places follow each other trains can be made.
    """

    place: Numbers
    flow: Numbers
    flows: tuple[Flow, ...]
    seq: NDArray[np.uint32]
    ack: NDArray[np.uint32]
    window: NDArray[np.uint16]
    ttl: NDArray[np.uint8]
    size: NDArray[np.uint8]

    @classmethod
    def of(cls, piece: Piece) -> Columns:
        """The columns of packets, from their IP headers on."""
        flows: list[Flow] = []
        parts: list[list[NDArray[Any]]] = []
        for layouts in LAYOUTS.values():
            some = [_read(layout, piece, at) for at in range(0, len(piece), BLOCK) for layout in layouts]
            key = np.concatenate([one.key for one in some], axis=1)
            place, *fields = (np.concatenate(column) for column in zip(*(one.fields for one in some), strict=True))
            sound, flow, firsts = _groups(key)
            parts.append([column[sound] for column in (place, flow + len(flows), *fields)])
            flows += [_flow_of(piece.packet(place)) for place in place[firsts].tolist()]
        place, flow, *rest = (np.concatenate(column) for column in zip(*parts, strict=True))
        if (np.diff(place) < 0).any():  # packets of different lengths or families take turns
            order = np.argsort(place)
            place, flow, *rest = (column[order] for column in (place, flow, *rest))
        return cls(place, flow, tuple(flows), *rest)

    def rows(self, begin: int, end: int) -> slice:
        """The rows of packets that stand between two places."""
        return slice(*self.place.searchsorted((begin, end)).tolist())

    def trains(self, rows: slice, times_ns: Numbers) -> list[tuple[int, int, int, int, Train]]:
        """The trains of some rows, whose packets are of these times.

        Of each: which flow, which row (of these) is its first, the times of its first packet and its last, the train.
        """
        order = np.argsort(self.flow[rows], kind="stable")
        flow = self.flow[rows][order]
        seq, ack, window, ttl, size = (
            column[rows][order].astype(np.int64) for column in (self.seq, self.ack, self.window, self.ttl, self.size)
        )
        new = np.empty(len(order), bool)
        new[0], new[1:] = True, flow[1:] != flow[:-1]
        at = np.flatnonzero(new)
        last = np.append(at[1:], len(order)) - 1
        count = last - at + 1
        other = new.copy()
        other[1:] |= (seq[1:] != seq[:-1]) | (ack[1:] != ack[:-1]) | (window[1:] != window[:-1])
        alike = last + 1 - np.maximum.reduceat(np.where(other, np.arange(len(order)), 0), at)
        first_seq, first_ack = seq[at], ack[at]
        seq_by, ack_by = _apart(seq, np.repeat(first_seq, count)), _apart(ack, np.repeat(first_ack, count))
        columns = (
            count, np.add.reduceat(size, at), np.minimum.reduceat(ttl, at),
            first_seq + np.minimum.reduceat(seq_by, at) & MASK, first_seq + np.maximum.reduceat(seq_by, at) & MASK,
            first_ack + np.minimum.reduceat(ack_by, at) & MASK, first_ack + np.maximum.reduceat(ack_by, at) & MASK,
            first_ack + np.maximum.reduceat(ack_by + window + (window == 0), at) & MASK,
            np.maximum.reduceat(window, at), seq[last], ack[last], window[last], alike,
        )  # fmt: skip
        trains = map(Train._make, zip(*(column.tolist() for column in columns), strict=True))
        first, begin_ns, end_ns = order[at], times_ns[order[at]], times_ns[order[last]]
        return list(zip(flow[at].tolist(), first.tolist(), begin_ns.tolist(), end_ns.tolist(), trains, strict=True))

    def flows_among(self, rows: slice) -> int:
        """How many flows some rows are of."""
        return int(np.count_nonzero(np.bincount(self.flow[rows])))

    def places_of(self, flows: Sequence[int], rows: slice) -> list[int]:
        """Where the packets of some flows stand, among some rows."""
        return self.place[rows][np.isin(self.flow[rows], flows)].tolist() if flows else []


class _Read(NamedTuple):
    """What was read of packets of one layout: place, seq, ack, window, TTL and size; the words of their flows' keys."""

    fields: tuple[NDArray[Any], ...]
    key: Words


def _read(layout: Layout, piece: Piece, begin: int) -> _Read:
    """The plain acknowledgments in a block of packets that are as long as a layout says."""
    block = slice(begin, begin + BLOCK)
    places = np.flatnonzero(piece.clear[block] & (piece.sizes[block] == layout.size)) + begin
    words = piece.words(places, layout.size // 4)
    family, tcp, header = layout
    bits = words[tcp + 3] >> 16
    plain = (bits >> 12 == header) & (bits & NOT_PSH == ACK)
    plain &= (words[tcp - (2 if family == 4 else 8) :].sum(axis=0) + (TCP + 4 * header)) % 0xFFFF == 0
    if header == 8:
        plain &= words[tcp + 5] == _TIMESTAMP
    if family == 4:
        plain &= (words[0] >> 24 == 0x45) & (words[0] & 0xFFFF == layout.size) & (words[1] & FRAGMENT == 0)
        plain &= (words[2] >> 16 & 0xFF == TCP) & (words[:5].sum(axis=0) % 0xFFFF == 0)
        first, ttl, ends = words[0] >> 16, words[2] >> 24, words[3:5]
    else:
        plain &= (words[0] >> 28 == 6) & (words[1] >> 16 == 4 * header) & (words[1] >> 8 & 0xFF == TCP)
        first, ttl, ends = words[0] >> 16 & 0xFFF0, words[1] & 0xFF, words[2:10]
    key = np.vstack((ends[::2] << 32 | ends[1::2], first << 32 | words[tcp]))
    fields = (places, words[tcp + 1], words[tcp + 2], words[tcp + 3] & 0xFFFF, ttl, np.full(len(places), layout.size))
    rows = (field[plain].astype(kind) for field, kind in zip(fields, _KINDS, strict=True))
    return _Read(tuple(rows), key[:, plain])


def _groups(key: Words) -> tuple[Truths, Numbers, Numbers]:
    """Which rows are of a group of equal keys (columns), which group that is, and each group's first row.

    Groups are numbered as they appear: what belongs to flows that began one after another lies side by side in memory,
    too. Rows whose mixed key is by accident that of another key are left out.
    """
    mixed = (key * np.array(_MIX[: len(key)], np.uint64)[:, None]).sum(axis=0)
    _, firsts, group = np.unique(mixed, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return (key == key[:, firsts[group]]).all(axis=0), number[group], firsts[order]


def _apart(numbers: Numbers, base: Numbers) -> Numbers:
    """How far numbers lie from others, modulo 2^32, before (negative) or after."""
    return (numbers - base + HALF & MASK) - HALF


def _flow_of(packet: bytes) -> Flow:
    first = packet[0] << 8 | packet[1]
    return Flow(first, packet[12:24]) if packet[0] == 0x45 else Flow(first & 0xFFF0, packet[8:44])
