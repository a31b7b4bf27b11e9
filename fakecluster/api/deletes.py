"""Delete: preconditions, grace, finalizers and what happens to dependents (`registry/generic/registry/store.go`)."""

from __future__ import annotations

import attrs

from fakecluster.api import object_meta, schema, status, writes
from fakecluster.api.kinds import strategy_of
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import Request

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
PROPAGATION = {"Foreground": FOREGROUND, "Orphan": ORPHAN}


@attrs.frozen
class DeleteOptions:
    """What a client asks of a deletion; None and empty: not said."""

    grace_period_s: int | None = None
    propagation: str = ""  # Foreground Background Orphan
    uid: str = ""
    resource_version: str = ""


def delete(request: Request, options: DeleteOptions) -> JsonObject | None:
    """Take an object away, or mark it; the object when it stays (for now), None when it is gone."""
    resource, strategy = request.resource, strategy_of(request.resource)
    stored = request.store.stored(resource.key, request.namespace, request.name)
    if stored is None:
        raise status.not_found(resource.plural, resource.group, request.name)
    old = stored.object
    _check_preconditions(request, options, old)
    finalizers = _finalizers(options, old)
    grace_s = strategy.grace_period_s(old, options.grace_period_s) if strategy.grace_period_s else 0
    marked = {**old, "metadata": dict(old["metadata"])}
    meta = marked["metadata"]
    meta.pop("finalizers", None)
    if finalizers:
        meta["finalizers"] = finalizers
    if not grace_s and writes.may_go(strategy, marked):
        if not request.dry_run:
            request.store.remove(resource.key, request.namespace, request.name, marked)
            if strategy.deleted:
                strategy.deleted(marked, request)
        return None
    marked = _mark(request, marked, old, grace_s)
    if strategy.prepare_delete:
        marked = schema.copied(marked)
        strategy.prepare_delete(marked, request)
    if marked != old and not request.dry_run:
        request.store.put(resource.key, marked, stored.managed)
        if strategy.marked:
            strategy.marked(marked, request)
    return marked


def _mark(request: Request, marked: JsonObject, old: JsonObject, grace_s: int) -> JsonObject:
    meta = marked["metadata"]
    was = old["metadata"].get("deletionGracePeriodSeconds")
    if "deletionTimestamp" not in meta or (was is not None and grace_s < was):
        meta["deletionTimestamp"] = object_meta.timestamp(request.clock.unix_s + grace_s)
        meta["deletionGracePeriodSeconds"] = grace_s
        if "generation" in meta:
            meta["generation"] += 1
    return marked


def _check_preconditions(request: Request, options: DeleteOptions, old: JsonObject) -> None:
    resource, meta = request.resource, old["metadata"]
    if options.uid and options.uid != meta["uid"]:
        words = f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {meta['uid']}"
        raise status.conflict(resource.plural, resource.group, request.name, words)
    if options.resource_version and options.resource_version != meta["resourceVersion"]:
        words = (
            f"Precondition failed: ResourceVersion in precondition: {options.resource_version}, "
            f"ResourceVersion in object meta: {meta['resourceVersion']}"
        )
        raise status.conflict(resource.plural, resource.group, request.name, words)


def _finalizers(options: DeleteOptions, old: JsonObject) -> list[str]:
    found: list[str] = list(old["metadata"].get("finalizers", ()))
    if options.propagation:
        found = [name for name in found if name not in (FOREGROUND, ORPHAN)]
        if options.propagation in PROPAGATION:
            found.append(PROPAGATION[options.propagation])
    return found
