"""PodDisruptionBudgets: how many Pods of each may be disturbed now.

Source: kubernetes pkg/controller/disruption/disruption.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import TYPE_CHECKING, Any

from fakecluster.api.selectors import from_label_selector
from fakecluster.controllers.loop import Desk, Duty
from fakecluster.controllers.ownership import Key, controller_of, key_of
from fakecluster.controllers.pods import is_going, is_ready
from fakecluster.controllers.timestamps import unix_seconds

if TYPE_CHECKING:
    from fakecluster.api.store import WatchEvent

Json = dict[str, Any]
RESOURCE = "poddisruptionbudgets.policy"
#: an evicted Pod whose deletion is not seen after this did not go
DELETION_TIMEOUT_S = 120
#: kinds of owners that say how many Pods there should be, and their resources
_SCALED = {
    "ReplicaSet": "replicasets.apps",
    "StatefulSet": "statefulsets.apps",
    "ReplicationController": "replicationcontrollers",
}


def notice(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    """The budgets that a change concerns: itself, or those that select the Pod as it is or was."""
    if event.resource == RESOURCE:
        yield key_of(event.object)
        return
    namespace = event.object["metadata"]["namespace"]
    for budget in desk.client.list(RESOURCE, namespace):
        selector = from_label_selector((budget.get("spec") or {}).get("selector"))
        seen = (pod for pod in (event.object, event.previous) if pod is not None)
        if any(selector.matches(pod["metadata"].get("labels") or {}) for pod in seen):
            yield key_of(budget)


def sync(desk: Desk, key: Key) -> None:
    """Count the Pods of one budget and say what it allows."""
    budget = desk.get(RESOURCE, key)
    if budget is None:
        return
    selector = from_label_selector((budget.get("spec") or {}).get("selector"))
    pods = [pod for pod in desk.client.list("pods", key[0]) if selector.matches(pod["metadata"].get("labels") or {})]
    expected, desired = _wanted(desk, budget.get("spec") or {}, pods)
    disrupted = _disrupted(desk, key, budget, pods)
    healthy = sum(is_ready(pod) for pod in pods if not is_going(pod) and pod["metadata"]["name"] not in disrupted)
    allowed = max(0, healthy - desired) if expected > 0 else 0
    counts = {
        "observedGeneration": budget["metadata"].get("generation", 0),
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
    }
    _report(desk, budget, counts, disrupted)


def _wanted(desk: Desk, spec: Json, pods: list[Json]) -> tuple[int, int]:
    """(Pods that there should be, Pods that must stay healthy)."""
    if spec.get("maxUnavailable") is not None:
        expected = _scale(desk, pods)
        return expected, max(0, expected - _share(spec["maxUnavailable"], expected))
    least = spec.get("minAvailable")
    if least is None:
        return len(pods), 0
    expected = _scale(desk, pods) if isinstance(least, str) else len(pods)
    return expected, _share(least, expected)


def _share(amount: int | str, whole: int) -> int:
    """A number, or a percentage of `whole` rounded up."""
    return ceil(int(amount.removesuffix("%")) * whole / 100) if isinstance(amount, str) else amount


def _scale(desk: Desk, pods: list[Json]) -> int:
    """How many Pods their owners ask for, every owner counted once; Pods without an owner do not count."""
    owners: dict[str, int] = {}
    for pod in pods:
        owner = controller_of(pod)
        if owner is None or owner["uid"] in owners or owner["kind"] not in _SCALED:
            continue
        found = desk.get(_SCALED[owner["kind"]], (pod["metadata"]["namespace"], owner["name"]))
        if found is None or found["metadata"]["uid"] != owner["uid"]:
            continue
        above = controller_of(found)
        if above is not None and above["kind"] == "Deployment":
            deployment = desk.get("deployments.apps", (pod["metadata"]["namespace"], above["name"]))
            if deployment is not None:
                owners[above["uid"]] = deployment["spec"].get("replicas", 1)
                owners[owner["uid"]] = 0
                continue
        owners[owner["uid"]] = found["spec"].get("replicas", 1)
    return sum(owners.values())


def _disrupted(desk: Desk, key: Key, budget: Json, pods: list[Json]) -> Json:
    """The Pods that were evicted and have not begun to go; looked at again when they should have."""
    present = {pod["metadata"]["name"]: pod for pod in pods}
    kept: Json = {}
    for name, moment in ((budget.get("status") or {}).get("disruptedPods") or {}).items():
        pod, left_s = present.get(name), unix_seconds(moment) + DELETION_TIMEOUT_S - desk.clock.unix_s
        if pod is not None and not is_going(pod) and left_s > 0:
            kept[name] = moment
            desk.later(key, left_s)
    return kept


def _report(desk: Desk, budget: Json, counts: Json, disrupted: Json) -> None:
    before = budget.get("status") or {}
    reason, status = ("SufficientPods", "True") if counts["disruptionsAllowed"] > 0 else ("InsufficientPods", "False")
    said = {"status": status, "observedGeneration": counts["observedGeneration"], "reason": reason, "message": ""}
    old: Json = next((c for c in before.get("conditions") or () if c["type"] == "DisruptionAllowed"), {})
    moment = old["lastTransitionTime"] if old.get("status") == status else desk.now
    condition = {"type": "DisruptionAllowed", **said, "lastTransitionTime": moment}
    after: Json = {**before, **counts, "conditions": [condition]}
    after.pop("disruptedPods", None)
    if disrupted:
        after["disruptedPods"] = disrupted
    if after != before:
        desk.client.update_status(RESOURCE, {**budget, "status": after})


DUTY = Duty(
    target="disruption-controller",
    agent="disruption-controller",
    resources=frozenset({RESOURCE, "pods"}),
    owns={},
    notice=notice,
    sync=sync,
)
