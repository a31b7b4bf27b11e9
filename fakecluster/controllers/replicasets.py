"""ReplicaSets: as many Pods as asked for, claimed by selector.

Source: kubernetes pkg/controller/replicaset/replica_set.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fakecluster.api.client import ApiError
from fakecluster.api.faults import ApiFault
from fakecluster.api.selectors import from_label_selector
from fakecluster.controllers.loop import Desk, Duty
from fakecluster.controllers.ownership import Key, claimed, concerned, controller_of, key_of
from fakecluster.controllers.pods import (
    FINAL_PHASES,
    available_in_s,
    concerns_owner,
    deletion_order,
    is_active,
    is_available,
    is_going,
    is_ready,
    phase,
    pod_from_template,
)

if TYPE_CHECKING:
    from fakecluster.api.store import WatchEvent

Json = dict[str, Any]
RESOURCE = "replicasets.apps"
#: Pods that one pass makes or deletes at most; the next pass goes on
BURST = 500


def notice(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    """The ReplicaSets that a change concerns: itself, a Pod's owner, or those that might adopt an orphan."""
    if event.resource == RESOURCE:
        return [key_of(event.object)]
    keys = concerned(desk.client, event, "ReplicaSet", RESOURCE)
    return keys if concerns_owner(event) else ()


def sync(desk: Desk, key: Key) -> None:
    """Make or delete Pods until there are `spec.replicas`, and report."""
    replica_set = desk.get(RESOURCE, key)
    if replica_set is None:
        return
    selector = from_label_selector(replica_set["spec"]["selector"])
    pods = claimed(desk.client, "pods", replica_set, selector, desk.owned["pods"])
    active = [pod for pod in pods if is_active(pod)]
    failure = None
    if not is_going(replica_set):
        failure = _manage(desk, replica_set, active)
    _report(desk, key, pods, failure)
    min_ready_s = replica_set["spec"].get("minReadySeconds", 0)
    wait_s = available_in_s(active, min_ready_s, desk.clock) if min_ready_s else None
    if wait_s is not None:
        desk.later(key, wait_s)


def _manage(desk: Desk, replica_set: Json, active: list[Json]) -> tuple[str, str] | None:
    """Make Pods or delete some; (reason, message) when that was refused."""
    missing = replica_set["spec"].get("replicas", 1) - len(active)
    if missing >= 0:
        return _create(desk, replica_set, min(missing, BURST))
    for pod in _victims(desk, replica_set, active, min(-missing, BURST)):
        namespace, name = key_of(pod)
        try:
            desk.client.delete("pods", name, namespace, uid=pod["metadata"]["uid"])
        except ApiError as error:
            if error.code not in (404, 409) or isinstance(error, ApiFault):
                raise
            continue
        desk.events.normal(replica_set, "SuccessfulDelete", f"Deleted pod: {name}")
    return None


def _create(desk: Desk, replica_set: Json, count: int) -> tuple[str, str] | None:
    namespace, name = key_of(replica_set)
    for _ in range(count):
        pod = pod_from_template(replica_set["spec"]["template"], replica_set, f"{name}-")
        try:
            made = desk.client.create("pods", pod, namespace)
        except ApiFault:
            raise  # the queue tries again
        except ApiError as error:
            if (error.status.get("details") or {}).get("causes", [{}])[0].get("reason") == "NamespaceTerminating":
                return None
            desk.events.warning(replica_set, "FailedCreate", f"Error creating: {error.message}")
            return "FailedCreate", error.message
        desk.events.normal(replica_set, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")
    return None


def _victims(desk: Desk, replica_set: Json, active: list[Json], count: int) -> list[Json]:
    """The Pods to delete; nodes that hold many Pods of the same Deployment give some first."""
    owner = controller_of(replica_set)
    related = desk.owned[RESOURCE].of(owner["uid"]) if owner else [replica_set]
    crowd = Counter(
        pod["spec"].get("nodeName", "")
        for one in related
        for pod in desk.owned["pods"].of(one["metadata"]["uid"])
        if is_active(pod)
    )
    return deletion_order(active, lambda pod: crowd[pod["spec"].get("nodeName", "")], desk.clock)[:count]


def _report(desk: Desk, key: Key, pods: list[Json], failure: tuple[str, str] | None) -> None:
    replica_set = desk.get(RESOURCE, key)
    if replica_set is None:
        return
    old = replica_set.get("status") or {}
    status = _status(desk, replica_set, pods)
    conditions = [one for one in old.get("conditions") or () if one["type"] != "ReplicaFailure"]
    if failure:
        reason, message = failure
        known = next((one for one in old.get("conditions") or () if one["type"] == "ReplicaFailure"), None)
        new = {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": message}
        conditions.append(known or {**new, "lastTransitionTime": desk.now})
    if conditions:
        status["conditions"] = conditions
    if status != old:
        desk.client.update_status(RESOURCE, {**replica_set, "status": status})


def _status(desk: Desk, replica_set: Json, pods: list[Json]) -> Json:
    spec = replica_set["spec"]
    min_ready_s = spec.get("minReadySeconds", 0)
    labels = ((spec["template"].get("metadata") or {}).get("labels") or {}).items()
    active = going = labeled = ready = available = 0
    for pod in pods:
        if is_active(pod):
            active += 1
            labeled += labels <= (pod["metadata"].get("labels") or {}).items()
            if is_ready(pod):
                ready += 1
                available += not min_ready_s or is_available(pod, min_ready_s, desk.clock)
        elif is_going(pod) and phase(pod) not in FINAL_PHASES:
            going += 1
    counts = {"fullyLabeledReplicas": labeled, "readyReplicas": ready, "availableReplicas": available}
    return {
        "replicas": active,
        **{name: count for name, count in counts.items() if count},
        "terminatingReplicas": going,
        "observedGeneration": replica_set["metadata"]["generation"],
    }


DUTY = Duty(
    target="replicaset-controller",
    agent="replicaset-controller",
    resources=frozenset({RESOURCE, "pods"}),
    owns={RESOURCE: "Deployment", "pods": "ReplicaSet"},
    notice=notice,
    sync=sync,
)
