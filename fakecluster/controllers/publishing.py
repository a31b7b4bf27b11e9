"""Which Pods a Service publishes, at which addresses, ports and host names.

Shared by Endpoints and EndpointSlices (staging/src/k8s.io/endpointslice/util/controller_utils.go and utils.go of the
same package). Objects are JSON as stored, with the server's defaults.
"""

from __future__ import annotations

import functools
import ipaddress
from typing import Any

Json = dict[str, Any]

HEADLESS_LABEL = "service.kubernetes.io/headless"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"
TERMINAL_PHASES = frozenset({"Failed", "Succeeded"})


def ready_condition(pod: Json) -> Json | None:
    """The Pod's condition `Ready`, if it has one."""
    condition: Json
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            return condition
    return None


def is_ready(pod: Json) -> bool:
    """Whether the Pod's condition `Ready` is true; its phase and its deletion do not count."""
    condition = ready_condition(pod)
    return condition is not None and condition.get("status") == "True"


def is_terminating(pod: Json) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_published(pod: Json, *, terminating: bool) -> bool:
    """Whether a Pod can be an endpoint: it has an address and has not ended; `terminating` ones only if asked for."""
    status = pod.get("status") or {}
    if status.get("phase") in TERMINAL_PHASES or not (status.get("podIP") or status.get("podIPs")):
        return False
    return terminating or not is_terminating(pod)


def published_hostname(pod: Json, service: Json) -> str:
    """The Pod's host name where it belongs to this Service's subdomain, else ""."""
    spec = pod["spec"]
    hostname: str = spec.get("hostname") or ""
    return hostname if hostname and spec.get("subdomain", "") == service["metadata"]["name"] else ""


def target_ref(pod: Json) -> Json:
    """The reference by which an endpoint names its Pod."""
    metadata = pod["metadata"]
    return {
        "kind": "Pod",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def has_fixed_ports(service: Json) -> bool:
    """Whether the Service's ports are the same on every Pod, as none is looked up by name."""
    return not any(isinstance(port.get("targetPort"), str) for port in service["spec"].get("ports") or ())


def port_number(pod: Json, port: Json) -> int | None:
    """The Pod's port behind a Service port; None where a named targetPort is not among the Pod's ports.

    Names are looked up in the containers, then in the sidecars (init containers that restart always).
    """
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    protocol, spec = port.get("protocol", "TCP"), pod["spec"]
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in (*spec["containers"], *sidecars):
        for candidate in container.get("ports") or ():
            if candidate.get("name") == target and candidate.get("protocol", "TCP") == protocol:
                return int(candidate["containerPort"])
    return None


@functools.lru_cache(maxsize=1 << 16)
def parsed_ip(text: str) -> tuple[str, str] | None:
    """(family, canonical text) of an address, leading zeros allowed as in the older parser; None if it is none."""
    try:
        ip = ipaddress.ip_address(_without_leading_zeros(text) if ":" not in text else text)
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if ip.version == 6 else None
    ip = mapped or ip
    return f"IPv{ip.version}", str(ip)


def _without_leading_zeros(text: str) -> str:
    return ".".join(part.lstrip("0") or part[-1:] for part in text.split("."))


def pod_addresses(pod: Json, family: str) -> list[str]:
    """The Pod's addresses of one family ("IPv4" or "IPv6"), in canonical form."""
    addresses = []
    for entry in pod["status"].get("podIPs") or ():
        parsed = parsed_ip(entry.get("ip", ""))
        if parsed is not None and parsed[0] == family:
            addresses.append(parsed[1])
    return addresses


def has_cluster_ip(service: Json) -> bool:
    """Whether the Service has a ClusterIP of its own: it is neither headless nor without one."""
    return service["spec"].get("clusterIP") not in (None, "", "None")


def has_endpoints(service: Json) -> bool:
    """Whether controllers keep endpoints for it: it has a selector and is no ExternalName."""
    spec = service["spec"]
    return spec.get("type") != "ExternalName" and bool(spec.get("selector"))
