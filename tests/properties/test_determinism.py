"""The same seed gives the same run, byte for byte: in another process, and whatever Python hashes strings to."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import json, sys
from fakecluster import Cluster
from fakecluster.cluster.faults import FaultOptions
from fakecluster.load import Load

cluster = Cluster(nodes=3, proxy=sys.argv[1], seed=11)
container = {"name": "main", "image": "example.com/x:1", "ports": [{"containerPort": 80}]}
template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
spec = {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template}
service = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
cluster.apply([
    {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": service},
    {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": {"containers": [container]}},
])
run = cluster.run_load(Load(rate_per_s=2, duration_s=100, arrivals="random", keep_alive=False, retries=1), "web:80")
print(cluster.faults.run(FaultOptions(seed=3, count=8, within_s=80)))
cluster.advance(200)
print("\\n".join(cluster.faults.log))
print(run.result.table(10))
print(cluster.pod("client").connect("web", 80, timeout_s=5).trace)
for node in cluster.nodes:
    print(node.run("iptables-save"), node.run("conntrack -L"))
print(json.dumps(cluster.api.list("pods"), sort_keys=True), json.dumps(cluster.api.list("events"), sort_keys=True))
"""


def test_a_run_under_faults_and_load_is_the_same_whatever_the_hash_seed() -> None:
    command = [sys.executable, "-c", PROGRAM, "iptables"]
    processes = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONHASHSEED": seed}
        )
        for seed in ("0", "4711")
    ]
    ends = [process.communicate() for process in processes]
    first = ends[0][0]
    assert b"answered" in first and b"begins: " in first, ends[0][1].decode()
    assert [end == first for end, _ in ends] == [True, True]
