"""`fakecluster reachability` and `fakecluster diff`: who may talk to whom, and what a change of manifests does to it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fakecluster.cli.options import Family, Manifests, Nodes, UsageError, cluster_of
from fakecluster.cluster.reach_cells import ALLOWED, DENIED, PARTLY
from fakecluster.cluster.reachability import LEGEND, MARKS, Reachability

DIFFERENT = 1
PROTOCOLS = ("TCP", "UDP", "SCTP")
_STYLES = {ALLOWED: "green", PARTLY: "yellow", DENIED: "bold red"}
Protocol = Annotated[str, typer.Option("--protocol", help="TCP, UDP or SCTP.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="The port that is connected to.")]


class MatrixOutput(StrEnum):
    """How a matrix is printed."""

    text = "text"
    json = "json"
    csv = "csv"
    svg = "svg"


class DiffOutput(StrEnum):
    """How differences are printed."""

    text = "text"
    json = "json"


def reachability(
    manifests: Manifests,
    port: Port = 80,
    protocol: Protocol = "TCP",
    nodes: Nodes = 2,
    ip_family: Family = "ipv4",
    output: Annotated[MatrixOutput, typer.Option("--output", "-o", help="text, json, csv or svg.")] = MatrixOutput.text,
) -> None:
    """Show which Pods may talk to which, by the network policies in the manifests."""
    matrix = matrix_of(manifests, protocol, port, nodes=nodes, family=ip_family)
    if output is MatrixOutput.text:
        print_matrix(matrix)
    else:
        print({"json": matrix.json, "csv": matrix.csv, "svg": matrix.svg}[output.value](), end="")


def diff(
    old: Annotated[Path, typer.Argument(help="Manifests as they are: a file or a folder.", show_default=False)],
    new: Annotated[Path, typer.Argument(help="Manifests as they will be.", show_default=False)],
    reachability: Annotated[bool, typer.Option("--reachability", help="Compare who may talk to whom.")] = True,
    port: Port = 80,
    protocol: Protocol = "TCP",
    nodes: Nodes = 2,
    ip_family: Family = "ipv4",
    output: Annotated[DiffOutput, typer.Option("--output", "-o", help="text or json.")] = DiffOutput.text,
) -> None:
    """Show which pairs of Pods can talk before or after a change of manifests, but not both. Exits 1 when any can."""
    if not reachability:
        raise UsageError("only reachability can be compared: leave out --no-reachability")
    before, after = (matrix_of([path], protocol, port, nodes=nodes, family=ip_family) for path in (old, new))
    pairs = before.differences(after)
    if output is DiffOutput.json:
        keys = ("source", "target", "before", "after")
        print(json.dumps([dict(zip(keys, pair, strict=True)) for pair in pairs], indent=2))
    else:
        for source, target, was, is_now in pairs:
            print(f"{source} -> {target} {protocol} {port}: {was} -> {is_now}")
        print(f"{len(pairs)} of {len(after.sources) * len(after.targets)} pairs differ")
    if pairs:
        raise typer.Exit(DIFFERENT)


def matrix_of(manifests: list[Path], protocol: str, port: int, *, nodes: int, family: str) -> Reachability:
    """The matrix of a cluster with the manifests applied. Raises `UsageError`, `ManifestError`."""
    if protocol.upper() not in PROTOCOLS:
        raise UsageError(f"--protocol {protocol}: expected one of {', '.join(PROTOCOLS)}")
    cluster = cluster_of(manifests, nodes=nodes, proxy="iptables", family=family, seed=0)
    return cluster.reachability(protocol, port)


def print_matrix(matrix: Reachability) -> None:
    """A table with a row for each source and a numbered column for each target."""
    table = Table(title=f"{matrix.protocol} {matrix.port}: {LEGEND}", box=None, pad_edge=False)
    table.add_column("from \\ to")
    for number, _name in enumerate(matrix.targets, 1):
        table.add_column(str(number), justify="right")
    for number, (name, words) in enumerate(zip(matrix.sources, matrix.verdicts, strict=True), 1):
        marks = [Text(MARKS[word], style=_STYLES.get(word, "dim")) for word in words]
        table.add_row(f"{number} {name}", *marks)
    Console(highlight=False).print(table)
