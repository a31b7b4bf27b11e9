"""What a picture of a walk consists of: a lane for every namespace, in it a station for every hook, in it rows for steps.

node/b   [veth6] ─ PREROUTING ─ routing ─ FORWARD ─ POSTROUTING ─ [eth0]
node/a   [eth0]  ─ PREROUTING ─ ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from fakecluster.explaining.names import Names
from fakecluster.trace import ChainEnd, Hop, Note, Rewrite, RuleStep, Step

#: How a walk may end, and whether that is good.
ENDS = {"transmitted": "good", "delivered": "good", "dropped": "bad", "rejected": "bad", "consumed": "odd"}


@attrs.frozen
class Row:
    """One line in a station: `step` indexes the hop's steps (-1: a heading); `kind` says how it looks."""

    step: int
    text: str
    kind: str


@attrs.frozen
class Station:
    """A hook, the routing decision, an interface or an end; `kind` is hook, route, port or end."""

    title: str
    kind: str
    rows: tuple[Row, ...] = ()


@attrs.frozen
class Lane:
    """One hop: `number` indexes the trace's hops."""

    number: int
    hop: Hop
    stations: tuple[Station, ...]


def lane(number: int, hop: Hop, names: Names) -> Lane:
    """The lane of a hop, known addresses as names."""
    stations = [Station(hop.iif or "socket", "port")]
    for title, rows in _grouped(hop.steps):
        named = tuple(attrs.evolve(row, text=names.in_text(row.text)) for row in rows)
        stations.append(Station(title, "route" if title == "routing" else "hook", named))
    stations.append(_end(hop))
    return Lane(number, hop, tuple(stations))


def _end(hop: Hop) -> Station:
    verdict = hop.verdict
    if verdict.what == "transmitted":
        return Station(verdict.where or hop.oif, "port")
    words = [verdict.where, verdict.reason]
    return Station(verdict.what, "end", tuple(Row(-1, word, ENDS.get(verdict.what, "odd")) for word in words if word))


def _grouped(steps: Sequence[Step]) -> Iterator[tuple[str, list[Row]]]:
    """Steps under the hook (or the routing) that they belong to, in order; a hook that is met twice comes twice."""
    title, rows, table = "", list[Row](), ""
    for number, step in enumerate(steps):
        place = _place(step)
        if place != title:
            if title and rows:
                yield title, rows
            title, rows, table = place, [], ""
        if isinstance(step, RuleStep | ChainEnd) and step.table != table and not _is_idle(steps, number):
            table = step.table
            rows.append(Row(-1, table, "heading"))
        row = _row(steps, number)
        if row is not None:
            rows.append(row)
    if title and rows:
        yield title, rows


def _place(step: Step) -> str:
    if isinstance(step, Note) and step.kind == "route":
        return "routing"
    if isinstance(step, Rewrite) and step.why == "forwarding":
        return "routing"
    return step.hook or "kernel"


def _is_idle(steps: Sequence[Step], number: int) -> bool:
    """Whether a step is a chain's end that another line tells already."""
    step = steps[number]
    if not isinstance(step, ChainEnd) or step.end == "policy":
        return False
    before = steps[number - 1] if number else None
    after = steps[number + 1] if number + 1 < len(steps) else None
    told_before = isinstance(before, RuleStep) and before.verdict.split(" ", 1)[-1] == step.chain
    told_after = isinstance(after, ChainEnd) and (after.chain, after.end) == (step.chain, "policy")
    return told_before or told_after


def _row(steps: Sequence[Step], number: int) -> Row | None:
    step = steps[number]
    if isinstance(step, RuleStep):
        return _rule_row(steps, number, step)
    if isinstance(step, ChainEnd):
        if _is_idle(steps, number):
            return None
        words = f"policy {step.verdict}" if step.end == "policy" else "no further rule matched"
        bad = step.end == "policy" and step.verdict == "drop"
        return Row(number, f"{step.chain}: {words}", "bad" if bad else "quiet")
    if isinstance(step, Rewrite):
        return Row(number, f"{step.field} {step.before} → {step.after}", "rewrite")
    word = step.text.partition(" ipv")[0] if step.kind == "conntrack" else step.text
    return Row(number, f"{step.kind} {word}" if step.kind != "route" else word, "note")


def _rule_row(steps: Sequence[Step], number: int, step: RuleStep) -> Row:
    verb, _, target = step.verdict.partition(" ")
    after = steps[number + 1] if number + 1 < len(steps) else None
    if target and isinstance(after, ChainEnd) and after.chain == target:
        return Row(number, f"#{step.rule} {target}: no match", "quiet")
    kind = {"accept": "good", "drop": "bad", "stolen": "odd"}.get(verb, "rule")
    return Row(number, f"{step.chain} #{step.rule} → {target or step.verdict}", kind)
