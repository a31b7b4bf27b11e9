"""taint-eviction-controller: Pods leave a node with NoExecute taints, at once or after what they tolerate.

Source: kubernetes pkg/controller/tainteviction/taint_eviction.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fakecluster.api.client import ApiError, Client
from fakecluster.api.faults import ApiFault
from fakecluster.controllers.conditions import with_condition
from fakecluster.controllers.events import EventRecorder
from fakecluster.controllers.ownership import Key, key_of
from fakecluster.controllers.pods import on_node
from fakecluster.controllers.taints import tolerates

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.api.store import WatchEvent
    from fakecluster.sim import Choices, Clock

Json = dict[str, Any]
TARGET = "taint-eviction-controller"
#: an eviction that the API server did not take is tried again
AGAIN_S = 1.0
USER = "system:serviceaccount:kube-system:node-controller"


class TaintEviction:
    """Deletes Pods that do not tolerate their node (any more); `_since` is when each one's toleration began to run."""

    def __init__(self, api: ApiServer, clock: Clock) -> None:
        self._clock = clock
        self.client = Client(api, user=USER, agent="kube-controller-manager")
        self._events = EventRecorder(self.client, clock, "taint-eviction-controller")
        self._inbox = api.watch(TARGET, {"nodes", "pods"})
        self._since: dict[Key, int] = {}
        clock.bind(TARGET, self.handle)

    def fork(self, api: ApiServer, clock: Clock, choices: Choices) -> TaintEviction:
        copy = TaintEviction.__new__(TaintEviction)
        copy._clock = clock
        copy.client = Client(api, user=USER, agent="kube-controller-manager")
        copy._events = self._events.fork(copy.client, clock)
        copy._inbox = api.inbox(TARGET)
        copy._since = self._since.copy()
        clock.bind(TARGET, copy.handle)
        return copy

    def handle(self, payload: Any) -> None:
        """Look at the Pods of nodes whose taints changed, at Pods that came, and at those whose time is over."""
        dirty = dict.fromkeys(key for event in self._inbox.take() for key in self._notice(event))
        if isinstance(payload, tuple):
            dirty[payload] = None
        for key in dirty:
            self._sync(key)

    def _notice(self, event: WatchEvent) -> Iterable[Key]:
        if event.resource == "nodes":
            if event.type != "DELETED" and _evicting(event.object) != _evicting(event.previous):
                name = event.object["metadata"]["name"]
                yield from map(key_of, on_node(self.client, name))
        elif event.type == "DELETED":
            self._since.pop(key_of(event.object), None)
        elif event.previous is None or event.previous["spec"] != event.object["spec"]:
            yield key_of(event.object)

    def _sync(self, key: Key) -> None:
        store = self.client.server.store
        pod = store.get("pods", *key)
        node = pod and store.get("nodes", "", pod["spec"].get("nodeName", ""))
        taints = _evicting(node)
        if pod is None or not taints or "deletionTimestamp" in pod["metadata"]:
            if self._since.pop(key, None) is not None and pod is not None:
                self._events.normal(pod, "TaintManagerEviction", f"Cancelling deletion of Pod {key[0]}/{key[1]}")
            return
        tolerations = pod["spec"].get("tolerations") or []
        used = [next((one for one in tolerations if tolerates(one, taint)), None) for taint in taints]
        if None in used:
            self._evict(key, pod)
            return
        limits = [max(0, one["tolerationSeconds"]) for one in used if one and "tolerationSeconds" in one]
        if limits:
            since_ns = self._since.setdefault(key, self._clock.now_ns)
            left_s = since_ns / 1e9 + min(limits) - self._clock.now_s
            if left_s > 0:
                self._clock.schedule(TARGET, key, delay_s=left_s)
            else:
                self._evict(key, pod)

    def _evict(self, key: Key, pod: Json) -> None:
        self._since.pop(key, None)
        namespace, name = key
        self._events.normal(pod, "TaintManagerEviction", f"Marking for deletion Pod {namespace}/{name}")
        disrupted = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
        }
        try:
            changed = with_condition(pod, disrupted, self._clock)
            if changed is not pod:
                self.client.update_status("pods", changed)
            self.client.delete("pods", name, namespace, uid=pod["metadata"]["uid"])
        except ApiFault:
            self._clock.schedule(TARGET, key, delay_s=AGAIN_S)
        except ApiError as error:
            if error.code not in (404, 409):
                raise


def _evicting(node: Json | None) -> list[Json]:
    taints = ((node or {}).get("spec") or {}).get("taints") or []
    return [taint for taint in taints if taint["effect"] == "NoExecute"]
