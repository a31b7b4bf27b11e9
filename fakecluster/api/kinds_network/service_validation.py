"""What a Service may not say, in the order in which the server says so (apis/core/validation, ValidateService)."""

from __future__ import annotations

from typing import Any

from fakecluster.api import names
from fakecluster.api.kinds_network.ip_text import legacy_cidr, legacy_ip, parse_ip, special_ip
from fakecluster.api.kinds_network.service_addresses import validate_addresses
from fakecluster.api.kinds_network.service_defaults import (
    ADDRESSED_TYPES,
    externally_accessible,
    is_headless,
    needs_health_check,
)
from fakecluster.api.label_rules import validate_labels
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import FieldError, duplicate, forbidden, invalid, not_supported, required

PROTOCOLS = ("SCTP", "TCP", "UDP")
SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
AFFINITIES = ("ClientIP", "None")
TRAFFIC_POLICIES = ("Cluster", "Local")
DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
AFFINITY_TIMEOUT_MAX_S = 86400
TOPOLOGY_HINTS = "service.kubernetes.io/topology-aware-hints"
TOPOLOGY_MODE = "service.kubernetes.io/topology-mode"
SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_LB_ONLY = "may only be used when `type` is 'LoadBalancer'"


def validate_service(service: JsonObject) -> list[FieldError]:
    """Everything that is wrong with a Service whose defaults are filled in."""
    spec = service["spec"]
    errors = _check_topology(service)
    if not spec.get("ports") and not is_headless(spec) and spec["type"] != "ExternalName":
        errors.append(required("spec.ports"))
    if check := TYPE_CHECKS.get(spec["type"]):
        errors += check(spec)
    errors += _check_ports(spec)
    errors += validate_labels(spec.get("selector"), "spec.selector")
    errors += _check_affinity(spec)
    errors += validate_addresses(spec)
    errors += _check_external_ips(spec)
    if spec["type"] not in SERVICE_TYPES:
        errors.append(not_supported("spec.type", spec["type"], SERVICE_TYPES))
    errors += _check_port_clashes(spec)
    errors += _check_source_ranges(service)
    errors += _check_load_balancer(spec)
    return errors + _check_policies(spec)


def _check_topology(service: JsonObject) -> list[FieldError]:
    annotations = service["metadata"].get("annotations") or {}
    mode, hints = annotations.get(TOPOLOGY_MODE), annotations.get(TOPOLOGY_HINTS)
    if mode is None or hints is None or mode == hints:
        return []
    words = f"must match annotations[{TOPOLOGY_HINTS}] when both are specified"
    return [invalid(f"metadata.annotations[{TOPOLOGY_MODE}]", mode, words)]


# --- by type


