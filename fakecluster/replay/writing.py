"""The output of a replay: a pcapng with every interface that packets passed; comments say what became of each and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from fakecluster.fabric.network import InFlight
from fakecluster.fabric.pcapng import PcapngWriter, Stamp
from fakecluster.fabric.ways import Back, Step, Way
from fakecluster.kernel.effects import Effect
from fakecluster.replay.fates import Fate, end_of
from fakecluster.replay.passages import Layout, Passage, passage
from fakecluster.sim.clock import NS_PER_S
from fakecluster.trace import Hop, Rewrite, RuleStep, is_decision

if TYPE_CHECKING:
    from fakecluster.fabric.links import Port
    from fakecluster.sim import Clock

#: Comments that are kept ready.
STAMPS_KEPT = 65_536


class AnnotatedWriter:
    """Writes what arrives at any port, with comments, and what leaves the port of the replay."""

    def __init__(self, file: BinaryIO, port: Port, clock: Clock) -> None:
        self.clock = clock
        self.writer = PcapngWriter(file)
        self._write = file.write
        self._sent = self.writer.stamp(str(port), direction="out")
        self._stamps: dict[tuple[Port, Fate], Stamp] = {}
        self._layouts: dict[tuple[Stamp, ...], Layout] = {}
        self._base_ns = clock.epoch_s * NS_PER_S

    def arrived(self, arriving: InFlight, effects: list[Effect]) -> None:
        """A packet came to a namespace, which did this; when the walk was recorded its rules and rewrites are named."""
        fate = end_of(arriving.port.namespace, effects)
        hop = next((found for effect in effects if (found := getattr(effect, "hop", None)) is not None), None)
        if hop is None:
            stamp = self._stamp(arriving.port, fate)
        else:
            comment = "\n".join((str(fate), *_decisions(hop)))
            stamp = self.writer.stamp(str(arriving.port), direction="in", comment=comment)
        self.writer.write(stamp, self._base_ns + self.clock.now_ns, arriving.packet)

    def _stamp(self, port: Port, fate: Fate) -> Stamp:
        found = self._stamps.get((port, fate))
        if found is None:
            if len(self._stamps) >= STAMPS_KEPT:
                self._stamps.clear()
            found = self._stamps[port, fate] = self.writer.stamp(str(port), direction="in", comment=str(fate))
        return found

    def passage(self, way: Way) -> Passage:
        """What packets on their way to a socket are written with: as `arrived` at every port."""
        delivered = Fate("delivered", way.end.namespace, way.connection.name)
        return self._passage(way.steps, self._stamp(way.end, delivered))

    def passage_back(self, back: Back) -> Passage:
        """What answers are written with: at every port, and as they leave."""
        return self._passage(back.steps, self._sent)

    def _passage(self, steps: tuple[Step, ...], last: Stamp) -> Passage:
        at = [self._stamp(step.port, Fate("transmitted", step.netns.name, step.flow.oif)) for step in steps]
        stamps = (*at, last)
        layout = self._layouts.get(stamps)
        if layout is None:
            if len(self._layouts) >= STAMPS_KEPT:
                self._layouts.clear()
            layout = self._layouts[stamps] = Layout(stamps)
        return passage(layout, steps)

    def passed(self, passage: Passage, packet: bytes, now_ns: int, ack_shift: int = 0) -> None:
        """A packet goes a known way (see `fabric.express`); `ack_shift` is added to its acknowledgment number."""
        self._write(passage.blocks(self._base_ns + now_ns, packet, ack_shift))

    def sent(self, packet: bytes) -> None:
        """A packet left the port of the replay."""
        self.writer.write(self._sent, self._base_ns + self.clock.now_ns, packet)


def _decisions(hop: Hop) -> Iterator[str]:
    """The rules that decided something on a packet's way through a namespace, and what was rewritten."""
    for step in hop.steps:
        if not is_decision(step):
            continue
        if isinstance(step, RuleStep):
            yield f"{step.hook} {step.table} {step.chain} #{step.rule}: {step.text} => {step.verdict}"
        elif isinstance(step, Rewrite):
            yield f"{step.hook} {step.why}: {step.field} {step.before} -> {step.after}"
