"""Update and patch: what a change makes of a stored object is defaulted, admitted, prepared, validated and stored.

The order is that of the real registry (`registry/generic/registry/store.go`, `rest/update.go`), because the order
decides which error a bad request gets.
"""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.api import creates, decoding, object_meta, ownership, schema, status
from fakecluster.api.kinds import strategy_of
from fakecluster.api.kinds_workload.pod_admission import topology_labels
from fakecluster.api.label_rules import validate_labels
from fakecluster.api.managed import Managed
from fakecluster.api.status import ApiError, JsonObject
from fakecluster.api.store import Stored
from fakecluster.api.strategy import FieldError, Request, Strategy, invalid, invalid_object

MODIFIED_MEANWHILE = "the object has been modified; please apply your changes to the latest version and try again"


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
        kept = record(before, new) if record else ownership.updated_record(request, strategy, before, new, given)
        if strategy.admit and not request.subresource:
            new = strategy.admit(new, old, request)
        _prepare_update(strategy, request, new, old)
        _keep_system_meta(new["metadata"], old["metadata"])
        errors = _validate_update(strategy, request, new, old)
        if errors:
            raise invalid_object(resource, request.name, errors)
        if strategy.warnings and not request.subresource:
            request.warnings += strategy.warnings(new, old)
        if new == old and ownership.same_lines(kept, before.managed):
            request.give_back()
            return before
        return finish_update(request, strategy, before, new, kept)
    except ApiError:
        request.give_back()
        raise


def update_or_create(request: Request, obj: JsonObject) -> tuple[Stored, bool]:
    """PUT: (the object, whether it is new); some kinds are created when they are not there."""
    resource, strategy = request.resource, strategy_of(request.resource)
    before = request.store.stored(resource.key, request.namespace, request.name)
    if before is None and strategy.create_on_update and not request.subresource:
        obj["metadata"].pop("resourceVersion", None)
        if uid := obj["metadata"].get("uid"):
            raise _uid_precondition(request, uid, "")
        return creates.create(request, obj), True
    if before is not None and (uid := obj["metadata"].get("uid")) and uid != before.object["metadata"]["uid"]:
        raise _uid_precondition(request, uid, before.object["metadata"]["uid"])
    return update(request, lambda _: obj), False


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
        f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
        f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
    )
    return status.conflict(resource.plural, resource.group, request.name, why)


def finish_update(
    request: Request, strategy: Strategy, before: Stored, new: JsonObject, record: Managed | None
) -> Stored:
    """Store the new state, or take the object away when this update removed its last finalizer."""
    if request.dry_run:
        request.give_back()
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
    decoding.empty_lists_to_null(request.resource, new)
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
