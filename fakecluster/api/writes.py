"""Create, update and patch: decode, default, admit, prepare, validate, store.

The order is that of the real registry (`registry/generic/registry/store.go`, `rest/create.go`, `rest/update.go`), because
the order decides which error a bad request gets.
"""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.api import managed, object_meta, schema, status
from fakecluster.api.kinds import strategy_for
from fakecluster.api.managed import Managed, Writer
from fakecluster.api.resources import Resource
from fakecluster.api.status import ApiError, JsonObject
from fakecluster.api.store import Stored
from fakecluster.api.strategy import FieldError, Request, Strategy, invalid, invalid_object

MODIFIED_MEANWHILE = "the object has been modified; please apply your changes to the latest version and try again"
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


def create(request: Request, obj: JsonObject) -> Stored:
    """Store a new object; `obj` is a clean working copy (decoding.py). Raises ApiError and then leaves no trace."""
    resource, strategy = request.resource, strategy_for(request.resource.key)
    try:
        _place(request, obj)
        if strategy.default:
            strategy.default(obj)
        admit_create(request, obj)
        spec = obj.get("spec")
        if strategy.admit:
            obj = strategy.admit(obj, None, request)
        _fill_system_meta(request, obj)
        _prepare_create(strategy, request, obj)
        errors = object_meta.validate_object_meta(
            obj["metadata"], resource.namespaced, strategy.name or object_meta.dns_subdomain
        )
        errors += strategy.validate(obj) if strategy.validate else []
        if errors:
            raise invalid_object(resource, obj["metadata"].get("name", ""), errors)
        if strategy.warnings:
            request.warnings += strategy.warnings(obj, None)
        return _insert(strategy, request, obj, {**obj, "spec": spec} if strategy.admit else obj)
    except ApiError:
        undo(request)
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
        raise status.bad_request("resourceVersion should not be set on objects to be created")
    for key in SYSTEM_META:
        meta.pop(key, None)
    meta.pop("managedFields", None)
    meta.pop("generation", None)
    meta["uid"] = object_meta.new_uid(request.choices)
    meta["creationTimestamp"] = object_meta.timestamp(request.clock.unix_s)
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = object_meta.generate_name(meta["generateName"], request.choices)


def _prepare_create(strategy: Strategy, request: Request, obj: JsonObject) -> None:
    if request.resource.has_status and not strategy.keeps_status:
        reset_status(request.resource, obj)
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


def _insert(strategy: Strategy, request: Request, obj: JsonObject, asked: JsonObject) -> Stored:
    resource, meta = request.resource, obj["metadata"]
    generated = not request.name and "generateName" in meta
    tries = 0
    while request.store.stored(resource.key, meta.get("namespace", ""), meta["name"]) is not None:
        tries += 1
        if not generated or tries > NAME_TRIES:
            raise status.already_exists(resource.plural, resource.group, meta["name"])
        meta["name"] = object_meta.generate_name(meta["generateName"], request.choices)
    record = managed.written(None, writer(request), request.clock.unix_s, None, asked)
    return _store(request, obj, record, strategy.created)


def _store(
    request: Request, obj: JsonObject, record: Managed | None, after: Callable[[JsonObject, Request], None] | None
) -> Stored:
    if request.dry_run:
        undo(request)
        return Stored(obj, record)
    request.store.put(request.resource.key, obj, record)
    if after:
        after(obj, request)
    return Stored(obj, record)


def writer(request: Request) -> Writer:
    return Writer(request.agent, "Update", request.resource.api_version, request.subresource)


def undo(request: Request) -> None:
    """Give back what a write that is not kept had allocated, the latest first."""
    while request.undo:
        request.undo.pop()()


def update(
    request: Request,
    change: Callable[[Stored], JsonObject],
    *,
    record: Callable[[Stored, JsonObject], Managed] | None = None,
) -> Stored:
    """Replace a stored object by what `change` makes of it (a clean working copy); an unchanged one is not written."""
    resource, strategy = request.resource, strategy_for(request.resource.key)
    before = request.store.stored(resource.key, request.namespace, request.name)
    if before is None:
        raise status.not_found(resource.plural, resource.group, request.name)
    try:
        new, old = change(before), before.object
        _check_identity(request, strategy, new, old)
        if strategy.default:
            strategy.default(new)
        if strategy.admit and not request.subresource:
            new = strategy.admit(new, old, request)
        _prepare_update(strategy, request, new, old)
        errors = _validate_update(strategy, request, new, old)
        if errors:
            raise invalid_object(resource, request.name, errors)
        if strategy.warnings and not request.subresource:
            request.warnings += strategy.warnings(new, old)
        kept = (record or _ordinary_record(request))(before, new)
        if new == old and (record is None or kept is before.managed):
            undo(request)
            return before
        return finish_update(request, strategy, before, new, kept)
    except ApiError:
        undo(request)
        raise


