"""The Node objects of a cluster, as their kubelets register them."""

from __future__ import annotations

from typing import Any

from fakecluster.cluster.spec import NodeSpec
from fakecluster.cni import NodeAddresses
from fakecluster.sim import Clock

JsonObject = dict[str, Any]
_CAPACITY = {"cpu": "16", "memory": "64Gi", "ephemeral-storage": "100Gi"}


def node_object(node: NodeSpec, own: NodeAddresses) -> JsonObject:
    """A Node as its kubelet registers it."""
    labels = {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        **dict(node.labels),
    }
    spec: JsonObject = {"podCIDR": own.pod_cidrs[0], "podCIDRs": list(own.pod_cidrs)}
    if node.taints:
        spec["taints"] = node.taint_objects
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name, "labels": labels}, "spec": spec}


def node_status(node: NodeSpec, own: NodeAddresses, clock: Clock, time: str) -> JsonObject:
    """The status of a Ready node."""
    addresses = [{"type": "InternalIP", "address": ip} for ip in own.ips]
    healthy = {
        "MemoryPressure": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        "DiskPressure": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        "PIDPressure": ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    }
    rows = [(kind, "False", *words) for kind, words in healthy.items()]
    rows.append(("Ready", "True", "KubeletReady", "kubelet is posting ready status"))
    conditions = [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": time,
            "lastTransitionTime": time,
        }
        for kind, status, reason, message in rows
    ]
    capacity = {**_CAPACITY, "pods": str(node.pods)}
    return {
        "addresses": [*addresses, {"type": "Hostname", "address": node.name}],
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": conditions,
    }
