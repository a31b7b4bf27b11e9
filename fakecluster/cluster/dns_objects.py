"""The objects of cluster DNS in kube-system, as kubeadm makes them.

Left out: the probes of CoreDNS' Pods, which would only spend time, and access rules, which are not enforced.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from fakecluster.cni import AddressPlan
from fakecluster.discovery.server import DEFAULT_COREFILE

JsonObject = dict[str, Any]
DNS_NAMESPACE, DNS_SERVICE = "kube-system", "kube-dns"
DNS_IMAGE = "registry.k8s.io/coredns/coredns"
DNS_LABELS = {"k8s-app": "kube-dns"}
#: The DNS Service's place in the Service range, as kubeadm chooses it.
DNS_INDEX = 10
REPLICAS = 2
#: The Deployment and its ConfigMap, and the key that the Corefile has in there.
CORE_DNS, COREFILE = "coredns", "Corefile"
_PORTS = (
    {"containerPort": 53, "name": "dns", "protocol": "UDP"},
    {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"},
    {"containerPort": 9153, "name": "metrics", "protocol": "TCP"},
)


def dns_address(plan: AddressPlan) -> str:
    """The cluster IP of the DNS Service."""
    return str(ip_network(plan.service_cidrs[0])[DNS_INDEX])


def config_map_of(pod: JsonObject, container: JsonObject) -> str:
    """The ConfigMap that a container's Corefile is mounted from."""
    mounted = {mount["name"] for mount in container.get("volumeMounts") or ()}
    for volume in pod["spec"].get("volumes") or ():
        if volume["name"] in mounted and "configMap" in volume:
            return str(volume["configMap"].get("name") or "")
    return CORE_DNS


def dns_objects(plan: AddressPlan) -> list[tuple[str, JsonObject]]:
    """(resource, object) of everything that cluster DNS consists of, in the order in which they are made."""
    return [
        ("configmaps", config_map(CORE_DNS, DEFAULT_COREFILE)),
        ("services", dns_service(DNS_SERVICE, dns_address(plan))),
        ("deployments.apps", deployment()),
    ]


def config_map(name: str, text: str) -> JsonObject:
    metadata = {"name": name, "namespace": DNS_NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {COREFILE: text}}


def dns_service(name: str, cluster_ip: str) -> JsonObject:
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
        {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153},
    ]
    labels = {**DNS_LABELS, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
    spec = {"selector": DNS_LABELS, "ports": ports, **({"clusterIP": cluster_ip} if cluster_ip else {})}
    metadata = {"name": name, "namespace": DNS_NAMESPACE, "labels": labels}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def deployment() -> JsonObject:
    """CoreDNS' Deployment: two Pods, on different nodes if possible."""
    apart = {
        "weight": 100,
        "podAffinityTerm": {
            "labelSelector": {"matchExpressions": [{"key": "k8s-app", "operator": "In", "values": ["kube-dns"]}]},
            "topologyKey": "kubernetes.io/hostname",
        },
    }
    container = {
        "name": "coredns",
        "image": f"{DNS_IMAGE}:v1.13.1",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": list(_PORTS),
        "volumeMounts": [{"name": "config-volume", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    items = [{"key": COREFILE, "path": COREFILE}]
    pod = {
        "containers": [container],
        "dnsPolicy": "Default",
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [apart]}},
        "tolerations": [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"operator": "Exists", "effect": "NoSchedule"},  # any taint: there is no control plane node to go to
        ],
        "volumes": [{"name": "config-volume", "configMap": {"name": CORE_DNS, "items": items}}],
    }
    spec = {
        "replicas": REPLICAS,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
        "selector": {"matchLabels": DNS_LABELS},
        "template": {"metadata": {"labels": DNS_LABELS}, "spec": pod},
    }
    metadata = {"name": CORE_DNS, "namespace": DNS_NAMESPACE, "labels": DNS_LABELS}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
