"""The output of a replay: a pcapng with every interface that packets passed; comments say what became of each and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from fakecluster.fabric.network import InFlight
from fakecluster.fabric.pcapng import PcapngWriter, Stamp
from fakecluster.fabric.ways import Back, Way
from fakecluster.fabric.ways import Step as Host
from fakecluster.kernel.effects import Effect
from fakecluster.replay.fates import Fate, end_of
from fakecluster.replay.passages import Layout, Passage, passage
from fakecluster.sim.clock import NS_PER_S
from fakecluster.trace import Decisions, Hop, Recalled, Rewrite, RuleStep, Step, address_text, is_decision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fakecluster.fabric.links import Port
    from fakecluster.fabric.pieces import Numbers
    from fakecluster.sim import Clock

#: Comments that are kept ready.
STAMPS_KEPT = 65_536
#: Texts of what decided, likewise.
TEXTS_KEPT = 4096
#: What recipes know to be rewritten, in the order in which it is filled in.
FIELDS = ("ttl", "src", "sport", "dst", "dport")


class AnnotatedWriter:
    """Writes what arrives at any port, with comments, and what leaves the port of the replay."""

    def __init__(self, file: BinaryIO, port: Port, clock: Clock) -> None:
        self.clock = clock
        self.writer = PcapngWriter(file)
        self._write = file.write
        self._sent = self.writer.stamp(str(port), direction="out")
        self._stamps: dict[tuple[Port, Fate], Stamp] = {}
        #: by decisions and which of source and destination stay as they are
        self._texts: dict[tuple[Decisions, bool, bool, bool, bool], str] = {}
        self._layouts: dict[tuple[Stamp, ...], Layout] = {}
        self._base_ns = clock.epoch_s * NS_PER_S

    def arrived(self, arriving: InFlight, effects: list[Effect]) -> None:
        """A packet came to a namespace, which did this; when the walk was recorded its rules and rewrites are named."""
        port, packet, journey = arriving
        fate = end_of(port[0], effects)
        hop = _hop(effects) if journey else None
        time_ns = self._base_ns + self.clock.now_ns
        if hop is None:
            self.writer.write(self._stamp(port, fate), time_ns, packet)
            return
        lines = self._recalled(hop) if isinstance(hop, Recalled) else "".join(map(_line, hop.steps))
        self.writer.write_once(str(port), time_ns, packet, direction="in", comment=f"{fate}{lines}")

    def _recalled(self, known: Recalled) -> str:
        """What decided, in lines, by a text in which only what was rewritten is filled in."""
        decisions, family, before, after, ttl = known
        key = decisions, before[0] == after[0], before[1] == after[1], before[2] == after[2], before[3] == after[3]
        text = self._texts.get(key)
        if text is None:
            if len(self._texts) >= TEXTS_KEPT:
                self._texts.clear()
            text = self._texts[key] = "".join(map(_line_to_fill, known.steps))
        (src, sport, dst, dport), (new_src, new_sport, new_dst, new_dport) = before, after
        return text.format(
            ttl + 1, ttl, address_text(family, src), address_text(family, new_src), sport, new_sport,
            address_text(family, dst), address_text(family, new_dst), dport, new_dport,
        )  # fmt: skip

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

    def _passage(self, steps: tuple[Host, ...], last: Stamp) -> Passage:
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

    def passed_all(
        self, passages: Sequence[Passage], ack_shifts: Sequence[int], which: Numbers, packets: Sequence[bytes],
        times_ns: Numbers,
    ) -> None:  # fmt: skip
        """As `passed`, for many packets; `which` says by packet which of the passages, and of the shifts, is its."""
        from fakecluster.replay.passage_columns import Columns

        for blocks in Columns(passages, ack_shifts).blocks(which, packets, times_ns + self._base_ns):
            self._write(blocks)

    def sent(self, packet: bytes) -> None:
        """A packet left the port of the replay."""
        self.writer.write(self._sent, self._base_ns + self.clock.now_ns, packet)


def _hop(effects: list[Effect]) -> Hop | Recalled | None:
    """What was recorded of the packet's walk."""
    for effect in effects:
        hop: Hop | Recalled | None = getattr(effect, "hop", None)
        if hop is not None:
            return hop
    return None


def _line(step: Step) -> str:
    """A line for a rule that decided something on a packet's way through a namespace, or for what was rewritten."""
    if not is_decision(step):
        return ""
    if isinstance(step, RuleStep):
        return f"\n{step.hook} {step.table} {step.chain} #{step.rule}: {step.text} => {step.verdict}"
    assert isinstance(step, Rewrite)
    return f"\n{step.hook} {step.why}: {step.field} {step.before} -> {step.after}"


def _line_to_fill(step: Step) -> str:
    """As `_line`, for `str.format` to fill in what was rewritten."""
    if isinstance(step, Rewrite):
        at = 2 * FIELDS.index(step.field)
        return f"\n{step.hook} {step.why}: {step.field} {{{at}}} -> {{{at + 1}}}"
    return _line(step).replace("{", "{{").replace("}", "}}")
