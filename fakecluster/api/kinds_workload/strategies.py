"""The behaviour of every workload kind, by resource."""

from __future__ import annotations

from typing import Any

from fakecluster.api.kinds_workload import pod_strategy
from fakecluster.api.kinds_workload import workload_defaults as defaults
from fakecluster.api.kinds_workload.pod_admission import admit_pod
from fakecluster.api.kinds_workload.pod_defaults import default_pod
from fakecluster.api.strategy import Strategy


def _spec(obj: dict[str, Any]) -> object:
    return obj.get("spec")


STRATEGIES: dict[str, Strategy] = {
    "pods": Strategy(
        default=default_pod,
        admit=admit_pod,
        prepare_create=pod_strategy.prepare_create,
        prepare_update=pod_strategy.prepare_update,
        prepare_status=pod_strategy.prepare_status,
        generation=pod_strategy.generation,
        grace_period_s=pod_strategy.grace_period_s,
    ),
    "podtemplates": Strategy(default=defaults.default_pod_template),
    "replicationcontrollers": Strategy(default=defaults.default_replication_controller, generation=_spec),
    "deployments.apps": Strategy(default=defaults.default_deployment, generation=_spec),
    "replicasets.apps": Strategy(default=defaults.default_replicaset, generation=_spec),
    "statefulsets.apps": Strategy(default=defaults.default_statefulset, generation=_spec),
    "daemonsets.apps": Strategy(default=defaults.default_daemonset, generation=_spec),
    "jobs.batch": Strategy(default=defaults.default_job, generation=_spec),
    "cronjobs.batch": Strategy(default=defaults.default_cronjob, generation=_spec),
    "poddisruptionbudgets.policy": Strategy(generation=_spec),
    "horizontalpodautoscalers.autoscaling": Strategy(default=defaults.default_autoscaler),
    "leases.coordination.k8s.io": Strategy(create_on_update=True),
    "events": Strategy(create_on_update=True),
}
