"""Classic captures, pcap-savefile(5): reading either byte order and resolution, writing nanoseconds and raw IP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

from fakecluster.fabric.captures import MAX_PACKET, NS_PER_S, Capture, Captured, CaptureInterface
from fakecluster.fabric.link_layer import IP_VERSIONS, packet_in, raw_ip

if TYPE_CHECKING:
    from fakecluster.fabric.captures import Window
    from fakecluster.fabric.link_layer import LinkLayer

#: The magic number of nanosecond files; LINKTYPE_RAW packets begin with the IP header.
MAGIC_NS, MAGIC_US, LINKTYPE_RAW, SNAPLEN = 0xA1B23C4D, 0xA1B2C3D4, 101, 262144
_HEADER, _RECORD = Struct("<IHHiIII"), Struct("<IIII")
HEADER_SIZE, RECORD_SIZE = 24, 16

_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


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


def read_pcap(capture: Capture) -> Iterator[list[Captured]]:
    """The packets of a pcap file, as many at once as have been read. Raises `CaptureError`."""
    window = capture.window
    order, unit_ns = _magic(window)
    if not window.has(HEADER_SIZE):
        raise window.error(f"the file header is cut off ({window.left} of {HEADER_SIZE} bytes)")
    link_type = Struct(f"{order}I").unpack_from(window.data, window.at + 20)[0]
    link = window.link(link_type)
    capture.interfaces.append(CaptureInterface("", link_type, link, NS_PER_S // unit_ns))
    window.at += HEADER_SIZE
    record = Struct(f"{order}IIII").unpack_from
    while window.has(RECORD_SIZE):
        if whole := _whole(window, record, unit_ns, link):
            yield whole
        if not window.has(RECORD_SIZE):
            break
        _, _, size, _ = record(window.data, window.at)
        if size > MAX_PACKET:
            raise window.error(f"a packet of {size} bytes is not believed (at most {MAX_PACKET}): the file is damaged")
        if not window.has(RECORD_SIZE + size):
            raise window.error(f"the file ends inside a packet ({window.left - RECORD_SIZE} of {size} bytes)")
    if window.left:
        raise window.error(f"the file ends inside a packet header ({window.left} of {RECORD_SIZE} bytes)")


def _whole(
    window: Window, record: Callable[[bytes, int], tuple[int, ...]], unit_ns: int, link: LinkLayer
) -> list[Captured]:
    """The packets that stand whole in what was read of the file: most of them, so this is kept short."""
    data, at, raw = window.data, window.at, link is raw_ip
    last = len(data) - RECORD_SIZE
    found: list[Captured] = []
    add = found.append
    while at <= last:
        seconds, fraction, size, length = record(data, at)
        start = at + RECORD_SIZE
        end = start + size
        if end > last + RECORD_SIZE or size > MAX_PACKET:
            break
        at, time_ns = end, seconds * NS_PER_S + fraction * unit_ns
        if raw and size and data[start] >> 4 in IP_VERSIONS:
            add(_new(Captured, (time_ns, data[start:end], length if length > size else size, 0, "")))
            continue
        frame = data[start:end]
        skip, way = link(frame)
        add(_new(Captured, (time_ns, *packet_in(frame, skip, length), 0, way)))
    window.at = at
    window.packets += len(found)
    return found


def _magic(window: Window) -> tuple[str, int]:
    """The byte order for struct, and nanoseconds per unit of the fraction."""
    for order in "<>":
        magic = Struct(f"{order}I").unpack_from(window.data, window.at)[0]
        if magic in (MAGIC_NS, MAGIC_US):
            return order, 1 if magic == MAGIC_NS else 1000
    raise window.error(f"neither pcap nor pcapng (it begins with {window.data[:4].hex(' ')})")
