"""The output of a replay: a pcapng of the port whose comments say what became of each packet, and by which rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from fakecluster.fabric.pcapng import PcapngWriter
from fakecluster.sim.clock import NS_PER_S
from fakecluster.trace import Rewrite, RuleStep, Trace

if TYPE_CHECKING:
    from fakecluster.fabric.links import Port
    from fakecluster.replay.fates import Fate
    from fakecluster.sim import Clock

#: Rules that only lead somewhere else are left out of comments.
_PASSING = ("jump", "goto", "continue")


class AnnotatedWriter:
    """Writes what arrived at a port and what left it, in order, with comments on what arrived."""

    def __init__(self, file: BinaryIO, port: Port, clock: Clock) -> None:
        self.port, self.clock = str(port), clock
        self.writer = PcapngWriter(file)
        self.writer.interface(self.port)
        self._waiting: list[tuple[int, bytes]] = []

    def _now_ns(self) -> int:
        return self.clock.epoch_s * NS_PER_S + self.clock.now_ns

    def traced(self, packet: bytes, fate: Fate, trace: Trace) -> None:
        """A packet whose walk was recorded: hooks, rules and rewrites are named."""
        self._arrived(packet, "\n".join((str(fate), *_decisions(trace))))

    def plain(self, packet: bytes, fate: Fate) -> None:
        self._arrived(packet, str(fate))

    def _arrived(self, packet: bytes, comment: str) -> None:
        self.writer.write(self.port, self._now_ns(), packet, direction="in", comment=comment)
        for time_ns, answer in self._waiting:
            self.writer.write(self.port, time_ns, answer, direction="out")
        self._waiting.clear()

    def sent(self, packet: bytes) -> None:
        """A packet that left the port; it is written after the one that caused it."""
        self._waiting.append((self._now_ns(), packet))

    def finish(self) -> None:
        for time_ns, answer in self._waiting:
            self.writer.write(self.port, time_ns, answer, direction="out")
        self._waiting.clear()


def _decisions(trace: Trace) -> Iterator[str]:
    """The rules that decided something on the packet's own way, and what was rewritten."""
    for hop in trace.way:
        for step in hop.steps:
            if isinstance(step, RuleStep) and not step.verdict.startswith(_PASSING):
                yield f"{hop.namespace} {step.hook} {step.table} {step.chain} #{step.rule}: {step.text} => {step.verdict}"
            elif isinstance(step, Rewrite):
                yield f"{hop.namespace} {step.hook} {step.why}: {step.field} {step.before} -> {step.after}"
