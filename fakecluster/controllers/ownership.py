"""Who owns what: objects by the uid of their controller, and claiming those that match a selector.

Source: kubernetes pkg/controller/controller_ref_manager.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fakecluster.api.client import ApiError, Client
from fakecluster.api.faults import ApiFault
from fakecluster.api.selectors import Selector, from_label_selector

if TYPE_CHECKING:
    from fakecluster.api.store import WatchEvent

Json = dict[str, Any]
Key = tuple[str, str]  # namespace, name


def controller_of(obj: Json) -> Json | None:
    """The owner reference of an object's controller, or None."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None


def reference_to(owner: Json) -> Json:
    """An owner reference that makes `owner` the controller."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def key_of(obj: Json) -> Key:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def selects(owner: Json, obj: Json) -> bool:
    """Whether an owner's label selector matches an object."""
    return from_label_selector(owner["spec"]["selector"]).matches(obj["metadata"].get("labels") or {})


def concerned(
    client: Client, event: WatchEvent, kind: str, resource: str, *, matches: Callable[[Json, Json], bool] = selects
) -> Iterator[Key]:
    """The owners of a kind (`resource`) that a change of an object concerns.

    Its controllers before and after; of an object without one, those that could adopt it.
    """
    for obj in (event.object, event.previous):
        owner = obj and controller_of(obj)
        if obj is not None and owner and owner["kind"] == kind:
            yield obj["metadata"]["namespace"], owner["name"]
    if controller_of(event.object) is None and event.type != "DELETED":
        for one in client.list(resource, event.object["metadata"]["namespace"]):
            if matches(one, event.object):
                yield key_of(one)


class Owned:
    """Objects by the uid of their controller, which is of one `kind`; those without a controller by namespace."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._owned: dict[str, dict[str, Json]] = {}
        self._orphans: dict[str, dict[str, Json]] = {}

    def note(self, event: WatchEvent) -> None:
        """Keep up with one change."""
        if event.previous is not None:
            group = self._group(event.previous)
            if group is not None:
                group.pop(event.previous["metadata"]["uid"], None)
        if event.type != "DELETED":
            group = self._group(event.object)
            if group is not None:
                group[event.object["metadata"]["uid"]] = event.object

    def _group(self, obj: Json) -> dict[str, Json] | None:
        owner = controller_of(obj)
        if owner is None:
            return self._orphans.setdefault(obj["metadata"].get("namespace", ""), {})
        return self._owned.setdefault(owner["uid"], {}) if owner["kind"] == self.kind else None

    def of(self, uid: str) -> list[Json]:
        """The objects whose controller has this uid, in the order in which they changed."""
        return list(self._owned.get(uid, {}).values())

    def orphans(self, namespace: str) -> list[Json]:
        """The objects of a namespace that have no controller."""
        return list(self._orphans.get(namespace, {}).values())

    def fork(self) -> Owned:
        copy = Owned(self.kind)
        copy._owned = {uid: group.copy() for uid, group in self._owned.items() if group}
        copy._orphans = {namespace: group.copy() for namespace, group in self._orphans.items() if group}
        return copy


def claimed(client: Client, resource: str, owner: Json, selector: Selector, owned: Owned) -> list[Json]:
    """What `owner` controls now: matching orphans are adopted, what no longer matches is let go.

    An owner that is being deleted neither adopts nor releases.
    """
    going = "deletionTimestamp" in owner["metadata"]
    found = []
    for obj in owned.of(owner["metadata"]["uid"]):
        if selector.matches(obj["metadata"].get("labels") or {}):
            found.append(obj)
        elif not going:
            _patch_owners(client, resource, obj, _without(obj, owner))
    if going:
        return found
    for obj in owned.orphans(owner["metadata"].get("namespace", "")):
        if "deletionTimestamp" not in obj["metadata"] and selector.matches(obj["metadata"].get("labels") or {}):
            references = [*(obj["metadata"].get("ownerReferences") or ()), reference_to(owner)]
            adopted = _patch_owners(client, resource, obj, references)
            if adopted is not None:
                found.append(adopted)
    return found


def _without(obj: Json, owner: Json) -> list[Json]:
    return [one for one in obj["metadata"]["ownerReferences"] if one["uid"] != owner["metadata"]["uid"]]


def _patch_owners(client: Client, resource: str, obj: Json, references: list[Json]) -> Json | None:
    namespace, name = key_of(obj)
    patch = {"metadata": {"uid": obj["metadata"]["uid"], "ownerReferences": references or None}}
    try:
        return client.patch(resource, name, patch, namespace)
    except ApiError as error:  # it went meanwhile, or is another by now
        if error.code not in (404, 409, 422) or isinstance(error, ApiFault):
            raise
        return None
