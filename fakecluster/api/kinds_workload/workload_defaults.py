"""Defaults of the kinds that make Pods, and of what stands beside them.

Source: Kubernetes pkg/apis/{apps,batch,autoscaling}/v*/defaults.go. Functions change the working copy they get.
"""

from __future__ import annotations

from typing import Any

from fakecluster.api.kinds_workload.pod_defaults import default_template
from fakecluster.api.kinds_workload.volume_defaults import default_claim_spec

Json = dict[str, Any]

#: A Job that counts failures per index does not count them in total.
MAX_BACKOFF = 2**31 - 1


def default_deployment(obj: Json) -> None:
    spec = _spec_with_template(obj)
    _fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = _part(spec, "strategy")
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        _fill(_part(strategy, "rollingUpdate"), maxUnavailable="25%", maxSurge="25%")


def default_replicaset(obj: Json) -> None:
    _fill(_spec_with_template(obj), replicas=1)


def default_replication_controller(obj: Json) -> None:
    spec = _part(obj, "spec")
    _fill(spec, replicas=1)
    template = spec.get("template")
    if not template:
        return
    default_template(template)
    labels = template["metadata"].get("labels")
    if labels and not spec.get("selector"):
        spec["selector"] = dict(labels)
    metadata = _part(obj, "metadata")
    if labels and not metadata.get("labels"):
        metadata["labels"] = dict(labels)


def default_daemonset(obj: Json) -> None:
    spec = _spec_with_template(obj)
    _fill(spec, revisionHistoryLimit=10)
    strategy = _part(spec, "updateStrategy")
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        _fill(_part(strategy, "rollingUpdate"), maxUnavailable=1, maxSurge=0)


def default_statefulset(obj: Json) -> None:
    spec = _spec_with_template(obj)
    _fill(spec, replicas=1, revisionHistoryLimit=10)
    if not spec.get("podManagementPolicy"):
        spec["podManagementPolicy"] = "OrderedReady"
    strategy = _part(spec, "updateStrategy")
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        _fill(_part(strategy, "rollingUpdate"), partition=0)
    retention = _part(spec, "persistentVolumeClaimRetentionPolicy")
    for moment in ("whenDeleted", "whenScaled"):
        if not retention.get(moment):
            retention[moment] = "Retain"
    for claim in spec.get("volumeClaimTemplates") or ():
        claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"
        default_claim_spec(_part(claim, "spec"))
        _fill(_part(claim, "status"), phase="Pending")


def default_job(obj: Json) -> None:
    spec = _spec_with_template(obj)
    default_job_spec(spec)
    labels = spec["template"]["metadata"].get("labels")
    metadata = _part(obj, "metadata")
    if labels and not metadata.get("labels"):
        metadata["labels"] = dict(labels)


def default_job_spec(spec: Json) -> None:
    """What a Job's spec leaves out (a CronJob's template is not completed before it makes a Job)."""
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    backoff = 6 if spec.get("backoffLimitPerIndex") is None else MAX_BACKOFF
    replacement = "Failed" if spec.get("podFailurePolicy") is not None else "TerminatingOrFailed"
    _fill(spec, parallelism=1, backoffLimit=backoff, completionMode="NonIndexed", suspend=False, manualSelector=False)
    _fill(spec, podReplacementPolicy=replacement)
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for condition in rule.get("onPodConditions") or ():
            if not condition.get("status"):
                condition["status"] = "True"


def default_cronjob(obj: Json) -> None:
    spec = _part(obj, "spec")
    if not spec.get("concurrencyPolicy"):
        spec["concurrencyPolicy"] = "Allow"
    _fill(spec, suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    template = _part(spec, "jobTemplate")
    _part(template, "metadata")
    default_template(_part(_part(template, "spec"), "template"))


def default_pod_template(obj: Json) -> None:
    default_template(_part(obj, "template"))


def default_autoscaler(obj: Json) -> None:
    spec = _part(obj, "spec")
    _fill(spec, minReplicas=1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is not None:
        _scaling_rules(behavior, "scaleUp", 0, [{"type": "Pods", "value": 4}, {"type": "Percent", "value": 100}])
        _scaling_rules(behavior, "scaleDown", None, [{"type": "Percent", "value": 100}])


def _scaling_rules(behavior: Json, direction: str, stabilization_s: int | None, policies: list[Json]) -> None:
    rules = _part(behavior, direction)
    _fill(rules, selectPolicy="Max")
    if stabilization_s is not None:
        _fill(rules, stabilizationWindowSeconds=stabilization_s)
    if not rules.get("policies"):
        rules["policies"] = [{**policy, "periodSeconds": 15} for policy in policies]


def _spec_with_template(obj: Json) -> Json:
    spec = _part(obj, "spec")
    default_template(_part(spec, "template"))
    return spec


def _part(parent: Json, key: str) -> Json:
    """The object at `key`, made where it is missing."""
    part: Json | None = parent.get(key)
    if part is None:
        part = parent[key] = {}
    return part


def _fill(target: Json, **values: Any) -> None:
    for key, value in values.items():
        if target.get(key) is None:
            target[key] = value
