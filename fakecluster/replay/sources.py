"""Where packets come from: a capture file, or Scapy packets in a list or a generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakecluster.fabric.captures import Capture, Captured, CaptureError, Readable, open_capture
from fakecluster.sim.clock import NS_PER_S

if TYPE_CHECKING:
    from fakecluster.fabric.records import Records

Source = str | Path | bytes | Readable | Capture | Iterable[Any]


class Packets:
    """The packets of a source, once; of a capture of several interfaces, those of `interface` when it has it.

    Iterating gives `Captured`. Raises `CaptureError`.
    """

    def __init__(self, source: Source, *, interface: str = "") -> None:
        self.interface = interface
        self._capture: Capture | None = None
        self._others: Iterable[Any] = ()
        if isinstance(source, Capture):
            self._capture = source
        elif isinstance(source, str | Path | bytes) or hasattr(source, "read"):
            self._capture = open_capture(source)  # type: ignore[arg-type]
        elif isinstance(source, Iterable):
            self._others = source
        else:
            raise CaptureError(f"{source!r} is no capture: a path, bytes, a stream or packets are expected")

    @property
    def may_be_read_ahead(self) -> bool:
        """Whether nobody minds when packets are read before those before them were replayed: not so with a generator."""
        return self._capture is not None or isinstance(self._others, list | tuple)

    def __iter__(self) -> Iterator[Captured]:
        return _scapy(self._others) if self._capture is None else _chosen(self._capture, self.interface)

    def records(self, octets: Callable[[], int]) -> Iterator[Records] | None:
        """The packets as they stand in a classic capture, of which so many bytes are read ahead; None for other sources."""
        return None if self._capture is None else self._capture.records(octets)


def _chosen(capture: Capture, interface: str) -> Iterator[Captured]:
    wanted: int | None = None
    seen = 0
    for batch in capture.batches():
        if len(capture.interfaces) != seen:
            seen = len(capture.interfaces)
            names = [one.name for one in capture.interfaces]
            wanted = names.index(interface) if interface in names else None
        yield from batch if wanted is None else [captured for captured in batch if captured.interface == wanted]


def _scapy(packets: Iterable[Any]) -> Iterator[Captured]:
    """Scapy packets (or L3 bytes); their `time` is the recorded time."""
    for number, packet in enumerate(packets, 1):
        if isinstance(packet, bytes | bytearray):
            yield Captured(0, bytes(packet), len(packet))
            continue
        if not hasattr(packet, "payload"):
            raise CaptureError(f"item {number} is {packet!r}, not a packet")
        layer = packet
        while layer and type(layer).__name__ not in ("IP", "IPv6"):
            layer = layer.payload
            if not hasattr(layer, "payload"):
                raise CaptureError(f"item {number} is {packet!r}, not a packet")
        data = bytes(layer) if layer else b""
        yield Captured(round(packet.time * NS_PER_S), data, len(data))
