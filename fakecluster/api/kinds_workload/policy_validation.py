"""Validation of workloads' neighbours: PodDisruptionBudget, HorizontalPodAutoscaler, Lease, Event, metadata apart."""

from __future__ import annotations

from typing import Any

from fakecluster.api import names
from fakecluster.api.kinds_workload.field_checks import NOT_NEGATIVE, Errors, named, one_of
from fakecluster.api.kinds_workload.internal_types import internal
from fakecluster.api.kinds_workload.template_validation import at_most_all, count_or_percent
from fakecluster.api.label_rules import validate_label_selector
from fakecluster.api.strategy import invalid, required

Json = dict[str, Any]


def validate_disruption_budget(obj: Json) -> Errors:
    """Source: pkg/apis/policy/validation."""
    spec = obj.get("spec") or {}
    errors: Errors = []
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        value = internal(spec, "DisruptionBudgetSpec")
        errors.append(invalid("spec", value, "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        if spec.get(name) is not None:
            errors += count_or_percent(f"spec.{name}", spec[name]) + at_most_all(f"spec.{name}", spec[name])
    if spec.get("unhealthyPodEvictionPolicy") is not None:
        policies = ("AlwaysAllow", "IfHealthyBudget")
        errors += one_of("spec.unhealthyPodEvictionPolicy", spec["unhealthyPodEvictionPolicy"], policies)
    return errors + validate_label_selector(spec.get("selector"), "spec.selector")


def validate_autoscaler(obj: Json) -> Errors:
    """Source: pkg/apis/autoscaling/validation."""
    spec = obj.get("spec") or {}
    errors: Errors = []
    low, high = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    if low is not None and low < 1:
        errors.append(invalid("spec.minReplicas", low, "must be greater than or equal to 1"))
    if high < 1:
        errors.append(invalid("spec.maxReplicas", high, "must be greater than 0"))
    if low is not None and high < low:
        errors.append(invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"))
    target = spec.get("scaleTargetRef") or {}
    for name in ("kind", "name"):
        field = f"spec.scaleTargetRef.{name}"
        errors += [required(field)] if not target.get(name) else named(field, target[name], _path_segment)
    return errors


def _path_segment(text: str) -> list[str]:
    """What may stand between two slashes of a URL."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{char}'" for char in ("/", "%") if char in text]


def validate_lease(obj: Json) -> Errors:
    """Source: pkg/apis/coordination/validation."""
    spec = obj.get("spec") or {}
    errors: Errors = []
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if duration is not None and duration <= 0:
        errors.append(invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        errors.append(invalid("spec.leaseTransitions", transitions, NOT_NEGATIVE))
    if spec.get("strategy"):
        errors += named("spec.strategy", spec["strategy"], names.qualified_name)
    return errors


def validate_event(obj: Json) -> Errors:
    """An event lies in the namespace of what it is about (pkg/apis/core/validation/events.go)."""
    about = (obj.get("involvedObject") or obj.get("regarding") or {}).get("namespace", "")
    namespace = obj["metadata"].get("namespace", "")
    errors: Errors = []
    if about != namespace and (about or namespace not in ("default", "kube-system")):
        errors.append(invalid("involvedObject.namespace", about, "does not match event.namespace"))
    return errors + named("metadata.namespace", namespace, names.dns_subdomain)
