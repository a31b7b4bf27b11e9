"""What it costs until a change has reached Endpoints and EndpointSlices, in small and in large clusters.

Run: python benchmarks/propagation.py [--large]   (--large: 10,000 Services and 100,000 endpoints, some minutes)

One Pod's readiness flips; the time is that from the status patch until the controllers have nothing left to do. It
should depend on the Pods of its Service and on nothing else in the cluster: the last columns compare each row with the
smallest cluster and with the plain patch.
"""

from __future__ import annotations

import argparse
import gc
import resource
from statistics import median
from time import perf_counter
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table

from fakecluster.api.client import Client
from fakecluster.api.server import ApiServer
from fakecluster.controllers.manager import Manager
from fakecluster.sim import Clock, Seeded

CONTROLLERS = {"endpoints-controller", "endpointslice-controller", "endpointslicemirroring-controller"}
NODES = 3
FLIPS = 40


@attrs.frozen
class Size:
    services: int
    pods: int  # spread evenly over the Services


@attrs.frozen
class Result:
    """Rates per second, times in seconds, memory in MB at most since the process began."""

    service_rate: float
    pod_rate: float
    patch_s: float
    settled_s: float
    memory_mb: float


SIZES = (Size(10, 100), Size(100, 1_000), Size(1_000, 10_000), Size(1, 1_000))
LARGE = Size(10_000, 100_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="10,000 Services and 100,000 endpoints as well")
    sizes = (*SIZES, LARGE) if parser.parse_args().large else SIZES
    results = {size: measure(size) for size in sizes}
    first = results[sizes[0]]
    table = Table(title="propagation: one Pod's readiness until Endpoints and EndpointSlices say it")
    for column in (
        "Services",
        "endpoints",
        "Services/s",
        "Pods/s",
        "flip, ms",
        "to the smallest",
        "to the patch",
        "MB",
    ):
        table.add_column(column, justify="right")
    for size, result in results.items():
        table.add_row(
            f"{size.services:,}",
            f"{size.pods:,}",
            f"{result.service_rate:,.0f}",
            f"{result.pod_rate:,.0f}",
            f"{result.settled_s * 1e3:.2f}",
            f"{result.settled_s / first.settled_s:.1f}",
            f"{result.settled_s / result.patch_s:.1f}",
            f"{result.memory_mb:,.0f}",
        )
    Console().print(table)


def measure(size: Size) -> Result:
    """Load a cluster of a size (rates include the controllers' work) and let Pods flip in it."""
    gc.collect()
    clock, choices = Clock(), Seeded(0)
    api = ApiServer(clock, choices, service_cidrs=("10.96.0.0/12",))
    manager = Manager(api, clock, choices, controllers=CONTROLLERS)
    client = Client(api)
    for number in range(NODES):
        client.create("nodes", {"metadata": {"name": f"node-{number}"}})
    begin = perf_counter()
    for number in range(size.services):
        client.create("services", service(number), "default")
    clock.settle()
    services_done = perf_counter()
    for number in range(size.pods):
        client.create("pods", pod(number, size), "default")
        status = running(number)
        client.patch("pods", f"pod-{number}", {"status": status}, "default", kind="strategic", subresource="status")
    clock.settle()
    pods_done = perf_counter()
    assert manager.controllers
    patches, settled = zip(*(flip(client, clock, number % size.pods) for number in range(FLIPS)), strict=True)
    return Result(
        size.services / (services_done - begin),
        size.pods / (pods_done - services_done),
        median(patches),
        median(settled),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def flip(client: Client, clock: Clock, number: int) -> tuple[float, float]:
    """Change one Pod's readiness: seconds for the patch, seconds until everything is settled."""
    is_ready = client.get("pods", f"pod-{number}", "default")["status"]["conditions"][0]["status"] == "True"
    conditions = [{"type": "Ready", "status": "False" if is_ready else "True"}]
    begin = perf_counter()
    client.patch(
        "pods",
        f"pod-{number}",
        {"status": {"conditions": conditions}},
        "default",
        kind="strategic",
        subresource="status",
    )
    patched = perf_counter()
    clock.settle()
    return patched - begin, perf_counter() - begin


def service(number: int) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return {"metadata": {"name": f"svc-{number}"}, "spec": {"selector": {"app": f"app-{number}"}, "ports": ports}}


def pod(number: int, size: Size) -> dict[str, Any]:
    metadata = {"name": f"pod-{number}", "labels": {"app": f"app-{number % size.services}", "tier": "web"}}
    spec = {"nodeName": f"node-{number % NODES}", "containers": [{"name": "main", "image": "pause"}]}
    return {"metadata": metadata, "spec": spec}


def running(number: int) -> dict[str, Any]:
    ip = f"10.{128 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
    conditions = [{"type": "Ready", "status": "True"}]
    return {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": conditions}


if __name__ == "__main__":
    main()
