"""/openapi/v3: the index, and one document per group version; and the paths that / lists."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from fakecluster.api import schema
from fakecluster.api.resources import Registry, Resource
from fakecluster.api.rest import openapi_v2
from fakecluster.api.rest.call import Call
from fakecluster.api.rest.health import CHECKS
from fakecluster.api.rest.openapi_paths import definition_of, paths_of
from fakecluster.api.rest.response import TEXT, Response, encode

#: Documents that are kept; a registry has about fifty, and is another after each CustomResourceDefinition.
DOCUMENTS_KEPT = 256
#: Paths outside the groups that have a document of their own.
PLAIN_DOCUMENTS = (".well-known/openid-configuration", "api", "apis", "openid/v1/jwks", "version")


def answer(call: Call, parts: list[str]) -> Response | None:
    """The answer to a path below /openapi; None when there is none."""
    if parts[1:] == ["v2"]:
        return openapi_v2.answer(call)
    if parts[1:2] != ["v3"]:
        return None
    registry = call.server.registry
    if len(parts) == 2:
        paths = {
            name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={_hash(registry, name)}"}
            for name in documents(registry)
        }
        return Response(200, {"paths": paths}, TEXT)
    name = "/".join(parts[2:])
    if name not in documents(registry):
        return None
    return Response(200, document(registry, name))


def documents(registry: Registry) -> list[str]:
    """The names of all documents, sorted."""
    names = set(PLAIN_DOCUMENTS)
    for entry in registry.groups:
        if entry.group:
            names.add(f"apis/{entry.group}")
        for version in entry.versions:
            names.add(f"apis/{entry.group}/{version}" if entry.group else f"api/{version}")
    return sorted(names)


@functools.lru_cache(maxsize=DOCUMENTS_KEPT)
def _hash(registry: Registry, name: str) -> str:
    return hashlib.sha512(encode(document(registry, name))).hexdigest().upper()


@functools.lru_cache(maxsize=DOCUMENTS_KEPT)
def document(registry: Registry, name: str) -> dict[str, Any]:
    """An OpenAPI v3 document: the schemas of the kinds of one group version; not to be changed."""
    prefix, _, rest = name.partition("/")
    group, _, version = rest.rpartition("/") if prefix == "apis" else ("", "", rest)
    wanted = _closure(group, version) if version and prefix in ("api", "apis") else {}
    paths: dict[str, Any] = {}
    for resource in registry.of_version(group, version):
        paths |= paths_of(resource)
        if resource.custom is not None:
            wanted = {**wanted, **_custom_schema(resource)}
    others = {*_references(paths)} & schema.definitions().keys() - wanted.keys()  # kinds of subresources
    wanted = dict(sorted({**wanted, **_reached([*others])}.items()))
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.2"},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": wanted},
    }


def _custom_schema(resource: Resource) -> dict[str, Any]:
    """The schema of a custom kind under its name, as ``io.example.v1.Widget``, with what its metadata refers to."""
    name = definition_of(resource, resource.api_version, resource.kind)
    assert name is not None
    meta = f"{schema.META}ObjectMeta"
    given = resource.custom.schema
    properties = {
        **(given.get("properties") or {}),
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"allOf": [{"$ref": schema.PREFIX + meta}]},
    }
    kinds = [{"group": resource.group, "kind": resource.kind, "version": resource.version}]
    shown = {**given, "type": "object", "properties": properties, "x-kubernetes-group-version-kind": kinds}
    return {**_reached([meta]), name: shown}


@functools.lru_cache(maxsize=64)
def _closure(group: str, version: str) -> dict[str, Any]:
    definitions = schema.definitions()
    wanted = [
        name
        for name, found in definitions.items()
        if any(
            gvk["group"] == group and gvk["version"] == version
            for gvk in found.get("x-kubernetes-group-version-kind", ())
        )
    ]
    return _reached(wanted)


def _reached(wanted: list[str]) -> dict[str, Any]:
    """These definitions and all that they refer to."""
    definitions = schema.definitions()
    reached: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name not in reached:
            reached[name] = definitions[name]
            wanted += _references(definitions[name])
    return {name: reached[name] for name in sorted(reached)}


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        found = [value["$ref"].removeprefix(schema.PREFIX)] if isinstance(value.get("$ref"), str) else []
        return found + [name for item in value.values() for name in _references(item)]
    if isinstance(value, list):
        return [name for item in value for name in _references(item)]
    return []


def root_paths(registry: Registry) -> list[str]:
    """What / lists."""
    paths = set(PLAIN_PATHS)
    for entry in registry.groups:
        if entry.group:
            paths.add(f"/apis/{entry.group}")
        for version in entry.versions:
            paths.add(f"/apis/{entry.group}/{version}" if entry.group else f"/api/{version}")
    paths |= {f"/healthz/{check}" for check in CHECKS}
    paths |= {f"/livez/{check}" for check in CHECKS}
    paths |= {f"/readyz/{check}" for check in (*CHECKS, "shutdown", "informer-sync") if check not in READY_LACKS}
    return sorted(paths)


#: Checks that /readyz does not offer by name.
READY_LACKS = ("etcd", "loopback-serving-certificate")
PLAIN_PATHS = (
    "/.well-known/openid-configuration",
    "/api",
    "/apis",
    "/apis/",
    "/flagz",
    "/healthz",
    "/livez",
    "/metrics",
    "/metrics/slis",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/openid/v1/jwks",
    "/readyz",
    "/statusz",
    "/version",
)
