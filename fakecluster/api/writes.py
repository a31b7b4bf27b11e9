"""Create, update and patch: decode, default, admit, prepare, validate, store.

The order is that of the real registry (`registry/generic/registry/store.go`, `rest/create.go`, `rest/update.go`), because
the order decides which error a bad request gets.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fakecluster.api import apply as applying
from fakecluster.api import custom, decoding, managed, object_meta, schema, status
from fakecluster.api.kinds import strategy_of
from fakecluster.api.kinds_workload.pod_admission import topology_labels
from fakecluster.api.label_rules import validate_labels
from fakecluster.api.managed import Managed, Writer
from fakecluster.api.resources import Resource
from fakecluster.api.status import ApiError, JsonObject
from fakecluster.api.store import Stored
from fakecluster.api.strategy import FieldError, Request, Strategy, invalid, invalid_object
from fakecluster.api.type_tree import TypeNode, type_of

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
        record = record or _created_record(request, strategy, obj, given)
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
        undo(request)
        raise


def _created_record(request: Request, strategy: Strategy, obj: JsonObject, given: Any) -> Managed:
    """Before admission and preparation change it, the object is what the client said (with defaults)."""
    resource = request.resource
    mutates = strategy.admit or strategy.prepare_create or schema.required_lists(resource.api_version, resource.kind)
    said = schema.copied(obj) if mutates else obj
    return managed.written(
        type_of_resource(resource),
        base_record(given, None),
        writer(request),
        request.clock.unix_s,
        zero_object(resource),
        said,
        ignored_fields(request),
    )


def base_record(given: Any, live: Managed | None) -> Managed | None:
    """The lines that a write starts from: those that the client sent, if they make sense, else the stored ones."""
    if given is None:
        return live
    if given in ([], [{}]):
        return Managed({})
    try:
        entries = managed.parse(given)
    except (ValueError, TypeError, AttributeError):
        return live
    if live is not None and entries == live.resolved():
        return live
    return Managed(entries) if entries else live


def type_of_resource(resource: Resource) -> TypeNode:
    """The type that decides how fields are owned."""
    if resource.custom is not None:
        return custom.type_node(resource)
    return type_of(resource.api_version, resource.kind)


@functools.lru_cache(maxsize=256)
def zero_object(resource: Resource) -> JsonObject:
    """What nothing at all looks like in this kind: the structures that Go has without asking."""
    if resource.custom is not None:
        return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}}
    return schema.decode(resource.api_version, resource.kind, {})[0]


def ignored_fields(request: Request) -> tuple[tuple[str, ...], ...]:
    """The fields that this endpoint does not write, so that nobody manages them through it (`GetResetFields`)."""
    if request.subresource == "status":
        strategy = strategy_of(request.resource)
        return (("f:spec",), *strategy.status_ignores)
    if request.subresource in ("", "finalize") and request.resource.has_status:
        return (("f:status",),)
    return ()


def check_name(request: Request, obj: JsonObject) -> None:
    """400 when the body names another object than the path."""
    meta = obj["metadata"]
    name = meta.get("name", "")
    if name and name != request.name:
        words = f"the name of the object ({name}) does not match the name on the URL ({request.name})"
        raise status.bad_request(words)
    if not name:
        raise status.bad_request(f"name must be provided on the object for update: {request.name}")
    if request.resource.namespaced and meta.get("namespace", request.namespace) != request.namespace:
        raise status.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def update_or_create(request: Request, obj: JsonObject) -> tuple[Stored, bool]:
    """PUT: (the object, whether it is new); some kinds are created when they are not there."""
    resource, strategy = request.resource, strategy_of(request.resource)
    before = request.store.stored(resource.key, request.namespace, request.name)
    if before is None and strategy.create_on_update and not request.subresource:
        obj["metadata"].pop("resourceVersion", None)
        if uid := obj["metadata"].get("uid"):
            raise _uid_precondition(request, uid, "")
        return create(request, obj), True
    if before is not None and (uid := obj["metadata"].get("uid")) and uid != before.object["metadata"]["uid"]:
        raise _uid_precondition(request, uid, before.object["metadata"]["uid"])
    return update(request, lambda _: obj), False


#: Where the store keeps kinds that do not stand under their own name.
STORED_AT = {
    "services": "services/specs",
    "endpoints": "services/endpoints",
    "nodes": "minions",
    "replicationcontrollers": "controllers",
    "deployments.apps": "deployments",
    "replicasets.apps": "replicasets",
    "statefulsets.apps": "statefulsets",
    "daemonsets.apps": "daemonsets",
    "jobs.batch": "jobs",
    "cronjobs.batch": "cronjobs",
    "endpointslices.discovery.k8s.io": "endpointslices",
    "ingresses.networking.k8s.io": "ingress",
    "ingressclasses.networking.k8s.io": "ingressclasses",
    "networkpolicies.networking.k8s.io": "networkpolicies",
    "leases.coordination.k8s.io": "leases",
    "poddisruptionbudgets.policy": "poddisruptionbudgets",
}


def _uid_precondition(request: Request, wanted: str, found: str) -> ApiError:
    resource = request.resource
    place = STORED_AT.get(resource.key, f"{resource.group}/{resource.plural}" if resource.group else resource.plural)
    key = "/".join(part for part in ("/registry", place, request.namespace, request.name) if part)
    why = (
        f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: "
        f"UID in precondition: {wanted}, UID in object meta: {found}"
    )
    return status.conflict(resource.plural, resource.group, request.name, why)


def apply(request: Request, config: JsonObject, *, force: bool) -> tuple[Stored, bool]:
    """Server-side apply of a configuration as it was written: (the object, whether it is new)."""
    resource, meta = request.resource, config.get("metadata") or {}
    _check_config(request, config, meta)
    before = request.store.stored(resource.key, request.namespace, request.name)
    who = Writer(request.agent, "Apply", resource.api_version, request.subresource)
    said = applying.Application(config, who, request.clock.unix_s, force, ignored_fields(request))
    node = type_of_resource(resource)
    if before is None:
        if request.subresource:
            raise status.not_found(resource.plural, resource.group, request.name)
        if uid := meta.get("uid"):
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise status.conflict(resource.plural, resource.group, request.name, why)
        fresh = {**zero_object(resource), "metadata": {}}
        done = applying.apply(node, fresh, {}, said)
        obj = decoding.clean_copy(resource, done.object)
        obj["metadata"].pop("resourceVersion", None)
        return create(request, obj, Managed(done.entries)), True
    outcome: list[Managed] = []

    def change(live: Stored) -> JsonObject:
        lines = live.managed.resolved() if live.managed is not None else {}
        done = applying.apply(node, live.object, lines, said)
        outcome.append(live.managed if live.managed is not None and done.entries == lines else Managed(done.entries))
        return decoding.clean_copy(resource, done.object)

    return update(request, change, record=lambda _before, _new: outcome[0]), False


def _check_config(request: Request, config: JsonObject, meta: JsonObject) -> None:
    resource = request.resource
    api_version, kind = config.get("apiVersion", ""), config.get("kind", "")
    if not api_version or not kind:
        group, _, version = str(api_version).rpartition("/")
        raise status.bad_request(f"invalid object type: {group}/{version}, Kind={kind}")
    if meta.get("managedFields") is not None:
        raise status.bad_request("metadata.managedFields must be nil")
    if api_version != resource.api_version:
        words = f"Incorrect version specified in apply patch. Specified patch version: {api_version}, expected: "
        raise status.bad_request(words + resource.api_version)
    if (name := meta.get("name", "")) and name != request.name:
        raise status.bad_request(f"the name of the object ({name}) does not match the name on the URL ({request.name})")


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
    _empty_to_null(request.resource, obj)
    if strategy.generation:
        obj["metadata"]["generation"] = 1
    if strategy.prepare_create:
        strategy.prepare_create(obj, request)


def _empty_to_null(resource: Resource, obj: JsonObject) -> None:
    """Empty required lists come out of the store as null."""
    if resource.custom is None:
        for key in schema.required_lists(resource.api_version, resource.kind):
            if not obj.get(key):
                obj[key] = None


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
    resource, strategy = request.resource, strategy_of(request.resource)
    before = request.store.stored(resource.key, request.namespace, request.name)
    if before is None:
        raise status.not_found(resource.plural, resource.group, request.name)
    try:
        new, old = change(before), before.object
        given = new["metadata"].pop("managedFields", None)
        if strategy.default:
            strategy.default(new)
        _check_version(request, strategy, new, old)
        kept = record(before, new) if record else _updated_record(request, strategy, before, new, given)
        if strategy.admit and not request.subresource:
            new = strategy.admit(new, old, request)
        _prepare_update(strategy, request, new, old)
        _keep_system_meta(new["metadata"], old["metadata"])
        errors = _validate_update(strategy, request, new, old)
        if errors:
            raise invalid_object(resource, request.name, errors)
        if strategy.warnings and not request.subresource:
            request.warnings += strategy.warnings(new, old)
        if new == old and same_lines(kept, before.managed):
            undo(request)
            return before
        return finish_update(request, strategy, before, new, kept)
    except ApiError:
        undo(request)
        raise


def _entry_time(request: Request) -> int | None:
    """The time of the line in managedFields; writing a custom resource's scale leaves it out."""
    scaled = request.subresource == "scale" and request.resource.custom is not None
    return None if scaled else request.clock.unix_s


