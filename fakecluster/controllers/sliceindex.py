"""The EndpointSlices that one controller manages, by Service, and whether a change of them is its own doing.

Source: endpointslice/util/endpointslice_tracker.go; here a controller recognises its own writes by their
resourceVersion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.controllers.publishing import Json
from fakecluster.controllers.workqueue import Key

if TYPE_CHECKING:
    from fakecluster.api.store import Store, WatchEvent

RESOURCE = "endpointslices.discovery.k8s.io"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SERVICE_NAME = "kubernetes.io/service-name"


class SliceIndex:
    """Names of the slices whose label `managed-by` is `manager`, by Service; the slices are read from the store."""

    def __init__(self, store: Store, manager: str) -> None:
        self._store, self._manager = store, manager
        self._versions: dict[Key, dict[str, int]] = {}  # Service -> slice name -> last known resourceVersion
        self._shared = False

    def fork(self, store: Store) -> SliceIndex:
        """The index of a copied store; both share the table until one of them changes."""
        copy = SliceIndex(store, self._manager)
        copy._versions = self._versions
        self._shared = copy._shared = True
        return copy

    def of(self, service: Key) -> list[Json]:
        """The slices of a Service, in the order of their names."""
        found = (self._store.get(RESOURCE, service[0], name) for name in sorted(self._versions.get(service, ())))
        return [one for one in found if one is not None]

    def wrote(self, one: Json) -> None:
        """Remember an own creation or update by what the server answered."""
        self._own_table()
        self._versions.setdefault(service_of(one), {})[one["metadata"]["name"]] = _version(one)

    def deleted(self, one: Json) -> None:
        """Remember an own deletion."""
        self._own_table()
        self._discard(one)

    def note(self, event: WatchEvent) -> list[Key]:
        """Keep up with one change; returns the Services to look at again because somebody else made it."""
        before = event.previous if event.previous is not None and self._manages(event.previous) else None
        now = event.object if event.type != "DELETED" and self._manages(event.object) else None
        if before is None and now is None:
            return []
        self._own_table()
        moved = before is not None and (now is None or service_of(before) != service_of(now))
        was_there = before is not None and moved and self._discard(before)
        concerned = [service_of(before)] if before is not None and was_there else []
        if now is not None:
            versions = self._versions.setdefault(service_of(now), {})
            if versions.get(now["metadata"]["name"], 0) < _version(now):
                versions[now["metadata"]["name"]] = _version(now)
                concerned.append(service_of(now))
        return concerned

    def _manages(self, one: Json) -> bool:
        labels = one["metadata"].get("labels") or {}
        return labels.get(MANAGED_BY) == self._manager and bool(labels.get(SERVICE_NAME))

    def _discard(self, one: Json) -> bool:
        """Forget a slice; whether it was known."""
        service = service_of(one)
        versions = self._versions.get(service, {})
        known = versions.pop(one["metadata"]["name"], None) is not None
        if not versions:
            self._versions.pop(service, None)
        return known

    def _own_table(self) -> None:
        if self._shared:
            self._versions = {service: versions.copy() for service, versions in self._versions.items()}
            self._shared = False


def service_of(one: Json) -> Key:
    """Namespace and name of the Service that a slice belongs to by its label."""
    return one["metadata"]["namespace"], (one["metadata"].get("labels") or {}).get(SERVICE_NAME, "")


def _version(one: Json) -> int:
    return int(one["metadata"]["resourceVersion"])
