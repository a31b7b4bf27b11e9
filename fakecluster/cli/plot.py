"""`fakecluster plot`: what is easier to see than to read: shares of endpoints, rules walked against Services."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fakecluster.cli.options import Family, Manifests, Nodes, Proxy, Seed, UsageError, cluster_of
from fakecluster.cli.output import Answer, file_option, give, output_option
from fakecluster.cli.trace import source_host
from fakecluster.cluster import Cluster
from fakecluster.drawing import plots
from fakecluster.proxy.config import MODES

SVG = "svg"
#: Services that one measurement may have.
MOST_SERVICES = 100_000
Output = Annotated[str, output_option(SVG)]
OutputFile = Annotated[Path | None, file_option(SVG)]

app = typer.Typer(
    no_args_is_help=True,
    help="Draw shares and costs (SVG; needs the extra plots), or print their numbers. "
    "Example: fakecluster plot shares shop.yaml --from pod/client --to svc/web:80 -o shares.svg",
)


@app.command()
def shares(
    manifests: Manifests,
    source: Annotated[str, typer.Option("--from", help="pod/\\[NAMESPACE/]NAME, node/NAME or outside.")],
    target: Annotated[str, typer.Option("--to", help="\\[tcp|udp://] svc/NAME:PORT, pod/NAME:PORT, DNS name or IP.")],
    proxy: Proxy = "iptables",
    nodes: Nodes = 2,
    ip_family: Family = "ipv4",
    seed: Seed = 0,
    output: Output = "",
    file: OutputFile = None,
) -> None:
    """Show who answers how often: the exact share of every endpoint.

    Example: fakecluster plot shares shop.yaml --from pod/client --to svc/web:80 -o shares.svg
    """
    cluster = cluster_of(manifests, nodes=nodes, proxy=proxy, family=ip_family, seed=seed)
    found = source_host(cluster, source).outcomes(target).probabilities
    rows = [(name, str(share), f"{float(share):.2%}") for name, share in sorted(found.items())]
    title = f"{source} to {target}, {proxy}"

    def data() -> dict[str, Any]:
        return {name: {"exact": exact, "share": float(found[name])} for name, exact, _ in rows}

    give(Answer(title, lambda console: _table(console, ("who", "exact", "share"), rows), data,
                {SVG: lambda: plots.shares(found, title=title)}), output, file)  # fmt: skip


@app.command("rules-walked")
def rules_walked(
    services: Annotated[str, typer.Option("--services", help="Numbers of Services, by commas.")] = "1,10,100,1000",
    proxy: Annotated[
        list[str] | None, typer.Option("--proxy", "-p", help="Modes (repeatable; all but userspace).")
    ] = None,
    output: Output = "",
    file: OutputFile = None,
) -> None:
    """Measure how many rules a new connection's packet walks on its node, for numbers of Services and proxy modes.

    The Service that is asked for is the last one made, whose rules stand last where order matters.

    Example: fakecluster plot rules-walked --services 1,10,100,1000 -o walked.svg
    """
    modes = proxy or [mode for mode in MODES if mode != "userspace"]
    if unknown := [mode for mode in modes if mode not in MODES]:
        raise UsageError(f"--proxy {unknown[0]!r}: expected one of {', '.join(MODES)}")
    counts = _numbers(services)
    measured = {mode: [(count, walked(mode, count)) for count in counts] for mode in modes}
    rows = [(str(count), *(str(dict(measured[mode])[count]) for mode in modes)) for count in counts]
    title = "Rules walked by a new connection"
    give(Answer(title, lambda console: _table(console, ("Services", *modes), rows), lambda: measured,
                {SVG: lambda: plots.rules_walked(measured, title=title)}), output, file)  # fmt: skip


def _numbers(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdigit() and 0 < int(word) <= MOST_SERVICES for word in words):
        raise UsageError(f"--services {text!r}: expected numbers from 1 to {MOST_SERVICES}, by commas")
    return sorted({int(word) for word in words})


def walked(mode: str, services: int) -> int:
    """Rules that the first packet to the last of `services` Services walks on the client's node."""
    cluster = Cluster(nodes=1, proxy=mode)
    labels = {"app": "web"}
    container = {"name": "web", "image": "web", "ports": [{"containerPort": 80}]}
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels if name == "web" else {}},
         "spec": {"containers": [container]}}
        for name in ("web", "client")
    ]  # fmt: skip
    made = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{number:05d}"},
         "spec": {"selector": labels, "ports": [{"port": 80}]}}
        for number in range(services)
    ]  # fmt: skip
    cluster.apply([*pods, *made])
    trace = cluster.pod("client").connect(f"svc/s{services - 1:05d}:80").trace.trace
    return next(hop.rules_walked for hop in trace.hops if hop.namespace == "node/a")


def _table(console: Console, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
