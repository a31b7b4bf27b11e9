"""`cluster.reachability("TCP", 80)`: who may talk to whom, as a matrix that can be read, kept and compared."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from io import StringIO
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.cluster.reach_cells import ALLOWED, DENIED, NO_LISTENER, PARTLY, Cells, cells_of
from fakecluster.cluster.reach_picture import svg

if TYPE_CHECKING:
    from fakecluster.cluster.cluster import Cluster

JsonObject = dict[str, Any]
MARKS = {ALLOWED: "X", PARTLY: "x", DENIED: ".", NO_LISTENER: "o"}
LEGEND = "X allowed, x partly, . denied, o nobody listens"


@attrs.frozen
class Cell:
    """From `source` to `target`: allowed, denied, no listener, for a Service partly; and the policies that decided."""

    source: str
    target: str
    verdict: str
    policies: tuple[str, ...] = ()

    def __str__(self) -> str:
        why = f" ({', '.join(self.policies)})" if self.policies else ""
        return f"{self.source} to {self.target}: {self.verdict}{why}"


@attrs.frozen
class Reachability:
    """A matrix for one protocol and port: from Pods ("shop/web") and "outside" to those and Services ("service/shop/web").

    A Service stands in it when it offers the port; it is "partly" reached when only some of its endpoints are.
    """

    protocol: str
    port: int
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    verdicts: tuple[tuple[str, ...], ...] = attrs.field(repr=False)
    _cells: Cells = attrs.field(repr=False, eq=False)

    @property
    def services(self) -> tuple[str, ...]:
        """The columns that are no rows."""
        return self.targets[len(self.sources) :]

    def __getitem__(self, pair: tuple[str, str]) -> Cell:
        """The cell of (source, target). Raises ValueError for names that are not in it."""
        row, column = self.sources.index(pair[0]), self.targets.index(pair[1])
        return Cell(*pair, self.verdicts[row][column], self._cells.reasons(row, column))

    def __iter__(self) -> Iterator[Cell]:
        for row, (source, words) in enumerate(zip(self.sources, self.verdicts, strict=True)):
            for column, (target, word) in enumerate(zip(self.targets, words, strict=True)):
                yield Cell(source, target, word, self._cells.reasons(row, column))

    def differences(self, new: Reachability) -> list[tuple[str, str, str, str]]:
        """(source, target, verdict here, verdict there) of every pair that differs; "absent" where it is missing."""
        here, there = self._verdict_of(), new._verdict_of()
        pairs = dict.fromkeys((*here, *there))
        return [
            (*pair, here.get(pair, "absent"), there.get(pair, "absent"))
            for pair in pairs
            if here.get(pair) != there.get(pair)
        ]

    def _verdict_of(self) -> dict[tuple[str, str], str]:
        rows = zip(self.sources, self.verdicts, strict=True)
        return {(row, name): word for row, words in rows for name, word in zip(self.targets, words, strict=True)}

    # --- views

    def __str__(self) -> str:
        width = max((len(name) for name in self.sources), default=0)
        columns = ", ".join(("columns in the order of rows", *self.services))
        lines = [f"{self.protocol} {self.port}: {LEGEND}; {columns}"]
        lines += [
            f"{name:<{width}}  {' '.join(MARKS[word] for word in words)}"
            for name, words in zip(self.sources, self.verdicts, strict=True)
        ]
        return "\n".join(lines)

    def data(self) -> JsonObject:
        """Every cell with the policies that decided, as plain values."""
        return {"protocol": self.protocol, "port": self.port, "cells": [attrs.asdict(cell) for cell in self]}

    def json(self) -> str:
        """`data` as a text."""
        return json.dumps(self.data(), indent=2)

    def csv(self) -> str:
        """One line for each source, one column for each target."""
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("", *self.targets))
        writer.writerows((name, *words) for name, words in zip(self.sources, self.verdicts, strict=True))
        return text.getvalue()

    def svg(self) -> str:
        """A picture: green allowed, yellow partly, red denied, grey without a listener; titles of the squares say why."""
        return svg(self)


def reachability(cluster: Cluster, protocol: str, port: int) -> Reachability:
    """What the policies of a cluster allow between its Pods (not those on the host network), the outside and Services.

    `protocol` is TCP, UDP or SCTP. By the rules' structure, of the cluster's first IP family. Service traffic is judged
    where it ends, by the client's own address. Traffic of nodes, and Pods of kube-system, are not in it.
    """
    cells = cells_of(cluster, protocol.upper(), port)
    rows, columns = range(len(cells.sources)), range(len(cells.targets))
    verdicts = tuple(tuple(cells.verdict(row, column) for column in columns) for row in rows)
    return Reachability(protocol.upper(), port, cells.sources, cells.targets, verdicts, cells)
