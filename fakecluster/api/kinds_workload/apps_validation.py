"""Validation of Deployment, ReplicaSet, StatefulSet, DaemonSet (pkg/apis/apps/validation), metadata apart."""

from __future__ import annotations

import contextlib
from typing import Any

from fakecluster.api import names
from fakecluster.api.kinds_workload.field_checks import Errors, named, nonnegative
from fakecluster.api.kinds_workload.internal_types import internal, printed_selector
from fakecluster.api.kinds_workload.template_validation import (
    always_restarted,
    at_most_all,
    count_or_percent,
    immutable,
    is_zero,
    matches_template,
    validate_selector,
    validate_template,
)
from fakecluster.api.kinds_workload.volume_validation import claim_spec
from fakecluster.api.label_rules import validate_label_selector, validate_labels
from fakecluster.api.selectors import Selector, SelectorError, from_label_selector
from fakecluster.api.strategy import forbidden, invalid, not_supported, required

Json = dict[str, Any]

_STATEFULSET_FROZEN = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_STATEFULSET_FREE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def validate_deployment(obj: Json) -> Errors:
    spec = obj["spec"]
    errors = nonnegative("spec.replicas", spec.get("replicas"))
    selector, found = validate_selector(spec.get("selector"), "deployment")
    errors += found + _replica_template(spec["template"], selector)
    errors += _deployment_strategy(spec["strategy"], "spec.strategy")
    errors += nonnegative("spec.minReadySeconds", spec.get("minReadySeconds"))
    errors += nonnegative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    deadline = spec.get("progressDeadlineSeconds")
    errors += nonnegative("spec.progressDeadlineSeconds", deadline)
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        errors.append(invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return errors


def validate_deployment_update(new: Json, old: Json) -> Errors:
    return validate_deployment(new) + immutable(
        "spec.selector", new["spec"].get("selector"), old["spec"].get("selector"), printed_selector
    )


def _deployment_strategy(strategy: Json, field: str) -> Errors:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        why = "may not be specified when strategy `type` is 'Recreate'"
        return [] if rolling is None else [forbidden(f"{field}.rollingUpdate", why)]
    if kind != "RollingUpdate":
        value = {"Type": kind, "RollingUpdate": rolling and _go_rolling(rolling)}
        return [not_supported(field, value, ("Recreate", "RollingUpdate"))]
    return _rolling_deployment(rolling or {}, f"{field}.rollingUpdate")


def _go_rolling(rolling: Json) -> Json:
    return {"MaxUnavailable": rolling.get("maxUnavailable", 0), "MaxSurge": rolling.get("maxSurge", 0)}


def _rolling_deployment(rolling: Json, field: str) -> Errors:
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    errors = count_or_percent(f"{field}.maxUnavailable", unavailable) + count_or_percent(f"{field}.maxSurge", surge)
    if is_zero(unavailable) and is_zero(surge):
        errors.append(invalid(f"{field}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"))
    return errors + at_most_all(f"{field}.maxUnavailable", unavailable)


def validate_replicaset(obj: Json) -> Errors:
    spec = obj["spec"]
    errors = nonnegative("spec.replicas", spec.get("replicas"))
    errors += nonnegative("spec.minReadySeconds", spec.get("minReadySeconds"))
    selector, found = validate_selector(spec.get("selector"), "deployment")
    return errors + found + _replica_template(spec["template"], selector)


def _replica_template(template: Json, selector: Selector | None) -> Errors:
    """Not looked at where the selector cannot be understood."""
    if selector is None:
        return []
    errors = matches_template(selector, template) + validate_template(template, "spec.template")
    return errors + always_restarted(template, "ReplicaSet")


def validate_replicaset_update(new: Json, old: Json) -> Errors:
    return validate_replicaset(new) + immutable(
        "spec.selector", new["spec"].get("selector"), old["spec"].get("selector"), printed_selector
    )


def validate_statefulset(obj: Json) -> Errors:
    spec, name = obj["spec"], obj["spec"].get("serviceName")
    errors = named("spec.serviceName", name, names.dns_label) if name else []
    claims: Errors = []
    for number, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        claims += claim_spec(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{number}].spec")
    return _statefulset_head(spec) + claims + _statefulset_counts(spec) + errors + _statefulset_template(spec)


def _statefulset_head(spec: Json) -> Errors:
    errors: Errors = []
    policy = spec.get("podManagementPolicy")
    if policy not in ("OrderedReady", "Parallel"):
        why = "must be 'OrderedReady' or 'Parallel'"
        errors.append(invalid("spec.podManagementPolicy", policy, why))
    errors += _statefulset_strategy(spec["updateStrategy"], "spec.updateStrategy")
    for moment in ("whenDeleted", "whenScaled"):
        field, policies = f"spec.persistentVolumeClaimRetentionPolicy.{moment}", ("Retain", "Delete")
        policy = spec["persistentVolumeClaimRetentionPolicy"].get(moment, "")
        if policy not in policies:
            errors.append(not_supported(field, policy, policies))
    return errors


def _statefulset_counts(spec: Json) -> Errors:
    errors = nonnegative("spec.replicas", spec.get("replicas"))
    errors += nonnegative("spec.minReadySeconds", spec.get("minReadySeconds"))
    return errors + nonnegative("spec.ordinals.start", (spec.get("ordinals") or {}).get("start"))


def _statefulset_template(spec: Json, *, checked: bool = True) -> Errors:
    """The template as its Pods will have it (volumes of the claims, names of their own), where it is `checked`."""
    template = spec["template"]
    selector, errors = validate_selector(spec.get("selector"), "statefulset", problem="")
    if selector is not None:
        errors += matches_template(selector, template)
        if checked:
            errors += validate_template(_with_claims(template, spec), "spec.template")
        errors += validate_labels((template.get("metadata") or {}).get("labels"), "spec.template.labels")
    return errors + always_restarted(template, "StatefulSet")


def _with_claims(template: Json, spec: Json) -> Json:
    claims = [(claim.get("metadata") or {}).get("name", "") for claim in spec.get("volumeClaimTemplates") or ()]
    kept = [volume for volume in template["spec"].get("volumes") or () if volume.get("name") not in claims]
    made = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
    own = {key: value for key, value in template["spec"].items() if key not in ("hostname", "subdomain")}
    return {**template, "spec": {**own, "volumes": [*made, *kept]}}


def _statefulset_strategy(strategy: Json, field: str) -> Errors:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "OnDelete":
        why = "only allowed for updateStrategy 'RollingUpdate'"
        return (
            []
            if rolling is None
            else [invalid(f"{field}.rollingUpdate", internal(rolling, "RollingUpdateStatefulSetStrategy"), why)]
        )
    if kind != "RollingUpdate":
        shown = rolling and internal(rolling, "RollingUpdateStatefulSetStrategy")
        return [invalid(field, {"Type": kind, "RollingUpdate": shown}, "must be 'RollingUpdate' or 'OnDelete'")]
    rolling = rolling or {}
    errors = nonnegative(f"{field}.rollingUpdate.partition", rolling.get("partition"))
    unavailable = rolling.get("maxUnavailable")
    if unavailable is not None:
        where = f"{field}.rollingUpdate.maxUnavailable"
        errors += count_or_percent(where, unavailable)
        if is_zero(unavailable):
            errors.append(invalid(where, unavailable, "cannot be 0"))
        errors += at_most_all(where, unavailable)
    return errors


def validate_statefulset_update(new: Json, old: Json) -> Errors:
    """What was accepted once may stay: names of Services, claims, and a template that was wrong before."""
    checked = not (
        _statefulset_head(old["spec"]) + _statefulset_counts(old["spec"]) + _statefulset_template(old["spec"])
    )
    errors = _statefulset_head(new["spec"]) + _statefulset_counts(new["spec"])
    errors += _statefulset_template(new["spec"], checked=checked)
    frozen = [{key: value for key, value in obj["spec"].items() if key not in _STATEFULSET_FREE} for obj in (new, old)]
    if frozen[0] != frozen[1]:
        errors.append(forbidden("spec", _STATEFULSET_FROZEN))
    return errors


def validate_daemonset(obj: Json) -> Errors:
    spec, template, selector = obj["spec"], obj["spec"]["template"], obj["spec"].get("selector")
    errors = validate_label_selector(selector, "spec.selector")
    with contextlib.suppress(SelectorError):  # what is wrong has been said
        errors += matches_template(from_label_selector(selector), template)
    if selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions"):
        errors.append(invalid("spec.selector", printed_selector(selector), "empty selector is invalid for daemonset"))
    errors += validate_template(template, "spec.template") + always_restarted(template, "DaemonSet")
    errors += nonnegative("spec.minReadySeconds", spec.get("minReadySeconds"))
    errors += _daemonset_strategy(spec["updateStrategy"], "spec.updateStrategy")
    return errors + nonnegative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))


