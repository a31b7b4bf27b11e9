"""`fakecluster serve`: the API of a cluster on loopback, until interrupted."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fakecluster.cli.options import Family, Nodes, Proxy, Seed, UsageError, cluster_of


class Pace(StrEnum):
    """How time passes in the cluster."""

    real = "real"
    virtual = "virtual"
    accelerated = "accelerated"


def serve(
    manifests: Annotated[list[Path] | None, typer.Argument(help="Manifests to apply.", show_default=False)] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0: any.")] = 0,
    kubeconfig: Annotated[Path | None, typer.Option("--kubeconfig", help="Write the kubeconfig to this file.")] = None,
    clock: Annotated[Pace, typer.Option("--clock", help="Virtual: time stands; accelerated: 60 times.")] = Pace.real,
    plain: Annotated[bool, typer.Option("--plain", help="HTTP without TLS; every client is the admin.")] = False,
    proxy: Proxy = "iptables",
    nodes: Nodes = 2,
    ip_family: Family = "ipv4",
    seed: Seed = 0,
) -> None:
    """Serve the Kubernetes API for kubectl and any other client, on loopback, until interrupted.

    Example: fakecluster serve shop.yaml --port 6443 --kubeconfig shop.kubeconfig
    """
    try:
        from fakecluster.http.serving import write_private
    except ModuleNotFoundError as missing:
        raise UsageError(f"{missing}; install fakecluster[http]") from None
    cluster = cluster_of(manifests or [], nodes=nodes, proxy=proxy, family=ip_family, seed=seed)
    try:
        served = cluster.serve(port=port, tls=not plain, clock=clock.value)
    except OSError as taken:
        raise UsageError(f"port {port}: {taken.strerror}") from None
    with served as api:
        file = api.kubeconfig
        if kubeconfig is not None:
            write_private(kubeconfig, api.kubeconfig.read_text())
            file = kubeconfig
        print(f"serving {api.url} ({clock.value} time); stop with Ctrl-C")
        print(f"export KUBECONFIG={file.absolute()}", flush=True)
        api.wait()
