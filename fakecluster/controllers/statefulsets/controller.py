"""One pass over one StatefulSet: its Pods in order of their ordinals, then those too many, then old revisions.

Source: kubernetes pkg/controller/statefulset/stateful_set_control.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api.client import ApiError
from fakecluster.api.selectors import from_label_selector
from fakecluster.controllers import revisions
from fakecluster.controllers.loop import Desk, Duty
from fakecluster.controllers.ownership import Key, claimed, concerned, key_of
from fakecluster.controllers.pods import (
    FINAL_PHASES,
    available_in_s,
    concerns_owner,
    is_available,
    is_going,
    is_ready,
    phase,
)
from fakecluster.controllers.statefulsets.identity import (
    first_ordinal,
    new_claims,
    new_pod,
    ordinal,
    revision_of,
)
from fakecluster.errors import Unsupported

if TYPE_CHECKING:
    from fakecluster.api.store import WatchEvent

Json = dict[str, Any]
RESOURCE = "statefulsets.apps"


def notice(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    """The StatefulSets that a change concerns."""
    return NOTICES[event.resource](desk, event)


def _notice_pod(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    keys = concerned(desk.client, event, "StatefulSet", RESOURCE, matches=_could_be_member)
    return keys if concerns_owner(event) else ()


def _could_be_member(stateful_set: Json, pod: Json) -> bool:
    return ordinal(stateful_set, pod) is not None


NOTICES: dict[str, Callable[[Desk, WatchEvent], Iterable[Key]]] = {
    RESOURCE: lambda desk, event: [key_of(event.object)],
    "pods": _notice_pod,
    revisions.RESOURCE: lambda desk, event: (),
}


@attrs.define
class Pass:
    """A StatefulSet with its Pods by ordinal and the two revisions between which it is."""

    desk: Desk
    set: Json
    pods: dict[int, Json]
    current: Json
    update: Json

    @property
    def in_order(self) -> bool:
        return bool(self.set["spec"].get("podManagementPolicy") != "Parallel")

    @property
    def wanted(self) -> range:
        start = first_ordinal(self.set)
        return range(start, start + self.set["spec"].get("replicas", 1))

    def is_healthy(self, pod: Json | None) -> bool:
        """Whether a Pod runs, is available and stays."""
        min_ready_s = self.set["spec"].get("minReadySeconds", 0)
        return (
            pod is not None
            and phase(pod) == "Running"
            and not is_going(pod)
            and is_available(pod, min_ready_s, self.desk.clock)
        )

    # --- steps; each says whether the pass goes on

    def fill(self) -> bool:
        """Make the Pods that are missing; in order, each waits for the one before."""
        for number in self.wanted:
            pod = self.pods.get(number)
            if pod is not None and phase(pod) in FINAL_PHASES and not is_going(pod):
                self._delete(pod)
                if self.in_order:
                    return False
            elif pod is None:
                self._create(number)
                if self.in_order:
                    return False
            elif self.in_order and not self.is_healthy(pod):
                return False
        return True

    def shrink(self) -> bool:
        """Delete the Pods beyond the wanted ones, the last first."""
        unhealthy = [number for number in sorted(self.pods) if not self.is_healthy(self.pods[number])]
        first_unhealthy = unhealthy[0] if unhealthy else None
        for number in sorted(set(self.pods) - set(self.wanted), reverse=True):
            pod = self.pods[number]
            if is_going(pod):
                if self.in_order:
                    return False
                continue
            if self.in_order and not self.is_healthy(pod) and number != first_unhealthy:
                return False
            self._delete(pod)
            if self.in_order:
                return False
        return True

    def replace(self) -> None:
        """RollingUpdate: delete Pods of another revision, the last first, as unavailability allows."""
        strategy = self.set["spec"]["updateStrategy"]
        if strategy["type"] == "OnDelete":
            return
        rolling = strategy.get("rollingUpdate") or {}
        room = self._max_unavailable(rolling)
        for number in sorted(self.wanted, reverse=True):
            if number < first_ordinal(self.set) + rolling.get("partition", 0) or room <= 0:
                return
            pod = self.pods.get(number)
            if pod is not None and revision_of(pod) != self.update["metadata"]["name"] and not is_going(pod):
                self._delete(pod)
                room -= 1
            elif not self.is_healthy(pod):
                room -= 1

    def _max_unavailable(self, rolling: Json) -> int:
        value = rolling.get("maxUnavailable", 1)
        if isinstance(value, str):
            value = int(value.rstrip("%")) * len(self.wanted) // 100
        return max(1, int(value))

    # --- writes

    def _create(self, number: int) -> None:
        namespace, name = key_of(self.set)
        pod = new_pod(self.set, self._revision_for(number), number)
        for claim in new_claims(self.set, pod["metadata"]["name"]):
            if self.desk.get("persistentvolumeclaims", (namespace, claim["metadata"]["name"])) is None:
                self.desk.client.create("persistentvolumeclaims", claim, namespace)
        what = f"Pod {pod['metadata']['name']} in StatefulSet {name}"
        try:
            self.pods[number] = self.desk.client.create("pods", pod, namespace)
        except ApiError as error:
            message = f"create {what} failed error: {error.message}"
            self.desk.events.warning(self.set, "FailedCreate", message)
            raise
        self.desk.events.normal(self.set, "SuccessfulCreate", f"create {what} successful")

    def _revision_for(self, number: int) -> Json:
        """Below the partition, Pods are made by the current revision."""
        rolling = self.set["spec"]["updateStrategy"].get("rollingUpdate")
        below = number - first_ordinal(self.set)
        if rolling is None:
            below_current = below < (self.set.get("status") or {}).get("currentReplicas", 0)
            return self.current if below_current else self.update
        return self.current if below < rolling.get("partition", 0) else self.update

    def _delete(self, pod: Json) -> None:
        namespace, name = key_of(pod)
        gone = self.desk.client.delete("pods", name, namespace, uid=pod["metadata"]["uid"])
        number = ordinal(self.set, pod)
        if number is not None:
            self.pods.pop(number)
            if gone is not None:
                self.pods[number] = gone
        message = f"delete Pod {name} in StatefulSet {self.set['metadata']['name']} successful"
        self.desk.events.normal(self.set, "SuccessfulDelete", message)

    def report(self) -> None:
        """Write the status; a rolling update that is through makes the update revision the current one."""
        status = self._counted()
        rolling = self.set["spec"]["updateStrategy"]["type"] == "RollingUpdate"
        updated, replicas = status["updatedReplicas"], status["replicas"]
        if rolling and updated == replicas == status["readyReplicas"]:
            status |= {"currentReplicas": updated, "currentRevision": status["updateRevision"]}
        hidden = ("readyReplicas", "currentReplicas", "updatedReplicas")
        status = {name: value for name, value in status.items() if value or name not in hidden}
        if status != self.set.get("status"):
            stored = self.desk.get(RESOURCE, key_of(self.set))
            if stored is not None:
                self.set = self.desk.client.update_status(RESOURCE, {**stored, "status": status})

    def _counted(self) -> Json:
        pods = list(self.pods.values())
        current, update = self.current["metadata"]["name"], self.update["metadata"]["name"]
        staying = [revision_of(pod) for pod in pods if not is_going(pod)]
        min_ready_s = self.set["spec"].get("minReadySeconds", 0)
        ready = [pod for pod in pods if phase(pod) == "Running" and is_ready(pod)]
        return {
            "observedGeneration": self.set["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": len(ready),
            "availableReplicas": sum(is_available(pod, min_ready_s, self.desk.clock) for pod in ready),
            "currentReplicas": staying.count(current),
            "updatedReplicas": staying.count(update),
            "currentRevision": current,
            "updateRevision": update,
            "collisionCount": (self.set.get("status") or {}).get("collisionCount", 0),
        }


def sync(desk: Desk, key: Key) -> None:
    """Bring one StatefulSet a step further."""
    stateful_set = desk.get(RESOURCE, key)
    if stateful_set is None:
        return
    kept = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    if "Delete" in kept.values() and stateful_set["spec"].get("volumeClaimTemplates"):
        raise Unsupported("persistentVolumeClaimRetentionPolicy: Delete")
    selector = from_label_selector(stateful_set["spec"]["selector"])
    pods = claimed(desk.client, "pods", stateful_set, selector, desk.owned["pods"])
    by_ordinal = {number: pod for pod in pods if (number := ordinal(stateful_set, pod)) is not None}
    if is_going(stateful_set):
        return
    known = revisions.of(desk, stateful_set)
    update = revisions.current(desk, stateful_set, known, revisions.data_hash)
    name = (stateful_set.get("status") or {}).get("currentRevision")
    current = next((one for one in known if one["metadata"]["name"] == name), update)
    work = Pass(desk, stateful_set, by_ordinal, current, update)
    if work.fill() and work.shrink():
        work.replace()
    work.report()
    wait_s = available_in_s(pods, stateful_set["spec"].get("minReadySeconds", 0), desk.clock)
    if wait_s is not None:
        desk.later(key, wait_s)
    live = {current["metadata"]["name"], update["metadata"]["name"], *map(revision_of, work.pods.values())}
    revisions.prune(desk, known, live, stateful_set["spec"].get("revisionHistoryLimit", 10))


DUTY = Duty(
    target="statefulset-controller",
    agent="statefulset-controller",
    resources=frozenset({RESOURCE, "pods", revisions.RESOURCE}),
    owns={"pods": "StatefulSet", revisions.RESOURCE: "StatefulSet"},
    notice=notice,
    sync=sync,
)
