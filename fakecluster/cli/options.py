"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fakecluster.cluster import Cluster
from fakecluster.errors import FakeclusterError
from fakecluster.proxy.config import MODES

Manifests = Annotated[list[Path], typer.Argument(help="Manifest files or folders.", show_default=False)]
Proxy = Annotated[
    str,
    typer.Option("--proxy", "-p", help=f"kube-proxy's mode: {', '.join(MODES)}.", autocompletion=lambda: list(MODES)),
]
Nodes = Annotated[int, typer.Option("--nodes", "-n", min=1, max=256, help="Number of nodes (a, b, c...).")]
Family = Annotated[str, typer.Option("--ip-family", help="ipv4, ipv6, dual or dual-ipv6.")]
Seed = Annotated[int, typer.Option("--seed", help="Decides what chance would.")]


class UsageError(FakeclusterError):
    """An argument is wrong."""


def cluster_of(manifests: list[Path], *, nodes: int, proxy: str, family: str, seed: int) -> Cluster:
    """A cluster with the manifests applied. Raises `UsageError`, `ManifestError`."""
    try:
        cluster = Cluster(nodes=nodes, proxy=proxy, ip_family=family, seed=seed)
    except ValueError as wrong:
        raise UsageError(str(wrong)) from None
    for path in manifests:
        cluster.apply(path)
    return cluster
