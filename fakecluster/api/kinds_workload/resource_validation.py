"""Validation of resource requests and limits (pkg/apis/core/validation: ValidateContainerResourceRequirements)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import attrs

from fakecluster.api import names
from fakecluster.api.kinds_workload.field_checks import NOT_NEGATIVE, Errors, named
from fakecluster.api.kinds_workload.quantity import Quantity, parse_quantity
from fakecluster.api.strategy import FieldError, duplicate, forbidden, invalid, not_supported, required

Json = dict[str, Any]

#: What may be asked for by a Pod as a whole, huge pages apart.
OF_PODS = ("cpu", "memory")
_STANDARD = ("cpu", "memory", "ephemeral-storage")
HUGE_PAGES = "hugepages-"


def validate_resources(
    resources: Json, field: str, claims: frozenset[str] = frozenset(), *, of_pod: bool = False
) -> Errors:
    """Limits, then requests, resource by resource in alphabetical order; `claims` are the Pod's resource claims."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    errors: Errors = []
    for name in sorted(limits):
        errors += _amount(name, parse_quantity(limits[name]), f"{field}.limits[{name}]", of_pod=of_pod)
        errors += _whole_pages(name, parse_quantity(limits[name]), f"{field}.limits[{name}]")
    for name in sorted(requests):
        amount = parse_quantity(requests[name])
        errors += _amount(name, amount, f"{field}.requests[{name}]", of_pod=of_pod)
        errors += _within_limit(name, amount, limits.get(name), field)
        errors += _whole_pages(name, amount, f"{field}.requests[{name}]")
    named_resources = {*limits, *requests}
    if any(name.startswith(HUGE_PAGES) for name in named_resources) and not named_resources & {"cpu", "memory"}:
        errors.append(forbidden(field, "HugePages require cpu or memory"))
    return errors + _claims(resources.get("claims") or [], claims, f"{field}.claims")


def _claims(given: list[Json], known: frozenset[str], field: str) -> Errors:
    """References to the Pod's claims, to all of one or to single requests of it, each thing once (KEP-3063)."""
    errors: Errors = []
    seen: set[str] = set()
    among = f": {', '.join(sorted(known))}" if known else " which is empty"
    for number, claim in enumerate(given):
        where, name, request = f"{field}[{number}]", claim.get("name", ""), claim.get("request", "")
        if not name:
            errors.append(required(where))
            continue
        if name in seen:
            errors.append(duplicate(where, name))
        else:
            if request:
                errors += named(f"{where}.request", request, names.dns_label)
            key = f"{name}/{request}" if request else name
            overlaps = (
                [key] if key in seen else [name for other in seen if not request and other.startswith(f"{name}/")]
            )
            errors += [duplicate(where, text) for text in overlaps]
            seen.add(key)
        if name not in known:
            why = f"must be one of the names in pod.spec.resourceClaims{among}"
            errors.append(FieldError("FieldValueNotFound", where, name, why))
    return errors


def validate_resource_name(name: str, field: str) -> Errors:
    """What a container may ask for: the standard resources, huge pages, or a fully qualified extended resource."""
    errors = _general_name(name, field)
    if "/" not in name:
        if name in _STANDARD or name.startswith(HUGE_PAGES):
            return errors
        return [*errors, invalid(field, name, "must be a standard resource for containers")]
    if not is_native(name) and not is_extended(name):
        errors.append(invalid(field, name, "doesn't follow extended resource name standard"))
    return errors


def _general_name(name: str, field: str) -> Errors:
    errors = named(field, name, names.qualified_name)
    standard = name in _STANDARD or name.startswith(HUGE_PAGES) or _is_standard(name)
    if errors or "/" in name or standard:
        return errors
    return [invalid(field, name, "must be a standard resource type or fully qualified")]


def _pod_resource_name(name: str, field: str) -> Errors:
    errors = _general_name(name, field)
    if errors or name in OF_PODS or name.startswith(HUGE_PAGES):
        return errors
    return [not_supported(field, name, OF_PODS)]


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """A resource of a vendor, such as `example.com/gpu`."""
    return not is_native(name) and not name.startswith("requests.") and not names.qualified_name(f"requests.{name}")


