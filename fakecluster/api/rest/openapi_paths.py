"""The `paths` of an OpenAPI v3 document: what clients look up there is which kind a path serves and what it takes.

kubectl reads them to see whether server-side validation is supported (`fieldValidation` of PATCH) and to explain kinds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fakecluster.api import schema
from fakecluster.api.resources import Resource

METHODS = {
    "get": "get",
    "list": "get",
    "create": "post",
    "update": "put",
    "patch": "patch",
    "delete": "delete",
    "deletecollection": "delete",
}
ACTIONS = {"create": "post", "update": "put"}
COLLECTION, ITEM = ("list", "create", "deletecollection"), ("get", "update", "patch", "delete")
WRITING = ("dryRun", "fieldManager", "fieldValidation")
LISTING = (
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
)
DELETING = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
PARAMETERS = {
    "list": LISTING,
    "create": WRITING,
    "update": WRITING,
    "patch": (*WRITING, "force"),
    "delete": DELETING,
    "deletecollection": (*LISTING, *DELETING),
}


def paths_of(resource: Resource) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, its operations) of a resource and of its subresources."""
    prefix = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    where = "/namespaces/{namespace}" if resource.namespaced else ""
    base = f"{prefix}{where}/{resource.plural}"
    if operations := _operations(resource, resource.verbs, COLLECTION):
        yield base, _with_parameters(operations, resource, ())
    if operations := _operations(resource, resource.verbs, ITEM):
        yield f"{base}/{{name}}", _with_parameters(operations, resource, ("name",))
    if resource.namespaced and "list" in resource.verbs:
        everywhere = {"get": _operation(resource, "list", resource.kind)}
        yield f"{prefix}/{resource.plural}", everywhere
    for sub in resource.subresources.values():
        operations = {METHODS[verb]: _operation(resource, verb, sub.kind, sub.group, sub.version) for verb in sub.verbs}
        yield f"{base}/{{name}}/{sub.name}", _with_parameters(operations, resource, ("name",))


def _operations(resource: Resource, verbs: tuple[str, ...], among: tuple[str, ...]) -> dict[str, Any]:
    return {METHODS[verb]: _operation(resource, verb, resource.kind) for verb in among if verb in verbs}


def _operation(resource: Resource, verb: str, kind: str, group: str = "", version: str = "") -> dict[str, Any]:
    named = {"group": group or resource.group, "kind": kind, "version": version or resource.version}
    api_version = f"{named['group']}/{named['version']}" if named["group"] else named["version"]
    own = _reference(resource, api_version, kind)
    listed = resource.list_kind or f"{kind}List"
    answer = _reference(resource, api_version, listed) if verb == "list" else own
    found: dict[str, Any] = {
        "parameters": [_query(name) for name in PARAMETERS.get(verb, ())],
        "responses": {"200": {"description": "OK", **_content(("application/json",), answer)}},
        "x-kubernetes-action": ACTIONS.get(verb, verb),
        "x-kubernetes-group-version-kind": named,
    }
    if verb in ACTIONS:
        found["requestBody"] = {"required": True, **_content(("*/*",), own)}
    elif verb == "patch":
        found["requestBody"] = {"required": True, **_content(PATCHES, {"type": "object"})}
    return found


def definition_of(resource: Resource, api_version: str, kind: str) -> str | None:
    """The name of a kind's schema; None for kinds without one."""
    if resource.custom is not None and kind == resource.kind:
        return ".".join([*reversed(resource.group.split(".")), resource.version, kind])
    return schema.definition_name(api_version, kind)


def _reference(resource: Resource, api_version: str, kind: str) -> dict[str, Any]:
    name = definition_of(resource, api_version, kind)
    return {"$ref": schema.PREFIX + name} if name else {"type": "object"}


def _content(types: tuple[str, ...], shape: dict[str, Any]) -> dict[str, Any]:
    return {"content": {media: {"schema": shape} for media in types}}


#: What a patch may be written in.
PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)


def _query(name: str) -> dict[str, Any]:
    return {"in": "query", "name": name, "schema": {"type": "string", "uniqueItems": True}}


def _with_parameters(operations: dict[str, Any], resource: Resource, names: tuple[str, ...]) -> dict[str, Any]:
    wanted = (*names, "namespace") if resource.namespaced else names
    shared = [{"in": "path", "name": name, "required": True, "schema": {"type": "string"}} for name in wanted]
    return {**operations, "parameters": shared} if shared else operations
