"""Capture files, read as a stream: pcap and pcapng by their first bytes, whatever the link layer, down to IP packets.

Nothing is dissected beyond the link layer, and no more than one chunk of the file is held.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import attrs

from fakecluster.errors import FakeclusterError
from fakecluster.fabric.link_layer import LinkLayer, link_layer

if TYPE_CHECKING:
    from fakecluster.fabric.records import Records

#: Bytes read from a file at once: what is made of them stays in the cache of a processor.
CHUNK = 1 << 16
#: The longest packet or block that is believed (libpcap's MAXIMUM_SNAPLEN, with room for a block's options).
MAX_PACKET, MAX_BLOCK = 262_144, 16 << 20
NS_PER_S = 1_000_000_000
#: How captures begin: pcap of either byte order and resolution, pcapng.
MAGICS = frozenset(
    (b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1", b"\x0a\x0d\x0d\x0a")
)


class CaptureError(FakeclusterError):
    """A capture is damaged or of a kind that is not read: `offset` in bytes, and how many `packets` came before.

    `replay` is what a replay found out before it came there.
    """

    def __init__(self, reason: str, *, source: str = "", offset: int = 0, packets: int = 0) -> None:
        self.reason, self.source, self.offset, self.packets = reason, source, offset, packets
        self.replay: object = None
        read = f"; {packets} packets before it were read" if packets else ""
        super().__init__(f"{source or 'capture'}: offset {offset}: {reason}{read}")


class Readable(Protocol):
    """What a capture is read from: a binary file, or anything that gives bytes."""

    def read(self, size: int = -1, /) -> bytes: ...


class Captured(NamedTuple):
    """One IP packet of a capture: `packet` are the L3 bytes that the file has, of `length` on the wire.

    `direction` is "in", "out" or "" (not recorded); `interface` indexes `Capture.interfaces`. A frame that is no IP
    packet has no bytes.
    """

    time_ns: int
    packet: bytes
    length: int
    interface: int = 0
    direction: str = ""


@attrs.define
class CaptureInterface:
    """An interface that packets were captured on; pcap has one, without a name."""

    name: str
    link_type: int
    link: LinkLayer
    units_per_s: int = 1_000_000
    offset_s: int = 0


class Window:
    """The part of a stream that is being read: `data[at:]` comes next."""

    def __init__(self, file: Readable, source: str) -> None:
        self.file, self.source = file, source
        self.data, self.at, self.before = b"", 0, 0
        self.packets = 0

    @property
    def offset(self) -> int:
        """Where `at` is in the file."""
        return self.before + self.at

    def has(self, count: int) -> bool:
        """Whether `count` more bytes are there, read as far as needed."""
        return len(self.data) - self.at >= count or self._refill(count)

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def _refill(self, count: int) -> bool:
        parts = [self.data[self.at :]]
        self.data, have = b"", len(parts[0])  # let go of what was read before more is
        while have < count and (chunk := self.file.read(max(CHUNK, count - have))):
            parts.append(chunk)
            have += len(chunk)
        self.before += self.at
        self.data, self.at = b"".join(parts), 0
        return have >= count

    def error(self, reason: str, *, offset: int | None = None) -> CaptureError:
        where = self.offset if offset is None else offset
        return CaptureError(reason, source=self.source, offset=where, packets=self.packets)

    def link(self, link_type: int) -> LinkLayer:
        """How frames of a link type are read. Raises `CaptureError` for one that is not."""
        found = link_layer(link_type)
        if found is None:
            raise self.error(f"link type {link_type} is not read (Ethernet, raw IP, Linux cooked, loopback are)")
        return found


class Capture:
    """A capture being read, once, from front to back. Iterating gives `Captured`; raises `CaptureError`."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.interfaces: list[CaptureInterface] = []

    @property
    def source(self) -> str:
        return self.window.source

    @property
    def packets(self) -> int:
        """How many have been read so far."""
        return self.window.packets

    def __iter__(self) -> Iterator[Captured]:
        return chain.from_iterable(self.batches())

    def batches(self) -> Iterator[list[Captured]]:
        """The packets, as many at once as were read of the file. Raises `CaptureError`."""
        from fakecluster.fabric.pcapng import read_pcapng

        records = self.records()
        if records is None:
            return read_pcapng(self)
        return (some.captured(0, len(some)) for some in records)

    def records(self, octets: Callable[[], int] = int) -> Iterator[Records] | None:
        """The same as it stands in a classic capture; None for a pcapng. Raises `CaptureError`.

        `octets` is asked before every piece how many bytes of the file are wanted for it; there may be more.
        """
        from fakecluster.fabric.pcap import read_pcap

        if not self.window.has(4):
            raise self.window.error("the file is empty" if not self.window.left else "too short for a capture")
        magic = self.window.data[:4]
        if magic == b"\x0a\x0d\x0d\x0a":
            return None
        if magic[:2] == b"\x1f\x8b" or magic == b"\x28\xb5\x2f\xfd":
            raise self.window.error("compressed: unpack it first")
        return read_pcap(self, octets)


def open_capture(source: str | Path | bytes | Readable) -> Capture:
    """Open a capture by path (or take its bytes, or a binary stream). Raises `CaptureError` when it cannot be opened."""
    if isinstance(source, bytes):
        return Capture(Window(io.BytesIO(source), ""))
    if isinstance(source, str | Path):
        try:
            return Capture(Window(Path(source).open("rb", buffering=0), str(source)))
        except OSError as failed:
            raise CaptureError(failed.strerror or str(failed), source=str(source)) from None
    return Capture(Window(source, str(getattr(source, "name", ""))))
