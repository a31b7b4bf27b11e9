"""Arguments that several commands share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fakecluster.cluster import Cluster
from fakecluster.cni.addressing import FAMILIES
from fakecluster.errors import FakeclusterError
from fakecluster.policy.definitions import policy_definitions
from fakecluster.proxy.config import MODES

Manifests = Annotated[
    list[Path], typer.Argument(help="Manifest files or folders; - is standard input.", show_default=False)
]
Proxy = Annotated[
    str,
    typer.Option("--proxy", "-p", help=f"kube-proxy's mode: {', '.join(MODES)}.", autocompletion=lambda: list(MODES)),
]
Nodes = Annotated[int, typer.Option("--nodes", "-n", min=1, max=256, help="Number of nodes (a, b, c...).")]
Family = Annotated[
    str, typer.Option("--ip-family", help="ipv4, ipv6, dual or dual-ipv6.", autocompletion=lambda: list(FAMILIES))
]
AdminPolicies = Annotated[
    bool,
    typer.Option(
        "--admin-policies",
        help="First apply the published definitions of AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Decides what chance would.")]


class UsageError(FakeclusterError):
    """An argument is wrong."""


def cluster_of(
    manifests: list[Path], *, nodes: int, proxy: str, family: str, seed: int, admin_policies: bool = False
) -> Cluster:
    """A cluster with the manifests applied. Raises `UsageError`, `ManifestError`."""
    try:
        cluster = Cluster(nodes=nodes, proxy=proxy, ip_family=family, seed=seed)
    except ValueError as wrong:
        raise UsageError(str(wrong)) from None
    if admin_policies:
        cluster.apply(policy_definitions())
    for path in manifests:
        if not cluster.apply(read_text(path) if str(path) == "-" else path):
            raise UsageError(f"{path}: there is no object in it")
    return cluster


def read_text(path: Path) -> str:
    """The text of a file; - is standard input. Raises `UsageError` with the offset of what is no text."""
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as failed:
        raise UsageError(f"{path}: {failed.strerror}") from None
    except UnicodeDecodeError as wrong:
        raise UsageError(f"{path}: offset {wrong.start}: not text") from None
