"""One pass over one DaemonSet: Pods made and deleted node by node, old ones replaced, the status counted.

Source: kubernetes pkg/controller/daemon/{daemon_controller,update}.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api.selectors import from_label_selector
from fakecluster.controllers import revisions
from fakecluster.controllers.daemonsets.placement import daemon_pod, node_of, runs_on
from fakecluster.controllers.loop import Desk, Duty
from fakecluster.controllers.ownership import Key, claimed, concerned, key_of
from fakecluster.controllers.pods import available_in_s, concerns_owner, is_available, is_going, is_ready, phase

if TYPE_CHECKING:
    from fakecluster.api.store import WatchEvent

Json = dict[str, Any]
RESOURCE = "daemonsets.apps"


def notice(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    """The DaemonSets that a change concerns."""
    return NOTICES[event.resource](desk, event)


def _notice_pod(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    keys = concerned(desk.client, event, "DaemonSet", RESOURCE)
    return keys if concerns_owner(event) else ()


def _notice_node(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    """Labels and taints decide; what else changes of a node does not matter."""
    for one in desk.client.list(RESOURCE):
        if (
            event.type == "DELETED"
            or event.previous is None
            or runs_on(one, event.previous) != runs_on(one, event.object)
        ):
            yield key_of(one)


NOTICES: dict[str, Callable[[Desk, WatchEvent], Iterable[Key]]] = {
    RESOURCE: lambda desk, event: [key_of(event.object)],
    "pods": _notice_pod,
    "nodes": _notice_node,
    revisions.RESOURCE: lambda desk, event: (),
}


@attrs.define
class Pass:
    """A DaemonSet with its Pods by node, and the hash of its template's revision."""

    desk: Desk
    set: Json
    pods: dict[str, list[Json]]
    digest: str

    @property
    def nodes(self) -> list[Json]:
        return self.desk.client.list("nodes")

    def is_old(self, pod: Json) -> bool:
        return bool((pod["metadata"].get("labels") or {}).get(revisions.HASH_LABEL) != self.digest)

    def is_available(self, pod: Json) -> bool:
        return not is_going(pod) and is_available(pod, self.set["spec"].get("minReadySeconds", 0), self.desk.clock)

    def manage(self) -> bool:
        """A Pod on every node that should have one, none elsewhere; whether there was anything to do."""
        create, delete = [], []
        for node in self.nodes:
            name = node["metadata"]["name"]
            should, may_stay = runs_on(self.set, node)
            pods = self.pods.get(name, [])
            failed = [pod for pod in pods if phase(pod) == "Failed" and not is_going(pod)]
            if not may_stay:
                delete += pods
            elif should and not pods:
                create.append(name)
            else:
                delete += failed
                healthy = sorted((pod for pod in pods if pod not in failed), key=_age)
                delete += healthy[1:] if not self._surges() else []
        known = {node["metadata"]["name"] for node in self.nodes}
        delete += [pod for name, pods in self.pods.items() if name not in known for pod in pods if not _placed(pod)]
        self._apply(create, delete)
        return bool(create or delete)

    def _apply(self, create: Iterable[str], delete: Iterable[Json]) -> None:
        namespace = self.set["metadata"]["namespace"]
        for name in create:
            made = self.desk.client.create("pods", daemon_pod(self.set, name, self.digest), namespace)
            self.desk.events.normal(self.set, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")
        for pod in delete:
            if not is_going(pod):
                self.desk.client.delete("pods", pod["metadata"]["name"], namespace, uid=pod["metadata"]["uid"])
                self.desk.events.normal(self.set, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")

    # --- rolling update

    def _surges(self) -> bool:
        return self._allowed("maxSurge") > 0

    def _allowed(self, name: str) -> int:
        strategy = self.set["spec"]["updateStrategy"]
        value = (strategy.get("rollingUpdate") or {}).get(name, 0)
        if isinstance(value, str):
            desired = sum(runs_on(self.set, node)[0] for node in self.nodes)
            value = -(-int(value.rstrip("%")) * desired // 100)
        return int(value)

    def roll(self) -> None:
        """Replace Pods of older templates, within maxUnavailable or maxSurge."""
        if self.set["spec"]["updateStrategy"]["type"] == "OnDelete":
            return
        if self._surges():
            self._roll_with_surge()
        else:
            self._roll_in_place()

    def _roll_in_place(self) -> None:
        room, old = self._allowed("maxUnavailable"), []
        for node in self.nodes:
            pods = sorted(self.pods.get(node["metadata"]["name"], []), key=_age)
            if not runs_on(self.set, node)[0]:
                continue
            if not pods or not self.is_available(pods[0]):
                room -= 1
                if pods and self.is_old(pods[0]) and not is_going(pods[0]):
                    self._apply((), pods[:1])  # it serves nobody: replacing it costs nothing
            elif self.is_old(pods[0]):
                old.append(pods[0])
        self._apply((), old[: max(0, room)])

    def _roll_with_surge(self) -> None:
        room, create = self._allowed("maxSurge"), []
        for node in self.nodes:
            name = node["metadata"]["name"]
            pods = [pod for pod in self.pods.get(name, []) if not is_going(pod)]
            old, new = [p for p in pods if self.is_old(p)], [p for p in pods if not self.is_old(p)]
            if not runs_on(self.set, node)[0] or not old:
                continue
            if new and self.is_available(new[0]):
                self._apply((), old)
            elif new:
                room -= 1
            else:
                create.append(name)
        self._apply(create[: max(0, room)], ())

    # --- status

    def report(self) -> None:
        status = self._counted()
        if status != self.set.get("status"):
            stored = self.desk.get(RESOURCE, key_of(self.set))
            if stored is not None:
                self.desk.client.update_status(RESOURCE, {**stored, "status": status})

    def _counted(self) -> Json:
        desired = scheduled = misplaced = ready = available = updated = 0
        for node in self.nodes:
            should, _ = runs_on(self.set, node)
            pods = sorted(self.pods.get(node["metadata"]["name"], []), key=_age)
            if not should:
                misplaced += bool(pods)
                continue
            desired += 1
            if pods:
                scheduled += 1
                ready += is_ready(pods[0])
                available += is_ready(pods[0]) and self.is_available(pods[0])
                updated += not self.is_old(pods[0])
        counts = {
            "updatedNumberScheduled": updated,
            "numberAvailable": available,
            "numberUnavailable": desired - available,
        }
        return {
            "currentNumberScheduled": scheduled,
            "numberMisscheduled": misplaced,
            "desiredNumberScheduled": desired,
            "numberReady": ready,
            "observedGeneration": self.set["metadata"]["generation"],
            **{name: count for name, count in counts.items() if count},
        }


def _age(pod: Json) -> tuple[str, int]:
    return pod["metadata"]["creationTimestamp"], int(pod["metadata"]["resourceVersion"])


def _placed(pod: Json) -> bool:
    return bool(pod["spec"].get("nodeName"))


def sync(desk: Desk, key: Key) -> None:
    """Bring one DaemonSet a step further."""
    daemon_set = desk.get(RESOURCE, key)
    if daemon_set is None or is_going(daemon_set):
        return
    known = revisions.of(desk, daemon_set)
    revision = revisions.current(desk, daemon_set, known, revisions.daemon_hash)
    digest = revision["metadata"]["labels"][revisions.HASH_LABEL]
    selector = from_label_selector(daemon_set["spec"]["selector"])
    by_node: dict[str, list[Json]] = {}
    pods = claimed(desk.client, "pods", daemon_set, selector, desk.owned["pods"])
    for pod in pods:
        by_node.setdefault(node_of(pod), []).append(pod)
    work = Pass(desk, daemon_set, by_node, digest)
    if not work.manage():
        work.roll()
    work.report()
    wait_s = available_in_s(pods, daemon_set["spec"].get("minReadySeconds", 0), desk.clock)
    if wait_s is not None:
        desk.later(key, wait_s)
    hashes = {(pod["metadata"].get("labels") or {}).get(revisions.HASH_LABEL) for pod in pods} | {digest}
    live = {r["metadata"]["name"] for r in known if r["metadata"]["labels"].get(revisions.HASH_LABEL) in hashes}
    revisions.prune(desk, known, live, daemon_set["spec"].get("revisionHistoryLimit", 10))


DUTY = Duty(
    target="daemonset-controller",
    agent="daemonset-controller",
    resources=frozenset({RESOURCE, "pods", "nodes", revisions.RESOURCE}),
    owns={"pods": "DaemonSet", revisions.RESOURCE: "DaemonSet"},
    notice=notice,
    sync=sync,
)
