"""/api, /apis and what is below: which groups, versions and resources there are."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

from fakecluster.api import status
from fakecluster.api.resources import Registry, Resource, Subresource
from fakecluster.api.rest import negotiation, openapi
from fakecluster.api.rest.call import Call
from fakecluster.api.rest.response import Response

API_PORT = 6443


def answer(call: Call) -> Response | None:
    """The answer to a discovery path; None for other paths."""
    path = call.target.path
    parts = [part for part in path.split("/") if part]
    known = not parts or parts[0] in ("api", "apis", "openapi")
    if not known:
        return None
    value: Any = None
    if not parts:
        value = {"paths": openapi.root_paths(call.server.registry)}
    elif parts[0] == "openapi":
        return openapi.answer(call, parts)
    elif parts[0] == "api":
        value = _core(call, parts)
    else:
        value = _groups(call, parts)
    if value is None:
        return None
    if call.method != "GET":
        raise status.method_not_allowed()
    return value if isinstance(value, Response) else Response(200, value)


def _core(call: Call, parts: list[str]) -> Any:
    registry = call.server.registry
    if len(parts) == 1:
        return _aggregated(call, [""]) or {
            "kind": "APIVersions",
            "versions": list(registry.versions("")),
            "serverAddressByClientCIDRs": [
                {"clientCIDR": "0.0.0.0/0", "serverAddress": f"{call.server.advertise_address}:{API_PORT}"}
            ],
        }
    if len(parts) == 2 and parts[1] in registry.versions(""):
        return resource_list(registry, "", parts[1])
    raise status.no_such_resource()


def _groups(call: Call, parts: list[str]) -> Any:
    registry = call.server.registry
    named = [entry.group for entry in registry.groups if entry.group]
    if len(parts) == 1:
        return _aggregated(call, named) or {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [_group(registry, group) for group in named],
        }
    if parts[1] not in named:
        return None
    if len(parts) == 2:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(registry, parts[1])}
    if len(parts) == 3 and parts[2] in registry.versions(parts[1]):
        return resource_list(registry, parts[1], parts[2])
    return None


def _group(registry: Registry, group: str) -> dict[str, Any]:
    versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in registry.versions(group)]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def resource_list(registry: Registry, group: str, version: str) -> dict[str, Any]:
    """APIResourceList of one group version (the oldest, ``v1``, leaves out its apiVersion)."""
    rows = [row for resource in registry.of_version(group, version) for row in _rows(resource)]
    head = {"kind": "APIResourceList", "apiVersion": "v1"} if group else {"kind": "APIResourceList"}
    return {**head, "groupVersion": f"{group}/{version}" if group else version, "resources": rows}


def _rows(resource: Resource) -> Iterator[dict[str, Any]]:
    row: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        row["shortNames"] = list(resource.short_names)
    if resource.categories:
        row["categories"] = list(resource.categories)
    if "watch" in resource.verbs:
        row["storageVersionHash"] = storage_version_hash(resource)
    yield row
    for sub in resource.subresources.values():
        yield {
            "name": f"{resource.plural}/{sub.name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            **({"group": sub.group, "version": sub.version} if sub.group else {}),
            "kind": sub.kind,
            "verbs": list(sub.verbs),
        }


def storage_version_hash(resource: Resource) -> str:
    """Eight bytes of a hash over group, storage version and kind."""
    version = STORAGE_VERSIONS.get(resource.key, resource.version)
    group = STORAGE_GROUPS.get(resource.key, resource.group)
    digest = hashlib.sha256(f"{group}/{version}/{resource.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


#: Kinds that are stored in another version or group than the one they are served in.
STORAGE_VERSIONS = {"horizontalpodautoscalers.autoscaling": "v2"}
STORAGE_GROUPS = {"events": ""}


def _aggregated(call: Call, groups: list[str]) -> Response | None:
    """All groups with all their resources in one document, when the client asks for it."""
    media = negotiation.wants_aggregated(call.headers.get("accept", ""))
    if not media:
        return None
    registry = call.server.registry
    version = media.partition("v=")[2].partition(";")[0]
    items = [_aggregated_group(registry, group) for group in groups]
    value = {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }
    return tagged(call, Response(200, value, media, headers=[("Vary", "Accept")]))


def tagged(call: Call, response: Response) -> Response:
    """The answer with its ETag, or 304 when the client has it already."""
    tag = f'"{hashlib.sha512(response.body).hexdigest().upper()}"'
    if tag in call.headers.get("if-none-match", ""):
        return Response(
            304, content_type=response.content_type, content=b"", headers=[("ETag", tag), ("Vary", "Accept")]
        )
    response.headers.append(("ETag", tag))
    return response


def _aggregated_group(registry: Registry, group: str) -> dict[str, Any]:
    versions = [
        {
            "version": version,
            "resources": [_aggregated_resource(resource) for resource in registry.of_version(group, version)],
            "freshness": "Current",
        }
        for version in registry.versions(group)
    ]
    return {"metadata": {"name": group} if group else {}, "versions": versions}


def _aggregated_resource(resource: Resource) -> dict[str, Any]:
    found: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": _kind(resource, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    if resource.subresources:
        found["subresources"] = [_aggregated_subresource(resource, sub) for sub in resource.subresources.values()]
    return found


def _kind(resource: Resource, kind: str) -> dict[str, str]:
    if resource.custom is not None:
        return {"group": resource.group, "version": resource.version, "kind": kind}
    return {"group": "", "version": "", "kind": kind}


def _aggregated_subresource(resource: Resource, sub: Subresource) -> dict[str, Any]:
    kind = {"group": sub.group, "version": sub.version, "kind": sub.kind} if sub.group else _kind(resource, sub.kind)
    return {"subresource": sub.name, "responseKind": kind, "verbs": list(sub.verbs)}
