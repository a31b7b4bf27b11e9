"""Manifests and clusters that several tests use."""

from __future__ import annotations

from typing import Any

import pytest

from fakecluster import Cluster

JsonObject = dict[str, Any]


def pod(
    name: str, labels: dict[str, str] | None = None, *, port: int = 0, node: str = "", **container: Any
) -> JsonObject:
    """A Pod of one container, listening on `port`, on `node` when given."""
    ports = {"ports": [{"containerPort": port}]} if port else {}
    spec: JsonObject = {"containers": [{"name": "main", "image": "example.com/x:1", **ports, **container}]}
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": spec}


def service(name: str, selector: dict[str, str], port: int = 80, target: Any = 80, **spec: Any) -> JsonObject:
    """A Service with one TCP port."""
    ports = [{"port": port, "targetPort": target}]
    metadata = {"name": name}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": selector, "ports": ports, **spec},
    }


@pytest.fixture
def web() -> list[JsonObject]:
    """Two web Pods on two nodes behind a Service, and a client beside the first."""
    return [
        pod("web-1", {"app": "web"}, port=80, node="a"),
        pod("web-2", {"app": "web"}, port=80, node="b"),
        service("web", {"app": "web"}),
        pod("client", node="a"),
    ]


def client_and_web() -> Cluster:
    """A client on node a, a Service `web` with a Pod on node b."""
    cluster = Cluster(nodes=2)
    web = pod("web", {"app": "web"}, port=80, node="b")
    cluster.apply([pod("client", node="a"), web, service("web", {"app": "web"}, clusterIP="10.96.0.80")])
    return cluster
