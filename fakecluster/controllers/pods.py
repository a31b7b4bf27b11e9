"""Pods as workload controllers see them: ready, available, which to delete first, and making them from a template.

Sources: kubernetes pkg/controller/controller_utils.go, pkg/api/v1/pod/util.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from math import floor, log2
from typing import TYPE_CHECKING, Any

from fakecluster.controllers.conditions import condition, is_true
from fakecluster.controllers.ownership import reference_to
from fakecluster.controllers.timestamps import unix_seconds

if TYPE_CHECKING:
    from fakecluster.api.client import Client
    from fakecluster.api.store import WatchEvent
    from fakecluster.sim import Clock

Json = dict[str, Any]
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
FINAL_PHASES = ("Succeeded", "Failed")


def phase(pod: Json) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def on_node(client: Client, node_name: str) -> list[Json]:
    """The Pods bound to a node."""
    return [pod for pod in client.list("pods") if pod["spec"].get("nodeName") == node_name]


def is_going(pod: Json) -> bool:
    """Whether a Pod is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def is_active(pod: Json) -> bool:
    """Whether a Pod still counts: neither over nor being deleted."""
    return phase(pod) not in FINAL_PHASES and not is_going(pod)


def concerns_owner(event: WatchEvent) -> bool:
    """Whether a change of a Pod can matter to who controls it: not one of annotations or of addresses alone."""
    return event.type != "MODIFIED" or event.previous is None or _counted(event.previous) != _counted(event.object)


def _counted(pod: Json) -> tuple[Any, ...]:
    meta, status = pod["metadata"], pod.get("status") or {}
    restarts_seen = restarts(pod)
    return (
        meta.get("labels"),
        meta.get("ownerReferences"),
        meta.get("deletionTimestamp"),
        meta.get("finalizers"),
        pod["spec"].get("nodeName"),
        status.get("phase"),
        condition(pod, "Ready"),
        restarts_seen,
    )


def is_ready(pod: Json) -> bool:
    return is_true(pod, "Ready")


def ready_since(pod: Json) -> float:
    """When a Pod became ready (seconds since 1970), 0 when nobody said."""
    found = condition(pod, "Ready") or {}
    since = found.get("lastTransitionTime") if found.get("status") == "True" else None
    return unix_seconds(since) if since else 0.0


def is_available(pod: Json, min_ready_s: int, clock: Clock) -> bool:
    """Whether a Pod has been ready for `min_ready_s` seconds."""
    if not is_ready(pod):
        return False
    since = ready_since(pod)
    return not min_ready_s or bool(since and since + min_ready_s <= clock.unix_s)


def available_in_s(pods: Iterable[Json], min_ready_s: int, clock: Clock) -> float | None:
    """Seconds until the next ready Pod becomes available, or None when there is none to wait for."""
    waits = [
        ready_since(pod) + min_ready_s - clock.unix_s
        for pod in pods
        if is_ready(pod) and ready_since(pod) and not is_available(pod, min_ready_s, clock)
    ]
    return max(0.0, min(waits)) if waits else None


def pod_from_template(template: Json, owner: Json, prefix: str) -> Json:
    """A Pod of `owner`'s template, named by the server after `prefix`."""
    meta = template.get("metadata") or {}
    made: Json = {"generateName": prefix, "ownerReferences": [reference_to(owner)]}
    made |= {key: meta[key] for key in ("labels", "annotations", "finalizers") if meta.get(key)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": template["spec"]}


def restarts(pod: Json) -> int:
    """The most restarts of any container."""
    status = pod.get("status") or {}
    all_statuses = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return max((one.get("restartCount", 0) for one in all_statuses), default=0)


def deletion_cost(pod: Json) -> int:
    """What the Pod's annotation says that deleting it costs; 0 when it says nothing that can be read."""
    text = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0")
    return int(text) if re.fullmatch(r"-?[0-9]{1,10}", text) else 0


def deletion_order(pods: Iterable[Json], rank: Callable[[Json], int], clock: Clock) -> list[Json]:
    """Pods, those that a scale-down deletes first in front (ActivePodsWithRanks).

    Unassigned, pending, not ready, low deletion cost, on a node with many of the same kind (`rank`), ready or
    created a short time ago (in powers of two, then by uid), many restarts.
    """

    def age(since: float) -> int:
        ns = (clock.epoch_s + clock.now_s - since) * 1e9
        return floor(log2(ns)) if ns > 0 else 0

    def key(pod: Json) -> tuple[Any, ...]:
        created = unix_seconds(pod["metadata"]["creationTimestamp"])
        ready = ready_since(pod)
        return (
            bool(pod["spec"].get("nodeName")),
            {"Pending": 0, "Unknown": 1, "Running": 2}.get(phase(pod), 0),
            is_ready(pod),
            deletion_cost(pod),
            -rank(pod),
            (age(ready) if ready else 64) if is_ready(pod) else 0,
            -restarts(pod),
            age(created),
            pod["metadata"]["uid"],
        )

    return sorted(pods, key=key)