def _daemonset_strategy(strategy: Json, field: str) -> Errors:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "OnDelete":
        return []
    if kind != "RollingUpdate":
        value = {"Type": kind, "RollingUpdate": rolling and _go_rolling(rolling)}
        return [not_supported(field, value, ("RollingUpdate", "OnDelete"))]
    if rolling is None:
        return [required(f"{field}.rollingUpdate")]
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    where = {"maxUnavailable": unavailable, "maxSurge": surge}
    errors = [e for key, value in where.items() for e in count_or_percent(f"{field}.rollingUpdate.{key}", value)]
    errors += [e for key, value in where.items() for e in at_most_all(f"{field}.rollingUpdate.{key}", value)]
    if not is_zero(unavailable) and not is_zero(surge):
        why = "may not be set when maxUnavailable is non-zero"
        errors.append(invalid(f"{field}.rollingUpdate.maxSurge", surge, why))
    elif is_zero(unavailable) and is_zero(surge):
        errors.append(required(f"{field}.rollingUpdate.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return errors


def validate_daemonset_update(new: Json, old: Json) -> Errors:
    errors = immutable("spec.selector", new["spec"].get("selector"), old["spec"].get("selector"), printed_selector)
    return errors + validate_daemonset(new)


_COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")


def validate_replica_status(new: Json, old: Json) -> Errors:
    """The status of a Deployment, ReplicaSet or StatefulSet: counts are not negative and fit together."""
    status = new.get("status") or {}
    errors: Errors = []
    for name in ("observedGeneration", *_COUNTS, "fullyLabeledReplicas", "collisionCount"):
        errors += nonnegative(f"status.{name}", status.get(name))
    total = status.get("replicas", 0)
    for name in ("updatedReplicas", "readyReplicas", "availableReplicas", "fullyLabeledReplicas"):
        if status.get(name, 0) > total:
            errors.append(invalid(f"status.{name}", status[name], "cannot be greater than status.replicas"))
    if status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
        why = "cannot be greater than readyReplicas"
        errors.append(invalid("status.availableReplicas", status["availableReplicas"], why))
    return errors
