"""What a RuntimeClass adds to the Pods that name it (plugin/pkg/admission/runtimeclass): overhead, node choice."""

from __future__ import annotations

from typing import Any

from fakecluster.api.strategy import Request

Json = dict[str, Any]

_CLASSES = "runtimeclasses.node.k8s.io"


class Rejected(Exception):
    """The Pod does not fit its class; the text says why."""


def apply_runtime_class(spec: Json, request: Request) -> None:
    """Complete a Pod's new spec after its class; raises Rejected."""
    name = spec.get("runtimeClassName")
    found: Json = {}
    if name is not None:
        stored = request.store.get(_CLASSES, "", name)
        if stored is None:
            raise Rejected(f'pod rejected: RuntimeClass "{name}" not found')
        found = stored
    overhead = (found.get("overhead") or {}).get("podFixed")
    if found.get("overhead") is not None:
        if spec.get("overhead") is not None and spec["overhead"] != overhead:
            raise Rejected("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
        spec["overhead"] = overhead
    elif spec.get("overhead") is not None:
        raise Rejected("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
    if found.get("scheduling") is not None:
        _schedule(spec, found["scheduling"])


def _schedule(spec: Json, scheduling: Json) -> None:
    own = spec.get("nodeSelector") or {}
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        if own.get(key, value) != value:
            words = f"runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own[key]}"
            raise Rejected(f"conflict: {words}")
    selector = own | (scheduling.get("nodeSelector") or {})
    if selector:
        spec["nodeSelector"] = selector
    spec["tolerations"] = _merged([*(spec.get("tolerations") or ()), *(scheduling.get("tolerations") or ())])


def _merged(tolerations: list[Json]) -> list[Json]:
    """Every toleration that no other one covers; of equal ones the first."""
    merged: list[Json] = []
    for number, toleration in enumerate(tolerations):
        later = [other for other in tolerations[number + 1 :] if other != toleration]
        if not any(_covers(other, toleration) for other in (*merged, *later)):
            merged.append(toleration)
    return merged


def _covers(wide: Json, toleration: Json) -> bool:
    if wide == toleration:
        return True
    exists = wide.get("operator") == "Exists"
    if toleration.get("key", "") != wide.get("key", "") and not (exists and not wide.get("key")):
        return False
    if wide.get("effect") and toleration.get("effect") != wide["effect"]:
        return False
    limit, time = wide.get("tolerationSeconds"), toleration.get("tolerationSeconds")
    if wide.get("effect") == "NoExecute" and limit is not None and (time is None or time > limit):
        return False
    same = toleration.get("operator") == "Equal" and toleration.get("value", "") == wide.get("value", "")
    return exists or (wide.get("operator", "") in ("", "Equal") and same)
