"""Which nodes a Pod asks for: nodeSelector and node affinity (component-helpers nodeaffinity.go)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _compare(greater: bool) -> Callable[[str | None, list[str]], bool]:
    def holds(found: str | None, values: list[str]) -> bool:
        if found is None or (number := _number(found)) is None or (bound := _number(values[0])) is None:
            return False
        return number > bound if greater else number < bound

    return holds


OPERATORS: dict[str, Callable[[str | None, list[str]], bool]] = {
    "In": lambda found, values: found is not None and found in values,
    "NotIn": lambda found, values: found is None or found not in values,
    "Exists": lambda found, values: found is not None,
    "DoesNotExist": lambda found, values: found is None,
    "Gt": _compare(True),
    "Lt": _compare(False),
}


def matches_requirements(requirements: list[Json], found: Mapping[str, str]) -> bool:
    """Whether label (or field) values satisfy every requirement."""
    return all(OPERATORS[r["operator"]](found.get(r["key"]), r.get("values") or []) for r in requirements)


def matches_term(term: Json, node: Json) -> bool:
    """Whether a node satisfies one nodeSelectorTerm; an empty term satisfies nothing."""
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    meta = node["metadata"]
    return matches_requirements(expressions, meta.get("labels") or {}) and matches_requirements(
        fields, {"metadata.name": meta["name"]}
    )


def selects_node(pod_spec: Json, node: Json) -> bool:
    """Whether nodeSelector and the required node affinity of a Pod allow a node."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (pod_spec.get("nodeSelector") or {}).items()):
        return False
    required = _node_affinity(pod_spec).get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(matches_term(term, node) for term in required.get("nodeSelectorTerms") or [])


def preference(pod_spec: Json, node: Json) -> int:
    """The sum of the weights of the preferred terms that a node satisfies."""
    preferred = _node_affinity(pod_spec).get("preferredDuringSchedulingIgnoredDuringExecution") or []
    return sum(term["weight"] for term in preferred if matches_term(term["preference"], node))


def _node_affinity(pod_spec: Json) -> Json:
    affinity: Json = pod_spec.get("affinity") or {}
    return affinity.get("nodeAffinity") or {}
