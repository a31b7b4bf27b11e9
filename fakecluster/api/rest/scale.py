"""The scale subresource: replicas of a workload as an `autoscaling/v1` Scale."""

from __future__ import annotations

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


def scale_resource(resource: Resource) -> Resource:
    """Scale as if it were a resource of its own, for decoding."""
    return Resource("autoscaling", "v1", resource.plural, "", "Scale", True, ())


def scale_of(resource: Resource, obj: JsonObject) -> JsonObject:
    """The Scale that stands for an object."""
    meta = obj["metadata"]
    spec, state = obj.get("spec", {}), obj.get("status", {})
    found: JsonObject = {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            key: meta[key]
            for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
            if key in meta
        },
        "spec": {"replicas": spec["replicas"]} if spec.get("replicas") else {},
        "status": {"replicas": state.get("replicas", 0)},
    }
    selector = _selector(resource, spec)
    if selector:
        found["status"]["selector"] = selector
    return found


def _selector(resource: Resource, spec: JsonObject) -> str:
    selector = spec.get("selector")
    if resource.custom is not None or not selector:
        return ""
    if resource.plural == "replicationcontrollers":
        return selectors.format_set(selector)
    return str(selectors.from_label_selector(selector))


def _scaled(request: Request, live: Stored, scale: JsonObject) -> JsonObject:
    resource, meta = request.resource, scale.get("metadata") or {}
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        error = invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise status.invalid("Scale", "autoscaling", request.name, [(error.type, error.field, error.message)])
    if (uid := meta.get("uid")) and uid != live.object["metadata"]["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {live.object['metadata']['uid']}"
        raise status.conflict(resource.plural, resource.group, request.name, why)
    obj: JsonObject = copied(live.object)
    obj["spec"]["replicas"] = replicas
    if revision := meta.get("resourceVersion"):
        obj["metadata"]["resourceVersion"] = revision
    return obj
