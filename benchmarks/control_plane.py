"""What the API server costs in process: writes, reads, watch deliveries, forks, and the memory of a large cluster.

Run: python benchmarks/control_plane.py [--large]   (--large: 10,000 Services and 100,000 endpoints, about a minute)

The last column compares with the cheapest thing that could be done instead: one round trip of the object through JSON
text, which every client of a server in another process pays at least twice.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
from collections.abc import Callable
from time import perf_counter
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table

from fakecluster.api.client import Client
from fakecluster.api.server import ApiServer
from fakecluster.sim import Clock, Seeded

COUNT = 2_000
SERVICES, SLICES, ENDPOINTS = 10_000, 1_000, 100
SLICE = "endpointslices.discovery.k8s.io"


@attrs.frozen
class Measure:
    """One line: what was done how many times in which time; `floor_s` is a JSON round trip of the object."""

    what: str
    count: int
    seconds: float
    floor_s: float

    @property
    def rate(self) -> float:
        return self.count / self.seconds


def service(name: str) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return {"metadata": {"name": name}, "spec": {"ports": ports, "selector": {"app": name}}}


def pod(name: str) -> dict[str, Any]:
    containers = [{"name": "c", "image": "nginx", "ports": [{"containerPort": 80}]}]
    return {"metadata": {"name": name, "labels": {"app": "x"}}, "spec": {"containers": containers, "nodeName": "n"}}


def endpoint_slice(number: int) -> dict[str, Any]:
    endpoints = [
        {
            "addresses": [f"10.{number // 250}.{number % 250}.{i + 1}"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": f"node-{i % 3}",
            "targetRef": {"kind": "Pod", "namespace": "default", "name": f"p{number}-{i}"},
        }
        for i in range(ENDPOINTS)
    ]
    meta = {"name": f"slice-{number}", "labels": {"kubernetes.io/service-name": f"s{number}"}}
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    return {"metadata": meta, "addressType": "IPv4", "endpoints": endpoints, "ports": ports}


def timed(count: int, action: Callable[[int], Any]) -> float:
    gc.collect()
    start = perf_counter()
    for number in range(count):
        action(number)
    return perf_counter() - start


def floor(sample: Any) -> float:
    """Seconds of one JSON round trip."""
    return timed(500, lambda _: json.loads(json.dumps(sample))) / 500


def flip(client: Client, number: int) -> None:
    name = f"p{number}"
    found = client.get("pods", name, "default")
    client.update_status("pods", {**found, "status": {**found["status"], "phase": "Running"}})


def writes(client: Client) -> list[Measure]:
    def apply(number: int) -> Any:
        config = {"apiVersion": "v1", "kind": "Service", **service(f"s{number}")}
        return client.patch(
            "services", f"s{number}", config, "default", kind="apply", field_manager="bench", force=True
        )

    actions: dict[str, tuple[Callable[[int], Any], str, str]] = {
        "create Service": (lambda n: client.create("services", service(f"s{n}"), "default"), "services", "s0"),
        "create Pod": (lambda n: client.create("pods", pod(f"p{n}"), "default"), "pods", "p0"),
        "Pod status": (lambda n: flip(client, n), "pods", "p0"),
        "merge patch": (
            lambda n: client.patch("services", f"s{n}", {"metadata": {"labels": {"a": "b"}}}, "default"),
            "services",
            "s0",
        ),
        "strategic patch": (
            lambda n: client.patch(
                "services", f"s{n}", {"spec": {"ports": [{"port": 80, "name": "x"}]}}, "default", kind="strategic"
            ),
            "services",
            "s0",
        ),
        "apply": (apply, "services", "s0"),
    }
    found = []
    for what, (action, kind, name) in actions.items():
        seconds = timed(COUNT, action)
        found.append(Measure(what, COUNT, seconds, floor(client.get(kind, name, "default"))))
    return found


def reads(server: ApiServer, client: Client) -> list[Measure]:
    one = floor(client.get("services", "s0", "default"))
    path = "/api/v1/namespaces/default/services"
    found = [
        Measure("get", COUNT, timed(COUNT, lambda n: client.get("services", f"s{n}", "default")), one),
        Measure("list, per object", COUNT * 20, timed(20, lambda _: client.list("services", "default")), one),
        Measure("HTTP get", COUNT, timed(COUNT, lambda n: server.request("GET", f"{path}/s{n}").body), one),
        Measure("HTTP list, per object", COUNT * 3, timed(3, lambda _: server.request("GET", path).body), one),
    ]
    server.watch("bench", ["services"]).take()
    seconds = timed(COUNT, lambda n: client.patch("services", f"s{n}", {"metadata": {"labels": {"w": "1"}}}, "default"))
    start = perf_counter()
    events = server.inbox("bench").take()
    found.append(Measure("patch, watched", COUNT, seconds + perf_counter() - start, one))
    assert len(events) == COUNT
    return found


def large() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    server = ApiServer(Clock(), Seeded(0))
    client = Client(server)
    seconds = timed(SERVICES, lambda n: client.create("services", service(f"s{n}"), "default"))
    print(f"{SERVICES} Services: {SERVICES / seconds:,.0f}/s")
    seconds = timed(SLICES, lambda n: client.create(SLICE, endpoint_slice(n), "default"))
    print(f"{SLICES * ENDPOINTS} endpoints: {SLICES * ENDPOINTS / seconds:,.0f}/s")

    def change(number: int) -> None:
        found = client.get(SLICE, f"slice-{number}", "default")
        endpoints = [*found["endpoints"]]
        endpoints[7] = {**endpoints[7], "conditions": {"ready": False}}
        client.update(SLICE, {**found, "endpoints": endpoints})

    print(f"one endpoint changed: {timed(300, change) / 300 * 1e3:.2f} ms")
    print(f"fork: {timed(20, lambda _: server.fork(Clock(), Seeded(0))) / 20 * 1e3:.2f} ms")
    print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before:,.0f} MB more")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="10,000 Services and 100,000 endpoints as well")
    options = parser.parse_args()
    ApiServer(Clock(), Seeded(0))  # what is loaded once per process is loaded now
    start = timed(50, lambda _: ApiServer(Clock(), Seeded(0))) / 50
    server = ApiServer(Clock(), Seeded(0))
    client = Client(server)
    table = Table(title=f"API server in process (a new one: {start * 1e3:.2f} ms)")
    for column in ("what", "per second", "ms each", "JSON round trips"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for measure in writes(client) + reads(server, client):
        each = measure.seconds / measure.count
        table.add_row(measure.what, f"{measure.rate:,.0f}", f"{each * 1e3:.3f}", f"{each / measure.floor_s:.1f}")
    Console().print(table)
    if options.large:
        large()


if __name__ == "__main__":
    main()
