"""The server's memory: objects by resource, namespace and name; one revision counter; the window of past changes.

Objects are plain JSON and immutable once stored, so forks and watchers share them. Buckets (one per resource and
namespace) are copied when a fork first writes to them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from fakecluster.api.managed import Managed
from fakecluster.api.status import JsonObject
from fakecluster.sim import Clock

#: Changes that watchers can still read from the past; the real server keeps about five minutes' worth.
WINDOW = 20_000
#: What can be watched by its node, which never changes once it is set.
NODE_RESOURCE = "pods"
#: Where a new store starts: what came before (revision 1 included) counts as compacted.
FIRST_REVISION = 2


@attrs.frozen(slots=True)
class Stored:
    """An object and who manages which of its fields."""

    object: JsonObject
    managed: Managed | None


@attrs.frozen(slots=True)
class WatchEvent:
    """One change: `object` is the state after it (for DELETED the last one), `previous` the state before."""

    type: str  # ADDED MODIFIED DELETED
    resource: str
    object: JsonObject
    previous: JsonObject | None
    revision: int
    managed: Managed | None = None
    previous_managed: Managed | None = None


class Inbox:
    """One watcher inside the process: events wait here until `take`; the clock wakes its target once for all."""

    def __init__(self, target: str, resources: frozenset[str], clock: Clock, priority: int = 0) -> None:
        self.target = target
        self.resources = resources
        #: how long events take to get here
        self.delay_s = 0.0
        self._clock, self._priority = clock, priority
        self._pending: list[WatchEvent] = []
        self._missed: list[WatchEvent] | None = None  # while the watch is cut
        self.is_stale = False  # cut because its first list was an old one

    def take(self) -> list[WatchEvent]:
        """Every event since the last take, in order."""
        events, self._pending = self._pending, []
        return events

    @property
    def has_events(self) -> bool:
        """Whether something waits to be taken, or has been missed."""
        return bool(self._pending) or self._missed is not None

    def add(self, event: WatchEvent) -> None:
        if self._missed is not None:
            self._missed.append(event)
            return
        if not self._pending:
            self._clock.schedule(self.target, "watch", delay_s=self.delay_s, priority=self._priority)
        self._pending.append(event)

    def cut(self) -> None:
        """The connection breaks: nothing arrives until `mend`."""
        if self._missed is None:
            self._missed = []

    def mend(self) -> None:
        """Connect again, and list: what happened meanwhile arrives as the difference that it made (client-go's Replace)."""
        missed, self._missed = self._missed or [], None
        for event in difference(missed):
            self.add(event)

    def fork(self, clock: Clock) -> Inbox:
        copy = Inbox(self.target, self.resources, clock, self._priority)
        copy.delay_s, copy._pending = self.delay_s, self._pending.copy()
        copy.is_stale = self.is_stale
        copy._missed = None if self._missed is None else self._missed.copy()
        return copy


def difference(events: list[WatchEvent]) -> list[WatchEvent]:
    """What a series of events comes to for one who sees only its end: one event an object, or none."""
    first: dict[tuple[str, str], WatchEvent] = {}
    last: dict[tuple[str, str], WatchEvent] = {}
    for event in events:
        key = event.resource, event.object["metadata"]["uid"]
        first.setdefault(key, event)
        last.pop(key, None)
        last[key] = event
    seen = []
    for key, event in last.items():
        start = first[key]
        if event.type != "DELETED":
            kind = "ADDED" if start.type == "ADDED" else "MODIFIED"
            before = (start.previous, start.previous_managed)
            seen.append(attrs.evolve(event, type=kind, previous=before[0], previous_managed=before[1]))
        elif start.type != "ADDED":
            seen.append(event)
    return seen


Bucket = dict[str, Stored]
StoredList = list[Stored]
Objects = list[JsonObject]
Events = list[WatchEvent]


class Store:
    """Objects, revisions and watchers of one server."""

    def __init__(self, clock: Clock) -> None:
        self.revision = FIRST_REVISION
        self.compacted = 0  # changes up to this revision cannot be watched any more
        self.history: deque[WatchEvent] = deque()
        self.inboxes: dict[str, Inbox] = {}
        #: how often every watch over HTTP was cut; how long events take to the inboxes; what lists from a cache show
        self.connections = 0
        self.delay_s = 0.0
        self.stale_revision: int | None = None
        self._clock = clock
        self._buckets: dict[str, dict[str, Bucket]] = {}
        self._owned: set[tuple[str, str]] = set()
        self._revisions: dict[str, int] = {}
        self._watchers: dict[str, list[Inbox]] = {}
        self._node_watchers: dict[tuple[str, str], list[Inbox]] = {}  # by resource and node

    def get(self, resource: str, namespace: str, name: str) -> JsonObject | None:
        """The object, or None; never to be changed."""
        stored = self.stored(resource, namespace, name)
        return None if stored is None else stored.object

    def stored(self, resource: str, namespace: str, name: str) -> Stored | None:
        bucket = self._buckets.get(resource, {}).get(namespace)
        return None if bucket is None else bucket.get(name)

    def list(self, resource: str, namespace: str = "") -> Objects:
        """Every object of a resource (in one namespace), in the order of their keys."""
        return [stored.object for stored in self.stored_list(resource, namespace)]

    def stored_list(self, resource: str, namespace: str = "") -> StoredList:
        spaces = self._buckets.get(resource, {})
        if namespace:
            bucket = spaces.get(namespace, {})
            return [bucket[name] for name in sorted(bucket)]
        # etcd sorts whole keys, so "a-b/x" comes before "a/x"
        return [
            bucket[name]
            for space in sorted(spaces, key=lambda s: s + "/")
            for bucket in (spaces[space],)
            for name in sorted(bucket)
        ]

    def count(self, resource: str) -> int:
        return sum(len(bucket) for bucket in self._buckets.get(resource, {}).values())

    def resources(self) -> Iterator[str]:
        """Every resource that has objects."""
        return (resource for resource, spaces in self._buckets.items() if any(spaces.values()))

    def put(self, resource: str, obj: JsonObject, managed: Managed | None = None) -> WatchEvent:
        """Store a new or changed object under the next revision, which is stamped into it; tells the watchers."""
        meta = obj["metadata"]
        bucket = self._bucket(resource, meta.get("namespace", ""))
        previous = bucket.get(meta["name"])
        self.revision += 1
        meta["resourceVersion"] = str(self.revision)
        bucket[meta["name"]] = Stored(obj, managed)
        kind = "ADDED" if previous is None else "MODIFIED"
        return self._publish(kind, resource, obj, previous, managed)

    def remove(self, resource: str, namespace: str, name: str, final: JsonObject | None = None) -> WatchEvent:
        """Delete an object; the event shows it (or its `final` state) with the revision of the deletion."""
        stored = self._bucket(resource, namespace).pop(name)
        self.revision += 1
        last = final or stored.object
        gone = {**last, "metadata": {**last["metadata"], "resourceVersion": str(self.revision)}}
        return self._publish("DELETED", resource, gone, stored, stored.managed)

    def watch(self, target: str, resources: Iterable[str], *, priority: int = 0, node: str = "") -> Inbox:
        """Open the inbox of `target`; the objects that exist are its first events.

        `priority` is that of its wake-ups on the clock: a high one comes after what else is due at the same time. With
        `node`, only objects on a node (spec.nodeName) are watched; what others do is not even looked at.
        """
        inbox = Inbox(target, frozenset(resources), self._clock, priority)
        self.inboxes[target] = inbox
        for resource in sorted(inbox.resources):
            watchers = (
                self._node_watchers.setdefault((resource, node), [])
                if node
                else self._watchers.setdefault(resource, [])
            )
            watchers.append(inbox)
            for stored in self._first_list(resource):
                if node and _node_of(stored.object) != node:
                    continue
                revision = int(stored.object["metadata"]["resourceVersion"])
                inbox.add(WatchEvent("ADDED", resource, stored.object, None, revision, stored.managed))
        inbox.delay_s = self.delay_s
        if self.stale_revision is not None:  # what the list did not show comes when the cache has caught up
            inbox.cut()
            inbox.is_stale = True
            for event in self.since(self.stale_revision):
                if event.resource in inbox.resources and (not node or _node_of(event.object) == node):
                    inbox.add(event)
        return inbox

    def set_delay(self, seconds: float) -> None:
        """Let the events of every watch inside the process take so long."""
        self.delay_s = seconds
        for inbox in self.inboxes.values():
            inbox.delay_s = seconds

    def freshen(self) -> None:
        """The watch cache has caught up: whoever was shown an old list hears the rest."""
        self.stale_revision = None
        for inbox in self.inboxes.values():
            if inbox.is_stale:
                inbox.is_stale = False
                inbox.mend()

    def _first_list(self, resource: str) -> StoredList:
        if self.stale_revision is None:
            return self.stored_list(resource)
        return self.snapshot(resource, "", self.stale_revision)

    def unwatch(self, target: str) -> None:
        """Close the inbox of `target`."""
        inbox = self.inboxes.pop(target, None)
        for watchers in (*self._watchers.values(), *self._node_watchers.values()):
            if inbox in watchers:
                watchers.remove(inbox)

    @property
    def oldest(self) -> int:
        """The first revision that was ever complete: nothing can be asked about times before it."""
        return FIRST_REVISION

    def revision_of(self, resource: str) -> int:
        """The revision of the last change of a resource."""
        return self._revisions.get(resource, FIRST_REVISION)

    def since(self, revision: int) -> Events:
        """Every change after `revision`, oldest first."""
        events: Events = []
        for event in reversed(self.history):
            if event.revision <= revision:
                break
            events.append(event)
        events.reverse()
        return events

    def snapshot(self, resource: str, namespace: str, revision: int) -> StoredList:
        """The list as it was at a past revision inside the window (for paging and exact versions)."""
        found: dict[tuple[str, str], Stored] = {
            (s.object["metadata"].get("namespace", ""), s.object["metadata"]["name"]): s
            for s in self.stored_list(resource, namespace)
        }
        for event in reversed(self.history):
            if event.revision <= revision:
                break
            meta = event.object["metadata"]
            key = (meta.get("namespace", ""), meta["name"])
            if event.resource != resource or (namespace and key[0] != namespace):
                continue
            if event.previous is None:
                found.pop(key, None)
            else:
                found[key] = Stored(event.previous, event.previous_managed)
        return [found[key] for key in sorted(found, key=lambda key: f"{key[0]}/{key[1]}")]

    def compact(self, revision: int) -> None:
        """Forget the changes up to `revision`: watches and lists from before it get 410."""
        while self.history and self.history[0].revision <= revision:
            self.history.popleft()
        self.compacted = max(self.compacted, revision)

    def fork(self, clock: Clock) -> Store:
        """A store with the same objects, window and waiting events, whose later changes are its own."""
        copy = Store(clock)
        copy.revision, copy.compacted = self.revision, self.compacted
        copy.connections, copy.delay_s, copy.stale_revision = self.connections, self.delay_s, self.stale_revision
        copy.history = self.history.copy()
        copy._revisions = self._revisions.copy()
        copy._buckets = {resource: spaces.copy() for resource, spaces in self._buckets.items()}
        self._owned.clear()  # both sides share every bucket now
        copy.inboxes = {target: inbox.fork(clock) for target, inbox in self.inboxes.items()}
        copy._watchers = {
            resource: [copy.inboxes[inbox.target] for inbox in watchers]
            for resource, watchers in self._watchers.items()
        }
        copy._node_watchers = {
            place: [copy.inboxes[inbox.target] for inbox in watchers] for place, watchers in self._node_watchers.items()
        }
        return copy

    def _bucket(self, resource: str, namespace: str) -> Bucket:
        spaces = self._buckets.setdefault(resource, {})
        if (resource, namespace) not in self._owned:
            spaces[namespace] = spaces.get(namespace, {}).copy()
            self._owned.add((resource, namespace))
        return spaces[namespace]

    def _publish(
        self, kind: str, resource: str, obj: JsonObject, previous: Stored | None, managed: Managed | None
    ) -> WatchEvent:
        before, lines = (previous.object, previous.managed) if previous else (None, None)
        event = WatchEvent(kind, resource, obj, before, self.revision, managed, lines)
        self._revisions[resource] = self.revision
        self.history.append(event)
        if len(self.history) > WINDOW:
            self.compacted = self.history.popleft().revision
        for inbox in self._watchers.get(resource, ()):
            inbox.add(event)
        if resource == NODE_RESOURCE and (node := _node_of(obj)):
            for inbox in self._node_watchers.get((resource, node), ()):
                inbox.add(event)
        return event


def _node_of(obj: JsonObject) -> str:
    node: str = (obj.get("spec") or {}).get("nodeName") or ""
    return node


def object_key(obj: JsonObject) -> tuple[str, str]:
    """(namespace, name) of an object."""
    meta: dict[str, Any] = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]