def _check_not_headless(spec: JsonObject) -> list[FieldError]:
    if not is_headless(spec):
        return []
    return [invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {spec['type']} services")]


def _check_external_name(spec: JsonObject) -> list[FieldError]:
    errors = [
        forbidden(f"spec.{key}", "may not be set for ExternalName services")
        for key in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")
        if spec.get(key) not in (None, [])
    ]
    name = (spec.get("externalName") or "").removesuffix(".")
    if not name:
        return [*errors, required("spec.externalName")]
    return errors + [invalid("spec.externalName", name, complaint) for complaint in names.dns_subdomain(name)]


TYPE_CHECKS = {
    "LoadBalancer": _check_not_headless,
    "NodePort": _check_not_headless,
    "ExternalName": _check_external_name,
}


# --- ports


def _check_ports(spec: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    ports, seen = spec.get("ports") or [], set[str]()
    for number, port in enumerate(ports):
        errors += _check_port(port, f"spec.ports[{number}]", len(ports) > 1, seen)
    return errors


def _check_port(port: JsonObject, path: str, named: bool, seen: set[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    name = port.get("name") or ""
    if name:
        errors += [invalid(f"{path}.name", name, complaint) for complaint in names.dns_label(name)]
        if name in seen:
            errors.append(duplicate(f"{path}.name", name))
        seen.add(name)
    elif named:
        errors.append(required(f"{path}.name"))
    number = port.get("port", 0)
    errors += [invalid(f"{path}.port", number, complaint) for complaint in names.port_number(number)]
    if port["protocol"] not in PROTOCOLS:
        errors.append(not_supported(f"{path}.protocol", port["protocol"], PROTOCOLS))
    errors += check_port_or_name(port["targetPort"], f"{path}.targetPort")
    protocol = port.get("appProtocol")
    if protocol is not None:
        errors += [invalid(f"{path}.appProtocol", protocol, complaint) for complaint in names.qualified_name(protocol)]
    return errors


def check_port_or_name(port: Any, path: str) -> list[FieldError]:
    """Complaints about a field that holds a port's number or its name."""
    found = names.port_name(port) if isinstance(port, str) else names.port_number(port)
    return [invalid(path, port, complaint) for complaint in found]


def _check_port_clashes(spec: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    ports = spec.get("ports") or []
    if spec["type"] == "ClusterIP":
        words = "may not be used when `type` is 'ClusterIP'"
        errors += [
            forbidden(f"spec.ports[{n}].nodePort", words) for n, port in enumerate(ports) if port.get("nodePort")
        ]
    node_ports, numbers = set[tuple[str, int]](), set[tuple[str, int]]()
    for number, port in enumerate(ports):
        if node_port := port.get("nodePort"):
            if (port["protocol"], node_port) in node_ports:
                errors.append(duplicate(f"spec.ports[{number}].nodePort", node_port))
            node_ports.add((port["protocol"], node_port))
    for number, port in enumerate(ports):
        key = (port["protocol"], port.get("port", 0))
        if key in numbers:
            errors.append(duplicate(f"spec.ports[{number}]", _internal_port(*key)))
        numbers.add(key)
    return errors


def _internal_port(protocol: str, port: int) -> JsonObject:
    """A ServicePort as the server's own type prints it, with the compared fields only."""
    return {"Name": "", "Protocol": protocol, "AppProtocol": None, "Port": port, "TargetPort": 0, "NodePort": 0}


# --- the rest


def _check_affinity(spec: JsonObject) -> list[FieldError]:
    affinity, path = spec["sessionAffinity"], "spec.sessionAffinityConfig"
    if affinity not in AFFINITIES:
        return [not_supported("spec.sessionAffinity", affinity, AFFINITIES)]
    if affinity == "None":
        return []
    timeout = spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"]
    if 0 < timeout <= AFFINITY_TIMEOUT_MAX_S:
        return []
    words = f"must be greater than 0 and less than {AFFINITY_TIMEOUT_MAX_S}"
    return [invalid(f"{path}.clientIP.timeoutSeconds", timeout, words)]


def _check_external_ips(spec: JsonObject) -> list[FieldError]:
    return [
        invalid(f"spec.externalIPs[{number}]", address, complaint)
        for number, address in enumerate(spec.get("externalIPs") or ())
        for complaint in legacy_ip(address) or special_ip(address)
    ]


def _check_source_ranges(service: JsonObject) -> list[FieldError]:
    spec = service["spec"]
    ranges, path = spec.get("loadBalancerSourceRanges"), "spec.LoadBalancerSourceRanges"
    if ranges:
        errors = [] if spec["type"] == "LoadBalancer" else [forbidden(path, _LB_ONLY)]
        return errors + [
            invalid(f"{path}[{number}]", text.strip(), complaint)
            for number, text in enumerate(ranges)
            for complaint in legacy_cidr(text.strip())
        ]
    noted = (service["metadata"].get("annotations") or {}).get(SOURCE_RANGES)
    if noted is None:
        return []
    path = f"metadata.annotations[{SOURCE_RANGES}]"
    errors = [] if spec["type"] == "LoadBalancer" else [forbidden(path, _LB_ONLY)]
    texts = [text.strip() for text in noted.split(",")] if noted.strip() else []
    return errors + [invalid(path, text, complaint) for text in texts for complaint in legacy_cidr(text)]


def _check_load_balancer(spec: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    balanced = spec["type"] == "LoadBalancer"
    if spec.get("allocateLoadBalancerNodePorts") is not None and not balanced:
        errors.append(forbidden("spec.allocateLoadBalancerNodePorts", _LB_ONLY))
    return errors + check_balancer_class(spec, None)


def check_balancer_class(spec: JsonObject, old: JsonObject | None) -> list[FieldError]:
    """Complaints about `loadBalancerClass`, which cannot change while the Service is a load balancer."""
    errors: list[FieldError] = []
    path, name = "spec.loadBalancerClass", spec.get("loadBalancerClass")
    if spec["type"] != "LoadBalancer":
        return [forbidden(path, _LB_ONLY)] if name is not None else []
    if old is not None and old["type"] == "LoadBalancer" and old.get("loadBalancerClass") != name:
        errors.append(invalid(path, name, "may not change once set"))
    if name is not None:
        errors += [invalid(path, name, complaint) for complaint in names.qualified_name(name)]
    return errors


def _check_policies(spec: JsonObject) -> list[FieldError]:
    errors = _check_external_policy(spec) + _check_health_check(spec)
    internal = spec.get("internalTrafficPolicy")
    if internal is None:
        if spec["type"] in ADDRESSED_TYPES:
            errors.append(required("spec.internalTrafficPolicy"))
    elif internal not in TRAFFIC_POLICIES:
        errors.append(not_supported("spec.internalTrafficPolicy", internal, TRAFFIC_POLICIES))
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in DISTRIBUTIONS:
        errors.append(not_supported("spec.trafficDistribution", distribution, DISTRIBUTIONS))
    return errors


def _check_external_policy(spec: JsonObject) -> list[FieldError]:
    path, policy = "spec.externalTrafficPolicy", spec.get("externalTrafficPolicy") or ""
    if not externally_accessible(spec):
        return [invalid(path, policy, "may only be set for externally-accessible services")] if policy else []
    if not policy:
        return [required(path)]
    return [] if policy in TRAFFIC_POLICIES else [not_supported(path, policy, TRAFFIC_POLICIES)]


def _check_health_check(spec: JsonObject) -> list[FieldError]:
    path, port = "spec.healthCheckNodePort", spec.get("healthCheckNodePort") or 0
    if needs_health_check(spec):
        found = names.port_number(port) if port else []
        return [invalid(path, port, complaint) for complaint in found] if port else [required(path)]
    words = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
    return [invalid(path, port, words)] if port else []


# --- status

IP_MODES = ("Proxy", "VIP")


def validate_service_status(service: JsonObject, old: JsonObject) -> list[FieldError]:
    """Everything that is wrong with `status.loadBalancer` (ValidateLoadBalancerStatus)."""
    del old
    path = "status.loadBalancer.ingress"
    ingresses = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    if service["spec"]["type"] != "LoadBalancer" and ingresses:
        return [forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")]
    errors: list[FieldError] = []
    for number, ingress in enumerate(ingresses):
        errors += _check_ingress(ingress, f"{path}[{number}]")
    return errors


def _check_ingress(ingress: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    address, mode, host = ingress.get("ip") or "", ingress.get("ipMode"), ingress.get("hostname") or ""
    if address:
        errors += [invalid(f"{path}.ip", address, complaint) for complaint in legacy_ip(address)]
        if mode is None:
            errors.append(required(f"{path}.ipMode", "must be specified when `ip` is set"))
    elif mode is not None:
        errors.append(forbidden(f"{path}.ipMode", "may not be specified when `ip` is not set"))
    if address and mode is not None and mode not in IP_MODES:
        errors.append(not_supported(f"{path}.ipMode", mode, IP_MODES))
    if host:
        errors += check_balancer_host(host, f"{path}.hostname")
    return errors


def check_balancer_host(host: str, path: str) -> list[FieldError]:
    """Complaints about a load balancer's host name, which may not be an address."""
    errors = [invalid(path, host, complaint) for complaint in names.dns_subdomain(host)]
    if parse_ip(host) is not None:
        errors.append(invalid(path, host, "must be a DNS name, not an IP address"))
    return errors
