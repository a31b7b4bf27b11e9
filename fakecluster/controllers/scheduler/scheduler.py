"""The scheduling loop: Pods without a node, highest priority first, each bound to the least loaded node that will do.

What the real scheduler's scores prefer among equals depends on many plugins; here it is: preferred affinities, then
fewest Pods, then the node's name. Preemption of lower priorities is not modelled.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from fakecluster.api.client import ApiError, Client
from fakecluster.controllers.conditions import with_condition
from fakecluster.controllers.events import EventRecorder
from fakecluster.controllers.node_affinity import preference
from fakecluster.controllers.scheduler.filters import FILTERS, Refusal
from fakecluster.controllers.scheduler.pod_affinity import RELATIVE_FILTERS, attraction
from fakecluster.controllers.scheduler.snapshot import NodeInfo, PodInfo, Snapshot
from fakecluster.controllers.taints import untolerated
from fakecluster.errors import Unsupported

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.api.store import WatchEvent
    from fakecluster.sim import Clock

Json = dict[str, Any]
TARGET = "scheduler"
NAME = "default-scheduler"
USER = "system:kube-scheduler"


class Scheduler:
    """Binds Pods of `default-scheduler` to nodes through `pods/binding`; tries again when nodes or Pods change."""

    def __init__(self, api: ApiServer, clock: Clock) -> None:
        self._client = Client(api, user=USER, agent="kube-scheduler")
        self._events = EventRecorder(self._client, clock, NAME)
        self._clock = clock
        self._inbox = api.watch(TARGET, {"pods", "nodes"})
        self._snapshot = Snapshot()
        self._waiting: dict[str, Json] = {}  # by uid: to be tried
        self._refused: dict[str, Json] = {}  # by uid: no node would do
        clock.bind(TARGET, self.handle)

    def fork(self, api: ApiServer, clock: Clock) -> Scheduler:
        """The scheduler of a copied cluster, bound to the copied clock."""
        copy = Scheduler.__new__(Scheduler)
        copy._client = Client(api, user=USER, agent="kube-scheduler")
        copy._events = self._events.fork(copy._client, clock)
        copy._clock = clock
        copy._inbox = api.inbox(TARGET)
        copy._snapshot = self._snapshot.fork()
        copy._waiting, copy._refused = self._waiting.copy(), self._refused.copy()
        clock.bind(TARGET, copy.handle)
        return copy

    def handle(self, payload: object) -> None:
        """Take in what changed, then try every Pod that waits."""
        for event in self._inbox.take():
            NOTICES[event.resource](self, event)
        waiting = sorted(self._waiting.values(), key=lambda pod: -(pod["spec"].get("priority") or 0))
        self._waiting.clear()
        for pod in waiting:
            self._schedule(pod)

    def _notice_node(self, event: WatchEvent) -> None:
        name = event.object["metadata"]["name"]
        gone = event.type == "DELETED"
        if event.previous is None or gone or _placing(event.previous) != _placing(event.object):
            self._retry()
        self._snapshot.set_node(name, None if gone else event.object)

    def _notice_pod(self, event: WatchEvent) -> None:
        pod = event.object
        uid = pod["metadata"]["uid"]
        finished = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        self._waiting.pop(uid, None)
        if event.type == "DELETED" or finished:
            self._refused.pop(uid, None)
            if self._snapshot.forget(uid):
                self._retry()
        elif pod["spec"].get("nodeName"):
            self._refused.pop(uid, None)
            self._snapshot.place(pod)
            if event.previous is None or _labels(event.previous) != _labels(pod):
                self._retry()
        else:
            self._notice_unplaced(pod, event)

    def _notice_unplaced(self, pod: Json, event: WatchEvent) -> None:
        uid, spec = pod["metadata"]["uid"], pod["spec"]
        if "deletionTimestamp" in pod["metadata"]:
            self._refused.pop(uid, None)
        elif spec.get("schedulerName", NAME) != NAME or spec.get("schedulingGates"):
            return
        elif uid in self._refused and event.previous is not None and _asked(event.previous) == _asked(pod):
            self._refused[uid] = pod  # only its status changed: our own writing
        else:
            self._refused.pop(uid, None)
            self._waiting[uid] = pod

    def _retry(self) -> None:
        self._waiting.update(self._refused)
        self._refused.clear()

    def _schedule(self, pod: Json) -> None:
        info = PodInfo.of(pod)
        fitting, refusals = self._fitting(info)
        if not fitting:
            self._refuse(pod, refusals)
            return
        best = min(fitting, key=lambda node: self._rank(info, node))
        meta = pod["metadata"]
        try:
            self._client.bind(meta["name"], meta["namespace"], best.name)
        except ApiError as error:  # the Pod went away or was bound meanwhile: its event tells
            if error.code not in (404, 409):
                raise
            return
        self._snapshot.place({**pod, "spec": {**pod["spec"], "nodeName": best.name}})
        message = f"Successfully assigned {meta['namespace']}/{meta['name']} to {best.name}"
        self._events.normal(pod, "Scheduled", message)

    def _fitting(self, pod: PodInfo) -> tuple[list[NodeInfo], list[list[Refusal]]]:
        fitting, refusals = [], []
        for info in self._snapshot.nodes:
            if found := self._refusals(pod, info):
                refusals.append(found)
            else:
                fitting.append(info)
        return fitting, refusals

    def _refusals(self, pod: PodInfo, info: NodeInfo) -> list[Refusal]:
        for refuse in FILTERS:
            if found := refuse(pod, info):
                return found
        for relate in RELATIVE_FILTERS:
            if found := relate(pod, info, self._snapshot, self._namespace_labels):
                return found
        return []

    def _namespace_labels(self, namespace: str) -> dict[str, str]:
        labels: dict[str, str] = self._client.get("namespaces", namespace)["metadata"].get("labels") or {}
        return labels

    def _rank(self, pod: PodInfo, info: NodeInfo) -> tuple[int, int, int, str]:
        disliked = untolerated(info.taints, pod.spec.get("tolerations") or [], ("PreferNoSchedule",)) is not None
        liked = preference(pod.spec, info.node or {})
        liked += attraction(pod, info, self._snapshot, self._namespace_labels)
        return disliked, -liked, len(info.pods), info.name

    def _refuse(self, pod: Json, refusals: list[list[Refusal]]) -> None:
        if any(not r.final for found in refusals for r in found):
            self._check_preemption(pod)
        message = _why(pod, refusals)
        meta = pod["metadata"]
        self._refused[meta["uid"]] = pod
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        if generation := meta.get("generation"):
            condition["observedGeneration"] = generation
        changed = with_condition(pod, condition, self._clock)
        if changed is not pod:
            self._client.update_status("pods", changed)
        self._events.warning(pod, "FailedScheduling", message)

    def _check_preemption(self, pod: Json) -> None:
        spec = pod["spec"]
        priority = spec.get("priority") or 0
        placed = (p for info in self._snapshot.nodes for p in info.pods.values())
        if spec.get("preemptionPolicy") != "Never" and any((p.spec.get("priority") or 0) < priority for p in placed):
            raise Unsupported("preemption of Pods with a lower priority")


def _why(pod: Json, refusals: list[list[Refusal]]) -> str:
    """The scheduler's message about a Pod that fits nowhere."""
    total = len(refusals)
    if not total:
        return "no nodes available to schedule pods"
    reasons = Counter(refusal.reason for found in refusals for refusal in found)
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    helpless = sum(any(refusal.final for refusal in found) for found in refusals)
    outlook = {
        "Preemption is not helpful for scheduling": helpless,
        "No preemption victims found for incoming pod": total - helpless,
    }
    told = ", ".join(sorted(f"{count} {reason}" for reason, count in outlook.items() if count))
    if pod["spec"].get("preemptionPolicy") == "Never":
        after = "not eligible due to preemptionPolicy=Never."
    else:
        after = f"0/{total} nodes are available: {told}."
    return f"0/{total} nodes are available: {listed}. no new claims to deallocate, preemption: {after}"


def _placing(node: Json) -> tuple[Any, ...]:
    """What of a Node decides about placing Pods."""
    status = node.get("status") or {}
    return node.get("spec"), node["metadata"].get("labels"), status.get("allocatable"), status.get("capacity")


def _labels(pod: Json) -> Any:
    return pod["metadata"].get("labels"), pod["spec"].get("nodeName")


def _asked(pod: Json) -> Any:
    return pod["spec"], pod["metadata"].get("labels")


NOTICES = {"nodes": Scheduler._notice_node, "pods": Scheduler._notice_pod}
