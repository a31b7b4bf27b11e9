"""Acknowledgments without data, read in columns: many packets at the cost of a few.

    packets ─► columns (one row for each that is a plain acknowledgment) ─► run of rows ─► a train for each flow

What is read here is what `fabric.express` reads of one packet: whole TCP segments with the ACK flag (and perhaps PSH),
without data and with no options but a timestamp, in packets without options whose checksums are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import attrs
import numpy as np

from fakecluster.fabric.pieces import Numbers, Piece, Truths, Words
from fakecluster.kernel.conntrack.tcp_trains import Train
from fakecluster.kernel.flow_cache.lanes import NOT_PSH, TIMESTAMP_ONLY
from fakecluster.kernel.packet import ACK, FRAGMENT, TCP

_MASK, _HALF = 0xFFFFFFFF, 0x80000000
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


LAYOUTS = (Layout(4, 5, 5), Layout(4, 5, 8), Layout(6, 10, 5), Layout(6, 10, 8))
#: The longest of these packets.
LONGEST = max(layout.size for layout in LAYOUTS)


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
    seq: Numbers
    ack: Numbers
    window: Numbers
    ttl: Numbers
    size: Numbers

    @classmethod
    def of(cls, piece: Piece) -> Columns:
        """The columns of packets, from their IP headers on."""
        flows: list[Flow] = []
        found = [_read(layout, piece) for layout in LAYOUTS]
        parts: list[list[Numbers]] = []
        for family in (4, 6):
            some = [one for layout, one in zip(LAYOUTS, found, strict=True) if layout.family == family]
            place, *fields = (np.concatenate(column) for column in zip(*(one.fields for one in some), strict=True))
            key = np.concatenate([one.key for one in some], axis=1)
            sound, flow, firsts = _groups(key)
            known = [_flow_of(piece.packet(row)) for row in place[firsts].tolist()]
            parts.append([column[sound] for column in (place, flow + len(flows), *fields)])
            flows += known
        place, flow, *rest = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(place)
        seq, ack, window, ttl, size = (column[order] for column in rest)
        return cls(place[order], flow[order], tuple(flows), seq, ack, window, ttl, size)

    def rows(self, begin: int, end: int) -> slice:
        """The rows of packets that stand between two places."""
        return slice(*self.place.searchsorted((begin, end)).tolist())

    def trains(self, rows: slice) -> list[tuple[int, int, int, Train]]:
        """The trains of some rows: which flow, which row (of these) is first and which last, what."""
        order = np.argsort(self.flow[rows], kind="stable")
        flow, seq, ack, window, ttl, size = (
            column[rows][order] for column in (self.flow, self.seq, self.ack, self.window, self.ttl, self.size)
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
            first_seq + np.minimum.reduceat(seq_by, at) & _MASK, first_seq + np.maximum.reduceat(seq_by, at) & _MASK,
            first_ack + np.minimum.reduceat(ack_by, at) & _MASK, first_ack + np.maximum.reduceat(ack_by, at) & _MASK,
            first_ack + np.maximum.reduceat(ack_by + window + (window == 0), at) & _MASK,
            np.maximum.reduceat(window, at), seq[last], ack[last], window[last], alike,
        )  # fmt: skip
        trains = map(Train._make, zip(*(column.tolist() for column in columns), strict=True))
        return list(zip(flow[at].tolist(), order[at].tolist(), order[last].tolist(), trains, strict=True))

    def flows_among(self, rows: slice) -> int:
        """How many flows some rows are of."""
        return int(np.count_nonzero(np.bincount(self.flow[rows])))

    def places_of(self, flows: Sequence[int], rows: slice) -> list[int]:
        """Where the packets of some flows stand, among some rows."""
        return self.place[rows][np.isin(self.flow[rows], flows)].tolist() if flows else []


class _Read(NamedTuple):
    """What was read of packets of one layout: place, seq, ack, window, TTL and size; the words of their flows' keys."""

    fields: tuple[Numbers, ...]
    key: Words


def _read(layout: Layout, piece: Piece) -> _Read:
    """The plain acknowledgments among packets that are as long as a layout says."""
    places = np.flatnonzero(piece.clear & (piece.sizes == layout.size))
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
    fields = (words[tcp + 1], words[tcp + 2], words[tcp + 3] & 0xFFFF, ttl)
    rows = [field[plain].astype(np.int64) for field in fields]
    kept = places[plain]
    return _Read((kept, *rows, np.full(len(kept), layout.size)), key[:, plain])


def _groups(key: Words) -> tuple[Truths, Numbers, Numbers]:
    """Which rows are of a group of equal keys (columns), which group that is, and each group's first row.

    Rows whose mixed key is by accident that of another key are left out.
    """
    mixed = (key * np.array(_MIX[: len(key)], np.uint64)[:, None]).sum(axis=0)
    _, firsts, group = np.unique(mixed, return_index=True, return_inverse=True)
    return (key == key[:, firsts[group]]).all(axis=0), group, firsts


def _apart(numbers: Numbers, base: Numbers) -> Numbers:
    """How far numbers lie from others, modulo 2^32, before (negative) or after."""
    return (numbers - base + _HALF & _MASK) - _HALF


def _flow_of(packet: bytes) -> Flow:
    first = packet[0] << 8 | packet[1]
    return Flow(first, packet[12:24]) if packet[0] == 0x45 else Flow(first & 0xFFF0, packet[8:44])
