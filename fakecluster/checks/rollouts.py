"""A rolling update refuses nobody: connections are tried throughout, second by second and event by event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fakecluster.checks.endpoints import service_ports, words
from fakecluster.checks.finding import Finding
from fakecluster.checks.probes import with_probes
from fakecluster.checks.services import FAILURES, outcomes_of

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster
    from fakecluster.handles import Pod

JsonObject = dict[str, Any]
#: How long a rollout is watched at most, in seconds of virtual time.
WATCHED_S = 600
#: How long kube-proxies lag behind the API, as on a busy real cluster: what a preStop hook has to outlast.
PROPAGATION_S = 1.0
RESTARTED = {"spec": {"template": {"metadata": {"annotations": {"fakecluster.dev/restarted": "yes"}}}}}


def rollout_refuses_nobody(cluster: Cluster) -> Iterator[Finding]:
    """Restart each Deployment behind a Service and connect all the while; kube-proxies learn of changes 1 s late."""
    for deployment in cluster.seen.list("deployments.apps"):
        meta = deployment["metadata"]
        if meta["namespace"] == "kube-system" or not deployment["spec"].get("replicas", 1):
            continue
        copy, pods = with_probes(cluster)
        targets = [(service, port) for service, port in service_ports(copy) if _is_behind(deployment, service.object)]
        client = next(iter(pods.values()), None)
        if not targets or client is None:
            continue
        copy.api.patch("deployments.apps", meta["name"], RESTARTED, meta["namespace"], kind="merge")
        seconds, failures = watch(copy, client, targets, deployment)
        for subject, count in failures.items():
            problem = (
                f"a rolling update of deployment {meta['name']} fails connections in {count} of "
                f"{seconds} s (it needs a readiness probe, and a preStop longer than the rules take to follow)"
            )
            yield Finding("rollout", subject, problem)


def _is_behind(deployment: JsonObject, service: JsonObject) -> bool:
    selector = service["spec"].get("selector") or {}
    labels = deployment["spec"]["template"]["metadata"].get("labels") or {}
    same = service["metadata"]["namespace"] == deployment["metadata"]["namespace"]
    matches: bool = all(labels.get(key) == value for key, value in selector.items())
    return bool(same and selector and matches)


def watch(
    cluster: Cluster, client: Pod, targets: list[tuple[Any, JsonObject]], deployment: JsonObject
) -> tuple[int, Counter[str]]:
    """Let the rollout happen, the proxies lagging: (seconds it took, in how many of them a connection could fail)."""
    failures: Counter[str] = Counter()
    proxies = [name for name in cluster.clock.targets if name.startswith("kube-proxy@")]
    for second in range(1, WATCHED_S + 1):
        for name in proxies:
            cluster.hold(name)
        cluster.advance(PROPAGATION_S)
        for service, port in targets:
            seen = outcomes_of(client, port, (service.cluster_ip, port["port"]))
            if seen.destinations & FAILURES:
                failures[words(service, port)] += 1
        for name in proxies:
            cluster.release(name)
        cluster.settle()
        if _is_complete(cluster, deployment):
            return second, failures
    return WATCHED_S, failures


def _is_complete(cluster: Cluster, deployment: JsonObject) -> bool:
    """The new Pods are available and the old ones have gone."""
    meta = deployment["metadata"]
    now = cluster.seen.get("deployments.apps", meta["name"], meta["namespace"])
    status, replicas = now.get("status") or {}, now["spec"]["replicas"]
    if status.get("updatedReplicas") != replicas or status.get("availableReplicas") != replicas:
        return False
    labels = now["spec"]["template"]["metadata"].get("labels") or {}
    pods = [pod for pod in cluster.seen.list("pods", meta["namespace"]) if _carries(pod, labels)]
    return bool(len(pods) == replicas)


def _carries(pod: JsonObject, labels: dict[str, str]) -> bool:
    return all((pod["metadata"].get("labels") or {}).get(key) == value for key, value in labels.items())
