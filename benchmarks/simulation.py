"""How fast virtual time passes in small and in large clusters, and what campaigns gain from a second process.

Run: python benchmarks/simulation.py [--large] [--sizes 10,100,1000]     (--large: an hour of 1,000 nodes, some minutes)

Each cluster has ten Pods a node and as many Services as nodes, all behind Deployments; meanwhile clients ask some of the
Services, and one Deployment after the other is rolled out. Times are CPU seconds of this process, so that others on the
machine do not count. In clusters of more than 64 nodes, nodes sleep until a packet comes (see the page on faults and long
simulations); `awake` says how many were needed.
"""

from __future__ import annotations

import argparse
import os
import resource
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter, process_time
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table

from fakecluster import Cluster, campaign
from fakecluster.cluster.faults import FaultOptions
from fakecluster.fabric.namespaces import awake
from fakecluster.load import Load

PODS_PER_NODE = 10
#: Services that are asked.
ASKED = 10
CAMPAIGN_SEEDS = 24


@attrs.frozen
class Size:
    nodes: int
    virtual_s: float
    rollouts: int
    #: requests to each of the Services that are asked
    rate_per_s: float = 1.0


@attrs.frozen
class Result:
    build_s: float
    load_s: float
    run_s: float
    awake: int
    memory_mb: float
    requests: int
    failed: int


SIZES = (Size(10, 600, 5), Size(100, 600, 5), Size(1000, 600, 5))
HOUR = Size(1000, 3600, 20, rate_per_s=0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--large", action="store_true", help="an hour of a cluster of 1,000 nodes and 10,000 Pods as well"
    )
    parser.add_argument("--sizes", default="", help="numbers of nodes, separated by commas")
    options = parser.parse_args()
    wanted = {int(text) for text in options.sizes.split(",") if text}
    sizes = [size for size in SIZES if not wanted or size.nodes in wanted] + [HOUR] * options.large
    console = Console(width=140)
    columns = (
        "nodes", "Pods", "Services", "virtual s", "made, s", "filled, s", "run, s", "virtual s per s", "awake", "MB",
        "requests", "failed",
    )  # fmt: skip
    table = Table(title="simulation: rollouts under load")
    for column in columns:
        table.add_column(column, justify="right")
    for size in sizes:
        result = simulate(size)
        row = (
            f"{size.nodes:,}", f"{size.nodes * PODS_PER_NODE:,}", f"{size.nodes:,}", f"{size.virtual_s:,.0f}",
            f"{result.build_s:.1f}", f"{result.load_s:.1f}", f"{result.run_s:.1f}",
            f"{size.virtual_s / result.run_s:,.0f}", f"{result.awake}", f"{result.memory_mb:,.0f}",
            f"{result.requests:,}", f"{result.failed:,}",
        )  # fmt: skip
        table.add_row(*row)
    console.print(table)
    if not wanted:
        console.print(campaigns())


def simulate(size: Size) -> Result:
    """Make, fill and run one cluster."""
    begin = process_time()
    config = {"iptables": {"minSyncPeriod": "1s"}}
    cluster = Cluster(nodes=size.nodes, proxy_config=config, seed=1)
    made = process_time()
    for number in range(size.nodes):
        cluster.apply([deployment(number, "1"), service(number)], settle=False)
    clients = [f"client-{number}" for number in range(ASKED)]
    cluster.apply([client(name) for name in clients])
    cluster.advance(30)
    filled = process_time()
    for number, name in enumerate(clients):
        load = Load(rate_per_s=size.rate_per_s, duration_s=size.virtual_s, keep_alive=False)
        cluster.run_load(load, f"svc-{number}:80", clients=[name])
    for number in range(size.rollouts):
        cluster.apply(deployment(number % size.nodes, f"2-{number}"))
        cluster.advance(size.virtual_s / size.rollouts)
    outcomes = [run.result.outcomes for run in cluster.loads]
    requests = sum(sum(one.values()) for one in outcomes)
    return Result(
        build_s=made - begin,
        load_s=filled - made,
        run_s=process_time() - filled,
        awake=sum(netns.name.startswith("node/") for netns in awake(cluster.network.namespaces)),
        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        requests=requests,
        failed=requests - sum(one.get("answered", 0) for one in outcomes),
    )


def deployment(number: int, version: str) -> dict[str, Any]:
    labels = {"app": f"app-{number}"}
    container = {"name": "main", "image": f"example.com/app:{version}", "ports": [{"containerPort": 80}]}
    spec = {
        "replicas": PODS_PER_NODE,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "enableServiceLinks": False}},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": f"app-{number}"}, "spec": spec}


def service(number: int) -> dict[str, Any]:
    spec = {"selector": {"app": f"app-{number}"}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"svc-{number}"}, "spec": spec}


def client(name: str) -> dict[str, Any]:
    spec = {"containers": [{"name": "main", "image": "example.com/client:1"}], "enableServiceLinks": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


# --- campaigns


def rough_minutes(seed: int) -> list[Any]:
    """Ten minutes of a small cluster under faults; the work of one seed. Ends with the CPU seconds that it took."""
    begin = process_time()
    cluster = Cluster(nodes=3, seed=seed)
    cluster.apply([deployment(0, "1"), service(0), client("client")])
    cluster.run_load(Load(rate_per_s=0.5, duration_s=600, keep_alive=False), "svc-0:80")
    cluster.faults.run(FaultOptions(seed=seed, count=5, within_s=500))
    cluster.advance(660)
    return [cluster.loads[0].result.outcomes, os.getpid(), process_time() - begin]


def campaigns() -> Table:
    """Seeds per second on one process and on two: by the wall clock, and as the CPU time that the work took allows.

    On a machine with other work the wall clock says little. `shared` is how evenly two processes divided the work, and
    `overhead` what one seed costs more there than alone: both together bound what two idle cores would give.
    """
    rough_minutes(0)
    begin, busy = perf_counter(), process_time()
    alone = campaign(rough_minutes, seeds=range(CAMPAIGN_SEEDS), progress=False)
    wall, cpu = perf_counter() - begin, process_time() - busy
    with ProcessPoolExecutor(2) as pool:
        campaign(rough_minutes, seeds=range(-4, 0), executor=pool, progress=False)
        begin, busy = perf_counter(), process_time()
        both = campaign(rough_minutes, seeds=range(CAMPAIGN_SEEDS), executor=pool, progress=False)
        wall_2, own = perf_counter() - begin, process_time() - busy
    assert [value[0] for value in both.values.values()] == [value[0] for value in alone.values.values()]
    shares: dict[int, float] = {}
    for _, process, took_s in both.values.values():
        shares[process] = shares.get(process, 0.0) + took_s
    bound = cpu / (max(shares.values()) + own)
    table = Table(title=f"campaign: {CAMPAIGN_SEEDS} seeds of ten virtual minutes")
    for column in ("processes", "wall s", "CPU s", "seeds per wall s", "speed-up by wall clock", "by CPU time"):
        table.add_column(column, justify="right")
    table.add_row("1", f"{wall:.1f}", f"{cpu:.1f}", f"{CAMPAIGN_SEEDS / wall:.2f}", "1.00", "1.00")
    total = sum(shares.values()) + own
    table.add_row(
        "2", f"{wall_2:.1f}", f"{total:.1f}", f"{CAMPAIGN_SEEDS / wall_2:.2f}", f"{wall / wall_2:.2f}", f"{bound:.2f}"
    )
    return table


if __name__ == "__main__":
    main()
