"""The objects that the scenarios are made of."""

from __future__ import annotations

from typing import Any

JsonObject = dict[str, Any]


def pod(name: str, app: str = "", *, port: int = 80, protocol: str = "TCP", node: str = "", **spec: Any) -> JsonObject:
    """A Pod that listens on `port` when it belongs to an app; `node` places it."""
    container: JsonObject = {"name": "main", "image": "example.com/x:1", **spec.pop("container", {})}
    if app:
        container["ports"] = [{"containerPort": port, "protocol": protocol}]
    spec = {"containers": [container], **({"nodeName": node} if node else {}), **spec}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app} if app else {}},
        "spec": spec,
    }


def service(name: str, *ports: int, protocol: str = "TCP", **spec: Any) -> JsonObject:
    """A Service for the app of its own name; ports default to 80."""
    entries = [{"name": f"p{port}", "port": port, "targetPort": port, "protocol": protocol} for port in ports or (80,)]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": entries, **spec},
    }


def web(*nodes: str, **spec: Any) -> list[JsonObject]:
    """A Service `web` with a Pod (web-1, web-2...) on each of `nodes`, and a client on node a."""
    pods = [pod(f"web-{number}", "web", node=node) for number, node in enumerate(nodes, 1)]
    return [*pods, service("web", **spec), pod("client", node="a")]
