"""Hypothesis strategies for what clusters are made of and what travels through them.

Everything is valid by construction and shrinks towards one node, one Service, one Pod, one packet.
"""

from fakecluster.strategies.admin_policies import (
    admin_network_policies,
    baseline_admin_network_policies,
    cluster_network_policies,
)
from fakecluster.strategies.chance import choices
from fakecluster.strategies.changes import PROGRESS, Change, changes
from fakecluster.strategies.clusters import clusters, manifests
from fakecluster.strategies.faults import fault_plans, faults
from fakecluster.strategies.invalid import (
    invalid_deployments,
    invalid_endpoint_slices,
    invalid_label_selectors,
    invalid_labels,
    invalid_manifests,
    invalid_names,
    invalid_network_policies,
    invalid_pods,
    invalid_selectors,
    invalid_services,
)
from fakecluster.strategies.machine import ClusterMachine
from fakecluster.strategies.naming import label_keys, label_selectors, label_values, labels, names, selectors
from fakecluster.strategies.objects import pods, service_ports, services
from fakecluster.strategies.packets import Flow, flows, packets
from fakecluster.strategies.policies import network_policies
from fakecluster.strategies.rule_sets import RuleSet, rule_sets
from fakecluster.strategies.telling import tell_at_the_end
from fakecluster.strategies.workloads import deployments, endpoint_slices

__all__ = [
    "PROGRESS",
    "Change",
    "ClusterMachine",
    "Flow",
    "RuleSet",
    "admin_network_policies",
    "baseline_admin_network_policies",
    "changes",
    "choices",
    "cluster_network_policies",
    "clusters",
    "deployments",
    "endpoint_slices",
    "fault_plans",
    "faults",
    "flows",
    "invalid_deployments",
    "invalid_endpoint_slices",
    "invalid_label_selectors",
    "invalid_labels",
    "invalid_manifests",
    "invalid_names",
    "invalid_network_policies",
    "invalid_pods",
    "invalid_selectors",
    "invalid_services",
    "label_keys",
    "label_selectors",
    "label_values",
    "labels",
    "manifests",
    "names",
    "network_policies",
    "packets",
    "pods",
    "rule_sets",
    "selectors",
    "service_ports",
    "services",
    "tell_at_the_end",
]
