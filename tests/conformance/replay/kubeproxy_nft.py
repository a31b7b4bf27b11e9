"""Compare `nft list ruleset` dumps of kube-proxy's tables.

Undetermined: the order of set and map elements, and of the objects of different Services (a Go map's order); the rules
inside each chain stay in order. An emptied chain of a Service is deleted by the first sync that comes more than a second
later, and how far apart the recorder's steps were is not recorded: it may be there or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SHOWN = 6
Blocks = dict[str, list[str]]
#: Tables of iptables-nft, which show among nft's: the iptables-save dumps of the same moment cover them.
IPTABLES_TABLES = tuple(f"table {family} {name}" for family in ("ip", "ip6") for name in ("filter", "nat", "mangle"))

_ELEMENTS = re.compile(r"^elements = \{ (.*) \}$", re.S)


def nft_differences(expected: str, actual: str) -> Iterator[str]:
    """Objects of which only one dump has a block, and blocks that differ, line by line."""
    want, have = blocks(expected), blocks(actual)
    lines = [f"missing: {name}" for name in want if name not in have and not _emptied(name, want[name])]
    lines += [f"too much: {name}" for name in have if name not in want and not _emptied(name, have[name])]
    for name in want:
        if name in have and want[name] != have[name]:
            lines += [f"{name}: missing: {line}" for line in want[name] if line not in have[name]]
            lines += [f"{name}: too much: {line}" for line in have[name] if line not in want[name]]
            if sorted(want[name]) == sorted(have[name]):
                lines.append(f"{name}: another order")
    yield from lines[:SHOWN]
    if len(lines) > SHOWN:
        yield f"... and {len(lines) - SHOWN} more differences of rules"


def _emptied(name: str, lines: list[str]) -> bool:
    """Whether a block is a chain without rules whose name says that it belongs to a Service."""
    return not lines and "/" in name.partition("/chain ")[2]


def blocks(dump: str) -> Blocks:
    """`table/kind name` -> its lines; elements sorted, one per line."""
    found: Blocks = {}
    table, block, elements = "", "", list[str]()
    for raw in dump.splitlines():
        line = raw.strip()
        if elements:
            elements.append(line)
        elif line.startswith("table "):
            table = block = line.removesuffix(" {")
            found[table] = []
        elif line.startswith(("set ", "map ", "chain ", "counter ", "flowtable ")) and line.endswith(" {"):
            block = f"{table}/{line.removesuffix(' {')}"
            found[block] = []
        elif line == "}":
            block = table
        elif line.startswith("elements = {"):
            elements = [line]
        elif line:
            found[block].append(line)
        if elements and elements[-1].endswith("}"):
            found[block] += _sorted_elements(" ".join(elements))
            elements = []
    return {name: lines for name, lines in found.items() if name.partition("/")[0] not in IPTABLES_TABLES}


def _sorted_elements(text: str) -> list[str]:
    match = _ELEMENTS.match(text)
    inside = match[1] if match else text
    return sorted(f"element {part.strip()}" for part in re.split(r",\s+", inside) if part.strip())
