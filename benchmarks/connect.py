"""What connections cost, beside Scapy's cost of dissecting the same packets once. Run: python benchmarks/connect.py"""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

from rich.console import Console
from rich.table import Table
from scapy.layers.inet import IP

from fakecluster import Cluster
from fakecluster.fabric.links import Port

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "nginx.yaml"
TARGET = "svc/nginx-service:8081"
REPEATS = 30


def seconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """The median time of one call."""
    times = []
    gc.collect()
    for _ in range(repeats):
        begin = perf_counter()
        run()
        times.append(perf_counter() - begin)
    return median(times)


def first_connection() -> list[bytes]:
    """From nothing to the first answer; returns the packets that crossed the client's interface."""
    cluster = Cluster(nodes=2)
    cluster.apply(EXAMPLE)
    port = Port("pod/client", "eth0")
    cluster.network.taps[port] = seen = []
    cluster.pod("client").connect(TARGET).request(b"hi")
    return [packet for _, _, packet in seen]


def main() -> None:
    begin = perf_counter()
    packets = first_connection()
    cold = perf_counter() - begin
    cluster = Cluster(nodes=2)
    cluster.apply(EXAMPLE)
    client = cluster.pod("client")
    connection = client.connect(TARGET)
    rows = [
        ("cluster to first answer, the process' first", cold, len(packets)),
        ("cluster to first answer, later ones", seconds(first_connection), len(packets)),
        ("one new connection (handshake)", seconds(lambda: client.connect(TARGET)), 3),
        ("one request and its answer, established", seconds(lambda: connection.request(b"hi")), 4),
    ]
    scapy = seconds(lambda: [IP(packet) for packet in packets]) / len(packets)
    table = Table(title=f"connect: Scapy dissects one of these packets in {scapy * 1e6:.0f} µs")
    for column in ("what", "ms", "packets", "Scapy dissecting them, ms", "ratio to Scapy"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, took, count in rows:
        table.add_row(
            what, f"{took * 1e3:.2f}", str(count), f"{scapy * count * 1e3:.2f}", f"{took / scapy / count:.1f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