def _ordinary_record(request: Request) -> Callable[[Stored, JsonObject], Managed]:
    return lambda before, new: managed.written(
        before.managed, writer(request), request.clock.unix_s, before.object, new
    )


def finish_update(
    request: Request, strategy: Strategy, before: Stored, new: JsonObject, record: Managed | None
) -> Stored:
    """Store the new state, or take the object away when this update removed its last finalizer."""
    if request.dry_run:
        undo(request)
        return Stored(new, record)
    if (
        new["metadata"].get("deletionTimestamp")
        and may_go(strategy, new)
        and not new["metadata"].get("deletionGracePeriodSeconds")
    ):
        request.store.remove(request.resource.key, request.namespace, request.name, new)
        if strategy.deleted:
            strategy.deleted(new, request)
        return Stored(new, record)
    request.store.put(request.resource.key, new, record)
    if strategy.updated:
        strategy.updated(new, before.object, request)
    return Stored(new, record)


def may_go(strategy: Strategy, obj: JsonObject) -> bool:
    """Whether nothing holds an object that is marked for deletion."""
    if strategy.may_go:
        return strategy.may_go(obj)
    return not obj["metadata"].get("finalizers")


def _check_identity(request: Request, strategy: Strategy, new: JsonObject, old: JsonObject) -> None:
    resource, meta, was = request.resource, new["metadata"], old["metadata"]
    revision = meta.get("resourceVersion", "")
    if not revision and strategy.needs_resource_version:
        words = "must be specified for an update"
        raise invalid_object(resource, request.name, [invalid("metadata.resourceVersion", 0, words)])
    if revision and revision != was["resourceVersion"]:
        raise status.conflict(resource.plural, resource.group, request.name, MODIFIED_MEANWHILE)
    meta["resourceVersion"] = was["resourceVersion"]
    for key in ("uid", "creationTimestamp"):
        if not meta.get(key):
            meta[key] = was[key]
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation", "generateName"):
        if key in was:
            meta[key] = was[key]
        elif key != "generateName":
            meta.pop(key, None)
    if resource.namespaced:
        meta.setdefault("namespace", was["namespace"])
    meta.pop("managedFields", None)
    meta.pop("selfLink", None)


def _prepare_update(strategy: Strategy, request: Request, new: JsonObject, old: JsonObject) -> None:
    if request.subresource == "status":
        for key in [key for key in {**new, **old} if key not in ("metadata", "status", "kind", "apiVersion")]:
            new.pop(key, None)
            if key in old:
                new[key] = schema.copied(old[key])
        if strategy.prepare_status:
            strategy.prepare_status(new, old)
        return
    if request.subresource:
        strategy.subresources[request.subresource](new, old, request)
        return
    if request.resource.has_status and not strategy.keeps_status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = schema.copied(old["status"])
    if strategy.prepare_update:
        strategy.prepare_update(new, old, request)
    if strategy.generation and strategy.generation(new) != strategy.generation(old):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _validate_update(strategy: Strategy, request: Request, new: JsonObject, old: JsonObject) -> list[FieldError]:
    errors = object_meta.validate_object_meta_update(new["metadata"], old["metadata"])
    if request.subresource:
        check = strategy.validate_status if request.subresource == "status" else None
        return errors + (check(new, old) if check else [])
    if strategy.validate_update:
        return errors + strategy.validate_update(new, old)
    return errors + (strategy.validate(new) if strategy.validate else [])


def bind(request: Request, node: str, annotations: dict[str, str] | None = None) -> None:
    """`pods/binding`: the Pod gets its node once and a PodScheduled condition."""
    resource = request.resource
    before = request.store.stored(resource.key, request.namespace, request.name)
    if before is None:
        raise status.not_found(resource.plural, resource.group, request.name)
    old = before.object
    if assigned := old["spec"].get("nodeName"):
        why = f'pod {request.name} is already assigned to node "{assigned}"'
        raise status.conflict("pods/binding", "", request.name, why)
    if old["metadata"].get("deletionTimestamp"):
        raise status.conflict(
            "pods/binding", "", request.name, f"pod {request.name} is being deleted, cannot be assigned to a host"
        )
    new = schema.copied(old)
    new["spec"]["nodeName"] = node
    if annotations:
        new["metadata"]["annotations"] = {**new["metadata"].get("annotations", {}), **annotations}
    conditions = [c for c in new["status"].get("conditions", ()) if c["type"] != "PodScheduled"]
    stamp = object_meta.timestamp(request.clock.unix_s)
    conditions.append({"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": stamp})
    new["status"]["conditions"] = conditions
    record = _ordinary_record(request)(before, new)
    if not request.dry_run:
        request.store.put(resource.key, new, record)
