"""Truth tables: for each case who reaches whom, kept in truth_tables.txt, by meaning and by packets.

A table has a row for each source and a digit for each target, both in the order x/a, x/b, x/c, y/a ... z/c: the sum of 1
(80/TCP), 2 (81/TCP), 4 (80/UDP), 8 (81/UDP) that arrive, in hexadecimal. `python -m tests.policy.test_truth_tables`
prints the tables as the independent reading has them; what it prints is to be reviewed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .cases import cases
from .grid import PODS, PROBES, Grid
from .semantics import is_allowed

Json = dict[str, Any]
CASES = dict(cases())
FILE = Path(__file__).with_name("truth_tables.txt")


def kept() -> dict[str, list[str]]:
    tables = [block.splitlines() for block in FILE.read_text().strip().split("\n\n")]
    return {table[0]: table[1:] for table in tables}


def by_meaning(policies: list[Json]) -> list[str]:
    objects = [*Grid.of().objects, *policies]
    pods = {f"{p['metadata']['namespace']}/{p['metadata']['name']}": p for p in objects if p["kind"] == "Pod"}
    return [
        "".join(
            f"{sum(is_allowed(objects, pods[a], pods[b], *probe) << bit for bit, probe in enumerate(PROBES)):x}"
            for b in PODS
        )
        for a in PODS
    ]


def test_there_is_a_table_for_each_of_more_than_a_hundred_cases() -> None:
    assert list(kept()) == list(CASES)
    assert len(CASES) > 100


@pytest.mark.parametrize("name", CASES)
def test_packets_arrive_as_the_table_says(name: str) -> None:
    grid, table = Grid.of(*CASES[name], cni=("iptables", "nftables")[len(name) % 2]), kept()[name]
    wrong = [
        f"{source} to {target} {protocol} {port}"
        for row, source in enumerate(PODS)
        for column, target in enumerate(PODS)
        for bit, (protocol, port) in [((row + column) % 4, PROBES[(row + column) % 4])]
        if grid.arrives(source, target, protocol, port) != bool(int(table[row][column], 16) >> bit & 1)
    ]
    assert wrong == []


if __name__ == "__main__":
    print("\n\n".join("\n".join((name, *by_meaning(policies))) for name, policies in CASES.items()))
