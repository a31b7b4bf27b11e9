"""When the change happened that an endpoint update brings (endpointslice/util/trigger_time_tracker.go).

The annotation `endpoints.kubernetes.io/last-change-trigger-time` carries it. Times are RFC 3339 text in UTC with whole
seconds, as the server writes them, so that they compare as text.
"""

from __future__ import annotations

from collections.abc import Iterable

from fakecluster.controllers.publishing import TRIGGER_TIME, Json, ready_condition
from fakecluster.controllers.workqueue import Key


class TriggerTimes:
    """What was known of every Service and its Pods at the last sync."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[str, dict[str, str]]] = {}

    def fork(self) -> TriggerTimes:
        copy = TriggerTimes()
        copy._known = self._known.copy()
        return copy

    def forget(self, key: Key) -> None:
        self._known.pop(key, None)

    def update(self, key: Key, service: Json, pods: Iterable[Json]) -> str:
        """The earliest trigger that is new since the last sync ("": none); a new Service's is its creation."""
        times = {pod["metadata"]["name"]: time for pod in pods if (time := _ready_since(pod))}
        created: str = service["metadata"]["creationTimestamp"]
        known = self._known.get(key)
        self._known[key] = created, times
        if known is None:
            return created
        last_created, last_times = known
        new = [time for name, time in times.items() if time > last_times.get(name, "")]
        if created > last_created:
            new.append(created)
        return min(new, default="")


def stamped(metadata: Json, time: str) -> Json:
    """Metadata whose annotation carries the trigger time, or none when nothing triggered it."""
    annotations = {
        name: value for name, value in (metadata.get("annotations") or {}).items() if name != TRIGGER_TIME
    } | ({TRIGGER_TIME: time} if time else {})
    bare = {name: value for name, value in metadata.items() if name != "annotations"}
    return {**bare, "annotations": annotations} if annotations else bare


def _ready_since(pod: Json) -> str:
    return (ready_condition(pod) or {}).get("lastTransitionTime") or ""
