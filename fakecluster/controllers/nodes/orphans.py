"""pod-garbage-collector-controller: Pods bound to nodes that are gone.

Source: kubernetes pkg/controller/podgc/gc_controller.go (gcOrphaned); it looks every 20 s and gives a node that it
misses 40 s to come back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fakecluster.api.client import ApiError
from fakecluster.api.faults import ApiFault
from fakecluster.controllers.conditions import with_condition
from fakecluster.controllers.loop import Desk, Duty
from fakecluster.controllers.ownership import Key, key_of
from fakecluster.controllers.pods import FINAL_PHASES, on_node, phase

if TYPE_CHECKING:
    from fakecluster.api.store import WatchEvent

#: until the Pods of a node that is not there are deleted
QUARANTINE_S = 60.0


def notice(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    """Wait a while for Pods whose node is not there; their keys come up then."""
    if event.resource == "nodes":
        if event.type == "DELETED":
            name = event.object["metadata"]["name"]
            for pod in on_node(desk.client, name):
                desk.later(key_of(pod), QUARANTINE_S)
    elif event.type != "DELETED" and _is_orphan(desk, event) and (event.previous is None or _was_placed(event)):
        desk.later(key_of(event.object), QUARANTINE_S)
    return ()


def _is_orphan(desk: Desk, event: WatchEvent) -> bool:
    name = event.object["spec"].get("nodeName")
    return bool(name) and desk.get("nodes", ("", name)) is None


def _was_placed(event: WatchEvent) -> bool:
    before = (event.previous or {}).get("spec") or {}
    return bool(before.get("nodeName") != event.object["spec"].get("nodeName"))


def sync(desk: Desk, key: Key) -> None:
    pod = desk.get("pods", key)
    if pod is None or desk.get("nodes", ("", pod["spec"].get("nodeName", ""))) is not None:
        return
    disrupted = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByPodGC",
        "message": "PodGC: node no longer exists",
    }
    changed = with_condition(pod, disrupted, desk.clock)
    if phase(pod) not in FINAL_PHASES:
        changed = {**changed, "status": {**changed["status"], "phase": "Failed"}}
    try:
        desk.client.update_status("pods", changed)
        desk.client.delete("pods", key[1], key[0], grace_period_s=0, uid=pod["metadata"]["uid"])
    except ApiError as error:
        if error.code not in (404, 409) or isinstance(error, ApiFault):
            raise


DUTY = Duty(
    "pod-garbage-collector-controller",
    "pod-garbage-collector",
    frozenset({"nodes", "pods"}),
    {},
    notice,
    sync,
)
