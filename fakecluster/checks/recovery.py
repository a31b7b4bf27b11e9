"""After the fault is before the fault: whatever broke, the cluster comes to what its objects say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.checks.finding import Finding
from fakecluster.checks.run import run
from fakecluster.controllers.pods import is_ready, phase
from fakecluster.controllers.timestamps import unix_seconds

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster
    from fakecluster.cluster.faults import FaultOptions, FaultPlan

#: What has to hold again.
CHECKS = ("endpoints", "unique", "reachable")
#: Long enough after the last fault for every retry with its back-off (kubelets' restarts: 5 minutes) to have come.
REST_S = 600.0
#: When the user's own change comes: while the first faults last.
CHANGE_AT_S = 1.0
#: How long a Pod may be there after its grace period: one more round of the kubelet's.
OVERDUE_S = 15.0


def recovers(
    cluster: Cluster,
    plan: FaultPlan | FaultOptions,
    *,
    meanwhile: Callable[[Cluster], object] | None = None,
    checks: Sequence[str] = CHECKS,
    rest_s: float = REST_S,
) -> list[Finding]:
    """What is still wrong `rest_s` after a plan, in a copy of the cluster in which it runs.

    `meanwhile` changes the copy, one second after the plan has begun. The evidence of each finding begins with the
    plan's log. Raises LookupError or ValueError when the plan does not fit the cluster, or has a fault without an end.
    """
    copy = cluster.fork()
    made = copy.faults.run(plan)
    if endless := [str(fault) for fault in made.faults if fault.end_s == inf]:
        raise ValueError(f"nothing recovers from what does not end: {'; '.join(endless)}")
    copy.advance(CHANGE_AT_S)
    if meanwhile is not None:
        meanwhile(copy)
    copy.advance(max(0.0, made.end_s - CHANGE_AT_S) + rest_s)
    log = "\n".join(copy.faults.log)
    findings = [*pods_are_where_they_should(copy), *run(copy, checks)]
    return [attrs.evolve(one, evidence=f"{log}\n{one.evidence}") for one in findings]


def pods_are_where_they_should(cluster: Cluster) -> Iterator[Finding]:
    """Pods on a node that no probe keeps from it are ready; those whose time is over are gone."""
    for pod in cluster.seen.list("pods"):
        meta, spec = pod["metadata"], pod["spec"]
        subject = f"pod/{meta['namespace']}/{meta['name']}"
        if "deletionTimestamp" in meta:
            if cluster.clock.unix_s > unix_seconds(meta["deletionTimestamp"]) + OVERDUE_S:
                yield Finding("pods", subject, "its grace period is over and it is still there")
        elif not is_ready(pod) and spec.get("nodeName") and spec.get("restartPolicy") == "Always" and not _probed(spec):
            yield Finding("pods", subject, f"nothing keeps it from being ready, and it is {phase(pod) or 'unknown'}")


def _probed(spec: dict[str, Any]) -> bool:
    return any("readinessProbe" in one or "startupProbe" in one for one in spec["containers"])
