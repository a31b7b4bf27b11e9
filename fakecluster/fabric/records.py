"""Packets of a classic capture as they stand in the file: where each begins is known, the rest is read when it is asked for.

record header (seconds, fraction, captured size, length) | frame | record header ...
"""

from __future__ import annotations

from array import array
from struct import Struct
from typing import TYPE_CHECKING

from fakecluster.fabric.captures import NS_PER_S, Captured
from fakecluster.fabric.link_layer import ETHERNET_HEADER, IP_ETHERTYPES, IP_VERSIONS, MAX_PADDED, PLAIN, packet_in

if TYPE_CHECKING:
    from fakecluster.fabric.link_layer import LinkLayer

RECORD_SIZE = 16
#: Larger Ethernet frames are not padded.
MOST_PADDED = ETHERNET_HEADER + MAX_PADDED
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


class Records:
    """A part of a file, `data`, in which records begin at `places`. `order` is the byte order for struct."""

    __slots__ = ("data", "link", "order", "places", "unit_ns")

    def __init__(self, data: bytes, places: array[int], order: str, unit_ns: int, link: LinkLayer) -> None:
        self.data, self.places, self.order, self.unit_ns, self.link = data, places, order, unit_ns, link

    def __len__(self) -> int:
        return len(self.places)

    def captured(self, begin: int, end: int) -> list[Captured]:
        """The packets between two indices."""
        data, link, unit_ns, header = self.data, self.link, self.unit_ns, PLAIN.get(self.link)
        raw, ethernet = header == 0, header == ETHERNET_HEADER
        record = Struct(f"{self.order}IIII").unpack_from
        found: list[Captured] = []
        add = found.append
        for at in self.places[begin:end]:
            seconds, fraction, size, length = record(data, at)
            start = at + RECORD_SIZE
            time_ns = seconds * NS_PER_S + fraction * unit_ns
            if raw and size and data[start] >> 4 in IP_VERSIONS:
                add(_new(Captured, (time_ns, data[start : start + size], length if length > size else size, 0, "")))
                continue
            if ethernet and length <= size > MOST_PADDED and data[start + 12 : start + 14] in IP_ETHERTYPES:
                packet = data[start + ETHERNET_HEADER : start + size]
                add(_new(Captured, (time_ns, packet, size - ETHERNET_HEADER, 0, "")))
                continue
            frame = data[start : start + size]
            skip, way = link(frame)
            add(_new(Captured, (time_ns, *packet_in(frame, skip, length), 0, way)))
        return found
