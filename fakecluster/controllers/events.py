"""Events, as `kubectl describe` shows them: written once, counted up when they come again.

Source: client-go tools/record (event_correlator: the same involved object, source, type, reason and message).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakecluster.api.client import ApiError, Client
from fakecluster.api.faults import ApiFault
from fakecluster.controllers.timestamps import timestamp

if TYPE_CHECKING:
    from fakecluster.sim import Clock

Json = dict[str, Any]


class EventRecorder:
    """Writes core/v1 Events of one component; `host` is the node that the component runs on, where it has one."""

    def __init__(self, client: Client, clock: Clock, component: str, *, host: str = "") -> None:
        self._client, self._clock = client, clock
        self._source = {"component": component, **({"host": host} if host else {})}
        self._seen: dict[tuple[str, ...], tuple[str, str]] = {}  # what -> (namespace, name) of its Event

    def fork(self, client: Client, clock: Clock) -> EventRecorder:
        """The recorder of a copied cluster, which still knows what it wrote."""
        copy = EventRecorder.__new__(EventRecorder)
        copy._client, copy._clock, copy._source = client, clock, self._source
        copy._seen = self._seen.copy()
        return copy

    def normal(self, obj: Json, reason: str, message: str, *, field: str = "") -> None:
        self._record(obj, "Normal", reason, message, field)

    def warning(self, obj: Json, reason: str, message: str, *, field: str = "") -> None:
        self._record(obj, "Warning", reason, message, field)

    def _record(self, obj: Json, kind: str, reason: str, message: str, field: str) -> None:
        key = (obj["metadata"]["uid"], field, kind, reason, message)
        if key in self._seen and self._count_up(*self._seen[key]):
            return
        event = self._event(obj, kind, reason, message, field)
        namespace, name = event["metadata"]["namespace"], event["metadata"]["name"]
        try:
            self._client.create("events", event, namespace)
        except ApiFault:  # events are best effort
            return
        except ApiError as error:  # a namespace that is being deleted takes no new objects
            if error.code not in (403, 404):
                raise
            return
        self._seen[key] = namespace, name

    def _count_up(self, namespace: str, name: str) -> bool:
        try:
            event = self._client.get("events", name, namespace)
            counted = {**event, "count": event["count"] + 1, "lastTimestamp": timestamp(self._clock)}
            self._client.update("events", counted)
        except ApiFault:
            return True
        except ApiError as error:  # it expired or its namespace went: write a new one
            if error.code != 404:
                raise
            return False
        return True

    def _event(self, obj: Json, kind: str, reason: str, message: str, field: str) -> Json:
        meta = obj["metadata"]
        now = timestamp(self._clock)
        # virtual time stands still while things happen: the revision keeps the names apart
        unix_ns = self._clock.epoch_s * 10**9 + self._clock.now_ns + self._client.server.store.revision
        namespace = meta.get("namespace") or "default"
        involved = {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "name": meta["name"],
            "resourceVersion": meta.get("resourceVersion", ""),
            "uid": meta["uid"],
            **({"namespace": meta["namespace"]} if meta.get("namespace") else {}),
            **({"fieldPath": field} if field else {}),
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{meta['name']}.{unix_ns:x}", "namespace": namespace},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "source": self._source,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": self._source["component"],
            "reportingInstance": self._source.get("host", ""),
        }
