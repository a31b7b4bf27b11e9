"""Applying manifests as `kubectl apply --server-side` does, object by object, and what is said when one is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api.client import ApiError, Client
from fakecluster.api.manifests import Manifest
from fakecluster.errors import ManifestError

if TYPE_CHECKING:
    from fakecluster.api.resources import Resource

JsonObject = dict[str, Any]
#: The manager that managedFields name for what was applied.
FIELD_MANAGER = "kubectl"


@attrs.frozen
class Applied:
    """One object that was applied; `action` is created, configured or unchanged. `str()` is kubectl's line."""

    resource: str
    namespace: str
    name: str
    action: str
    object: JsonObject = attrs.field(repr=False, eq=False)
    #: the object as it was given
    manifest: JsonObject = attrs.field(repr=False, eq=False)

    def __str__(self) -> str:
        kind = self.object["kind"].lower()
        _, _, group = self.resource.partition(".")
        return f"{kind}{'.' + group if group else ''}/{self.name} {self.action}"


def apply(client: Client, manifests: Iterable[Manifest], *, namespace: str = "default") -> Iterator[Applied]:
    """Apply manifests in order, one by one as the iterator is read.

    Raises `ManifestError` for the first that is refused, in the server's words; nothing of that object is stored.
    """
    for manifest in manifests:
        yield apply_one(client, manifest, namespace)


def apply_one(client: Client, manifest: Manifest, namespace: str) -> Applied:
    """Create or change one object. Raises `ManifestError`."""
    obj = manifest.object
    resource = resource_of(client, manifest)
    meta = obj.get("metadata")
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str):
        if isinstance(meta, dict) and isinstance(meta.get("generateName"), str):
            return _create(client, resource, manifest, meta.get("namespace") or namespace)
        raise ManifestError("resource name may not be empty", place=manifest.place)
    space = (meta.get("namespace") or namespace) if resource.namespaced else ""
    before = client.server.store.get(resource.key, space, meta["name"])
    try:
        after = client.patch(
            resource.key, meta["name"], obj, space, kind="apply", field_manager=FIELD_MANAGER, force=True
        )
    except ApiError as refused:
        raise refusal(manifest, refused) from None
    if before is None:
        action = "created"
    else:
        same = before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
        action = "unchanged" if same else "configured"
    return Applied(resource.key, space, meta["name"], action, after, obj)


def _create(client: Client, resource: Resource, manifest: Manifest, namespace: str) -> Applied:
    try:
        obj = client.create(resource.key, manifest.object, namespace if resource.namespaced else "")
    except ApiError as refused:
        raise refusal(manifest, refused) from None
    return Applied(resource.key, namespace, obj["metadata"]["name"], "created", obj, manifest.object)


def resource_of(client: Client, manifest: Manifest) -> Resource:
    api_version, kind = manifest.object["apiVersion"], manifest.object["kind"]
    resource = client.server.registry.by_kind(api_version, kind)
    if resource is None:
        raise ManifestError(f'no matches for kind "{kind}" in version "{api_version}"', place=manifest.place)
    return resource


def refusal(manifest: Manifest, refused: ApiError) -> ManifestError:
    """The server's words, placed: file, document, and the field when there is just one cause."""
    causes = (refused.status.get("details") or {}).get("causes") or []
    fields = [cause["field"] for cause in causes if cause.get("field")]
    place = f"{manifest.place}: {fields[0]}" if len(fields) == 1 else manifest.place
    return ManifestError(refused.message, place=place)
