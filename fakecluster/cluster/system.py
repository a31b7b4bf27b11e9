"""The objects that every cluster has: its Nodes, the DNS Service and what runs behind it."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from fakecluster.cluster.spec import NodeSpec
from fakecluster.cni import AddressPlan, NodeAddresses
from fakecluster.sim import Clock

JsonObject = dict[str, Any]
DNS_NAMESPACE, DNS_SERVICE = "kube-system", "kube-dns"
DNS_IMAGE = "registry.k8s.io/coredns/coredns"
DNS_LABELS = {"k8s-app": "kube-dns"}
#: The DNS Service's place in the Service range, as kubeadm chooses it.
DNS_INDEX = 10
_CAPACITY = {"cpu": "16", "memory": "64Gi", "ephemeral-storage": "100Gi"}


def dns_address(plan: AddressPlan) -> str:
    """The cluster IP of the DNS Service."""
    return str(ip_network(plan.service_cidrs[0])[DNS_INDEX])


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


def dns_objects(plan: AddressPlan) -> list[JsonObject]:
    """The Service kube-dns and the Pods behind it."""
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
        {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153},
    ]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": DNS_SERVICE,
            "namespace": DNS_NAMESPACE,
            "labels": {**DNS_LABELS, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"},
        },
        "spec": {"clusterIP": dns_address(plan), "selector": DNS_LABELS, "ports": ports},
    }
    container = {
        "name": "coredns",
        "image": f"{DNS_IMAGE}:v1.13.1",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"containerPort": 53, "name": "dns", "protocol": "UDP"},
            {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"},
            {"containerPort": 9153, "name": "metrics", "protocol": "TCP"},
        ],
    }
    tolerations = [{"key": "CriticalAddonsOnly", "operator": "Exists"}, {"operator": "Exists", "effect": "NoSchedule"}]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "coredns", "namespace": DNS_NAMESPACE, "labels": DNS_LABELS},
        "spec": {"containers": [container], "dnsPolicy": "Default", "tolerations": tolerations},
    }
    return [service, pod]
