"""`fakecluster trace`: one connection through a cluster, hop by hop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import attrs
import typer
from rich.console import Console
from rich.text import Text

from fakecluster.cli.explain import answer_of, hop_data
from fakecluster.cli.options import Family, Manifests, Nodes, Proxy, Seed, UsageError, cluster_of
from fakecluster.cli.output import Answer, file_option, give, output_option
from fakecluster.cli.render import print_walks
from fakecluster.cluster import Cluster
from fakecluster.explaining import Explanation
from fakecluster.explaining.explaining import cluster_names
from fakecluster.handles import ConnectFailed, Host, Outcomes, ResolveFailed
from fakecluster.trace import Trace

FAILED = 1


def trace(
    manifests: Manifests,
    source: Annotated[str, typer.Option("--from", help="pod/\\[NAMESPACE/]NAME, node/NAME or outside.")],
    target: Annotated[str, typer.Option("--to", help="\\[tcp|udp://] svc/NAME:PORT, pod/NAME:PORT, DNS name or IP.")],
    proxy: Proxy = "iptables",
    nodes: Nodes = 2,
    ip_family: Family = "ipv4",
    seed: Seed = 0,
    everything: Annotated[bool, typer.Option("--all", help="Every packet in full.")] = False,
    outcomes: Annotated[bool, typer.Option("--outcomes", help="Every possible answer with its probability.")] = False,
    output: Annotated[str, output_option("svg", "mermaid")] = "",
    file: Annotated[Path | None, file_option("svg", "mermaid")] = None,
) -> None:
    """Apply MANIFESTS, open one connection, and show every hook, rule and rewrite on its way.

    Exits 1 when nobody answers. --output html is a page to click through.

    Example: fakecluster trace shop.yaml --from pod/client --to svc/web:80 -o walk.html
    """
    cluster = cluster_of(manifests, nodes=nodes, proxy=proxy, family=ip_family, seed=seed)
    host = source_host(cluster, source)
    if outcomes:
        found = host.outcomes(target)
        give(Answer("fakecluster trace", lambda console: console.print(str(found)), lambda: _ends(found)), output, file)
        return
    opened = opened_by(host, target, b"hello", everything=everything)
    pictures = answer_of(Explanation(opened.trace, (), (), cluster_names(cluster))).others
    give(Answer("fakecluster trace", opened.show, opened.data, pictures), output, file)
    if not opened.answer:
        raise typer.Exit(FAILED)


def _ends(found: Outcomes) -> dict[str, str]:
    return {str(end): str(probability) for end, probability in found.probabilities.items()}


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


@attrs.frozen
class Opened:
    """A connection that was tried: its packets, and who answered what ("" when nobody did: then `problem` says why)."""

    trace: Trace
    answer: str
    problem: str = ""
    everything: bool = False

    def show(self, console: Console) -> None:
        if self.trace.hops:
            print_walks(console, self.trace.hops, everything=self.everything)
        console.print(Text(self.answer or self.problem, style="bold green" if self.answer else "bold red"))

    def data(self) -> dict[str, Any]:
        return {"answer": self.answer, "problem": self.problem, "hops": [hop_data(hop) for hop in self.trace.hops]}


def opened_by(host: Host, target: str, data: bytes, *, everything: bool = False) -> Opened:
    """Connect and ask. Raises `TargetError`."""
    try:
        connection = host.connect(target)
        answer = connection.request(data)
    except ResolveFailed as failed:
        return Opened(Trace(()), "", str(failed))
    except ConnectFailed as failed:
        trace = failed.trace.trace if failed.trace is not None else Trace(())
        return Opened(trace, "", f"{failed.target}: {failed.outcome}", everything)
    return Opened(connection.trace.trace, f"{connection.place} answered {answer.raw!r}", "", everything)
