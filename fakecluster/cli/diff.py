"""`fakecluster diff-rules`: a real node's rules against what kube-proxy should have written there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import attrs
import typer
from rich.console import Console
from rich.text import Text

from fakecluster.cli.explain import Output, read_dump
from fakecluster.cli.options import Family, Manifests, Nodes, Proxy, Seed, UsageError, cluster_of
from fakecluster.replay.dumps import node_from_dumps
from fakecluster.replay.rule_differences import RuleDifference, differences

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
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.text,
    proxy: Proxy = "iptables",
    nodes: Nodes = 1,
    ip_family: Family = "ipv4",
    seed: Seed = 0,
) -> None:
    """Say what a real node lacks or has too much, in Services' names. Exits 1 when something differs."""
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
    _print(found, output)
    if found:
        raise typer.Exit(DIFFERENT)


def _print(found: list[RuleDifference], output: Output) -> None:
    if output is Output.json:
        print(json.dumps([attrs.asdict(one) for one in found], indent=2))
        return
    if output is not Output.text:
        raise UsageError(f"--output {output.value}: expected text or json")
    console = Console(highlight=False)
    for one in found:
        console.print(Text(str(one), style=_STYLES[one.what]), soft_wrap=True)
    console.print(f"{len(found)} differences")
