"""Where packets come from: a capture file, or Scapy packets in a list or a generator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fakecluster.fabric.captures import Capture, Captured, CaptureError, Readable, open_capture
from fakecluster.sim.clock import NS_PER_S

Source = str | Path | bytes | Readable | Capture | Iterable[Any]


def packets_of(source: Source, *, interface: str = "") -> Iterator[Captured]:
    """The packets of a source, as a stream; of a capture of several interfaces, those of `interface` when it has it.

    Raises `CaptureError`.
    """
    if isinstance(source, Capture):
        return _chosen(source, interface)
    if isinstance(source, str | Path | bytes) or hasattr(source, "read"):
        return _chosen(open_capture(source), interface)  # type: ignore[arg-type]
    return _scapy(source)


def may_be_read_ahead(source: Source) -> bool:
    """Whether nobody minds when packets are read before those before them were replayed: not so with a generator."""
    return isinstance(source, Capture | str | Path | bytes | list | tuple) or hasattr(source, "read")


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
        layer = packet
        while layer and type(layer).__name__ not in ("IP", "IPv6"):
            layer = layer.payload
            if not hasattr(layer, "payload"):
                raise CaptureError(f"item {number} is {packet!r}, not a packet")
        data = bytes(layer) if layer else b""
        yield Captured(round(packet.time * NS_PER_S), data, len(data))