def same_lines(new: Managed | None, old: Managed | None) -> bool:
    """Whether nobody's fields changed; times of unchanged lines do not count."""
    if new is old:
        return True
    lines, before = (record.resolved() if record is not None else {} for record in (new, old))
    return {key: entry.fields for key, entry in lines.items()} == {key: entry.fields for key, entry in before.items()}


def _updated_record(
    request: Request, strategy: Strategy, before: Stored, new: JsonObject, given: Any
) -> Managed | None:
    base = base_record(given, before.managed)
    mutates = strategy.admit or strategy.prepare_update or strategy.prepare_status or request.subresource
    said = schema.copied(new) if mutates or request.resource.has_status else new
    return managed.written(
        type_of_resource(request.resource),
        base,
        writer(request),
        _entry_time(request),
        before.object,
        said,
        ignored_fields(request),
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


def _check_version(request: Request, strategy: Strategy, new: JsonObject, old: JsonObject) -> None:
    resource, meta, was = request.resource, new["metadata"], old["metadata"]
    revision = meta.get("resourceVersion", "")
    if revision and not revision.isdigit():
        words = f'strconv.ParseUint: parsing "{revision}": invalid syntax'
        raise status.failure(500, "", words)
    if (not revision or revision == "0") and strategy.needs_resource_version:
        error = invalid("metadata.resourceVersion", 0, "must be specified for an update")
        causes = [(error.type, error.field, error.message)]
        raise status.invalid(resource.plural, resource.group, request.name, causes)
    if revision not in ("", "0", was["resourceVersion"]):
        raise status.conflict(resource.plural, resource.group, request.name, MODIFIED_MEANWHILE)
    meta["resourceVersion"] = was["resourceVersion"]
    if resource.namespaced:
        meta.setdefault("namespace", was["namespace"])
    if "generation" in was:
        meta["generation"] = was["generation"]
    else:
        meta.pop("generation", None)
    meta.pop("selfLink", None)


def _keep_system_meta(meta: JsonObject, was: JsonObject) -> None:
    """What no update changes, whatever it says (`rest.BeforeUpdate`)."""
    if not meta.get("uid"):
        meta["uid"] = was["uid"]
    meta["creationTimestamp"] = was["creationTimestamp"]
    if "deletionTimestamp" in was:
        meta["deletionTimestamp"] = was["deletionTimestamp"]
    if "deletionGracePeriodSeconds" in was:
        meta.setdefault("deletionGracePeriodSeconds", was["deletionGracePeriodSeconds"])


def _prepare_update(strategy: Strategy, request: Request, new: JsonObject, old: JsonObject) -> None:
    _empty_to_null(request.resource, new)
    if request.subresource == "status":
        for key in [key for key in {**new, **old} if key not in ("metadata", "status", "kind", "apiVersion")]:
            new.pop(key, None)
            if key in old:
                new[key] = schema.copied(old[key])
        if strategy.prepare_status:
            strategy.prepare_status(new, old)
        return
    if request.subresource in strategy.subresources:
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
    errors = errors + errors  # the registry checks them, and so does every kind
    errors += validate_labels(new["metadata"].get("labels"), "metadata.labels")  # labels once more
    if request.subresource == "status":
        return errors + (strategy.validate_status(new, old) if strategy.validate_status else [])
    if request.subresource in strategy.subresources:
        return errors
    if errors and strategy.revalidates_meta:
        errors += object_meta.validate_object_meta(
            new["metadata"], request.resource.namespaced, strategy.name or object_meta.dns_subdomain
        )
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
    if places := topology_labels(request, node):
        new["metadata"]["labels"] = {**new["metadata"].get("labels", {}), **places}
    conditions = [c for c in new["status"].get("conditions", ()) if c["type"] != "PodScheduled"]
    stamp = object_meta.timestamp(request.clock.unix_s)
    conditions.append({"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": stamp})
    new["status"]["conditions"] = conditions
    if not request.dry_run:
        request.store.put(resource.key, new, before.managed)
