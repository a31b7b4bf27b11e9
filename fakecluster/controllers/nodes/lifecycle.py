"""node-lifecycle-controller: taints that follow a Node's conditions, and Nodes whose kubelet went silent.

A healthy kubelet renews its Lease all the time; the model lets that go unwritten and is told of silence instead: the
clock event `("silent", node)` comes when no heartbeat would have been seen for the grace period. Source: kubernetes
pkg/controller/nodelifecycle/node_lifecycle_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fakecluster.controllers.conditions import condition, is_true, merged
from fakecluster.controllers.loop import Desk, Duty
from fakecluster.controllers.ownership import Key, key_of
from fakecluster.controllers.pods import on_node
from fakecluster.controllers.taints import NOT_READY, UNREACHABLE, UNSCHEDULABLE

if TYPE_CHECKING:
    from fakecluster.api.store import WatchEvent

Json = dict[str, Any]
TARGET = "node-lifecycle-controller"
#: --node-monitor-grace-period
GRACE_S = 50.0
#: (condition, status) -> the taint that keeps new Pods away
CONDITION_TAINTS = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
}
MANAGED = {*CONDITION_TAINTS.values(), UNSCHEDULABLE}
#: status of Ready -> the taint that sends Pods away
EVICTING = {"False": NOT_READY, "Unknown": UNREACHABLE}
SILENT = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


def notice(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    if event.type != "DELETED":
        yield key_of(event.object)


def sync(desk: Desk, key: Key) -> None:
    """Make a Node's taints those of its conditions."""
    node = desk.get("nodes", key)
    if node is None:
        return
    old = node["spec"].get("taints") or []
    taints = _taints(node, old, desk.now)
    if taints != old:
        changed = {**node, "spec": {**node["spec"], "taints": taints}}
        if not taints:
            del changed["spec"]["taints"]
        desk.client.update("nodes", changed)


def _taints(node: Json, old: list[Json], now: str) -> list[Json]:
    conditions = (node.get("status") or {}).get("conditions") or ()
    keeping_away = {CONDITION_TAINTS.get((one["type"], one["status"])) for one in conditions} - {None}
    ready = condition(node, "Ready")
    if ready is None:
        keeping_away.add(NOT_READY)
    if node["spec"].get("unschedulable"):
        keeping_away.add(UNSCHEDULABLE)
    wanted = {(key, "NoSchedule") for key in keeping_away}
    if ready is not None and ready["status"] in EVICTING:
        wanted.add((EVICTING[ready["status"]], "NoExecute"))
    kept = [one for one in old if not _is_managed(one) or (one["key"], one["effect"]) in wanted]
    known = {(one["key"], one["effect"]) for one in kept}
    new = sorted(((key, effect) for key, effect in wanted - known if key), key=lambda one: (one[1], one[0]))
    return [*kept, *({"key": key, "effect": effect, "timeAdded": now} for key, effect in new)]


def _is_managed(taint: Json) -> bool:
    if taint["effect"] == "NoExecute":
        return taint["key"] in EVICTING.values()
    return taint["effect"] == "NoSchedule" and taint["key"] in MANAGED


def hear(desk: Desk, payload: tuple[Any, ...]) -> None:
    """A Node was silent for too long: its conditions become Unknown, its Pods not ready."""
    node = desk.get("nodes", ("", payload[1]))
    if node is None:
        return
    words = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
    conditions = (node.get("status") or {}).get("conditions") or []
    for kind in SILENT:
        beat = next((one.get("lastHeartbeatTime") for one in conditions if one["type"] == kind), None)
        heard = {"lastHeartbeatTime": beat} if beat else {}
        conditions = merged(conditions, {"type": kind, "status": "Unknown", **heard, **words}, desk.now)
    desk.client.update_status("nodes", {**node, "status": {**(node.get("status") or {}), "conditions": conditions}})
    name = payload[1]
    desk.events.normal(node, "NodeNotReady", f"Node {name} status is now: NodeNotReady")
    for pod in on_node(desk.client, name):
        if is_true(pod, "Ready"):
            _mark_not_ready(desk, pod)


def _mark_not_ready(desk: Desk, pod: Json) -> None:
    ready = condition(pod, "Ready") or {}
    conditions = merged(pod["status"]["conditions"], {**ready, "status": "False"}, desk.now)
    desk.client.update_status("pods", {**pod, "status": {**pod["status"], "conditions": conditions}})
    desk.events.warning(pod, "NodeNotReady", "Node is not ready")


DUTY = Duty(TARGET, "node-controller", frozenset({"nodes"}), {}, notice, sync, hear)
