"""Taints and tolerations (component-helpers scheduling/corev1/helpers.go)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Taint = dict[str, Any]
Toleration = dict[str, Any]

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
#: effects that keep a Pod from being placed (PreferNoSchedule only makes a node less liked)
PLACING_EFFECTS = ("NoSchedule", "NoExecute")


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Whether one toleration covers one taint: same effect (or any), same key (or any), value by operator."""
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    key = toleration.get("key", "")
    if key and key != taint["key"]:
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    if operator in ("Lt", "Gt"):
        return _compares(operator, toleration.get("value", ""), taint.get("value", ""))
    return bool(key) and bool(toleration.get("value", "") == taint.get("value", ""))


def _compares(operator: str, wanted: str, found: str) -> bool:
    try:
        return int(found) < int(wanted) if operator == "Lt" else int(found) > int(wanted)
    except ValueError:
        return False


def untolerated(
    taints: Iterable[Taint], tolerations: Sequence[Toleration], effects: Sequence[str] = PLACING_EFFECTS
) -> Taint | None:
    """The first taint with one of `effects` that no toleration covers, or None."""
    for taint in taints:
        if taint["effect"] in effects and not any(tolerates(toleration, taint) for toleration in tolerations):
            return taint
    return None
