"""What tests cost: fresh clusters, forks, properties, the unused plugin. Run: python benchmarks/testing.py

Times are CPU seconds of this process, beside the cost of Scapy dissecting one SYN, so that machines can be compared.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from time import process_time

from hypothesis import HealthCheck, Phase, given, settings
from pytest_fakecluster.garbage import leave_loaded_out
from rich.console import Console
from rich.table import Table
from scapy.layers.inet import IP, TCP

from fakecluster import Cluster, checks
from fakecluster import strategies as kube

TESTS = 1000
SERVICES = 1000
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "image": "example.com/x:1", "ports": [{"containerPort": 80}]}]},
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
}


def seconds(run: Callable[[], object], repeats: int) -> float:
    """The median CPU time of one call."""
    times = []
    gc.collect()
    for _ in range(repeats):
        begin = process_time()
        run()
        times.append(process_time() - begin)
    return median(times)


def one_test() -> None:
    """A fresh three-node cluster, a Pod, a Service, one connection from a node through the Service."""
    cluster = Cluster(nodes=3)
    cluster.apply([POD, SERVICE])
    assert cluster.node("a").connect("svc/web:80").request(b"hi").server == "web"


def large() -> Cluster:
    """A cluster of many Services."""
    cluster = Cluster(nodes=3)
    cluster.apply([POD])
    cluster.apply([{**SERVICE, "metadata": {"name": f"s{number}"}} for number in range(SERVICES)])
    return cluster


def modes_agree_examples(count: int) -> None:
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cluster=kube.clusters())
    def agree(cluster: Cluster) -> None:
        assert not [one for one in checks.run(cluster, ["modes-agree"]) if one.severity == "error"]

    agree()


def imported_by_the_plugin() -> int:
    """Modules of the package, Scapy and the like that an installed but unused plugin loads."""
    code = (
        "import pytest, sys; pytest.main(['-q', '--collect-only', '-p', 'no:cacheprovider', '/dev/null']);"
        "print('COUNT', sum(n.split('.')[0] in ('fakecluster', 'scapy', 'dns', 'yaml', 'rich') for n in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return int(run.stdout.rpartition("COUNT")[2])


def main() -> None:
    syn = bytes(IP(dst="10.96.0.1") / TCP(dport=80))
    scapy = seconds(lambda: IP(syn), 200)
    one_test()
    leave_loaded_out()  # as the pytest plugin does after the first test
    test = seconds(one_test, 60)
    cluster = large()
    fork = seconds(cluster.fork, 20)
    examples = 20
    begin = process_time()
    modes_agree_examples(examples)
    example = (process_time() - begin) / examples
    table = Table(title=f"testing: Scapy dissects one SYN in {scapy * 1e6:.0f} µs")
    for column in ("what", "ms", "ratio to Scapy", "aim"):
        table.add_column(column, justify="left" if column == "what" else "right")
    rows = [
        (
            f"one test: fresh 3-node cluster, one connection ({TESTS} take {test * TESTS:.1f} s)",
            test,
            f"{TESTS} in 10 s",
        ),
        (f"fork of a cluster of {SERVICES} Services", fork, "5 ms"),
        ("one example of the property that modes agree (4 clusters)", example, ""),
    ]
    for what, took, aim in rows:
        table.add_row(what, f"{took * 1e3:.2f}", f"{took / scapy:.0f}", aim)
    table.add_row("modules imported by the unused plugin", str(imported_by_the_plugin()), "", "0")
    Console().print(table)


if __name__ == "__main__":
    main()
