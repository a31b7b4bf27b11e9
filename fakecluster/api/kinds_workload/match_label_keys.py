"""Label keys of which a Pod asks its own value: merged into the selectors beside them (KEP-3633, KEP-3243)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fakecluster.api import names
from fakecluster.api.kinds_workload.field_checks import Errors, named
from fakecluster.api.strategy import forbidden, invalid

Json = dict[str, Any]

_OPERATORS = {"matchLabelKeys": "In", "mismatchLabelKeys": "NotIn"}


def merge_label_keys(pod: Json) -> None:
    """Complete the selectors of a new Pod, a working copy, with its labels of those keys."""
    labels = pod["metadata"].get("labels") or {}
    for owner in _owners(pod["spec"]):
        selector = owner.get("labelSelector")
        asked = [(key, word) for kind, word in _OPERATORS.items() for key in owner.get(kind) or () if key in labels]
        if selector is not None and asked:
            added = [{"key": key, "operator": word, "values": [labels[key]]} for key, word in asked]
            selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), *added]


def _owners(spec: Json) -> Iterator[Json]:
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind) or {}
        for weighted in terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            yield weighted.get("podAffinityTerm") or {}
        yield from terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    yield from spec.get("topologySpreadConstraints") or ()


def check_label_keys(owner: Json, field: str) -> Errors:
    """Keys beside a selector; its last expressions are those that the keys made."""
    selector = owner.get("labelSelector")
    matched, mismatched = owner.get("matchLabelKeys") or [], owner.get("mismatchLabelKeys") or []
    errors: Errors = []
    for kind, keys in (("matchLabelKeys", matched), ("mismatchLabelKeys", mismatched)):
        if keys and selector is None:
            errors.append(forbidden(f"{field}.{kind}", "must not be specified when labelSelector is not set"))
            continue
        for number, key in enumerate(keys):
            errors += named(f"{field}.{kind}[{number}]", key, names.qualified_name)
    errors += _twice_selected(selector or {}, matched, field)
    for number, key in enumerate(matched):
        if key in mismatched:
            why = "exists in both matchLabelKeys and mismatchLabelKeys"
            errors.append(invalid(f"{field}.matchLabelKeys[{number}]", key, why))
    return errors


def _twice_selected(selector: Json, matched: list[str], field: str) -> Errors:
    places = {key: number for number, key in enumerate(matched)}
    known = set(selector.get("matchLabels") or ())
    errors: Errors = []
    for expression in selector.get("matchExpressions") or ():
        key = expression.get("key", "")
        if key in places and key in known:
            why = "exists in both matchLabelKeys and labelSelector"
            errors.append(invalid(f"{field}[{places[key]}]", key, why))
        known.add(key)
    return errors
