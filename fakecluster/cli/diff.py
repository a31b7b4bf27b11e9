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

from fakecluster.cli.explain import read_dump, read_objects
from fakecluster.cli.options import Family, Nodes, Proxy, Seed, UsageError, cluster_of, read_text
from fakecluster.cli.output import Answer, Output, OutputFile, counted, give
from fakecluster.cluster import Cluster
from fakecluster.explaining.connections import changed, connections, shares_text
from fakecluster.explaining.dumps import node_from_dumps
from fakecluster.explaining.rendered import DUMP, configuration, real_cluster, rendered
from fakecluster.explaining.rule_differences import RuleDifference, differences
from fakecluster.explaining.service_names import ServiceNames, service_names
from fakecluster.kernel.netns import Netns
from fakecluster.proxy.config import KubeProxyConfiguration

DIFFERENT = 1
_STYLES = {"missing": "bold red", "extra": "yellow", "order": "magenta"}


Dump = Path | None
Objects = Annotated[
    list[Path] | None,
    typer.Option("--objects", help=f"Instead of manifests, a real cluster: {DUMP} (repeatable)."),
]
ProxyConfig = Annotated[
    Dump, typer.Option("--proxy-config", help="With --objects: the KubeProxyConfiguration, or the ConfigMap kube-proxy.")
]
IpAddr = Annotated[Dump, typer.Option("--ip-addr", help="With --objects: ip address show, for node ports.")]


def diff_rules(
    manifests: Annotated[
        list[Path] | None, typer.Argument(help="Manifest files or folders; - is standard input.", show_default=False)
    ] = None,
    node: Annotated[str, typer.Option("--node", help="The node (default: the first).")] = "",
    iptables: Annotated[Dump, typer.Option("--iptables-save", help="iptables-save of the real node.")] = None,
    ip6tables: Annotated[Dump, typer.Option("--ip6tables-save", help="ip6tables-save.")] = None,
    nft: Annotated[Dump, typer.Option("--nft", help="nft list ruleset.")] = None,
    ipset: Annotated[Dump, typer.Option("--ipset", help="ipset save.")] = None,
    ipvsadm: Annotated[Dump, typer.Option("--ipvsadm", help="ipvsadm -Sn.")] = None,
    objects: Objects = None,
    proxy_config: ProxyConfig = None,
    ip_addr: IpAddr = None,
    everything: Annotated[bool, typer.Option("--all", help="Rules that are not kube-proxy's, too.")] = False,
    output: Output = "",
    file: OutputFile = None,
    proxy: Proxy = "iptables",
    nodes: Nodes = 1,
    ip_family: Family = "ipv4",
    seed: Seed = 0,
) -> None:
    """Say what a real node lacks or has too much, in Services' names. Exits 1 when something differs.

    What it should have is what kube-proxy writes for manifests, or for the very objects of the node's own cluster.

    Examples:

      fakecluster diff-rules shop.yaml --node a --iptables-save node-a.rules

      fakecluster diff-rules --objects cluster.yaml --proxy-config kube-proxy.yaml --node worker-1 --nft worker-1.nft
    """
    files = {"ipset": ipset, "iptables-save": iptables, "ip6tables-save": ip6tables, "nft": nft, "ipvsadm": ipvsadm}
    dumps = {kind: read_dump(path) for kind, path in files.items() if path is not None}
    if not dumps:
        raise UsageError("a dump is needed: --iptables-save, --nft, --ipset or --ipvsadm")
    if bool(manifests) == bool(objects):
        raise UsageError("expected manifests, or --objects of the node's own cluster")
    if objects:
        model, names = _of_objects(objects, node, proxy, proxy_config, ip_addr)
    elif proxy_config or ip_addr:
        raise UsageError("--proxy-config and --ip-addr belong to --objects")
    else:
        cluster = cluster_of(manifests or [], nodes=nodes, proxy=proxy, family=ip_family, seed=seed)
        model, names = _of_cluster(cluster, node)
    found = differences(node_from_dumps(dumps), model, names=names, everything=everything, kinds=tuple(dumps))
    answer = Answer(
        "fakecluster diff-rules", lambda console: _print(console, found), lambda: [*map(attrs.asdict, found)]
    )
    give(answer, output, file)
    if found:
        raise typer.Exit(DIFFERENT)


def _of_objects(
    files: list[Path], node: str, proxy: str, config: Path | None, ip_addr: Path | None
) -> tuple[Netns, ServiceNames]:  # fmt: skip
    """What kube-proxy writes on a real node, and what its cluster's Services are called."""
    real = real_cluster(read_objects(files))
    if config is not None:
        settings = configuration(read_text(config), source=str(config))
    else:
        settings = KubeProxyConfiguration(mode=proxy)
    return rendered(real, node, settings, read_dump(ip_addr) if ip_addr is not None else None), real.service_names


def _of_cluster(cluster: Cluster, node: str) -> tuple[Netns, ServiceNames]:
    """The rules of a node of a model, and what its Services are called."""
    try:
        netns = cluster.node(node or cluster.spec.nodes[0].name).netns
    except LookupError as missing:
        raise UsageError(str(missing)) from None
    lists = [cluster.api.list(resource) for resource in ("services", "endpointslices.discovery.k8s.io")]
    return netns, service_names(*lists)


def _print(console: Console, found: list[RuleDifference]) -> None:
    for one in found:
        console.print(Text(str(one), style=_STYLES[one.what]), soft_wrap=True)
    console.print(counted(len(found), "difference"))


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
