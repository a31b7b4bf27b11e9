"""How objects and lists leave the server: whole, as tables, or as metadata only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.api import conversion, managed, reads, status, tables
from fakecluster.api.resources import Resource
from fakecluster.api.rest.call import Call
from fakecluster.api.rest.options import first
from fakecluster.api.status import JsonObject

Shape = Callable[[JsonObject], Any]


def ordered(obj: JsonObject) -> JsonObject:
    """kind and apiVersion first."""
    head = {"kind": obj.get("kind"), "apiVersion": obj.get("apiVersion")}
    return {**head, **{key: value for key, value in obj.items() if key not in head}}


def partial(obj: JsonObject) -> JsonObject:
    """PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def object_shape(call: Call, resource: Resource) -> Shape:
    """What one object is answered as."""
    accepted = call.accepted
    if accepted.shape == "Table":
        table = tables.for_resource(resource)
        include = first(call.query, "includeObject")
        now_s = call.server.clock.unix_s
        return lambda obj: table.render([obj], _version_of(obj), include, now_s)
    if accepted.shape == "PartialObjectMetadata":
        return partial
    return lambda obj: ordered(conversion.presented(resource, obj))


def _version_of(obj: JsonObject) -> JsonObject:
    return {"resourceVersion": obj["metadata"].get("resourceVersion", "")}


def watch_shape(call: Call, resource: Resource) -> Shape:
    """What the objects of watch events are answered as: only the first table has its columns."""
    accepted = call.accepted
    if accepted.shape != "Table":
        return object_shape(call, resource)
    table = tables.for_resource(resource)
    include = first(call.query, "includeObject")
    seen = False

    def render(obj: JsonObject) -> Any:
        nonlocal seen
        rendered = table.render([obj], _version_of(obj), include, call.server.clock.unix_s, columns=not seen)
        seen = True
        return rendered

    return render


def list_shape(call: Call, resource: Resource) -> Callable[[reads.Page], Any]:
    """What a list is answered as."""
    shape = call.accepted.shape

    def render(page: reads.Page) -> Any:
        meta: JsonObject = {"resourceVersion": str(page.revision)}
        if page.continue_ or (resource.custom is not None and not shape):
            meta["continue"] = page.continue_
        elif resource.custom is not None and not shape:
            meta["continue"] = ""
        if page.remaining is not None:
            meta["remainingItemCount"] = page.remaining
        objects = [
            managed.with_managed_fields(conversion.presented(resource, stored.object), stored.managed)
            for stored in page.items
        ]
        if shape == "Table":
            include, now_s = first(call.query, "includeObject"), call.server.clock.unix_s
            return tables.for_resource(resource).render(objects, meta, include, now_s)
        if shape == "PartialObjectMetadata":
            internal = resource.group.partition(".")[0] or "core"
            words = "you requested PartialObjectMetadata, but the requested object is a list"
            raise status.failure(406, "NotAcceptable", f"{words} (*{internal}.{resource.kind}List)")
        if shape == "PartialObjectMetadataList":
            head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return {**head, "metadata": meta, "items": [partial(obj) for obj in objects]}
        return {
            "kind": resource.list_kind or f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": meta,
            "items": [obj if resource.custom is not None else _bare(obj) for obj in objects],
        }

    return render


def _bare(obj: JsonObject) -> JsonObject:
    return {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}
