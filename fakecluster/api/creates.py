"""Create: place, default, admit, prepare, validate, store.

The order is that of the real registry (`registry/generic/registry/store.go`, `rest/create.go`), because the order
decides which error a bad request gets.
"""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.api import decoding, object_meta, ownership, schema, status
from fakecluster.api.kinds import strategy_of
from fakecluster.api.managed import Managed
from fakecluster.api.resources import Resource
from fakecluster.api.status import ApiError, JsonObject
from fakecluster.api.store import Stored
from fakecluster.api.strategy import Request, Strategy, invalid_object

SYSTEM_META = (
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "resourceVersion",
    "uid",
    "selfLink",
)


#: Tries to find a free generated name before the clash is reported.
NAME_TRIES = 8


def create(request: Request, obj: JsonObject, record: Managed | None = None) -> Stored:
    """Store a new object; `obj` is a clean working copy (decoding.py). Raises ApiError and then leaves no trace.

    `record` (of an apply) stands for who manages what; without it the writer manages all that the object says.
    """
    resource, strategy = request.resource, strategy_of(request.resource)
    try:
        _place(request, obj)
        if strategy.default:
            strategy.default(obj)
        given = obj["metadata"].pop("managedFields", None)
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            obj["metadata"].pop(key, None)
        record = record or ownership.created_record(request, strategy, obj, given)
        admit_create(request, obj)
        _fill_system_meta(request, obj)
        if strategy.admit:
            obj = strategy.admit(obj, None, request)
        _prepare_create(strategy, request, obj)
        errors = object_meta.validate_object_meta(
            obj["metadata"], resource.namespaced, strategy.name or object_meta.dns_subdomain
        )
        errors += strategy.validate(obj) if strategy.validate else []
        if errors:
            raise invalid_object(resource, obj["metadata"].get("name", ""), errors)
        if strategy.warnings:
            request.warnings += strategy.warnings(obj, None)
        return _insert(strategy, request, obj, record)
    except ApiError:
        request.give_back()
        raise


def _place(request: Request, obj: JsonObject) -> None:
    meta = obj["metadata"]
    if request.resource.namespaced:
        given = meta.get("namespace", "")
        if given and given != request.namespace:
            raise status.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        meta["namespace"] = request.namespace


def admit_create(request: Request, obj: JsonObject) -> None:
    """NamespaceLifecycle: no new objects in a missing or terminating namespace."""
    if not request.resource.namespaced:
        return
    name = request.namespace
    namespace = request.store.get("namespaces", "", name)
    if namespace is None:
        raise status.not_found("namespaces", "", name)
    if namespace["metadata"].get("deletionTimestamp"):
        error = status.forbidden(
            request.resource.plural,
            request.resource.group,
            obj["metadata"].get("name", ""),
            f"unable to create new content in namespace {name} because it is being terminated",
        )
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {name} is being terminated",
            "field": "metadata.namespace",
        }
        error.status["details"]["causes"] = [cause]
        raise error


def _fill_system_meta(request: Request, obj: JsonObject) -> None:
    meta = obj["metadata"]
    if meta.get("resourceVersion"):
        raise status.failure(500, "", "resourceVersion should not be set on objects to be created")
    for key in SYSTEM_META:
        meta.pop(key, None)
    meta.pop("generation", None)
    meta["uid"] = object_meta.new_uid(request.choices)
    meta["creationTimestamp"] = object_meta.timestamp(request.clock.unix_s)
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = object_meta.generate_name(meta["generateName"], request.choices)


def _prepare_create(strategy: Strategy, request: Request, obj: JsonObject) -> None:
    if request.resource.has_status and not strategy.keeps_status:
        reset_status(request.resource, obj)
    decoding.empty_lists_to_null(request.resource, obj)
    if strategy.generation:
        obj["metadata"]["generation"] = 1
    if strategy.prepare_create:
        strategy.prepare_create(obj, request)


def reset_status(resource: Resource, obj: JsonObject) -> None:
    """Clients do not set a status when they create: it becomes what an empty one looks like."""
    obj.pop("status", None)
    empty = schema.empty_status(resource)
    if empty is not None:
        obj["status"] = empty


def _insert(strategy: Strategy, request: Request, obj: JsonObject, record: Managed) -> Stored:
    resource, meta = request.resource, obj["metadata"]
    generated = not request.name and "generateName" in meta
    tries = 0
    while (taken := request.store.stored(resource.key, meta.get("namespace", ""), meta["name"])) is not None:
        tries += 1
        if not generated or tries > NAME_TRIES:
            error = status.already_exists(resource.plural, resource.group, meta["name"])
            if taken.object["metadata"].get("deletionTimestamp"):
                error.status["message"] = f"object is being deleted: {error.message}"
            raise error
        meta["name"] = object_meta.generate_name(meta["generateName"], request.choices)
    return _store(request, obj, record, strategy.created)


def _store(
    request: Request, obj: JsonObject, record: Managed | None, after: Callable[[JsonObject, Request], None] | None
) -> Stored:
    if request.dry_run:
        request.give_back()
        return Stored(obj, record)
    request.store.put(request.resource.key, obj, record)
    if after:
        after(obj, request)
    return Stored(obj, record)
