"""The scale subresource: replicas of a workload as an `autoscaling/v1` Scale."""

from __future__ import annotations

from typing import Any

from fakecluster.api import selectors, status, updates
from fakecluster.api.resources import Resource
from fakecluster.api.rest import bodies, objects, options, patches
from fakecluster.api.rest.call import Call
from fakecluster.api.rest.response import Response
from fakecluster.api.schema import copied
from fakecluster.api.status import JsonObject
from fakecluster.api.store import Stored
from fakecluster.api.strategy import Request, invalid


def answer(call: Call, resource: Resource) -> Response:
    request = objects.request_of(call, resource)
    stored = objects.stored_or_404(request)
    if call.target.verb == "get":
        _require_count(resource, stored.object)
        return Response(200, scale_of(resource, stored.object))
    if call.target.verb == "update":
        wanted = options.write_options("UpdateOptions", call.query)
        value = objects.incoming(call, scale_resource(resource), wanted.field_validation)
        updates.check_name(request, value)
    else:
        wanted = options.write_options(
            "PatchOptions", call.query, apply=bodies.media_type(call.headers) == patches.APPLY
        )
        value = patches.patched_value(
            call, scale_resource(resource), request, scale_of(resource, stored.object), wanted
        )
    request = objects.request_of(call, resource, dry_run=wanted.dry_run, manager=wanted.field_manager)
    changed = updates.update(request, lambda live: _scaled(request, live, value))
    return Response(200, scale_of(resource, changed.object))


def _require_count(resource: Resource, obj: JsonObject) -> None:
    """A custom resource may lack the field that counts its replicas."""
    if resource.custom is None:
        return
    path = resource.custom.scale.spec_path
    if _at(obj, path) is None:
        raise status.internal_error(f'the spec replicas field "{path}" does not exist')


def scale_resource(resource: Resource) -> Resource:
    """Scale as if it were a resource of its own, for decoding."""
    return Resource("autoscaling", "v1", resource.plural, "", "Scale", True, ())


def scale_of(resource: Resource, obj: JsonObject) -> JsonObject:
    """The Scale that stands for an object."""
    meta = obj["metadata"]
    if resource.custom is not None:
        wanted, current, selector = _custom_numbers(resource.custom.scale, obj)
    else:
        spec = obj.get("spec", {})
        wanted, current = spec.get("replicas"), obj.get("status", {}).get("replicas", 0)
        selector = _selector(resource, spec)
    found: JsonObject = {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            key: meta[key]
            for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
            if key in meta
        },
        "spec": {"replicas": wanted} if wanted else {},
        "status": {"replicas": current},
    }
    if selector:
        found["status"]["selector"] = selector
    return found


def _selector(resource: Resource, spec: JsonObject) -> str:
    selector = spec.get("selector")
    if not selector:
        return ""
    if resource.plural == "replicationcontrollers":
        return selectors.format_set(selector)
    return str(selectors.from_label_selector(selector))


def _custom_numbers(scale: Any, obj: JsonObject) -> tuple[int | None, int, str]:
    """The wanted and the present replicas and the selector, where the definition says they are."""
    wanted = _at(obj, scale.spec_path)
    current, selector = _at(obj, scale.status_path) or 0, _at(obj, scale.selector_path) or ""
    return wanted, current, selector


def _at(obj: JsonObject, path: str) -> Any:
    found: Any = obj
    for key in path.split(".")[1:]:
        found = found.get(key) if isinstance(found, dict) else None
    return found if path else None


def _scaled(request: Request, live: Stored, scale: JsonObject) -> JsonObject:
    resource, meta = request.resource, scale.get("metadata") or {}
    custom = resource.custom
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        error = invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise status.invalid("Scale", "autoscaling", request.name, [(error.type, error.field, error.message)])
    if (uid := meta.get("uid")) and uid != live.object["metadata"]["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {live.object['metadata']['uid']}"
        counted = resource.plural if custom is None else resource.kind
        raise status.conflict(counted, resource.group, request.name, why)
    obj: JsonObject = copied(live.object)
    *parents, last = ["spec", "replicas"] if custom is None else custom.scale.spec_path.split(".")[1:]
    holder = obj
    for key in parents:
        holder = holder.setdefault(key, {})
    holder[last] = replicas
    if revision := meta.get("resourceVersion"):
        obj["metadata"]["resourceVersion"] = revision
    return obj
