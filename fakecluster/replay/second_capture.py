"""What passed an interface of the model, beside a second capture that was taken there: packets counted on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fakecluster.fabric.links import Port
from fakecluster.fabric.network import Network
from fakecluster.kernel.packet import BadPacket
from fakecluster.replay.headers import read
from fakecluster.replay.matching import EXPECTED, SENT, Balance
from fakecluster.replay.report import Replay
from fakecluster.replay.sources import Packets, Source

#: What a difference says: the packet's number is that of the second capture, or of the replayed one when it is extra.
MISSING, EXTRA = "only in the second capture", "not in the second capture"


class SecondCapture:
    """Watches an interface during a replay, then compares with the capture that was taken there."""

    def __init__(self, source: Source, port: Port) -> None:
        self.source, self.port = source, port
        self.balance = Balance()
        self.replay: Replay | None = None

    def append(self, seen: tuple[int, str, bytes], /) -> None:
        """A packet passed (see `fabric.network.Tap`), caused by the one that is being replayed."""
        self._count(SENT, seen[2], self.replay.packets if self.replay is not None else 0)

    def copy(self) -> SecondCapture:
        return SecondCapture(self.source, self.port)

    @contextmanager
    def attached(self, network: Network, replay: Replay) -> Iterator[None]:
        """Watch while this lasts. Raises ValueError when the interface is being captured already."""
        if self.port in network.taps:
            raise ValueError(f"{self.port} is being captured already")
        network.taps[self.port], self.replay = self, replay
        try:
            yield
        finally:
            network.taps.pop(self.port, None)

    def settle(self, report: Replay) -> None:
        """Report what one side has and the other has not. Raises `CaptureError`."""
        for number, captured in enumerate(Packets(self.source, interface=str(self.port)), 1):
            if captured.packet:
                self._count(EXPECTED, captured.packet, number)
        report.settle(self.balance, MISSING, EXTRA)

    def _count(self, times: int, packet: bytes, number: int) -> None:
        """The second capture is read when the first is over, so that times say nothing."""
        try:
            headers = read(packet)
        except BadPacket:
            return
        self.balance.add(times, self.balance.ledger(headers.key), headers.code, headers.payload, number, 0)
