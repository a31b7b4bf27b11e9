"""What is compared in netfilter recordings: packets under masks, traces, rule texts, conntrack lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fakecluster.kernel.conntrack.text import listing
from fakecluster.kernel.effects import Effect
from fakecluster.kernel.hooks import Hook
from fakecluster.kernel.netns import Netns
from fakecluster.trace import ChainEnd, Hop, RuleStep, Step


def packets_equal(got: bytes, wanted: bytes, mask: list[dict[str, Any]]) -> bool:
    if len(got) != len(wanted):
        return False
    mine, real = bytearray(got), bytearray(wanted)
    for field in mask:
        at, length = field["offset"], field["length"]
        mine[at : at + length] = real[at : at + length] = bytes(length)
    return mine == real


#: The recorder switched the kernel's trace on at this priority of the first hook; earlier chains stay unseen there.
OBSERVER_PRIORITY = -350
BUILT_IN_CHAINS = frozenset(hook.name for hook in Hook)


def trace_of(netns: Netns, effects: list[Effect]) -> list[list[dict[str, Any]]]:
    """The rule path of every packet of the step that met a rule, in the order in which the walks began."""
    walks = {hop.walk: hop for effect in effects if (hop := getattr(effect, "hop", None)) is not None}
    priorities = base_priorities(netns)
    paths = [
        [entry for step in seen(walks[number], priorities) if (entry := trace_entry(step)) is not None]
        for number in sorted(walks)
    ]
    return [path for path in paths if path]


def base_priorities(netns: Netns) -> dict[tuple[str, str], int]:
    """(table, chain) of nft's base chains -> priority."""
    return {
        (str(table.name), name): chain.spec.base.priority
        for table in netns.nftables.tables.values()
        for name, chain in table.chains.items()
        if chain.spec.base is not None
    }


def seen(hop: Hop, priorities: dict[tuple[str, str], int]) -> Iterator[Step]:
    """The steps that the recorder could see: not what earlier chains did on the first hook of the walk."""
    first, hidden = "PREROUTING" if hop.iif else "OUTPUT", False
    for step in hop.steps:
        if isinstance(step, RuleStep | ChainEnd):
            if step.hook != first or step.chain in BUILT_IN_CHAINS:
                hidden = False
            elif (step.table, step.chain) in priorities:
                hidden = priorities[step.table, step.chain] < OBSERVER_PRIORITY
            if not hidden:
                yield step


def trace_entry(step: object) -> dict[str, Any] | None:
    if isinstance(step, RuleStep):
        entry: dict[str, Any] = {"table": step.table, "chain": step.chain, "verdict": step.verdict, "rule": step.rule}
    elif isinstance(step, ChainEnd):
        entry = {"table": step.table, "chain": step.chain, "verdict": step.verdict, "end": step.end}
    else:
        return None
    if step.mark:
        entry["mark"] = step.mark
    return entry


def save_lines(text: str, key: str) -> list[str]:
    """The lines of a rule text without comments and without what differs from run to run."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if key == "ipset save":
        lines = [
            re.sub(r" (initval|timeout) \S+(?= |$)", "", line)
            if line.startswith("add")
            else re.sub(r" initval \S+", "", line)
            for line in lines
        ]
    if key == "nft list ruleset":
        lines = _set_elements_sorted(lines)
    return [re.sub(r" expires \S+", "", line) for line in lines]


def _set_elements_sorted(lines: list[str]) -> list[str]:
    """The members of each set one a line and sorted: the kernel lists them in the order of a seeded hash."""
    text = re.sub(r",\n\t\t\t     ", ", ", "\n".join(lines))
    return [
        f"\t\telements = {{ {', '.join(sorted(line[15:-2].split(', ')))} }}"
        if line.startswith("\t\telements = {")
        else line
        for line in text.split("\n")
    ]


def conntrack_lines(netns: Netns) -> list[tuple[str, int | None]]:
    """(entry without its time-out, time-out) of every entry, as `conntrack -L -o extended` prints them."""
    found = []
    for line in listing(netns.conntrack, list(netns.conntrack)).splitlines():
        words = line.split()
        timeout = int(words.pop(4))
        found.append((" ".join(words), timeout))
    return found


def masked_entry(entry: str, mask: list[str]) -> str:
    entry = " ".join(entry.split())
    return re.sub(r"\b(sport|dport|id)=\d+", r"\1=*", entry) if "ports" in mask else entry
