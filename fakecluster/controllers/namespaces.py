"""Namespaces that are being deleted: their Pods go first, then everything else, then the namespace.

Source: kubernetes pkg/controller/namespace/deletion (namespaced_resources_deleter.go, status_condition_utils.go).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fakecluster.api.client import ApiError, Client
from fakecluster.api.faults import ApiFault
from fakecluster.controllers.conditions import merged
from fakecluster.controllers.ownership import key_of
from fakecluster.controllers.timestamps import timestamp

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.api.store import WatchEvent
    from fakecluster.sim import Choices, Clock

Json = dict[str, Any]
TARGET = "namespace-controller"
USER = "system:serviceaccount:kube-system:namespace-controller"
FINALIZER = "kubernetes"
#: from a namespace's deletion until the first look, so that every server knows that nothing new may come in
GRACE_S = 5.0
#: what the API server did not take is tried again
AGAIN_S = 1.0
#: condition -> (reason, message) while nothing is in the way
FINE = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}


class NamespaceController:
    """Empties namespaces that are being deleted; looks again whenever something in one of them goes."""

    def __init__(self, api: ApiServer, clock: Clock) -> None:
        self._api, self._clock = api, clock
        self.client = Client(api, user=USER, agent="kube-controller-manager")
        self._inbox = api.watch(TARGET, {"namespaces", *_namespaced(api)})
        self._going: dict[str, bool] = {}  # by name: whether the grace period is over
        clock.bind(TARGET, self.handle)

    def fork(self, api: ApiServer, clock: Clock, choices: Choices) -> NamespaceController:
        copy = NamespaceController.__new__(NamespaceController)
        copy._api, copy._clock = api, clock
        copy.client = Client(api, user=USER, agent="kube-controller-manager")
        copy._inbox = api.inbox(TARGET)
        copy._going = self._going.copy()
        clock.bind(TARGET, copy.handle)
        return copy

    def handle(self, payload: object) -> None:
        """Look at every namespace in which something changed that its deletion waits for, or whose time has come."""
        dirty = dict.fromkeys(name for event in self._inbox.take() for name in self._notice(event))
        if isinstance(payload, tuple) and payload[0] in self._going:
            self._going[payload[0]] = True
            dirty[payload[0]] = None
        for name in dirty:
            try:
                self._sync(name)
            except ApiFault:
                self._clock.schedule(TARGET, (name,), delay_s=AGAIN_S)

    def _notice(self, event: WatchEvent) -> Iterable[str]:
        namespace, name = key_of(event.object)
        if event.resource == "namespaces":
            if event.type == "DELETED":
                self._going.pop(name, None)
            elif self._going.get(name):
                yield name
            elif "deletionTimestamp" in event.object["metadata"] and name not in self._going:
                self._going[name] = False
                self._clock.schedule(TARGET, (name,), delay_s=GRACE_S)
        elif self._going and self._going.get(namespace) and event.type == "DELETED":
            yield namespace

    def _sync(self, name: str) -> None:
        namespace = self._api.store.get("namespaces", "", name)
        if namespace is None or FINALIZER not in (namespace["spec"].get("finalizers") or []):
            return
        if self._empty(name, "pods"):
            self._report(namespace, [])  # what is left of the Pods is not told
            return
        left = [obj for resource in _namespaced(self._api) for obj in self._empty(name, resource)]
        if left:
            self._report(namespace, left)
            return
        finalizers = [one for one in namespace["spec"]["finalizers"] if one != FINALIZER]
        changed = {**namespace, "spec": {**namespace["spec"], "finalizers": finalizers}}
        self.client.update("namespaces", changed, subresource="finalize")

    def _empty(self, namespace: str, resource: str) -> list[Json]:
        """Delete what there is of one resource; what stays for now."""
        for obj in self._api.store.list(resource, namespace):
            if "deletionTimestamp" not in obj["metadata"]:
                try:
                    self.client.delete(resource, obj["metadata"]["name"], namespace, propagation="Background")
                except ApiError as error:
                    if error.code != 404:
                        raise
        return self._api.store.list(resource, namespace)

    def _report(self, namespace: Json, left: list[Json]) -> None:
        said = {kind: ("False", *words) for kind, words in FINE.items()}
        if left:
            said["NamespaceContentRemaining"] = ("True", "SomeResourcesRemain", self._counted(left))
        finalizers = Counter(one for obj in left for one in obj["metadata"].get("finalizers") or ())
        if finalizers:
            counted = ", ".join(f"{one} in {count} resource instances" for one, count in sorted(finalizers.items()))
            words = f"Some content in the namespace has finalizers remaining: {counted}"
            said["NamespaceFinalizersRemaining"] = ("True", "SomeFinalizersRemain", words)
        conditions = old = (namespace.get("status") or {}).get("conditions") or []
        for kind, (holds, reason, message) in said.items():
            new = {"type": kind, "status": holds, "reason": reason, "message": message}
            conditions = merged(conditions, new, timestamp(self._clock))
        if conditions != old:
            status = {**namespace["status"], "conditions": conditions}
            self.client.update_status("namespaces", {**namespace, "status": status})

    def _counted(self, left: list[Json]) -> str:
        counts: Counter[str] = Counter()
        for obj in left:
            resource = self._api.registry.by_kind(obj["apiVersion"], obj["kind"])
            if resource is not None:
                counts[f"{resource.plural}.{resource.group}"] += 1
        told = ", ".join(f"{what} has {count} resource instances" for what, count in sorted(counts.items()))
        return f"Some resources are remaining: {told}"


def _namespaced(api: ApiServer) -> list[str]:
    """Every resource that lives in namespaces and can be deleted, in order."""
    served = api.registry.by_path.values()
    return sorted({one.key for one in served if one.namespaced and {"list", "delete"} <= set(one.verbs)})
