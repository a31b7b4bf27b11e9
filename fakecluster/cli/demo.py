"""`fakecluster demo`: the main job on the example manifests, shown from manifest to answer."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.rule import Rule

from fakecluster.cli.options import Proxy, UsageError
from fakecluster.cli.render import print_objects
from fakecluster.cli.rules import rules_text
from fakecluster.cli.trace import FAILED, show_connection
from fakecluster.cluster import Cluster

SERVICE, CLIENT, PORT = "nginx-service", "client", 8081


def demo(proxy: Proxy = "iptables") -> None:
    """Walk one connection from a client Pod to a Service in a two-node cluster."""
    console = Console(highlight=False)
    try:
        cluster = Cluster(nodes=2, proxy=proxy)
    except ValueError as wrong:
        raise UsageError(str(wrong)) from None
    example = example_path("nginx.yaml")
    console.print(Rule(f"fakecluster apply {example.name}", align="left"))
    for applied in cluster.apply(example):
        console.print(str(applied))
    console.print()
    print_objects(console, cluster)
    client = cluster.pod(CLIENT)
    console.print(Rule(f"rules of node {client.node.name}, where the client runs", align="left"))
    console.print(rules_text(cluster, client.node.name), markup=False, soft_wrap=True)
    console.print(Rule(f"pod/{CLIENT} looks up {SERVICE}", align="left"))
    console.print(f"{SERVICE} is {', '.join(client.resolve(SERVICE))}")
    prefix = SERVICE.upper().replace("-", "_")
    env = {name: value for name, value in client.env.items() if name.startswith(prefix)}
    console.print("\n".join(f"{name}={value}" for name, value in env.items()), markup=False)
    console.print(Rule(f"pod/{CLIENT} connects to svc/{SERVICE}:{PORT}", align="left"))
    if not show_connection(console, client, f"svc/{SERVICE}:{PORT}", b"hello"):
        raise typer.Exit(FAILED)


def example_path(name: str) -> Path:
    """An example manifest: beside the installed package, or in a source checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "examples", package.parent / "examples"):
        if (folder / name).exists():
            return folder / name
    raise UsageError(f"the example {name} is not installed")
