"""Delete: preconditions, grace, finalizers and what happens to dependents (`registry/generic/registry/store.go`)."""

from __future__ import annotations

import attrs

from fakecluster.api import managed, object_meta, schema, status, updates
from fakecluster.api.kinds import strategy_of
from fakecluster.api.status import JsonObject
from fakecluster.api.store import Stored
from fakecluster.api.strategy import Request, Strategy

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
#: Kinds whose finished deletion answers with the object instead of a Status (`ReturnDeletedObject`).
RETURNED = frozenset(
    (
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "podtemplates",
        "resourcequotas",
        "serviceaccounts",
        "services",
        "storageclasses.storage.k8s.io",
        "volumeattachments.storage.k8s.io",
    )
)
PROPAGATION = {"Foreground": FOREGROUND, "Orphan": ORPHAN}


@attrs.frozen
class DeleteOptions:
    """What a client asks of a deletion; None and empty: not said."""

    grace_period_s: int | None = None
    propagation: str = ""  # Foreground Background Orphan
    uid: str = ""
    resource_version: str = ""


@attrs.frozen
class Outcome:
    """What became of the object: its last state, and whether it stays for now."""

    stored: Stored
    stays: bool


def delete(request: Request, options: DeleteOptions) -> Outcome:
    """Take an object away, or mark it and leave it to whoever holds it (grace, finalizers)."""
    resource, strategy = request.resource, strategy_of(request.resource)
    stored = request.store.stored(resource.key, request.namespace, request.name)
    if stored is None:
        raise status.not_found(resource.plural, resource.group, request.name)
    old = stored.object
    _check_preconditions(request, options, old)
    if strategy.before_delete:
        strategy.before_delete(old, request)
    grace_s = _grace(strategy, old, options)
    if grace_s is PENDING:
        return Outcome(stored, True)
    marked = {**old, "metadata": dict(old["metadata"])}
    _set_finalizers(marked["metadata"], _finalizers(options, old))
    held = not updates.may_go(strategy, marked)
    if isinstance(grace_s, int):
        _mark_graceful(request, marked["metadata"], grace_s)
    elif held and "deletionTimestamp" not in marked["metadata"]:
        _mark_held(request, marked["metadata"])
    if held and strategy.prepare_delete:
        marked = schema.copied(marked)
        strategy.prepare_delete(marked, request)
    if request.dry_run:
        return Outcome(Stored(marked, stored.managed), held or bool(grace_s))
    if (held or isinstance(grace_s, int)) and marked != old:
        request.store.put(resource.key, marked, stored.managed)
        if held and strategy.marked:
            strategy.marked(marked, request)
    if held or grace_s:
        return Outcome(Stored(marked, stored.managed), True)
    return _gone(request, strategy, Stored(marked, stored.managed))


def _gone(request: Request, strategy: Strategy, last: Stored) -> Outcome:
    event = request.store.remove(request.resource.key, request.namespace, request.name, last.object)
    if strategy.deleted:
        strategy.deleted(last.object, request)
    return Outcome(Stored(event.object, last.managed), False)


class _Pending:
    """A deletion that asks for nothing new while one is under way."""


PENDING = _Pending()


def _grace(strategy: Strategy, old: JsonObject, options: DeleteOptions) -> int | _Pending | None:
    """Seconds to grant; None: the kind knows no grace; PENDING: only a shorter time would change anything."""
    if strategy.grace_period_s is None:
        return None
    meta = old["metadata"]
    if "deletionTimestamp" not in meta:
        return strategy.grace_period_s(old, options.grace_period_s)
    running = meta.get("deletionGracePeriodSeconds")
    if running is None:
        return None
    asked = options.grace_period_s
    if asked is None or asked >= running:
        return PENDING
    return 1 if asked < 0 else asked  # older kubelets sent -1


def _mark_graceful(request: Request, meta: JsonObject, grace_s: int) -> None:
    if "deletionTimestamp" in meta:
        began = (managed.seconds(meta["deletionTimestamp"]) or 0) - meta["deletionGracePeriodSeconds"]
        meta["deletionTimestamp"] = object_meta.timestamp(began + grace_s)
    else:
        meta["deletionTimestamp"] = object_meta.timestamp(request.clock.unix_s + grace_s)
        if meta.get("generation"):
            meta["generation"] += 1
    meta["deletionGracePeriodSeconds"] = grace_s


def _mark_held(request: Request, meta: JsonObject) -> None:
    meta["deletionTimestamp"] = object_meta.timestamp(request.clock.unix_s)
    meta["deletionGracePeriodSeconds"] = 0
    if meta.get("generation"):
        meta["generation"] += 1


def _set_finalizers(meta: JsonObject, finalizers: list[str]) -> None:
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)


def answers_with_object(request: Request) -> bool:
    """Whether a finished deletion of this kind answers with the object."""
    return request.resource.key in RETURNED


def _check_preconditions(request: Request, options: DeleteOptions, old: JsonObject) -> None:
    resource, meta = request.resource, old["metadata"]
    for name, wanted, found in (
        ("UID", options.uid, meta["uid"]),
        ("ResourceVersion", options.resource_version, meta["resourceVersion"]),
    ):
        if wanted and wanted != found:
            words = (
                f"the {name} in the precondition ({wanted}) does not match the {name} in record ({found}). "
                "The object might have been deleted and then recreated"
            )
            if name == "ResourceVersion":
                words = words.rpartition(". ")[0] + ". The object might have been modified"
            raise status.conflict(resource.kind, resource.group, request.name, words)


def _finalizers(options: DeleteOptions, old: JsonObject) -> list[str]:
    found: list[str] = list(old["metadata"].get("finalizers", ()))
    if options.propagation:
        found = [name for name in found if name not in (FOREGROUND, ORPHAN)]
        if options.propagation in PROPAGATION:
            found.append(PROPAGATION[options.propagation])
    return found
