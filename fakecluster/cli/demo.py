"""`fakecluster demo`: the main job on the example manifests, shown from manifest to answer."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.rule import Rule

from fakecluster.cli.options import Proxy, UsageError
from fakecluster.cli.output import Answer, Output, OutputFile, give
from fakecluster.cli.render import print_objects
from fakecluster.cli.rules import rules_text
from fakecluster.cli.trace import FAILED, opened_by
from fakecluster.cluster import Cluster

SERVICE, CLIENT, PORT = "nginx-service", "client", 8081


def demo(proxy: Proxy = "iptables", output: Output = "", file: OutputFile = None) -> None:
    """Walk one connection from a client Pod to a Service in a two-node cluster.

    Example: fakecluster demo --proxy nftables -o demo.html
    """
    try:
        cluster = Cluster(nodes=2, proxy=proxy)
    except ValueError as wrong:
        raise UsageError(str(wrong)) from None
    example = example_path("nginx.yaml")
    applied = [str(one) for one in cluster.apply(example)]
    client = cluster.pod(CLIENT)
    addresses = client.resolve(SERVICE)
    opened = opened_by(client, f"svc/{SERVICE}:{PORT}", b"hello")
    rules = rules_text(cluster, client.node.name)

    def show(console: Console) -> None:
        _show(console, cluster, applied, rules, addresses)
        console.print(Rule(f"pod/{CLIENT} connects to svc/{SERVICE}:{PORT}", align="left"))
        opened.show(console)

    def data() -> dict[str, object]:
        return {"applied": applied, "rules": rules, "addresses": addresses, **opened.data()}

    give(Answer("fakecluster demo", show, data), output, file)
    if not opened.answer:
        raise typer.Exit(FAILED)


def _show(console: Console, cluster: Cluster, applied: list[str], rules: str, addresses: list[str]) -> None:
    client = cluster.pod(CLIENT)
    console.print(Rule("fakecluster apply nginx.yaml", align="left"))
    for line in applied:
        console.print(line)
    console.print()
    print_objects(console, cluster)
    console.print(Rule(f"rules of node {client.node.name}, where the client runs", align="left"))
    console.print(rules, markup=False, soft_wrap=True)
    console.print(Rule(f"pod/{CLIENT} looks up {SERVICE}", align="left"))
    console.print(f"{SERVICE} is {', '.join(addresses)}")
    prefix = SERVICE.upper().replace("-", "_")
    env = {name: value for name, value in client.env.items() if name.startswith(prefix)}
    console.print("\n".join(f"{name}={value}" for name, value in env.items()), markup=False)


def example_path(name: str) -> Path:
    """An example manifest: beside the installed package, or in a source checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "examples", package.parent / "examples"):
        if (folder / name).exists():
            return folder / name
    raise UsageError(f"the example {name} is not installed")
