"""The garbage collector: objects whose owners are gone go as well, or are let free.

An object's dependents are those that name it in ownerReferences. Deleting an owner (background) makes its dependents
dangling: they are deleted in turn. An owner with the finalizer `foregroundDeletion` waits for the dependents that block
it; one with `orphan` first takes itself out of their references. Source: kubernetes pkg/controller/garbagecollector.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api.client import ApiError, Client
from fakecluster.api.faults import ApiFault

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.api.store import Inbox, WatchEvent
    from fakecluster.sim import Choices, Clock

Json = dict[str, Any]
TARGET = "garbage-collector-controller"
USER = "system:serviceaccount:kube-system:generic-garbage-collector"
#: what the API server did not take is tried again
AGAIN_S = 1.0
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
IGNORED = frozenset({"events", "events.events.k8s.io"})
CUSTOM = "customresourcedefinitions.apiextensions.k8s.io"


@attrs.frozen
class Item:
    """One object by where it is and who it is."""

    resource: str
    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, resource: str, obj: Json) -> Item:
        meta = obj["metadata"]
        return cls(resource, meta.get("namespace", ""), meta["name"], meta["uid"])


def owners(obj: Json | None) -> list[Json]:
    return ((obj or {}).get("metadata") or {}).get("ownerReferences") or []


def waits(obj: Json, finalizer: str) -> bool:
    """Whether an object is being deleted and `finalizer` is in the way."""
    meta = obj["metadata"]
    return "deletionTimestamp" in meta and finalizer in (meta.get("finalizers") or ())


class GarbageCollector:
    """Watches every resource, custom ones as they come, and keeps who depends on whom."""

    def __init__(self, api: ApiServer, clock: Clock) -> None:
        self._api, self._clock = api, clock
        self.client = Client(api, user=USER, agent="kube-controller-manager")
        self._dependents: dict[str, dict[str, Item]] = {}  # owner's uid -> dependents by uid
        self._owned: set[str] = set()  # of which no fork has the same dictionary
        self._queue: dict[Item, None] = {}
        self._watched: set[str] = set()
        self._inboxes: list[Inbox] = []
        self._watch_more(TARGET)

    def fork(self, api: ApiServer, clock: Clock, choices: Choices) -> GarbageCollector:
        copy = GarbageCollector.__new__(GarbageCollector)
        copy._api, copy._clock = api, clock
        copy.client = Client(api, user=USER, agent="kube-controller-manager")
        copy._dependents, copy._owned = self._dependents.copy(), set()
        self._owned.clear()  # both sides share every dictionary now
        copy._queue, copy._watched = self._queue.copy(), self._watched.copy()
        copy._inboxes = [api.inbox(inbox.target) for inbox in self._inboxes]
        for inbox in copy._inboxes:
            clock.bind(inbox.target, copy.handle)
        return copy

    def _watch_more(self, target: str) -> None:
        """Watch the resources that are served by now and were not before, under one more clock target."""
        served = {one.key for one in self._api.registry.by_path.values() if {"list", "delete"} <= set(one.verbs)}
        news = served - self._watched - IGNORED
        if news:
            self._watched |= news
            self._clock.bind(target, self.handle)
            self._inboxes.append(self._api.watch(target, news))

    def handle(self, payload: object) -> None:
        """Take in what changed and look once at every object that this may concern."""
        self._drain()
        queue, self._queue = self._queue, {}
        for item in queue:
            self._look(item)
        failed = set(self._queue)
        self._drain()
        if self._queue.keys() - failed:
            self._clock.schedule(TARGET, "more")

    # --- the graph

    def _drain(self) -> None:
        for inbox in self._inboxes:
            for event in inbox.take():
                self._note(event)

    def _note(self, event: WatchEvent) -> None:
        obj, item = event.object, Item.of(event.resource, event.object)
        if event.resource == CUSTOM:
            self._watch_more(f"{TARGET}/{item.name}")
        if event.type == "DELETED":
            self._forget(item, obj)
            return
        old, new = owners(event.previous), owners(obj)
        if old != new:
            self._relate(item, old, new)
        if "deletionTimestamp" in obj["metadata"]:
            self._note_going(item, obj)

    def _dependents_of(self, uid: str) -> dict[str, Item]:
        """An owner's dependents, to be changed."""
        if uid not in self._owned:
            self._dependents[uid] = self._dependents.get(uid, {}).copy()
            self._owned.add(uid)
        return self._dependents[uid]

    def _let_go(self, uid: str, dependent: Item) -> None:
        if dependent.uid in self._dependents.get(uid, {}):
            del self._dependents_of(uid)[dependent.uid]

    def _relate(self, item: Item, old: list[Json], new: list[Json]) -> None:
        for reference in old:
            self._let_go(reference["uid"], item)
        for reference in new:
            self._dependents_of(reference["uid"])[item.uid] = item
        known = {reference["uid"]: reference for reference in old}
        for reference in new:
            if reference["uid"] not in known and not self._is_solid(item, reference):
                self._queue[item] = None
        for uid, reference in known.items():  # a reference that went may have held its owner
            owner = self._owner(item, reference)
            if owner is not None and uid not in {one["uid"] for one in new}:
                self._queue[owner[0]] = None

    def _note_going(self, item: Item, obj: Json) -> None:
        if waits(obj, FOREGROUND) or waits(obj, ORPHAN):
            self._queue[item] = None
        if waits(obj, FOREGROUND):
            self._queue |= dict.fromkeys(self._dependents.get(item.uid, {}).values())

    def _forget(self, item: Item, obj: Json) -> None:
        for reference in owners(obj):
            self._let_go(reference["uid"], item)
            owner = self._owner(item, reference)
            if owner is not None and waits(owner[1], FOREGROUND):
                self._queue[owner[0]] = None
        self._queue |= dict.fromkeys(self._dependents.get(item.uid, {}).values())
        if not self._dependents.get(item.uid):
            self._dependents.pop(item.uid, None)
            self._owned.discard(item.uid)

    def _owner(self, item: Item, reference: Json) -> tuple[Item, Json] | None:
        """The object that a reference names, if it is there and still the same."""
        resource = self._api.registry.by_kind(reference["apiVersion"], reference["kind"])
        if resource is None:
            return None
        namespace = item.namespace if resource.namespaced else ""
        obj = self._api.store.get(resource.key, namespace, reference["name"])
        if obj is None or obj["metadata"]["uid"] != reference["uid"]:
            return None
        return Item.of(resource.key, obj), obj

    def _is_solid(self, item: Item, reference: Json) -> bool:
        owner = self._owner(item, reference)
        return owner is not None and not waits(owner[1], FOREGROUND)

    # --- what to do

    def _look(self, item: Item) -> None:
        obj = self._api.store.get(item.resource, item.namespace, item.name)
        if obj is None or obj["metadata"]["uid"] != item.uid:
            return
        try:
            if waits(obj, ORPHAN):
                self._orphan(item, obj)
            elif waits(obj, FOREGROUND):
                self._finish_foreground(item, obj)
            elif "deletionTimestamp" not in obj["metadata"]:
                self._collect(item, obj)
        except ApiFault:
            self._queue[item] = None
            self._clock.schedule(TARGET, "again", delay_s=AGAIN_S)
        except ApiError as error:  # it changed or went meanwhile: its event brings it back
            if error.code not in (404, 409):
                raise

    def _collect(self, item: Item, obj: Json) -> None:
        """Delete an object that no living owner holds; drop references to owners that are gone beside living ones."""
        references = owners(obj)
        found = {reference["uid"]: self._owner(item, reference) for reference in references}
        solid = [one for one in references if self._is_solid(item, one)]
        if not references or len(solid) == len(references):
            return
        if solid:
            self._patch(item, {"ownerReferences": solid})
            return
        waiting = any(owner is not None for owner in found.values())
        finalizers = obj["metadata"].get("finalizers") or ()
        if waiting and self._dependents.get(item.uid):
            propagation = "Foreground"
        elif ORPHAN in finalizers:
            propagation = "Orphan"
        else:
            propagation = "Foreground" if FOREGROUND in finalizers else "Background"
        self.client.delete(item.resource, item.name, item.namespace, propagation=propagation, uid=item.uid)

    def _finish_foreground(self, item: Item, obj: Json) -> None:
        """Let an owner go once no dependent that blocks it is left."""
        for dependent in self._objects(self._dependents.get(item.uid, {}).values()):
            if any(one["uid"] == item.uid and one.get("blockOwnerDeletion") for one in owners(dependent)):
                return
        self._drop_finalizer(item, obj, FOREGROUND)

    def _orphan(self, item: Item, obj: Json) -> None:
        """Take an owner out of its dependents' references, then let it go."""
        for dependent in list(self._dependents.get(item.uid, {}).values()):
            for found in self._objects([dependent]):
                left = [one for one in owners(found) if one["uid"] != item.uid]
                self._patch(dependent, {"ownerReferences": left or None})
        self._drop_finalizer(item, obj, ORPHAN)

    def _objects(self, items: Iterable[Item]) -> Iterable[Json]:
        for item in list(items):
            obj = self._api.store.get(item.resource, item.namespace, item.name)
            if obj is not None and obj["metadata"]["uid"] == item.uid:
                yield obj

    def _drop_finalizer(self, item: Item, obj: Json, finalizer: str) -> None:
        left = [one for one in obj["metadata"]["finalizers"] if one != finalizer]
        self._patch(item, {"finalizers": left or None})

    def _patch(self, item: Item, meta: Json) -> None:
        patch = {"metadata": {"uid": item.uid, **meta}}
        self.client.patch(item.resource, item.name, patch, item.namespace)
