"""What a Service gets when it says nothing (apis/core/v1/defaults.go, SetDefaults_Service)."""

from __future__ import annotations

from fakecluster.api.status import JsonObject

AFFINITY_TIMEOUT_S = 10800
ADDRESSED_TYPES = ("ClusterIP", "NodePort", "LoadBalancer")
NODE_PORT_TYPES = ("NodePort", "LoadBalancer")


def default_service(service: JsonObject) -> None:
    """Fill in the defaults of a Service, in place."""
    spec = service.setdefault("spec", {})
    if not spec.get("sessionAffinity"):
        spec["sessionAffinity"] = "None"
    _default_affinity(spec)
    if not spec.get("type"):
        spec["type"] = "ClusterIP"
    for port in spec.get("ports") or ():
        _default_port(port)
    if externally_accessible(spec) and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if spec["type"] in ADDRESSED_TYPES and spec.get("internalTrafficPolicy") is None:
        spec["internalTrafficPolicy"] = "Cluster"
    if spec["type"] == "LoadBalancer":
        if spec.get("allocateLoadBalancerNodePorts") is None:
            spec["allocateLoadBalancerNodePorts"] = True
        _default_ingress(service.get("status") or {})


def _default_affinity(spec: JsonObject) -> None:
    affinity = spec["sessionAffinity"]
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        config = spec.get("sessionAffinityConfig") or {}
        if (config.get("clientIP") or {}).get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": AFFINITY_TIMEOUT_S}}


def _default_port(port: JsonObject) -> None:
    if not port.get("protocol"):
        port["protocol"] = "TCP"
    if port.get("targetPort") in (None, 0, ""):
        port["targetPort"] = port.get("port", 0)


def _default_ingress(status: JsonObject) -> None:
    for ingress in (status.get("loadBalancer") or {}).get("ingress") or ():
        if ingress.get("ip") and ingress.get("ipMode") is None:
            ingress["ipMode"] = "VIP"


def externally_accessible(spec: JsonObject) -> bool:
    """Whether clients outside the cluster can reach the Service."""
    if spec["type"] == "ClusterIP":
        return bool(spec.get("externalIPs"))
    return spec["type"] in NODE_PORT_TYPES


def needs_health_check(spec: JsonObject) -> bool:
    """Whether nodes answer health checks for the Service on a port of their own."""
    return spec["type"] == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def is_headless(spec: JsonObject) -> bool:
    """Whether the Service has no address on purpose."""
    return bool(spec.get("clusterIPs") == ["None"])
