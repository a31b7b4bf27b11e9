"""What an answer of cluster DNS costs, wire in and wire out, beside dnspython's parse and build of the same messages.

Run: python benchmarks/cluster_dns.py [number of Services ...]
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import dns.message
from rich.console import Console
from rich.table import Table

from fakecluster.discovery.records import Answer, Question, Record
from fakecluster.discovery.server import DnsServer
from fakecluster.sim import Clock, Seeded

SIZES = (10, 10_000)
#: Queries of one run, and runs; the best run counts.
QUERIES, RUNS = 500, 9
KINDS = ("ClusterIP A", "headless A", "SRV", "PTR", "NXDOMAIN", "outside A")


def objects(count: int) -> Iterator[dict[str, Any]]:
    """Half of the Services have a cluster IP, half are headless with three endpoints each."""
    yield {"kind": "Namespace", "metadata": {"name": "shop"}}
    for number in range(count):
        headless = number % 2
        name = f"svc-{number}"
        ip = f"10.{96 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
        spec = {"clusterIPs": ["None" if headless else ip], "ports": ports}
        yield {"kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}
        if headless:
            addresses = [f"10.{128 + one}.{number >> 8 & 255}.{number & 255}" for one in range(3)]
            yield {
                "kind": "EndpointSlice",
                "metadata": {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
                "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
                "ports": ports,
            }


def outside(question: Question) -> Answer:
    return Answer(answer=(Record(question.name, 60, "A", "198.51.100.7"),), authoritative=False)


def questions(kind: str, count: int) -> list[tuple[str, str]]:
    numbers = [n * 7919 % count for n in range(QUERIES)]
    even, odd = [n & ~1 for n in numbers], [n | 1 for n in numbers]
    return {
        "ClusterIP A": [(f"svc-{n}.shop.svc.cluster.local.", "A") for n in even],
        "headless A": [(f"svc-{n}.shop.svc.cluster.local.", "A") for n in odd],
        "SRV": [(f"_http._tcp.svc-{n}.shop.svc.cluster.local.", "SRV") for n in odd],
        "PTR": [(f"{n & 255}.{n >> 8}.96.10.in-addr.arpa.", "PTR") for n in even],
        "NXDOMAIN": [(f"svc-{n}.cluster.local.", "A") for n in numbers],
        "outside A": [(f"www-{n}.example.com.", "A") for n in numbers],
    }[kind]


def seconds(*runs: Callable[[], object]) -> list[float]:
    """The best time of each, taken in turns: whatever else the machine does only adds to it."""
    best = [float("inf")] * len(runs)
    for _ in range(RUNS):
        gc.collect()
        for place, run in enumerate(runs):
            begin = perf_counter()
            run()
            best[place] = min(best[place], perf_counter() - begin)
    return best


def baseline(queries: list[bytes], responses: list[bytes]) -> Callable[[], object]:
    """dnspython reads the same queries and writes the same responses."""
    built = [dns.message.from_wire(response) for response in responses]

    def run() -> None:
        for query, message in zip(queries, built, strict=True):
            dns.message.from_wire(query)
            message.to_wire()

    return run


def measure(kind: str, count: int, server: DnsServer) -> tuple[float, float]:
    """(seconds of a query here, seconds of dnspython's parse and build)."""
    queries = [dns.message.make_query(name, rtype).to_wire() for name, rtype in questions(kind, count)]
    responses = [response for query in queries if (response := server.answer(query)) is not None]

    def run() -> None:
        for query in queries:
            server.answer(query)

    here, there = seconds(run, baseline(queries, responses))
    return here / QUERIES, there / QUERIES


def main() -> None:
    table = Table(title="cluster DNS, one query")
    for column in ("Services", "question", "queries/s", "µs", "dnspython alone, µs", "ratio"):
        table.add_column(column, justify="left" if column == "question" else "right")
    for count in [int(word) for word in sys.argv[1:]] or SIZES:
        server = DnsServer(Clock(), Seeded(0), outside=outside)
        for obj in objects(count):
            server.on_change(obj)
        for kind in KINDS:
            here, there = measure(kind, count, server)
            table.add_row(
                str(count), kind, f"{1 / here:,.0f}", f"{here * 1e6:.0f}", f"{there * 1e6:.0f}", f"{here / there:.2f}"
            )
    Console().print(table)


if __name__ == "__main__":
    main()
