"""What an explanation consists of, as frozen data and as text."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from fakecluster.explaining.names import NO_NAMES, Names
from fakecluster.explaining.translated import Translated
from fakecluster.trace import Trace, fate


@attrs.frozen
class Neighbour:
    """A rule that did not match, and why: `near` counts how many of its conditions held.

    `hop` and `step` say where on the walk (`Trace.hops`) it was passed by: before that step.
    """

    hook: str
    table: str
    chain: str
    rule: int
    text: str
    why: str
    near: int = 0
    hop: int = 0
    step: int = 0


@attrs.frozen
class Change:
    """Something else (another packet, a rule less, no old connection) and the end that it would have led to."""

    change: str
    end: str


@attrs.frozen
class Explanation:
    """The walk of a packet, the rules that nearly matched, and changes that would have led elsewhere.

    `lookup` are the queries for the name that the packet was sent to; `names` are those of addresses.
    `translated` are the rules that the packet met, in the other language. `refused` is what the sender's kernel answered
    when it did not send the packet; `remark` is what there is to say of where it ended.
    """

    trace: Trace
    neighbours: tuple[Neighbour, ...]
    changes: tuple[Change, ...]
    names: Names = NO_NAMES
    lookup: tuple[str, ...] = ()
    translated: tuple[Translated, ...] = ()
    refused: str = ""
    remark: str = ""

    @property
    def end(self) -> str:
        """How the packet ended, in one line."""
        if not self.trace.hops:
            return self.refused or "nothing happened"
        return self.names.in_text(fate(self.trace.hops)) + (f": {self.remark}" if self.remark else "")

    @property
    def arrived(self) -> bool:
        """Whether the packet was delivered, or left the last host that is known."""
        return bool(self.trace.hops) and self.trace.way[-1].verdict.what in ("delivered", "transmitted")

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        yield from self.lookup
        yield from (self.names.in_walk(line) for line in self.trace.lines())
        if self.neighbours:
            yield from ("", "rules that did not match:")
        for one in self.neighbours:
            yield f"  {self.trace.hops[one.hop].namespace} {one.table} {one.chain} #{one.rule}: {one.text}"
            yield f"      {self.names.in_text(one.why)}"
        if self.changes:
            yield from ("", "what would have led elsewhere:")
        for change in self.changes:
            yield f"  {change.change}: {self.names.in_text(change.end)}"
        if known := self.names.used_in(self.trace):
            yield from ("", "names:")
            yield from (f"  {address} is {name}" for address, name in known.items())
