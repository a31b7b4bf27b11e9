"""pcapng captures (draft-ietf-opsawg-pcapng): reading every kind of packet block, writing with comments.

section header | interface description ... | enhanced packet (flags: direction; comment) ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import attrs

from fakecluster.fabric.captures import MAX_BLOCK, MAX_PACKET, NS_PER_S, Capture, Captured, CaptureInterface
from fakecluster.fabric.link_layer import IP_ETHERTYPES, IP_VERSIONS, MAX_PADDED, PLAIN, RAW, packet_in

if TYPE_CHECKING:
    from fakecluster.fabric.captures import Window

SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, PACKET = 0x0A0D0D0A, 1, 2, 3, 6
BYTE_ORDER = 0x1A2B3C4D
OPT_COMMENT, OPT_NAME, OPT_FLAGS, OPT_RESOLUTION, OPT_TIME_OFFSET, OPT_APPLICATION = 1, 2, 2, 9, 14, 4
_WAYS = {1: "in", 2: "out"}
_FLAGS = {"in": 1, "out": 2}
#: The least size of an enhanced packet block.
EPB_SIZE = 32
#: Options whose direction is remembered.
WAYS_KEPT = 1024
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor
#: An option's length has 16 bits.
MAX_COMMENT = 65_000


@attrs.define
class _Section:
    """What blocks of a section are read with: their byte order and the index of the section's first interface.

    `known` are interfaces by their number in the section, and `ways` directions by options, that packets had before.
    """

    order: str
    first: int
    known: dict[int, _Known] = attrs.field(factory=dict)
    ways: dict[bytes, str] = attrs.field(factory=dict)
    word: Struct = attrs.field(init=False)
    head: Struct = attrs.field(init=False)
    packet: Struct = attrs.field(init=False)
    whole: Struct = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.word, self.head = Struct(f"{self.order}I"), Struct(f"{self.order}II")
        self.packet, self.whole = Struct(f"{self.order}IIIII"), Struct(f"{self.order}IIIIIII")


class _Known(NamedTuple):
    """What packets of an interface are read with: its place in the capture, time unit in ns (0: no whole number) and offset.

    In most frames an IP packet follows a header of `skip` bytes; the others are looked at closely.
    """

    place: int
    unit_ns: int
    offset_ns: int
    skip: int
    interface: CaptureInterface


def read_pcapng(capture: Capture) -> Iterator[list[Captured]]:
    """The packets of a pcapng file, as many at once as have been read. Raises `CaptureError`."""
    window = capture.window
    section = _Section("<", 0)
    while window.has(8):
        if whole := _whole(capture, section):
            yield whole
            continue
        if window.data[window.at : window.at + 4] == b"\x0a\x0d\x0d\x0a":
            section = _section(capture)
        kind, size = section.head.unpack_from(window.data, window.at)
        _check_block(window, section, size)
        body = window.data[window.at + 8 : window.at + size - 4]
        reader = _PACKET_BLOCKS.get(kind)
        if reader is not None:
            window.packets += 1
            yield [reader(capture, section, body)]
        elif kind == INTERFACE:
            capture.interfaces.append(_interface(window, section, body))
        window.at += size
    if window.left:
        raise window.error(f"the file ends inside a block header ({window.left} of 8 bytes)")


def _whole(capture: Capture, section: _Section) -> list[Captured]:
    """The packets of enhanced packet blocks, which most are, up to a block that is something else, damaged or cut."""
    window, head, word, ways = capture.window, section.whole.unpack_from, section.word.unpack_from, section.ways
    data, at, current = window.data, window.at, -1
    last, found = len(data) - EPB_SIZE, list[Captured]()
    add = found.append
    while at <= last:
        kind, whole, number, high, low, size, length = head(data, at)
        start, end = at + 28, at + whole - 4
        stop = start + size
        if kind != PACKET or whole & 3 or stop > end or size > MAX_PACKET or end > last + 28 or word(data, end)[0] != whole:
            break
        if number != current:
            known = section.known.get(number) or _known(capture, section, number)
            if known is None:
                break
            place, unit_ns, offset_ns, skip, interface = known
            current = number
        at = end + 4
        way: str | None = ""
        if end - stop >= 4:
            options = data[start + (size + 3 & ~3) : end]
            way = ways.get(options)
            if way is None:
                way = _way(section, options)
        units = high << 32 | low
        time_ns = units * unit_ns + offset_ns if unit_ns else units * NS_PER_S // interface.units_per_s + offset_ns
        if size > skip and (data[start + 12 : start + 14] in IP_ETHERTYPES if skip else data[start] >> 4 in IP_VERSIONS):
            begin = start + skip
            size, length = size - skip, length - skip
            if size > MAX_PADDED or size < length or (data[begin + 2] << 8 | data[begin + 3] == size and data[begin] >> 4 == 4):
                add(_new(Captured, (time_ns, data[begin:stop], size if length < size else length, place, way)))
                continue
            length += skip
        frame = data[start:stop]
        offset, seen = interface.link(frame)
        add(_new(Captured, (time_ns, *packet_in(frame, offset, length), place, way or seen)))
    window.at = at
    window.packets += len(found)
    return found


def _known(capture: Capture, section: _Section, number: int) -> _Known | None:
    """An interface that packets had not before; None when it was not described."""
    index = section.first + number
    if index >= len(capture.interfaces):
        return None
    interface = capture.interfaces[index]
    unit_ns = 0 if NS_PER_S % interface.units_per_s else NS_PER_S // interface.units_per_s
    skip = PLAIN.get(interface.link, MAX_PACKET)
    found = section.known[number] = _Known(index, unit_ns, interface.offset_s * NS_PER_S, skip, interface)
    return found


def _way(section: _Section, options: bytes) -> str:
    """The direction that a packet's options say."""
    flags = next((value for code, value in _options(section, options) if code == OPT_FLAGS), b"")
    found = _WAYS.get(section.word.unpack(flags)[0] & 3, "") if len(flags) == 4 else ""
    if len(section.ways) >= WAYS_KEPT:
        section.ways.clear()
    section.ways[options] = found
    return found


