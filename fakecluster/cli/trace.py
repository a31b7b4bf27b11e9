"""`fakecluster trace`: one connection through a cluster, hop by hop."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from fakecluster.cli.options import Family, Manifests, Nodes, Proxy, Seed, UsageError, cluster_of
from fakecluster.cli.render import print_walks
from fakecluster.cluster import Cluster
from fakecluster.handles import ConnectFailed, Host, ResolveFailed

FAILED = 1


def trace(
    manifests: Manifests,
    source: Annotated[str, typer.Option("--from", help="pod/[NAMESPACE/]NAME, node/NAME or outside.")],
    target: Annotated[str, typer.Option("--to", help="[tcp|udp://] svc/NAME:PORT, pod/NAME:PORT, DNS name or IP.")],
    proxy: Proxy = "iptables",
    nodes: Nodes = 2,
    ip_family: Family = "ipv4",
    seed: Seed = 0,
    everything: Annotated[bool, typer.Option("--all", help="Every packet in full.")] = False,
    outcomes: Annotated[bool, typer.Option("--outcomes", help="Every possible answer with its probability.")] = False,
) -> None:
    """Apply MANIFESTS, open one connection, and show every hook, rule and rewrite on its way."""
    cluster = cluster_of(manifests, nodes=nodes, proxy=proxy, family=ip_family, seed=seed)
    console = Console(highlight=False)
    host = source_host(cluster, source)
    if outcomes:
        console.print(str(host.outcomes(target)))
        return
    if not show_connection(console, host, target, b"hello", everything=everything):
        raise typer.Exit(FAILED)


def source_host(cluster: Cluster, source: str) -> Host:
    """The host that `--from` names. Raises `UsageError` when there is none."""
    kind, _, name = source.partition("/")
    if source != "outside" and (kind not in ("pod", "node") or not name):
        raise UsageError(f"--from {source!r}: expected pod/[NAMESPACE/]NAME, node/NAME or outside")
    host = cluster.host_of(source.replace("pod/default/", "pod/"))
    try:
        host.netns  # noqa: B018  (does it run?)
    except (LookupError, ValueError) as missing:
        raise UsageError(f"--from {source!r}: {missing}") from None
    return host


def show_connection(console: Console, host: Host, target: str, data: bytes, *, everything: bool = False) -> bool:
    """Connect, print the packets' walks and the answer; False when nobody answers."""
    try:
        connection = host.connect(target)
        answer = connection.request(data)
    except ResolveFailed as failed:
        console.print(Text(str(failed), style="bold red"))
        return False
    except ConnectFailed as failed:
        if failed.trace is not None:
            print_walks(console, failed.trace.hops, everything=everything)
        console.print(Text(f"{failed.target}: {failed.outcome}", style="bold red"))
        return False
    print_walks(console, connection.trace.hops, everything=everything)
    console.print(Text(f"{connection.place} answered {answer.raw!r}", style="bold green"))
    return True
