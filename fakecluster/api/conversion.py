"""Kinds that are served in more than one form but stored in one: Events of both groups, autoscalers of both versions.

Custom resources of several versions differ in their `apiVersion` only (the conversion strategy `None`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fakecluster.api.resources import Resource
from fakecluster.api.status import JsonObject
from fakecluster.errors import Unsupported

#: field of an `events.k8s.io/v1` Event -> the field of the core Event that says the same
EVENT_FIELDS = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
CORE_EVENT_FIELDS = {core: other for other, core in EVENT_FIELDS.items()}


def presented(resource: Resource, obj: JsonObject) -> JsonObject:
    """A stored object in the form of the version in which it is asked for."""
    if obj.get("apiVersion", resource.api_version) == resource.api_version:
        return obj
    if resource.custom is not None:
        return {**obj, "apiVersion": resource.api_version}
    return _converted(obj, resource.api_version)


def to_stored(resource: Resource, obj: JsonObject) -> JsonObject:
    """A decoded object in the form in which its kind is stored."""
    stored = STORED.get((resource.api_version, resource.kind))
    return obj if stored is None else _converted(obj, stored)


def _converted(obj: JsonObject, api_version: str) -> JsonObject:
    convert = CONVERSIONS.get((obj["apiVersion"], api_version, obj["kind"]))
    if convert is None:
        raise Unsupported(f"{obj['kind']} of {obj['apiVersion']} as {api_version}")
    return {**convert(obj), "apiVersion": api_version}


def _renamed(fields: Mapping[str, str]) -> Callable[[JsonObject], JsonObject]:
    return lambda obj: {fields.get(key, key): value for key, value in obj.items()}


def _scaler_to_v2(obj: JsonObject) -> JsonObject:
    spec, state = dict(obj.get("spec", {})), dict(obj.get("status", {}))
    wanted = spec.pop("targetCPUUtilizationPercentage", None)
    if wanted is not None:
        spec["metrics"] = [_cpu("target", {"type": "Utilization", "averageUtilization": wanted})]
    current = state.pop("currentCPUUtilizationPercentage", None)
    if current is not None:
        state["currentMetrics"] = [_cpu("current", {"averageUtilization": current, "averageValue": "0"})]
    state.setdefault("currentMetrics", None)
    return {**obj, "spec": spec, "status": state}


def _cpu(key: str, value: JsonObject) -> JsonObject:
    return {"type": "Resource", "resource": {"name": "cpu", key: value}}


def _scaler_to_v1(obj: JsonObject) -> JsonObject:
    spec, state = dict(obj.get("spec", {})), dict(obj.get("status", {}))
    metrics = spec.pop("metrics", None) or []
    spec.pop("behavior", None)
    for metric in metrics:
        target = (metric.get("resource") or {}).get("target") or {}
        if (
            metric.get("type") != "Resource"
            or metric["resource"].get("name") != "cpu"
            or "averageUtilization" not in target
        ):
            raise Unsupported("a HorizontalPodAutoscaler with other metrics than CPU utilization as autoscaling/v1")
        spec["targetCPUUtilizationPercentage"] = target["averageUtilization"]
    state.pop("conditions", None)
    for metric in state.pop("currentMetrics", None) or []:
        current = (metric.get("resource") or {}).get("current") or {}
        if "averageUtilization" in current:
            state["currentCPUUtilizationPercentage"] = current["averageUtilization"]
    state.setdefault("currentReplicas", 0)
    return {**obj, "spec": spec, "status": state}


#: (version, kind) -> the version in which the kind is stored
STORED = {
    ("events.k8s.io/v1", "Event"): "v1",
    ("autoscaling/v1", "HorizontalPodAutoscaler"): "autoscaling/v2",
}
CONVERSIONS: dict[tuple[str, str, str], Callable[[JsonObject], JsonObject]] = {
    ("events.k8s.io/v1", "v1", "Event"): _renamed(EVENT_FIELDS),
    ("v1", "events.k8s.io/v1", "Event"): _renamed(CORE_EVENT_FIELDS),
    ("autoscaling/v1", "autoscaling/v2", "HorizontalPodAutoscaler"): _scaler_to_v2,
    ("autoscaling/v2", "autoscaling/v1", "HorizontalPodAutoscaler"): _scaler_to_v1,
}
