"""Watching from inside the process: a stream of events that a test reads when it likes."""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.api.reads import expired, matcher
from fakecluster.api.resources import Resource
from fakecluster.api.server import ApiServer
from fakecluster.api.status import JsonObject
from fakecluster.api.store import WatchEvent


class Watch:
    """Everything that happened to a resource since the last `take`; the objects that exist come first.

    An object that begins or ceases to match the selectors is ADDED or DELETED to this watch, as for a real client.
    """

    def __init__(self, server: ApiServer, resource: Resource, namespace: str, label: str, field: str) -> None:
        self._server, self._resource, self._namespace = server, resource, namespace
        self._matches: Callable[[JsonObject], bool] = matcher(resource, label, field)
        self._seen: set[str] = set()
        self._revision = server.store.revision
        self._first = [
            WatchEvent("ADDED", resource.key, obj, None, int(obj["metadata"]["resourceVersion"]))
            for obj in server.store.list(resource.key, namespace)
            if self._matches(obj)
        ]
        self._seen.update(event.object["metadata"]["uid"] for event in self._first)

    def take(self) -> list[WatchEvent]:
        """The events since the last call, in order; ApiError 410 when some of them have been forgotten since."""
        store = self._server.store
        if self._revision < store.compacted:
            raise expired(f"too old resource version: {self._revision} ({store.compacted})")
        events, self._first = self._first, []
        for event in store.since(self._revision):
            self._revision = event.revision
            changed = self._view(event)
            if changed is not None:
                events.append(changed)
        return events

    def _view(self, event: WatchEvent) -> WatchEvent | None:
        """The event as this watch sees it."""
        meta = event.object["metadata"]
        if event.resource != self._resource.key or self._namespace not in ("", meta.get("namespace", "")):
            return None
        uid, matches = meta["uid"], event.type != "DELETED" and self._matches(event.object)
        known = uid in self._seen
        if matches:
            self._seen.add(uid)
        else:
            self._seen.discard(uid)
        kinds = {(True, True): "MODIFIED", (True, False): "ADDED", (False, True): "DELETED"}
        kind = kinds.get((matches, known))
        if kind is None:
            return None
        return WatchEvent(kind, event.resource, event.object, event.previous, event.revision, event.managed)
