"""The scheduling loop: Pods without a node, highest priority first, each bound to the least loaded node that will do.

What the real scheduler's scores prefer among equals depends on many plugins; here it is: preferred affinities, then
fewest Pods, then the node's name.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fakecluster.api.client import ApiError, Client
from fakecluster.api.faults import ApiFault
from fakecluster.controllers.conditions import with_condition
from fakecluster.controllers.events import EventRecorder
from fakecluster.controllers.node_affinity import preference
from fakecluster.controllers.scheduler import preemption
from fakecluster.controllers.scheduler.filters import FILTERS, Refusal
from fakecluster.controllers.scheduler.pod_affinity import RELATIVE_FILTERS, attraction, has_terms
from fakecluster.controllers.scheduler.snapshot import NodeInfo, PodInfo, Snapshot
from fakecluster.controllers.taints import untolerated

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.api.store import WatchEvent
    from fakecluster.sim import Clock

Json = dict[str, Any]
TARGET = "scheduler"
NAME = "default-scheduler"
#: what the API server did not take is tried again
AGAIN_S = 1.0
USER = "system:kube-scheduler"


class Scheduler:
    """Binds Pods of `default-scheduler` to nodes through `pods/binding`; tries again when nodes or Pods change."""

    def __init__(self, api: ApiServer, clock: Clock) -> None:
        self.client = Client(api, user=USER, agent="kube-scheduler")
        self._events = EventRecorder(self.client, clock, NAME)
        self._clock = clock
        self._inbox = api.watch(TARGET, {"pods", "nodes"})
        self._snapshot = Snapshot()
        self._waiting: dict[str, Json] = {}  # by uid: to be tried
        self._queue: list[tuple[int, int, str]] = []  # heap of (-priority, age, uid): in which order
        self._queued = 0
        self._refused: dict[str, Json] = {}  # by uid: no node would do
        self._nominated: dict[str, tuple[str, PodInfo]] = {}  # by uid: the node where room is being made
        clock.bind(TARGET, self.handle)

    def fork(self, api: ApiServer, clock: Clock) -> Scheduler:
        """The scheduler of a copied cluster, bound to the copied clock."""
        copy = Scheduler.__new__(Scheduler)
        copy.client = Client(api, user=USER, agent="kube-scheduler")
        copy._events = self._events.fork(copy.client, clock)
        copy._clock = clock
        copy._inbox = api.inbox(TARGET)
        copy._snapshot = self._snapshot.fork()
        copy._waiting, copy._queue, copy._queued = self._waiting.copy(), self._queue.copy(), self._queued
        copy._refused = self._refused.copy()
        copy._nominated = self._nominated.copy()
        clock.bind(TARGET, copy.handle)
        return copy

    def handle(self, payload: object) -> None:
        """Take in what changed, then try the Pod whose turn it is; the next one has an event of its own."""
        if isinstance(payload, tuple):  # a Pod whose binding, or the word about it, failed
            self._wait_again(*payload[1:])
        for event in self._inbox.take():
            NOTICES[event.resource](self, event)
        pod = self._next()
        if pod is not None:
            self._schedule(pod)
            if self._waiting:
                self._clock.schedule(TARGET, "next")

    def _wait(self, pod: Json) -> None:
        """Have a Pod tried when its turn comes: the highest priority first, then who waits longest."""
        uid = pod["metadata"]["uid"]
        if uid not in self._waiting:
            self._queued += 1
            heapq.heappush(self._queue, (-(pod["spec"].get("priority") or 0), self._queued, uid))
        self._waiting[uid] = pod

    def _wait_again(self, uid: str, pod: Json) -> None:
        stored = self.client.server.store.get("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
        if stored is not None and stored["metadata"]["uid"] == uid and not stored["spec"].get("nodeName"):
            self._refused.pop(uid, None)
            self._wait(stored)

    def _next(self) -> Json | None:
        while self._queue:
            uid = heapq.heappop(self._queue)[2]
            if uid in self._waiting:
                return self._waiting.pop(uid)
        return None

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
            self._nominated.pop(uid, None)
            if self._snapshot.forget(uid):
                self._retry()
        elif pod["spec"].get("nodeName"):
            self._refused.pop(uid, None)
            self._snapshot.place(pod)
            if event.previous is None or _labels(event.previous) != _labels(pod):
                self._retry(only=has_terms)
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
            self._wait(pod)

    def _retry(self, *, only: Callable[[Json], bool] = lambda pod: True) -> None:
        """Have Pods that fitted nowhere tried again."""
        for uid, pod in [item for item in self._refused.items() if only(item[1])]:
            del self._refused[uid]
            self._wait(pod)

    def _schedule(self, pod: Json) -> None:
        info = PodInfo.of(pod)
        best = self._best(info)
        if best is None:
            self._refuse(info, self._fitting(info)[1])
            return
        meta = pod["metadata"]
        try:
            self.client.bind(meta["name"], meta["namespace"], best.name)
        except ApiFault:
            self._clock.schedule(TARGET, ("again", info.uid, pod), delay_s=AGAIN_S)
            return
        except ApiError as error:  # the Pod went away or was bound meanwhile: its event tells
            if error.code not in (404, 409):
                raise
            return
        self._nominated.pop(info.uid, None)
        self._snapshot.place({**pod, "spec": {**pod["spec"], "nodeName": best.name}})
        message = f"Successfully assigned {meta['namespace']}/{meta['name']} to {best.name}"
        self._events.normal(pod, "Scheduled", message)

    def _best(self, pod: PodInfo) -> NodeInfo | None:
        """The node that ranks first among those that fit.

        Where nothing but taints and the number of Pods ranks nodes, they are looked at in that order until one fits.
        """
        if pod.spec.get("affinity") or pod.spec.get("topologySpreadConstraints"):
            fitting, _ = self._fitting(pod)
            return min(fitting, key=lambda node: self._rank(pod, node), default=None)
        ranked = sorted(self._snapshot.nodes, key=lambda info: (_dislikes(pod, info), len(info.pods)))
        return next((info for info in ranked if not self._refusals(pod, info)), None)

    def _fitting(self, pod: PodInfo) -> tuple[list[NodeInfo], dict[str, list[Refusal]]]:
        fitting: list[NodeInfo] = []
        refusals: dict[str, list[Refusal]] = {}
        for info in self._snapshot.nodes:
            if found := self._refusals(pod, info):
                refusals[info.name] = found
            else:
                fitting.append(info)
        return fitting, refusals

    def _refusals(self, pod: PodInfo, info: NodeInfo) -> list[Refusal]:
        """Against a node as it is, and as it will be with the Pods that others went for."""
        promised = [
            other
            for node, other in self._nominated.values()
            if node == info.name and other.uid != pod.uid and preemption.priority(other) >= preemption.priority(pod)
        ]
        if promised:
            info = info.fork()
            for other in promised:
                info.add(other)
        return self._refuse_on(pod, info, self._snapshot)

    def _refuse_on(self, pod: PodInfo, info: NodeInfo, snapshot: Snapshot) -> list[Refusal]:
        for refuse in FILTERS:
            if found := refuse(pod, info):
                return found
        for relate in RELATIVE_FILTERS:
            if found := relate(pod, info, snapshot, self._namespace_labels):
                return found
        return []

    def _namespace_labels(self, namespace: str) -> dict[str, str]:
        labels: dict[str, str] = self.client.get("namespaces", namespace)["metadata"].get("labels") or {}
        return labels

    def _rank(self, pod: PodInfo, info: NodeInfo) -> tuple[int, int, int, str]:
        liked = preference(pod.spec, info.node or {})
        liked += attraction(pod, info, self._snapshot, self._namespace_labels)
        return _dislikes(pod, info), -liked, len(info.pods), info.name

    def _refuse(self, info: PodInfo, refusals: dict[str, list[Refusal]]) -> None:
        """Say that no node will do, after making room on one where that is possible."""
        outlook = self._preempt(info, refusals)
        message = _why(refusals, outlook)
        pod = info.pod
        meta = pod["metadata"]
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        if generation := meta.get("generation"):
            condition["observedGeneration"] = generation
        changed = with_condition(pod, condition, self._clock)
        if info.uid in self._nominated:
            status = {**(changed.get("status") or {}), "nominatedNodeName": self._nominated[info.uid][0]}
            changed = {**changed, "status": status}
        self._refused[info.uid] = pod
        if changed is not pod:
            try:
                self.client.update_status("pods", changed)
            except ApiFault:
                self._clock.schedule(TARGET, ("again", info.uid, pod), delay_s=AGAIN_S)
                return
        self._events.warning(pod, "FailedScheduling", message)

    def _preempt(self, pod: PodInfo, refusals: dict[str, list[Refusal]]) -> str:
        """Delete Pods of lower priority where that makes room; what is to be told when it does not."""
        if not refusals:
            return ""
        if pod.spec.get("preemptionPolicy") == "Never":
            return "not eligible due to preemptionPolicy=Never."
        node = self._nominated.get(pod.uid, ("", pod))[0]
        nominated = self._snapshot.infos.get(node)
        if nominated is not None and any(_is_going(other) for other in nominated.pods.values()):
            return "not eligible due to a terminating pod on the nominated node."
        hopeful = [info for info in self._snapshot.nodes if not any(one.final for one in refusals[info.name])]
        found = preemption.best(pod, hopeful, self._snapshot, self._refuse_on)
        if found is None:
            return _outlook(refusals)
        self._nominated[pod.uid] = found.node, pod
        for victim in found.victims:
            self._delete_victim(pod, found.node, victim)
        return ""

    def _delete_victim(self, pod: PodInfo, node: str, victim: PodInfo) -> None:
        disrupted = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": f"{NAME}: preempting to accommodate a higher priority pod",
        }
        meta = victim.pod["metadata"]
        self._events.normal(victim.pod, "Preempted", f"Preempted by pod {pod.uid} on node {node}")
        try:
            stored = self.client.get("pods", meta["name"], meta["namespace"])
            self.client.update_status("pods", with_condition(stored, disrupted, self._clock))
            self.client.delete("pods", meta["name"], meta["namespace"], uid=meta["uid"])
        except ApiError as error:
            if error.code not in (404, 409) and not isinstance(error, ApiFault):
                raise


def _dislikes(pod: PodInfo, info: NodeInfo) -> bool:
    taints = info.taints
    return bool(taints) and untolerated(taints, pod.spec.get("tolerations") or [], ("PreferNoSchedule",)) is not None


def _is_going(pod: PodInfo) -> bool:
    return "deletionTimestamp" in pod.pod["metadata"]


def _why(refusals: dict[str, list[Refusal]], outlook: str) -> str:
    """The scheduler's message about a Pod that fits nowhere; no `outlook`: room is being made for it."""
    total = len(refusals)
    if not total:
        return "no nodes available to schedule pods"
    reasons = Counter(refusal.reason for found in refusals.values() for refusal in found)
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    message = f"0/{total} nodes are available: {listed}."
    return f"{message} no new claims to deallocate, preemption: {outlook}" if outlook else message


def _outlook(refusals: dict[str, list[Refusal]]) -> str:
    """Why deleting other Pods does not help."""
    helpless = sum(any(refusal.final for refusal in found) for found in refusals.values())
    counts = {
        "Preemption is not helpful for scheduling": helpless,
        "No preemption victims found for incoming pod": len(refusals) - helpless,
    }
    told = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items() if count))
    return f"0/{len(refusals)} nodes are available: {told}."


def _placing(node: Json) -> tuple[Any, ...]:
    """What of a Node decides about placing Pods."""
    status = node.get("status") or {}
    return node.get("spec"), node["metadata"].get("labels"), status.get("allocatable"), status.get("capacity")


def _labels(pod: Json) -> Any:
    return pod["metadata"].get("labels"), pod["spec"].get("nodeName")


def _asked(pod: Json) -> Any:
    return pod["spec"], pod["metadata"].get("labels")


NOTICES = {"nodes": Scheduler._notice_node, "pods": Scheduler._notice_pod}
