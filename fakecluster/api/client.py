"""The way to the API server from inside the process: objects in, objects out, no JSON text and no HTTP.

What comes back is stored and shared: never change it, copy it first.
"""

from __future__ import annotations

from typing import Any

from fakecluster.api import applies, conversion, creates, decoding, deletes, reads, status, updates
from fakecluster.api.deletes import DeleteOptions
from fakecluster.api.faults import disturb
from fakecluster.api.json_patch import PatchError, json_patch
from fakecluster.api.patch import merge_patch
from fakecluster.api.resources import Resource
from fakecluster.api.server import ApiServer
from fakecluster.api.status import ApiError, JsonObject
from fakecluster.api.strategic import strategic_patch
from fakecluster.api.strategy import Request
from fakecluster.api.watching import Watch

__all__ = ["ApiError", "Client"]


class Client:
    """Requests of one user; `agent` is the manager that managedFields name.

    What a component reads stands for its informers' caches, which answer also while the server fails: only writes fail
    here (see `api.faults`).
    """

    def __init__(self, server: ApiServer, *, user: str = "admin", agent: str = "fakecluster") -> None:
        self.server, self.user, self.agent = server, user, agent

    def get(self, resource: str, name: str, namespace: str = "") -> JsonObject:
        """The object; ApiError 404 when there is none."""
        found = self._resource(resource)
        obj = self.server.store.get(found.key, namespace, name)
        if obj is None:
            raise status.not_found(found.plural, found.group, name)
        return conversion.presented(found, obj)

    def list(
        self, resource: str, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> list[JsonObject]:
        """The objects of a resource in the order of their keys, all namespaces when none is given."""
        found = self._resource(resource)
        objects = self.server.store.list(found.key, namespace)
        if (found.api_version, found.kind) in conversion.STORED:
            objects = [conversion.presented(found, obj) for obj in objects]
        if label_selector or field_selector:
            matches = reads.matcher(found, label_selector, field_selector)
            return [obj for obj in objects if matches(obj)]
        return objects

    def watch(self, resource: str, namespace: str = "", *, label_selector: str = "", field_selector: str = "") -> Watch:
        """A stream of changes; the objects that exist are its first events. Read it with `take`."""
        return Watch(self.server, self._resource(resource), namespace, label_selector, field_selector)

    def create(self, resource: str, obj: JsonObject, namespace: str = "", *, dry_run: bool = False) -> JsonObject:
        """Store a new object and return it as the server keeps it."""
        meta = obj.get("metadata") or {}
        request = self._request("create", resource, namespace or meta.get("namespace", ""), "", dry_run=dry_run)
        return creates.create(request, decoding.clean_copy(request.resource, obj)).object

    def update(self, resource: str, obj: JsonObject, *, subresource: str = "", dry_run: bool = False) -> JsonObject:
        """Replace an object; a `metadata.resourceVersion` that is given must still be the current one."""
        meta = obj["metadata"]
        request = self._request("update", resource, meta.get("namespace", ""), meta["name"], subresource, dry_run)
        return updates.update(request, lambda live: decoding.clean_copy(request.resource, obj, live.object)).object

    def update_status(self, resource: str, obj: JsonObject) -> JsonObject:
        """Replace the status of an object; the rest of `obj` is ignored as the real subresource does."""
        return self.update(resource, obj, subresource="status")

    def patch(
        self,
        resource: str,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        kind: str = "merge",
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
        dry_run: bool = False,
    ) -> JsonObject:
        """Change an object by a patch of `kind` merge, strategic, json or apply."""
        request = self._request("patch", resource, namespace, name, subresource, dry_run)
        request.agent = field_manager or self.agent
        if kind == "apply":
            return applies.apply(request, patch, force=force)[0].object
        if kind not in PATCHES:
            raise ValueError(f"a patch is one of {', '.join(PATCHES)}, not {kind!r}")

        def change(before: Any) -> JsonObject:
            return decoding.clean_copy(request.resource, PATCHES[kind](request.resource, before.object, patch))

        return updates.update(request, change).object

    def delete(
        self,
        resource: str,
        name: str,
        namespace: str = "",
        *,
        grace_period_s: int | None = None,
        propagation: str = "",
        uid: str = "",
        dry_run: bool = False,
    ) -> JsonObject | None:
        """Delete an object: the marked object while finalizers or grace keep it, None when it is gone."""
        request = self._request("delete", resource, namespace, name, dry_run=dry_run)
        outcome = deletes.delete(request, DeleteOptions(grace_period_s, propagation, uid))
        return outcome.stored.object if outcome.stays else None

    def bind(self, pod_name: str, namespace: str, node: str) -> None:
        """Assign a Pod to a node, as the scheduler does through `pods/binding`."""
        request = self._request("create", "pods", namespace, pod_name, "binding")
        updates.bind(request, node)

    def _resource(self, resource: str) -> Resource:
        try:
            return self.server.registry.by_key(resource)
        except KeyError:
            raise status.no_such_resource() from None

    def _request(
        self, verb: str, resource: str, namespace: str, name: str, subresource: str = "", dry_run: bool = False
    ) -> Request:
        found = self._resource(resource)
        disturb(self.server, verb, found, name, self.user)
        return Request(self.server, found, verb, namespace, name, subresource, self.user, self.agent, dry_run)


def _json(resource: Resource, old: JsonObject, patch: Any) -> Any:
    try:
        return json_patch(old, patch)
    except PatchError as problem:
        raise status.failure(
            422, "Invalid", f"the server rejected our request due to an error in our request: {problem}", {}
        ) from problem


PATCHES = {
    "merge": lambda resource, old, patch: merge_patch(old, patch),
    "strategic": lambda resource, old, patch: strategic_patch(resource.api_version, resource.kind, old, patch),
    "json": _json,
}
