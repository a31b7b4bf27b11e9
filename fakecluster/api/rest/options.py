"""The query parameters of writes and reads, checked as the server checks `CreateOptions`, `ListOptions` and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from fakecluster.api import status, strategy
from fakecluster.api.strategy import FieldError

Query = dict[str, list[str]]
#: Longer names of field managers are refused.
FIELD_MANAGER_MAX = 128


def first(query: Query, name: str) -> str:
    values = query.get(name)
    return values[0] if values else ""


def invalid_options(kind: str, errors: Sequence[FieldError]) -> status.ApiError:
    return status.invalid(kind, "meta.k8s.io", "", [(error.type, error.field, error.message) for error in errors])


def boolean(query: Query, name: str) -> bool | None:
    """None when it is not there; an empty value means true."""
    if name not in query:
        return None
    return query[name][0].lower() not in ("false", "0")


def integer(query: Query, name: str) -> int | None:
    """None when it is not there or empty; 400 when it is no number."""
    text = first(query, name)
    if not text:
        return None
    try:
        value = int(text) if text.lstrip("+-").isdigit() else None
    except ValueError:
        value = None
    if value is None:
        raise status.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    if not -(1 << 63) <= value < 1 << 63:
        raise status.bad_request(f'strconv.ParseInt: parsing "{text}": value out of range')
    return value


def dry_run_errors(values: Sequence[str]) -> list[FieldError]:
    if any(value != "All" for value in values):
        return [strategy.not_supported("dryRun", list(values), ["All"])]
    return []


@attrs.frozen
class WriteOptions:
    """What create, update and patch take."""

    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = "Warn"
    force: bool = False


def write_options(kind: str, query: Query, *, apply: bool = False) -> WriteOptions:
    """The options of a write; `kind` names them in errors (CreateOptions, UpdateOptions, PatchOptions)."""
    errors: list[FieldError] = []
    manager = first(query, "fieldManager")
    force = boolean(query, "force")
    if kind == "PatchOptions":
        if apply and not manager:
            errors.append(strategy.required("fieldManager", "is required for apply patch"))
        elif not apply and force is not None:
            errors.append(strategy.forbidden("force", "may not be specified for non-apply patch"))
    errors += _manager_errors(manager)
    errors += dry_run_errors(query.get("dryRun", ()))
    validation = first(query, "fieldValidation")
    if validation not in ("", "Ignore", "Warn", "Strict"):
        errors.append(strategy.not_supported("fieldValidation", validation, ["", "Ignore", "Strict", "Warn"]))
    if errors:
        raise invalid_options(kind, errors)
    return WriteOptions("dryRun" in query, manager, validation or "Warn", bool(force))


def _manager_errors(manager: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if len(manager.encode("utf-8", "replace")) > FIELD_MANAGER_MAX:
        errors.append(strategy.too_long("fieldManager", FIELD_MANAGER_MAX))
    if not manager.isprintable():
        errors.append(strategy.invalid("fieldManager", manager, "should only contain printable characters"))
    return errors


@attrs.frozen
class ListOptions:
    """What list and watch take; `limit` 0: everything."""

    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_: str = ""
    resource_version: str = ""
    match: str = ""
    send_initial_events: bool | None = None
    bookmarks: bool = False
    timeout_s: int | None = None


def list_options(query: Query, *, watch: bool) -> ListOptions:
    """The options of a read; 400 and 422 in the server's words."""
    options = ListOptions(
        first(query, "labelSelector"),
        first(query, "fieldSelector"),
        max(integer(query, "limit") or 0, 0),
        first(query, "continue"),
        first(query, "resourceVersion"),
        first(query, "resourceVersionMatch"),
        boolean(query, "sendInitialEvents"),
        bool(boolean(query, "allowWatchBookmarks")),
        integer(query, "timeoutSeconds"),
    )
    errors = watch_errors(options) if watch else list_errors(options)
    if errors:
        raise invalid_options("ListOptions", errors)
    return options


def watch_errors(options: ListOptions) -> list[FieldError]:
    place = "resourceVersionMatch"
    if options.send_initial_events is None:
        if not options.match:
            return []
        errors = [strategy.forbidden(place, f"{place} is forbidden for watch unless sendInitialEvents is provided")]
    elif options.match == "NotOlderThan":
        return []
    else:
        errors = [strategy.forbidden(place, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")]
    if options.match not in ("", "NotOlderThan"):
        errors.append(strategy.not_supported(place, options.match, ["NotOlderThan"]))
    return errors


def list_errors(options: ListOptions) -> list[FieldError]:
    place = "resourceVersionMatch"
    errors: list[FieldError] = []
    if options.match:
        if options.continue_:
            errors.append(strategy.forbidden(place, f"{place} is forbidden when continue is provided"))
        if not options.resource_version:
            errors.append(strategy.forbidden(place, f"{place} is forbidden unless resourceVersion is provided"))
        if options.match not in ("Exact", "NotOlderThan"):
            errors.append(strategy.not_supported(place, options.match, ["Exact", "NotOlderThan", ""]))
        if options.match == "Exact" and options.resource_version == "0":
            errors.append(strategy.forbidden(place, f'{place} "exact" is forbidden for resourceVersion "0"'))
    if options.send_initial_events is not None:
        errors.append(strategy.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return errors


@attrs.frozen
class Deletion:
    """What a deletion takes, from its body or its query."""

    dry_run: bool = False
    grace_period_s: int | None = None
    propagation: str = ""
    uid: str = ""
    resource_version: str = ""


def deletion(body: Any, query: Query) -> Deletion:
    """The options of a delete; the body wins over the query as on the real server."""
    given: dict[str, Any] = body if isinstance(body, dict) else {}
    if not given:
        given = {key: query[key][0] for key in ("propagationPolicy",) if key in query}
        grace = integer(query, "gracePeriodSeconds")
        orphan = boolean(query, "orphanDependents")
        given |= {"gracePeriodSeconds": grace} if grace is not None else {}
        given |= {"orphanDependents": orphan} if orphan is not None else {}
    dry_run = list(given.get("dryRun") or query.get("dryRun") or ())
    errors = _deletion_errors(given) + dry_run_errors(dry_run)
    if errors:
        raise invalid_options("DeleteOptions", errors)
    preconditions = given.get("preconditions") or {}
    propagation = given.get("propagationPolicy") or ""
    if given.get("orphanDependents") is not None:
        propagation = "Orphan" if given["orphanDependents"] else "Background"
    return Deletion(
        bool(dry_run),
        given.get("gracePeriodSeconds"),
        propagation,
        preconditions.get("uid") or "",
        preconditions.get("resourceVersion") or "",
    )


def _deletion_errors(given: dict[str, Any]) -> list[FieldError]:
    policy, place = given.get("propagationPolicy"), "propagationPolicy"
    if policy is None:
        return []
    errors: list[FieldError] = []
    if given.get("orphanDependents") is not None:
        words = "orphanDependents and deletionPropagation cannot be both set"
        errors.append(strategy.invalid(place, policy, words))
    if policy not in ("Foreground", "Background", "Orphan"):
        errors.append(strategy.not_supported(place, policy, ["Foreground", "Background", "Orphan", "nil"]))
    return errors