def _check_block(window: Window, section: _Section, size: int) -> None:
    """The length is possible, the block is there whole, and its length is repeated at its end."""
    if size < 12 or size % 4 or size > MAX_BLOCK:
        raise window.error(f"a block of {size} bytes is not believed: the file is damaged")
    if not window.has(size):
        raise window.error(f"the file ends inside a block ({window.left} of {size} bytes)")
    again = section.word.unpack_from(window.data, window.at + size - 4)[0]
    if again != size:
        raise window.error(f"a block of {size} bytes ends as one of {again}: the file is damaged")


def _section(capture: Capture) -> _Section:
    window = capture.window
    if not window.has(12):
        raise window.error(f"the section header is cut off ({window.left} of 28 bytes)")
    for order in "<>":
        if Struct(f"{order}I").unpack_from(window.data, window.at + 8)[0] == BYTE_ORDER:
            return _Section(order, len(capture.interfaces))
    raise window.error(f"the section's byte order mark is wrong ({window.data[window.at + 8 : window.at + 12].hex()})")


def _interface(window: Window, section: _Section, body: bytes) -> CaptureInterface:
    if len(body) < 8:
        raise window.error("an interface description is too short")
    link_type = Struct(f"{section.order}H").unpack_from(body)[0]
    found = CaptureInterface("", link_type, window.link(link_type))
    for code, value in _options(section, body[8:]):
        if code == OPT_NAME:
            found.name = value.rstrip(b"\0").decode("utf-8", "replace")
        elif code == OPT_RESOLUTION and value:
            exponent = value[0] & 0x7F
            if exponent > (64 if value[0] & 0x80 else 19):
                raise window.error(f"a time resolution of {value[0]:#x} is not believed")
            found.units_per_s = 2**exponent if value[0] & 0x80 else 10**exponent
        elif code == OPT_TIME_OFFSET and len(value) == 8:
            found.offset_s = Struct(f"{section.order}q").unpack(value)[0]
    return found


def _options(section: _Section, data: bytes) -> Iterator[tuple[int, bytes]]:
    """(code, value) of a block's options; what is left after a damaged one is not looked at."""
    at, head = 0, Struct(f"{section.order}HH")
    while at + 4 <= len(data):
        code, size = head.unpack_from(data, at)
        if code == 0 or at + 4 + size > len(data):
            return
        yield code, data[at + 4 : at + 4 + size]
        at += 4 + (size + 3 & ~3)


def _enhanced(capture: Capture, section: _Section, body: bytes) -> Captured:
    if len(body) < 20:
        raise capture.window.error("a packet block is too short")
    number, high, low, size, length = section.packet.unpack_from(body)
    padded = size + 3 & ~3
    way = _way(section, body[20 + padded :]) if len(body) > 20 + padded else ""
    return _captured(capture, section.first + number, high << 32 | low, body[20:], size, length, way)


def _old(capture: Capture, section: _Section, body: bytes) -> Captured:
    """The obsolete Packet Block: as the enhanced one, with a drop count beside the interface's number."""
    if len(body) < 20:
        raise capture.window.error("a packet block is too short")
    number = Struct(f"{section.order}H").unpack_from(body)[0]
    _, high, low, size, length = section.packet.unpack_from(body)
    return _captured(capture, section.first + number, high << 32 | low, body[20:], size, length, "")


def _simple(capture: Capture, section: _Section, body: bytes) -> Captured:
    """A Simple Packet Block: no time, on the first interface."""
    if len(body) < 4:
        raise capture.window.error("a packet block is too short")
    length = section.word.unpack_from(body)[0]
    return _captured(capture, section.first, 0, body[4:], min(length, len(body) - 4), length, "")


