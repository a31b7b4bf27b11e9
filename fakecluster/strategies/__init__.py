"""Hypothesis strategies for what clusters are made of and what travels through them.

Everything is valid by construction and shrinks towards one node, one Service, one Pod, one packet.
"""

from fakecluster.strategies.clusters import clusters, manifests
from fakecluster.strategies.machine import ClusterMachine
from fakecluster.strategies.naming import label_keys, label_values, labels, names, selectors
from fakecluster.strategies.objects import pods, service_ports, services
from fakecluster.strategies.packets import packets

__all__ = [
    "ClusterMachine",
    "clusters",
    "label_keys",
    "label_values",
    "labels",
    "manifests",
    "names",
    "packets",
    "pods",
    "selectors",
    "service_ports",
    "services",
]
