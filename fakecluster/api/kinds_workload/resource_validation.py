"""Validation of resource requests and limits (pkg/apis/core/validation: ValidateContainerResourceRequirements)."""

from __future__ import annotations

from typing import Any

from fakecluster.api import names
from fakecluster.api.kinds_workload.field_checks import NOT_NEGATIVE, Errors, named
from fakecluster.api.kinds_workload.quantity import Quantity, parse_quantity
from fakecluster.api.strategy import forbidden, invalid, not_found, required

Json = dict[str, Any]

_STANDARD = ("cpu", "memory", "ephemeral-storage")
HUGE_PAGES = "hugepages-"


def validate_resources(resources: Json, field: str, claims: frozenset[str] = frozenset()) -> Errors:
    """Limits, then requests, resource by resource in alphabetical order; `claims` are the Pod's resource claims."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    errors: Errors = []
    for name in sorted(limits):
        errors += _amount(name, parse_quantity(limits[name]), f"{field}.limits[{name}]")
    for name in sorted(requests):
        amount = parse_quantity(requests[name])
        errors += _amount(name, amount, f"{field}.requests[{name}]")
        errors += _within_limit(name, amount, limits.get(name), field)
    named_resources = {*limits, *requests}
    if any(name.startswith(HUGE_PAGES) for name in named_resources) and not named_resources & {"cpu", "memory"}:
        errors.append(forbidden(field, "HugePages require cpu or memory"))
    for number, claim in enumerate(resources.get("claims") or ()):
        if not claim.get("name"):
            errors.append(required(f"{field}.claims[{number}].name"))
        elif claim["name"] not in claims:
            errors.append(not_found(f"{field}.claims[{number}].name", claim["name"]))
    return errors


def validate_resource_name(name: str, field: str) -> Errors:
    """What a container may ask for: the standard resources, huge pages, or a fully qualified extended resource."""
    errors = named(field, name, names.qualified_name)
    if errors:
        return errors
    if "/" not in name:
        if name in _STANDARD or name.startswith(HUGE_PAGES):
            return []
        general = [] if _is_standard(name) else ["must be a standard resource type or fully qualified"]
        return [invalid(field, name, why) for why in (*general, "must be a standard resource for containers")]
    if not is_native(name) and not is_extended(name):
        return [invalid(field, name, "doesn't follow extended resource name standard")]
    return []


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """A resource of a vendor, such as `example.com/gpu`."""
    return not is_native(name) and not name.startswith("requests.") and not names.qualified_name(f"requests.{name}")


def _is_standard(name: str) -> bool:
    quota = ("pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "storage")
    return name in quota or name.startswith(("requests.", "limits.", "services.")) or name == "persistentvolumeclaims"


def _amount(name: str, amount: Quantity, field: str) -> Errors:
    errors = validate_resource_name(name, field)
    if amount.value < 0:
        errors.append(invalid(field, str(amount), NOT_NEGATIVE))
    if is_extended(name) and amount.value.denominator != 1:
        errors.append(invalid(field, str(amount), "must be an integer"))
    return errors


def _within_limit(name: str, amount: Quantity, limit_text: str | None, field: str) -> Errors:
    overcommit = is_native(name) and not name.startswith(HUGE_PAGES)
    if limit_text is None:
        return [] if overcommit else [required(f"{field}.limits", "Limit must be set for non overcommitable resources")]
    limit = parse_quantity(limit_text)
    if not overcommit and amount.value != limit.value:
        return [invalid(f"{field}.requests", str(amount), f"must be equal to {name} limit of {limit}")]
    if amount.value > limit.value:
        return [invalid(f"{field}.requests", str(amount), f"must be less than or equal to {name} limit of {limit}")]
    return []