def _captured(capture: Capture, number: int, units: int, data: bytes, size: int, length: int, way: str) -> Captured:
    if number >= len(capture.interfaces):
        raise capture.window.error(f"a packet names interface {number}, which was not described")
    if size > len(data) or size > MAX_PACKET:
        raise capture.window.error(f"a packet of {size} bytes in a block of {len(data)}: the file is damaged")
    interface = capture.interfaces[number]
    time_ns = units * NS_PER_S // interface.units_per_s + interface.offset_s * NS_PER_S
    frame = data[:size]
    at, seen = interface.link(frame)
    packet, length = packet_in(frame, at, length)
    return Captured(time_ns, packet, length, number, way or seen)


_PACKET_BLOCKS: dict[int, Callable[[Capture, _Section, bytes], Captured]] = {
    PACKET: _enhanced, OLD_PACKET: _old, SIMPLE_PACKET: _simple,
}  # fmt: skip


class Stamp(NamedTuple):
    """Which interface a packet passed, and what stands behind its bytes (padding and options) by its length modulo 4."""

    interface: int
    tails: tuple[bytes, ...]


class PcapngWriter:
    """Writes raw IP packets with nanosecond times to a binary stream, one interface description for each name."""

    def __init__(self, file: BinaryIO, *, application: str = "fakecluster") -> None:
        self.file = file
        self._numbers: dict[str, int] = {}
        options = _option(OPT_APPLICATION, application.encode()) + bytes(4)
        self._block(SECTION, Struct("<IHHq").pack(BYTE_ORDER, 1, 0, -1) + options)

    def interface(self, name: str) -> int:
        """The number of an interface, which is described when it is new."""
        found = self._numbers.get(name)
        if found is None:
            found = self._numbers[name] = len(self._numbers)
            options = _option(OPT_NAME, name.encode()) + _option(OPT_RESOLUTION, b"\x09") + bytes(4)
            self._block(INTERFACE, Struct("<HHI").pack(RAW, 0, MAX_PACKET) + options)
        return found

    def stamp(self, interface: str, *, direction: str = "", comment: str = "") -> Stamp:
        """What packets of an interface are written with, made once for many of them."""
        options = _packet_options(direction, comment)
        return Stamp(self.interface(interface), (options, b"\0\0\0" + options, b"\0\0" + options, b"\0" + options))

    def write(self, stamp: Stamp, time_ns: int, packet: bytes) -> None:
        """One packet: Unix time in ns, L3 bytes."""
        size, (interface, tails) = len(packet), stamp
        tail = tails[size & 3]
        whole = size + len(tail) + 32
        head = _EPB(PACKET, whole, interface, time_ns >> 32, time_ns & 0xFFFFFFFF, size, size)
        self.file.write(b"".join((head, packet, tail, _WORD(whole))))

    def write_once(
        self, interface: str, time_ns: int, packet: bytes, *, direction: str = "", comment: str = ""
    ) -> None:  # fmt: skip
        """One packet with a comment that no other has; see `stamp` and `write`."""
        size, tail = len(packet), bytes(-len(packet) % 4) + _packet_options(direction, comment)
        whole = size + len(tail) + 32
        number = self.interface(interface)
        head = _EPB(PACKET, whole, number, time_ns >> 32, time_ns & 0xFFFFFFFF, size, size)
        self.file.write(b"".join((head, packet, tail, _WORD(whole))))

    def _block(self, kind: int, body: bytes) -> None:
        size = len(body) + 12
        self.file.write(_HEAD(kind, size) + body + _WORD(size))


def between(stamps: Sequence[Stamp], size: int) -> list[bytes]:
    """What stands before, between and behind the times and packets of `size` bytes in one block for each stamp.

    A packet's time (two words of 32 bits, the upper first) is followed by its size, twice, and its bytes.
    """
    found = [b""]
    for interface, tails in stamps:
        tail = tails[size & 3]
        whole = size + len(tail) + 32
        found[-1] += _BEFORE_TIME(PACKET, whole, interface)
        found.append(tail + _WORD(whole))
    return found


_EPB, _BEFORE_TIME, _HEAD, _WORD = (
    Struct("<IIIIIII").pack, Struct("<III").pack, Struct("<II").pack, Struct("<I").pack
)  # fmt: skip


_CODE = Struct("<HH").pack


def _option(code: int, value: bytes) -> bytes:
    return _CODE(code, len(value)) + value + bytes(-len(value) % 4)


def _packet_options(direction: str, comment: str) -> bytes:
    """The options of a packet block."""
    options = _option(OPT_COMMENT, comment.encode()[:MAX_COMMENT]) if comment else b""
    if direction:
        options += _FLAG_OPTIONS[direction]
    return options + bytes(4) if options else b""


_FLAG_OPTIONS = {way: _option(OPT_FLAGS, flags.to_bytes(4, "little")) for way, flags in _FLAGS.items()}
