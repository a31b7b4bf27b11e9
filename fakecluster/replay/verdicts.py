"""Every packet's own end, told as it is replayed: packets of flows whose way is known go step by step, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from fakecluster.fabric.captures import Captured
from fakecluster.replay.fates import Fate
from fakecluster.replay.replaying import Replayer
from fakecluster.sim.clock import NS_PER_S


class Verdict(NamedTuple):
    """What became of packet number `packet` (from 1), recorded at `time_ns`; `fate` is None when it was not injected.

    That is so for what the capture shows leaving the interface, and for what is no IP packet (`is_ip`).
    """

    packet: int
    time_ns: int
    fate: Fate | None
    is_ip: bool = True

    @property
    def time_text(self) -> str:
        """The recorded time in seconds, with all its digits."""
        return f"{self.time_ns // NS_PER_S}.{self.time_ns % NS_PER_S:09d}"

    def __str__(self) -> str:
        if self.fate is not None:
            return str(self.fate)
        return "leaves the interface in the capture" if self.is_ip else "no IP packet"


class OneByOne(Replayer):
    """A replayer that tells every packet's verdict to `told`."""

    def __init__(self, *arguments: Any, told: Callable[[Verdict], None], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.told = told

    def take(self, captured: Captured) -> Fate | None:
        fate = super().take(captured)
        self.told(Verdict(self.report.packets, captured.time_ns, fate, bool(captured.packet)))
        return fate

    def take_all(self, packets: Iterable[Captured]) -> None:
        for captured in packets:
            self.take(captured)
