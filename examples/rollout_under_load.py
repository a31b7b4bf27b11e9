"""A rollout under load whose new rules come late on the client's node; prints the table, draws rollout.svg."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fakecluster import Cluster
from fakecluster.cluster.faults import Fault, FaultPlan
from fakecluster.load import Load, plot


def web(image: str) -> dict[str, Any]:
    """Four replicas that take three seconds to be available, and stop in at most five."""
    probe = {"httpGet": {"port": 80}, "periodSeconds": 1}
    container = {"name": "main", "image": image, "ports": [{"containerPort": 80}], "readinessProbe": probe}
    spec = {
        "replicas": 4,
        "minReadySeconds": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 5},
        },
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def main(path: str = "rollout.svg") -> None:
    cluster = Cluster(nodes=3)
    service = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    client = {"nodeName": "a", "containers": [{"name": "main", "image": "example.com/client:1"}]}
    cluster.apply(
        [
            web("example.com/web:1"),
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": service},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": client},
        ]
    )
    cluster.advance(5)
    run = cluster.run_load(Load(rate_per_s=20, duration_s=40, keep_alive=False), "web:80")
    cluster.advance(10)
    cluster.faults.run(FaultPlan((Fault("hold", "kube-proxy@a", for_s=8),)))
    cluster.apply(web("example.com/web:2"))
    cluster.advance(45)
    print(run.result.table(every_s=5))
    marks = {15.0: "rollout, kube-proxy@a held", 23.0: "kube-proxy@a released"}
    plot(run.result, Path(path), title="A rollout whose rules come late", marks=marks)


if __name__ == "__main__":
    main(*sys.argv[1:])
