"""`fakecluster diff-rules`, and `fakecluster diff --connections`: what a node's rules lack, what answers otherwise."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.text import Text

from fakecluster.cli.explain import read_dump
from fakecluster.cli.options import Family, Manifests, Nodes, Proxy, Seed, UsageError, cluster_of
from fakecluster.cli.output import Answer, Output, OutputFile, give
from fakecluster.cluster import Cluster
from fakecluster.explaining.connections import changed, connections, shares_text
from fakecluster.explaining.dumps import node_from_dumps
from fakecluster.explaining.rule_differences import RuleDifference, differences

DIFFERENT = 1
_STYLES = {"missing": "bold red", "extra": "yellow", "order": "magenta"}


def diff_rules(
    manifests: Manifests,
    node: Annotated[str, typer.Option("--node", help="The node (default: the first).")] = "",
    iptables: Annotated[Path | None, typer.Option("--iptables-save", help="iptables-save of the real node.")] = None,
    ip6tables: Annotated[Path | None, typer.Option("--ip6tables-save", help="ip6tables-save.")] = None,
    nft: Annotated[Path | None, typer.Option("--nft", help="nft list ruleset.")] = None,
    ipset: Annotated[Path | None, typer.Option("--ipset", help="ipset save.")] = None,
    ipvsadm: Annotated[Path | None, typer.Option("--ipvsadm", help="ipvsadm -Sn.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Rules that are not kube-proxy's, too.")] = False,
    output: Output = "",
    file: OutputFile = None,
    proxy: Proxy = "iptables",
    nodes: Nodes = 1,
    ip_family: Family = "ipv4",
    seed: Seed = 0,
) -> None:
    """Say what a real node lacks or has too much, in Services' names. Exits 1 when something differs.

    Example: fakecluster diff-rules shop.yaml --node a --iptables-save node-a.rules
    """
    files = {"ipset": ipset, "iptables-save": iptables, "ip6tables-save": ip6tables, "nft": nft, "ipvsadm": ipvsadm}
    dumps = {kind: read_dump(path) for kind, path in files.items() if path is not None}
    if not dumps:
        raise UsageError("a dump is needed: --iptables-save, --nft, --ipset or --ipvsadm")
    cluster = cluster_of(manifests, nodes=nodes, proxy=proxy, family=ip_family, seed=seed)
    try:
        model = cluster.node(node or cluster.spec.nodes[0].name).netns
    except LookupError as missing:
        raise UsageError(str(missing)) from None
    found = differences(node_from_dumps(dumps), model, everything=everything, kinds=tuple(dumps))
    answer = Answer(
        "fakecluster diff-rules", lambda console: _print(console, found), lambda: [*map(attrs.asdict, found)]
    )
    give(answer, output, file)
    if found:
        raise typer.Exit(DIFFERENT)


def _print(console: Console, found: list[RuleDifference]) -> None:
    for one in found:
        console.print(Text(str(one), style=_STYLES[one.what]), soft_wrap=True)
    console.print(f"{len(found)} differences")


def diff_connections(
    old: Cluster, new: Cluster, sources: list[str], output: str, file: Path | None
) -> None:  # fmt: skip
    """Show which connections to Services end otherwise in another cluster. Exits 1 when any does."""
    both = []
    columns = (TextColumn("{task.description}"), TextColumn("{task.completed} connections"))
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        for words, cluster in (("before", old), ("after", new)):
            task = progress.add_task(words, total=None)
            found = {}
            for connection, shares in connections(cluster, sources):
                found[connection] = shares
                progress.advance(task)
            both.append(found)
    differing = changed(*both)

    def data() -> list[dict[str, Any]]:
        return [
            {"source": one.connection.source, "target": one.connection.target,
             "before": {name: str(share) for name, share in one.before.items()},
             "after": {name: str(share) for name, share in one.after.items()}}
            for one in differing
        ]  # fmt: skip

    def show(console: Console) -> None:
        for one in differing:
            line = Text(f"{one.connection}: {shares_text(one.before)} -> ")
            console.print(line.append(shares_text(one.after), style="bold"), soft_wrap=True)
        console.print(f"{len(differing)} of {len(both[1])} connections differ")

    give(Answer("fakecluster diff", show, data), output, file)
    if differing:
        raise typer.Exit(DIFFERENT)
