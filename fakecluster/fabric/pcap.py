"""Classic captures, pcap-savefile(5): reading either byte order and resolution, writing nanoseconds and raw IP."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

from fakecluster.fabric.captures import MAX_PACKET, NS_PER_S, Capture, CaptureInterface
from fakecluster.fabric.records import RECORD_SIZE, Records

if TYPE_CHECKING:
    from fakecluster.fabric.captures import Window

#: The magic number of nanosecond files; LINKTYPE_RAW packets begin with the IP header.
MAGIC_NS, MAGIC_US, LINKTYPE_RAW, SNAPLEN = 0xA1B23C4D, 0xA1B2C3D4, 101, 262144
_HEADER, _RECORD = Struct("<IHHiIII"), Struct("<IIII")
HEADER_SIZE = 24


def write_pcap(path: Path, packets: Iterable[tuple[int, bytes]]) -> int:
    """Write (Unix time in ns, L3 bytes) pairs; returns how many."""
    count = 0
    with path.open("wb") as file:
        file.write(_HEADER.pack(MAGIC_NS, 2, 4, 0, 0, SNAPLEN, LINKTYPE_RAW))
        for time_ns, packet in packets:
            seconds, ns = divmod(time_ns, NS_PER_S)
            file.write(_RECORD.pack(seconds, ns, len(packet), len(packet)) + packet)
            count += 1
    return count


def read_pcap(capture: Capture, octets: Callable[[], int]) -> Iterator[Records]:
    """The packets of a pcap file, as many at once as have been read (see `Capture.records`). Raises `CaptureError`."""
    window = capture.window
    order, unit_ns = _magic(window)
    if not window.has(HEADER_SIZE):
        raise window.error(f"the file header is cut off ({window.left} of {HEADER_SIZE} bytes)")
    link_type = Struct(f"{order}I").unpack_from(window.data, window.at + 20)[0]
    link = window.link(link_type)
    capture.interfaces.append(CaptureInterface("", link_type, link, NS_PER_S // unit_ns))
    window.at += HEADER_SIZE
    while window.has(max(RECORD_SIZE, octets())) or window.left >= RECORD_SIZE:
        if places := _places(window, order):
            yield Records(window.data, places, order, unit_ns, link)
        if not window.has(RECORD_SIZE):
            break
        size = Struct(f"{order}I").unpack_from(window.data, window.at + 8)[0]
        if size > MAX_PACKET:
            raise window.error(f"a packet of {size} bytes is not believed (at most {MAX_PACKET}): the file is damaged")
        if not window.has(RECORD_SIZE + size):
            raise window.error(f"the file ends inside a packet ({window.left - RECORD_SIZE} of {size} bytes)")
    if window.left:
        raise window.error(f"the file ends inside a packet header ({window.left} of {RECORD_SIZE} bytes)")


def _places(window: Window, order: str) -> array[int]:
    """Where the records begin that stand whole in what was read of the file."""
    data, at = window.data, window.at
    last, size_at = len(data) - RECORD_SIZE, Struct(f"{order}I").unpack_from
    places = array("q")
    add = places.append
    while at <= last:
        size = size_at(data, at + 8)[0]
        if size > MAX_PACKET or at + size > last:
            break
        add(at)
        at += RECORD_SIZE + size
    window.at = at
    window.packets += len(places)
    return places


def _magic(window: Window) -> tuple[str, int]:
    """The byte order for struct, and nanoseconds per unit of the fraction."""
    for order in "<>":
        magic = Struct(f"{order}I").unpack_from(window.data, window.at)[0]
        if magic in (MAGIC_NS, MAGIC_US):
            return order, 1 if magic == MAGIC_NS else 1000
    raise window.error(f"neither pcap nor pcapng (it begins with {window.data[:4].hex(' ')})")
