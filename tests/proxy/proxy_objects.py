"""Small API objects for the proxy's tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]


def service(name: str = "web", namespace: str = "shop", *, ports: Sequence[Json] = (), **spec: Any) -> Json:
    found = {
        "type": "ClusterIP",
        "clusterIP": "10.96.0.10",
        "clusterIPs": ["10.96.0.10"],
        "ports": list(ports) or [{"name": "http", "port": 80, "protocol": "TCP"}],
        **spec,
    }
    status = found.pop("status", {"loadBalancer": {}})
    labels = found.pop("labels", {})
    metadata = {"namespace": namespace, "name": name, "labels": labels}
    return {"kind": "Service", "metadata": metadata, "spec": found, "status": status}


def endpoint(ip: str, *, node: str = "", **conditions: Any) -> Json:
    hints = conditions.pop("hints", None)
    found: Json = {"addresses": [ip], "conditions": conditions}
    if node:
        found["nodeName"] = node
    if hints:
        found["hints"] = hints
    return found


def endpoint_slice(
    *endpoints: Json | str,
    service: str = "web",
    namespace: str = "shop",
    name: str = "web-1",
    ports: Sequence[Json] = ({"name": "http", "port": 8080, "protocol": "TCP"},),
    family: str = "IPv4",
) -> Json:
    return {
        "kind": "EndpointSlice",
        "metadata": {"namespace": namespace, "name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": family,
        "ports": list(ports),
        "endpoints": [endpoint(e) if isinstance(e, str) else e for e in endpoints],
    }


def node(
    name: str = "node-a", *, labels: Json | None = None, taints: Sequence[Json] = (), ip: str = "192.168.1.10"
) -> Json:
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"podCIDRs": ["10.244.0.0/24"], "taints": list(taints)},
        "status": {"addresses": [{"type": "InternalIP", "address": ip}]},
    }
