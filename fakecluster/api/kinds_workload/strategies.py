"""The behaviour of every workload kind, by resource."""

from __future__ import annotations

from typing import Any

from fakecluster.api.kinds_workload import apps_validation as apps
from fakecluster.api.kinds_workload import batch_validation as batch
from fakecluster.api.kinds_workload import definition, pod_strategy, policy_validation
from fakecluster.api.kinds_workload import workload_defaults as defaults
from fakecluster.api.kinds_workload.pod_admission import admit_pod
from fakecluster.api.kinds_workload.pod_defaults import default_pod
from fakecluster.api.kinds_workload.pod_subresources import write_ephemeral_containers, write_resize
from fakecluster.api.kinds_workload.pod_update import validate_pod_status, validate_pod_update
from fakecluster.api.kinds_workload.pod_validation import validate_pod
from fakecluster.api.kinds_workload.pod_warnings import pod_warnings, template_warnings
from fakecluster.api.kinds_workload.template_validation import validate_template
from fakecluster.api.strategy import FieldError, Request, Strategy

Json = dict[str, Any]

#: Counts the changes of a DaemonSet's template; kept for clients of old versions.
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


def _spec(obj: Json) -> object:
    return obj.get("spec")


def _spec_and_annotations(obj: Json) -> object:
    """A Deployment also counts changed annotations: its ReplicaSets inherit them."""
    return obj.get("spec"), obj["metadata"].get("annotations") or {}


def _validate_pod_template(obj: Json) -> list[FieldError]:
    return validate_template(obj["template"], "template")


def _create_daemonset(obj: Json, request: Request) -> None:
    _set_template_generation(obj, "1")


def _update_daemonset(new: Json, old: Json, request: Request) -> None:
    before = (old["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION, "0")
    changed = new["spec"].get("template") != old["spec"].get("template")
    _set_template_generation(new, str(int(before) + changed))


def _set_template_generation(obj: Json, generation: str) -> None:
    meta = obj["metadata"]
    meta["annotations"] = {**(meta.get("annotations") or {}), TEMPLATE_GENERATION: generation}


STRATEGIES: dict[str, Strategy] = {
    "pods": Strategy(
        default=default_pod,
        admit=admit_pod,
        prepare_create=pod_strategy.prepare_create,
        prepare_update=pod_strategy.prepare_update,
        prepare_status=pod_strategy.prepare_status,
        validate=validate_pod,
        validate_update=validate_pod_update,
        validate_status=validate_pod_status,
        warnings=pod_warnings,
        generation=pod_strategy.generation,
        grace_period_s=pod_strategy.grace_period_s,
        subresources={"ephemeralcontainers": write_ephemeral_containers, "resize": write_resize},
    ),
    "podtemplates": Strategy(default=defaults.default_pod_template, validate=_validate_pod_template, generation=_spec),
    "replicationcontrollers": Strategy(default=defaults.default_replication_controller, generation=_spec),
    "deployments.apps": Strategy(
        default=defaults.default_deployment,
        validate=apps.validate_deployment,
        validate_update=apps.validate_deployment_update,
        warnings=template_warnings(),
        validate_status=apps.validate_replica_status,
        generation=_spec_and_annotations,
    ),
    "replicasets.apps": Strategy(
        default=defaults.default_replicaset,
        validate=apps.validate_replicaset,
        validate_update=apps.validate_replicaset_update,
        warnings=template_warnings(),
        validate_status=apps.validate_replica_status,
        generation=_spec,
    ),
    "statefulsets.apps": Strategy(
        default=defaults.default_statefulset,
        validate=apps.validate_statefulset,
        validate_update=apps.validate_statefulset_update,
        warnings=template_warnings(),
        validate_status=apps.validate_replica_status,
        generation=_spec,
    ),
    "daemonsets.apps": Strategy(
        default=defaults.default_daemonset,
        prepare_create=_create_daemonset,
        prepare_update=_update_daemonset,
        validate=apps.validate_daemonset,
        validate_update=apps.validate_daemonset_update,
        warnings=template_warnings(named=False),
        generation=_spec,
    ),
    "jobs.batch": Strategy(
        default=defaults.default_job,
        prepare_create=batch.prepare_job,
        validate=batch.validate_job,
        validate_update=batch.validate_job_update,
        warnings=template_warnings(),
        generation=_spec,
    ),
    "cronjobs.batch": Strategy(default=defaults.default_cronjob, validate=batch.validate_cronjob, generation=_spec),
    "poddisruptionbudgets.policy": Strategy(validate=policy_validation.validate_disruption_budget, generation=_spec),
    "horizontalpodautoscalers.autoscaling": Strategy(
        default=defaults.default_autoscaler, validate=policy_validation.validate_autoscaler
    ),
    "leases.coordination.k8s.io": Strategy(
        validate=policy_validation.validate_lease, create_on_update=True, needs_resource_version=True
    ),
    definition.RESOURCE: Strategy(
        default=definition.default_definition,
        prepare_create=definition.prepare_create,
        prepare_update=definition.prepare_update,
        validate=definition.validate_definition,
        validate_update=definition.validate_definition_update,
        created=definition.created,
        updated=definition.updated,
        deleted=definition.deleted,
        prepare_delete=definition.prepare_delete,
        marked=definition.marked,
        may_go=definition.may_go,
        generation=_spec,
    ),
    "events": Strategy(validate=policy_validation.validate_event, create_on_update=True),
}
