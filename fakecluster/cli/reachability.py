"""`fakecluster reachability` and `fakecluster diff`: who may talk to whom, and what a change of manifests does to it."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fakecluster.cli.diff import diff_connections
from fakecluster.cli.options import AdminPolicies, Family, Manifests, Nodes, Proxy, UsageError, cluster_of
from fakecluster.cli.output import Answer, Output, OutputFile, file_option, give, output_option
from fakecluster.cluster.reach_cells import ALLOWED, DENIED, PARTLY
from fakecluster.cluster.reachability import LEGEND, MARKS, Reachability

DIFFERENT = 1
PROTOCOLS = ("TCP", "UDP", "SCTP")
_STYLES = {ALLOWED: "green", PARTLY: "yellow", DENIED: "bold red"}
#: Wider than any table.
_ANY_WIDTH = 1 << 20
Protocol = Annotated[str, typer.Option("--protocol", help="TCP, UDP or SCTP.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="The port that is connected to.")]


def reachability(
    manifests: Manifests,
    port: Port = 80,
    protocol: Protocol = "TCP",
    nodes: Nodes = 2,
    ip_family: Family = "ipv4",
    admin_policies: AdminPolicies = False,
    output: Annotated[str, output_option("csv", "svg")] = "",
    file: Annotated[Path | None, file_option("csv", "svg")] = None,
) -> None:
    """Show which Pods may talk to which, and to which Services, by the network policies in the manifests.

    Example: fakecluster reachability manifests/ --port 80 -o matrix.svg
    """
    matrix = matrix_of(manifests, protocol, port, nodes=nodes, family=ip_family, admin_policies=admin_policies)
    others = {"csv": matrix.csv, "svg": matrix.svg, "html": lambda: _page(matrix)}
    title = "fakecluster reachability"
    give(Answer(title, lambda console: print_matrix(console, matrix), matrix.data, others), output, file)


def diff(
    old: Annotated[Path, typer.Argument(help="Manifests as they are: a file or a folder.", show_default=False)],
    new: Annotated[Path | None, typer.Argument(help="Manifests as they will be (with --against: the same).")] = None,
    reachability: Annotated[
        bool, typer.Option("--reachability", help="Compare which Pods can talk (that is the default).")
    ] = False,
    connections: Annotated[
        bool, typer.Option("--connections", help="Compare who answers connections to Services, and how often.")
    ] = False,
    sources: Annotated[
        list[str] | None, typer.Option("--from", help="With --connections: from these hosts only (repeatable).")
    ] = None,
    proxy: Proxy = "iptables",
    against: Annotated[str, typer.Option("--against", help="With --connections: the proxy mode of the second.")] = "",
    port: Port = 80,
    protocol: Protocol = "TCP",
    nodes: Nodes = 2,
    ip_family: Family = "ipv4",
    admin_policies: AdminPolicies = False,
    output: Output = "",
    file: OutputFile = None,
) -> None:
    """Show what a change of manifests, or another proxy mode, changes. Exits 1 when something does.

    With --reachability (the default): which pairs of Pods can talk before or after, but not both. With --connections:
    which connections to Services are answered by others, or with other shares.

    Examples:

      fakecluster diff --reachability old/ new/ --port 8080

      fakecluster diff shop.yaml --connections --proxy iptables --against nftables
    """
    if reachability and (connections or against):
        raise UsageError("--reachability compares Pods, --connections Services: ask for one of them")
    if connections or against:
        kinds = ((old, proxy), (new or old, against or proxy))
        first, second = (cluster_of([path], nodes=nodes, proxy=mode, family=ip_family, seed=0) for path, mode in kinds)
        diff_connections(first, second, sources or [], output, file)
        return
    if new is None:
        raise UsageError("expected the manifests as they are and as they will be; --against PROXY compares modes")
    before, after = (
        matrix_of([path], protocol, port, nodes=nodes, family=ip_family, admin_policies=admin_policies)
        for path in (old, new)
    )
    _diff_pairs(before, after, output, file)


def _diff_pairs(before: Reachability, after: Reachability, output: str, file: Path | None) -> None:
    """Show which pairs can talk in one matrix but not in the other. Exits 1 when any can."""
    pairs = before.differences(after)
    keys = ("source", "target", "before", "after")

    def data() -> list[dict[str, Any]]:
        return [dict(zip(keys, pair, strict=True)) for pair in pairs]

    def show(console: Console) -> None:
        for source, target, was, is_now in pairs:
            line = Text(f"{source} -> {target} {after.protocol} {after.port}: {was} -> ")
            console.print(line.append(is_now, style=_STYLES.get(is_now, "")), soft_wrap=True)
        console.print(f"{len(pairs)} of {len(after.sources) * len(after.targets)} pairs differ")

    give(Answer("fakecluster diff", show, data), output, file)
    if pairs:
        raise typer.Exit(DIFFERENT)


def matrix_of(
    manifests: list[Path], protocol: str, port: int, *, nodes: int, family: str, admin_policies: bool
) -> Reachability:
    """The matrix of a cluster with the manifests applied. Raises `UsageError`, `ManifestError`."""
    if protocol.upper() not in PROTOCOLS:
        raise UsageError(f"--protocol {protocol}: expected one of {', '.join(PROTOCOLS)}")
    cluster = cluster_of(manifests, nodes=nodes, proxy="iptables", family=family, seed=0, admin_policies=admin_policies)
    return cluster.reachability(protocol, port)


def print_matrix(console: Console, matrix: Reachability) -> None:
    """A table with a row for each source and a numbered column for each target; without columns where it is too wide."""
    table = Table(box=None, pad_edge=False)
    table.add_column("from \\ to")
    for number, _name in enumerate(matrix.targets, 1):
        table.add_column(str(number), justify="right")
    for number, (name, words) in enumerate(zip(matrix.sources, matrix.verdicts, strict=True), 1):
        table.add_row(f"{number} {name}", *(_mark(word) for word in words))
    for number, name in enumerate(matrix.services, len(matrix.sources) + 1):
        table.add_row(f"{number} {name}", *("" for _target in matrix.targets))
    if Measurement.get(console, console.options.update(width=_ANY_WIDTH), table).maximum <= console.width:
        console.print(f"{matrix.protocol} {matrix.port}: {LEGEND}", soft_wrap=True)
        console.print(table)
    else:
        console.print(str(matrix), soft_wrap=True, no_wrap=True)


def _mark(verdict: str) -> Text:
    return Text(MARKS[verdict], style=_STYLES.get(verdict, "dim"))


def _page(matrix: Reachability) -> str:
    """The picture in a page, with every denial in words below it."""
    denials = (f"<li>{escape(str(cell))}</li>" for cell in matrix if cell.verdict in (DENIED, PARTLY))
    head = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>reachability</title></head>'
    style = ' style="margin: 24px; font: 13px system-ui, sans-serif"'
    return "\n".join((head, f"<body{style}>", matrix.svg(), "<ul>", *denials, "</ul>", "</body></html>", ""))
