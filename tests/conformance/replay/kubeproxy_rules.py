"""Compare rule dumps, forgetting only what the recordings call undetermined.

iptables: counters, and the order of the rules of different service ports inside the chains that all Services share.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby

from replay.kubeproxy_nft import nft_differences

#: Chains to which every Service adds its rules, in the order of a Go map.
SHARED_CHAINS = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL")
#: A chain whose rules name no Service, in the order of a Go map.
UNORDERED_CHAINS = ("KUBE-IPVS-OUT-FILTER",)
#: Differences reported per dump.
SHOWN = 6

_COUNTERS = re.compile(r"\[\d+:\d+\]")
_COMMENT = re.compile(r'--comment (?:"([^" ]+)|(\S+))')
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


def iptables_differences(expected: str, actual: str) -> Iterator[str]:
    """Lines that only one of two iptables-save dumps has, after both were brought into one order."""
    want, have = canonical(expected), canonical(actual)
    if want == have:
        return
    missing, extra = _only(want, have), _only(have, want)
    lines = [f"missing: {line}" for line in missing] + [f"too much: {line}" for line in extra]
    if not lines:
        lines = [f"order: {a!r} instead of {b!r}" for a, b in zip(have, want, strict=False) if a != b]
    yield from lines[:SHOWN]
    if len(lines) > SHOWN:
        yield f"... and {len(lines) - SHOWN} more lines of rules"


def canonical(dump: str) -> list[str]:
    """Lines with the table in front, tables in order of name, shared chains sorted by service port."""
    tables: dict[str, list[str]] = {}
    table = ""
    for line in dump.splitlines():
        if line.startswith("*"):
            table = line[1:]
            tables[table] = []
        elif line and not line.startswith("#") and line != "COMMIT":
            tables[table].append(_COUNTERS.sub("[0:0]", line).rstrip())
    return [f"{name}: {line}" for name in sorted(tables) for line in _sorted_shared(tables[name])]


def _sorted_shared(lines: list[str]) -> Iterator[str]:
    declared = [line for line in lines if line.startswith(":")]
    yield from declared
    rules = [line for line in lines if not line.startswith(":")]
    for chain, group in groupby(rules, key=lambda line: line.split(" ", 2)[1]):
        if chain in UNORDERED_CHAINS:
            yield from sorted(group)
        elif chain in SHARED_CHAINS:
            yield from sorted(group, key=_service_port)  # stable: the rules of one service port stay in order
        else:
            yield from group


def _service_port(rule: str) -> tuple[bool, str]:
    found = _COMMENT.search(rule)
    title = (found.group(1) or found.group(2) or "") if found else ""
    return "/" not in title, title if "/" in title else ""


def _only(first: list[str], second: list[str]) -> list[str]:
    left = {}
    for line in second:
        left[line] = left.get(line, 0) + 1
    found = []
    for line in first:
        if left.get(line, 0):
            left[line] -= 1
        else:
            found.append(line)
    return found


def patched(text: str, diff: str) -> str:
    """Apply a unified diff without context lines."""
    old, new, position = text.splitlines(), list[str](), 0
    lines = iter(diff.splitlines())
    for line in lines:
        hunk = _HUNK.match(line)
        if hunk:
            start, count = int(hunk[1]), int(hunk[2] if hunk[2] is not None else 1)
            begin = start - 1 if count else start
            new += old[position:begin]
            position = begin + count
        elif line.startswith("+") and not line.startswith("+++"):
            new.append(line[1:])
    return "\n".join([*new, *old[position:]])


#: Name of a dump in the recordings -> how to get it from the node, and how to compare it.
RULE_DUMPS: dict[str, tuple[list[str], Callable[[str, str], Iterator[str]]]] = {
    "iptables_save": (["iptables-save"], iptables_differences),
    "ip6tables_save": (["ip6tables-save"], iptables_differences),
    "nft_ruleset": (["nft", "-s", "list", "ruleset"], nft_differences),
}
