"""Watches over HTTP: a cursor on the store's history, filtered and shaped as the client asked.

A watch starts with synthetic ADDED events (no version, version 0, or sendInitialEvents), or after a version. An object
that enters the selection is ADDED, one that leaves it DELETED (in its last selected state).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from fakecluster.api import managed, reads, schema, status
from fakecluster.api.resources import Resource
from fakecluster.api.rest.options import ListOptions
from fakecluster.api.rest.response import encode
from fakecluster.api.status import JsonObject
from fakecluster.api.store import Store, WatchEvent

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
Shape = Callable[[JsonObject], Any]


@attrs.define(eq=False)
class WatchStream:
    """One open watch: `take` gives what has happened since the last take; `closed` when the server ended it."""

    store: Store
    resource: Resource
    namespace: str
    name: str
    matches: reads.Matcher
    shape: Shape
    bookmarks: bool = False
    timeout_s: int | None = None
    closed: bool = False
    _ready: list[JsonObject] = attrs.field(factory=list)
    _revision: int = 0
    _connections: int = 0

    @property
    def pending(self) -> bool:
        """Whether `take` would give anything now."""
        return bool(self._ready) or (not self.closed and self.store.revision > self._revision)

    def take(self) -> list[JsonObject]:
        """Watch events (`{"type", "object"}`) that are there now."""
        events, self._ready = self._ready, []
        if self.closed or self._connections != self.store.connections:
            self.closed = True  # cut: the client must come again
            return events
        if self._revision < self.store.compacted:
            self.closed = True
            return [*events, error_event(too_old(self._revision, self.store))]
        for event in self.store.since(self._revision):
            shown = self._shown(event)
            if shown is not None:
                events.append(shown)
        self._revision = self.store.revision
        return events

    def put_back(self, events: list[JsonObject]) -> None:
        """Let the last of what was taken be the first of the next `take`."""
        self._ready = [*events, *self._ready]

    def read(self) -> bytes:
        """The same, as the lines on the wire."""
        return b"".join(encode(event) for event in self.take())

    def bookmark(self) -> JsonObject:
        """A bookmark at the present version, as the server sends about once a minute to those who allow it."""
        return bookmark_event(self.resource, self.store.revision, {})

    def start(self, options: ListOptions) -> None:
        """Place the cursor as the options say; see the module's text."""
        self._connections = self.store.connections
        revision = reads.parse_revision(options.resource_version) if options.resource_version else 0
        if options.send_initial_events or (options.send_initial_events is None and not revision):
            self._initial()
        elif options.send_initial_events is False and not revision:
            self._revision = self.store.revision
        else:
            self._from(revision)
        if options.send_initial_events and options.bookmarks:
            self._ready.append(
                bookmark_event(self.resource, self.store.revision_of(self.resource.key), {INITIAL_EVENTS_END: "true"})
            )

    def _initial(self) -> None:
        for stored in self.store.stored_list(self.resource.key, self.namespace):
            if self._selected(stored.object):
                obj = managed.with_managed_fields(stored.object, stored.managed)
                self._ready.append({"type": "ADDED", "object": self.shape(obj)})
        self._revision = self.store.revision

    def _from(self, revision: int) -> None:
        self._revision = revision
        if revision < self.store.compacted or revision < self.store.oldest:
            self._ready.append(error_event(too_old(revision, self.store)))
            self.closed = True
        elif revision > self.store.revision:
            self._revision = revision  # nothing to see until the future version has come

    def _selected(self, obj: JsonObject) -> bool:
        meta = obj["metadata"]
        if self.namespace and meta.get("namespace") != self.namespace:
            return False
        return (not self.name or meta["name"] == self.name) and self.matches(obj)

    def _shown(self, event: WatchEvent) -> JsonObject | None:
        if event.resource != self.resource.key:
            return None
        now = event.type != "DELETED" and self._selected(event.object)
        before = event.previous is not None and self._selected(event.previous)
        if not now and not before:
            return None
        obj, record = event.object, event.managed
        if now:
            kind = "MODIFIED" if before else "ADDED"
        else:
            kind = "DELETED"
            if event.type != "DELETED" and event.previous is not None:
                version = event.object["metadata"]["resourceVersion"]
                obj = {**event.previous, "metadata": {**event.previous["metadata"], "resourceVersion": version}}
                record = event.previous_managed
        return {"type": kind, "object": self.shape(managed.with_managed_fields(obj, record))}


def bookmark_event(resource: Resource, revision: int, annotations: dict[str, str]) -> JsonObject:
    """An empty object of the kind that carries only a version."""
    empty, _ = schema.decode(resource.api_version, resource.kind, {})
    meta: JsonObject = {"resourceVersion": str(revision)}
    if annotations:
        meta["annotations"] = annotations
    obj = {**empty, "kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
    return {"type": "BOOKMARK", "object": obj}


def error_event(failure: JsonObject) -> JsonObject:
    return {"type": "ERROR", "object": failure}


def too_old(revision: int, store: Store) -> JsonObject:
    """410 as an event: the client must list anew."""
    return status.failure(
        410, "Expired", f"too old resource version: {revision} ({max(store.compacted, store.oldest)})"
    ).status
