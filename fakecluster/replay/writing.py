"""The output of a replay: a pcapng with every interface that packets passed; comments say what became of each and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from fakecluster.fabric.express import Express, Way
from fakecluster.fabric.network import InFlight
from fakecluster.fabric.pcapng import PcapngWriter
from fakecluster.kernel.effects import Effect
from fakecluster.replay.fates import Fate, end_of
from fakecluster.sim.clock import NS_PER_S
from fakecluster.trace import Hop, Rewrite, RuleStep

if TYPE_CHECKING:
    from fakecluster.fabric.links import Port
    from fakecluster.sim import Clock

#: Rules that only lead somewhere else are left out of comments.
_PASSING = ("jump", "goto", "continue")


class AnnotatedWriter:
    """Writes what arrives at any port, with comments, and what leaves the port of the replay."""

    def __init__(self, file: BinaryIO, port: Port, clock: Clock) -> None:
        self.port, self.clock = str(port), clock
        self.writer = PcapngWriter(file)
        self.writer.interface(self.port)
        self._base_ns = clock.epoch_s * NS_PER_S

    def arrived(self, arriving: InFlight, effects: list[Effect]) -> None:
        """A packet came to a namespace, which did this; when the walk was recorded its rules and rewrites are named."""
        fate, _ = end_of(arriving.port.namespace, effects)
        hop = next((found for effect in effects if (found := getattr(effect, "hop", None)) is not None), None)
        comment = "\n".join((str(fate), *_decisions(hop))) if hop is not None else str(fate)
        time_ns = self._base_ns + self.clock.now_ns
        self.writer.write(str(arriving.port), time_ns, arriving.packet, direction="in", comment=comment)

    def passed(self, express: Express, way: Way, packet: bytes) -> None:
        """A packet went a known way (see `fabric.express`): as `arrived` at every port on it."""
        time_ns = self._base_ns + self.clock.now_ns
        fates = [Fate("transmitted", step.netns.name, step.flow.oif) for step in way.steps]
        fates.append(Fate("delivered", way.end.namespace, way.connection.name))
        for fate, (port, now) in zip(fates, express.arrivals(way, packet), strict=True):
            self.writer.write(str(port), time_ns, now, direction="in", comment=str(fate))

    def sent(self, packet: bytes) -> None:
        """A packet left the port of the replay."""
        self.writer.write(self.port, self._base_ns + self.clock.now_ns, packet, direction="out")


def _decisions(hop: Hop) -> Iterator[str]:
    """The rules that decided something on a packet's way through a namespace, and what was rewritten."""
    for step in hop.steps:
        if isinstance(step, RuleStep) and not step.verdict.startswith(_PASSING):
            yield f"{step.hook} {step.table} {step.chain} #{step.rule}: {step.text} => {step.verdict}"
        elif isinstance(step, Rewrite):
            yield f"{step.hook} {step.why}: {step.field} {step.before} -> {step.after}"
