"""Which Services select which Pods, kept up change by change (GetServicesToUpdate of endpointslice/util).

Nothing here grows with the number of Services in a namespace: a Service is found by one label of its selector (the one
that the fewest others are found by), a Service's Pods by the label that the fewest Pods have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fakecluster.controllers.publishing import Json, is_ready, is_terminating
from fakecluster.controllers.workqueue import Key

if TYPE_CHECKING:
    from fakecluster.api.store import Store, WatchEvent

Label = tuple[str, str, str]  # namespace, key, value
Names = dict[str, None]  # a set in order of arrival


class Selection:
    """An index over a store's Services and Pods; both are read from the store itself."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._services: dict[Label, Names] = {}
        self._pods: dict[Label, Names] = {}
        self._label_of: dict[Key, Label] = {}
        self._shared = False

    def fork(self, store: Store) -> Selection:
        """The index of a copied store; both copies share their tables until one of them changes."""
        copy = Selection(store)
        copy._services, copy._pods, copy._label_of = self._services, self._pods, self._label_of
        self._shared = copy._shared = True
        return copy

    def note(self, event: WatchEvent) -> list[Key]:
        """Keep up with one change of a Service or Pod; returns the Services whose endpoints it may concern, sorted."""
        if self._shared:
            self._unshare()
        if event.resource == "services":
            return [self._note_service(event)]
        return sorted(self._note_pod(event))

    def pods(self, service: Json) -> list[Json]:
        """The Pods that a Service selects, in the order of their names."""
        selector = service["spec"].get("selector") or {}
        namespace = service["metadata"]["namespace"]
        if not selector:
            return []
        names = min((self._pods.get((namespace, *item), {}) for item in selector.items()), key=len)
        found = (self._store.get("pods", namespace, name) for name in sorted(names))
        pods = [pod for pod in found if pod is not None]
        return pods if len(selector) == 1 else [pod for pod in pods if _selects(selector, _labels(pod))]

    def services(self, namespace: str, labels: dict[str, str]) -> set[Key]:
        """The Services of a namespace that select a Pod with these labels."""
        return {
            (namespace, name)
            for item in labels.items()
            for name in self._services.get((namespace, *item), ())
            if _selects(self._selector(namespace, name), labels)
        }

    def _selector(self, namespace: str, name: str) -> dict[str, str]:
        service = self._store.get("services", namespace, name)
        return (service["spec"].get("selector") or {}) if service is not None else {}

    def _note_service(self, event: WatchEvent) -> Key:
        metadata = event.object["metadata"]
        namespace, name = key = metadata["namespace"], metadata["name"]
        if (old := self._label_of.pop(key, None)) is not None:
            _discard(self._services, old, name)
        selector = event.object["spec"].get("selector") or {}
        if event.type != "DELETED" and selector:
            labels = [(namespace, *item) for item in sorted(selector.items())]
            label = min(labels, key=lambda label: len(self._services.get(label, ())))
            self._label_of[key] = label
            self._services.setdefault(label, {})[name] = None
        return key

    def _note_pod(self, event: WatchEvent) -> set[Key]:
        metadata = event.object["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        old = _labels(event.previous) if event.previous is not None else {}
        new = _labels(event.object)
        kept = {} if event.type == "DELETED" else new
        for item in old.items() - kept.items():
            _discard(self._pods, (namespace, *item), name)
        for item in kept.items() - old.items():
            self._pods.setdefault((namespace, *item), {})[name] = None
        if event.type != "MODIFIED" or event.previous is None:
            return self.services(namespace, new)
        return self._concerned(namespace, event.previous, event.object)

    def _concerned(self, namespace: str, previous: Json, pod: Json) -> set[Key]:
        old, new = _labels(previous), _labels(pod)
        has_moved, has_changed = old != new or _name(previous) != _name(pod), _has_changed(previous, pod)
        if not has_moved:
            return self.services(namespace, new) if has_changed else set()
        before, after = self.services(namespace, old), self.services(namespace, new)
        return before | after if has_changed else before ^ after

    def _unshare(self) -> None:
        self._services = {label: names.copy() for label, names in self._services.items()}
        self._pods = {label: names.copy() for label, names in self._pods.items()}
        self._label_of = self._label_of.copy()
        self._shared = False


def _labels(obj: Json) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _name(pod: Json) -> tuple[str, str]:
    return pod["spec"].get("hostname", ""), pod["spec"].get("subdomain", "")


def _selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def _has_changed(previous: Json, pod: Json) -> bool:
    """Whether a Pod's endpoint may differ; any change of a Pod that is being deleted counts as one."""
    return (
        is_terminating(pod)
        or is_terminating(previous)
        or is_ready(previous) != is_ready(pod)
        or list(_ips(previous)) != list(_ips(pod))
    )


def _ips(pod: Json) -> Iterator[str]:
    return (entry.get("ip", "") for entry in pod.get("status", {}).get("podIPs") or ())


def _discard(table: dict[Label, Names], label: Label, name: str) -> None:
    names = table.get(label)
    if names is not None:
        names.pop(name, None)
        if not names:
            del table[label]