def _is_standard(name: str) -> bool:
    quota = ("pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "storage")
    return name in quota or name.startswith(("requests.", "limits.", "services.")) or name == "persistentvolumeclaims"


def _amount(name: str, amount: Quantity, field: str, *, of_pod: bool) -> Errors:
    errors = _pod_resource_name(name, field) if of_pod else validate_resource_name(name, field)
    if amount.value < 0:
        errors.append(invalid(field, str(amount), NOT_NEGATIVE))
    if is_extended(name) and amount.value.denominator != 1:
        errors.append(invalid(field, str(amount), "must be an integer"))
    return errors


def _whole_pages(name: str, amount: Quantity, field: str) -> Errors:
    if not name.startswith(HUGE_PAGES):
        return []
    try:
        size = parse_quantity(name.removeprefix(HUGE_PAGES)).value
    except ValueError:
        size = Fraction(0)
    if size > 0 and size.denominator == 1 and math.ceil(amount.value) % size == 0:
        return []
    return [invalid(field, str(amount), f"{amount} is not positive integer multiple of {name}")]


def validate_pod_resources(spec: Json, field: str) -> Errors:
    """`spec.resources`: what the containers ask for fits into it (KEP-2837)."""
    resources = spec.get("resources")
    if resources is None:
        return []
    if (spec.get("os") or {}).get("name") == "windows":
        return [forbidden(field, "may not be set for a windows pod")]
    errors: Errors = []
    if resources.get("claims") is not None:
        errors.append(forbidden(f"{field}.claims", "claims may not be set for Resources at pod-level"))
    errors += validate_resources(resources, field, of_pod=True)
    for part, kinds in (("requests", OF_PODS), ("limits", ())):
        errors += _aggregate(spec, part, resources.get(part) or {}, kinds, f"{field}.{part}")
    limits = resources.get("limits") or {}
    for number, container in enumerate(spec.get("containers") or ()):
        own = (container.get("resources") or {}).get("limits") or {}
        for name in sorted(own):
            if name in limits and parse_quantity(own[name]).value > parse_quantity(limits[name]).value:
                why = f"must be less than or equal to pod limits of {parse_quantity(limits[name])}"
                where = f"{field}.containers[{number}][{name}].limits"
                errors.append(invalid(where, str(parse_quantity(own[name])), why))
    return errors


def _aggregate(spec: Json, part: str, whole: dict[str, str], kinds: tuple[str, ...], field: str) -> Errors:
    """The containers' sum (init containers run one by one, sidecars stay) of `kinds` and of huge pages."""
    errors: Errors = []
    for name in sorted(whole):
        if name not in kinds and not name.startswith(HUGE_PAGES):
            continue
        total, most = _total(spec, part, name), parse_quantity(whole[name])
        if total is not None and total.value > most.value:
            why = f"must be greater than or equal to aggregate container {part} of {total}"
            errors.append(invalid(f"{field}[{name}]", str(most), why))
    return errors


def _total(spec: Json, part: str, name: str) -> Quantity | None:
    def asked(container: Json) -> Quantity | None:
        text = ((container.get("resources") or {}).get(part) or {}).get(name)
        return None if text is None else parse_quantity(text)

    found = [amount for c in spec.get("containers") or () if (amount := asked(c)) is not None]
    running, peaks = sum((amount.value for amount in found), Fraction(0)), [Fraction(0)]
    sidecars = Fraction(0)
    for container in spec.get("initContainers") or ():
        amount = asked(container)
        if amount is None:
            continue
        found.append(amount)
        if container.get("restartPolicy") == "Always":
            sidecars += amount.value
            peaks.append(sidecars)
        else:
            peaks.append(sidecars + amount.value)
    if not found:
        return None
    return attrs.evolve(found[0], value=max(running + sidecars, *peaks))


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
