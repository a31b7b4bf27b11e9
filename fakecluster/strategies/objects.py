"""Pods and Services as manifests."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from fakecluster.strategies import arguments
from fakecluster.strategies.naming import labels, names, selectors

JsonObject = dict[str, Any]
PROTOCOLS = ("TCP", "UDP")
SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer")
_PORTS = st.sampled_from([80, 8080, 53, 443]) | st.integers(1, 65535)


@st.composite
def pods(
    draw: st.DrawFn,
    *,
    name: st.SearchStrategy[str] | None = None,
    labels: st.SearchStrategy[dict[str, str]] = labels(),  # noqa: B008
    ports: st.SearchStrategy[list[JsonObject]] | None = None,
) -> JsonObject:
    """A Pod of one container, which listens on its `ports` ({containerPort, protocol, name?})."""
    arguments.strategies(name=name, labels=labels, ports=ports)
    chosen = draw(ports if ports is not None else st.just([{"containerPort": 80}]))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": draw(name if name is not None else names()), "labels": draw(labels)},
        "spec": {"containers": [{"name": "main", "image": "example.com/server:1", "ports": chosen}]},
    }


@st.composite
def service_ports(draw: st.DrawFn, *, target_ports: Sequence[JsonObject] = ()) -> list[JsonObject]:
    """The ports of a Service, each leading to one of `target_ports` (container ports; any number without them)."""
    if wrong := [port for port in target_ports if "containerPort" not in port]:
        raise InvalidArgument(f"target_ports: {wrong[0]!r} is no port of a container: expected {{'containerPort': 80}}")
    count = draw(st.integers(1, max(1, min(3, len(target_ports) or 2))))
    found: list[JsonObject] = []
    for index in range(count):
        target = draw(st.sampled_from(target_ports)) if target_ports else {}
        protocol = target.get("protocol", "TCP") if target else draw(st.sampled_from(PROTOCOLS))
        number = draw(_PORTS.filter(functools.partial(_is_free, found)))
        by_name = bool(target.get("name")) and draw(st.booleans())
        port: JsonObject = {"name": f"p{index}", "protocol": protocol, "port": number}
        if target:
            port["targetPort"] = target["name"] if by_name else target["containerPort"]
        found.append(port)
    return found


def _is_free(ports: Sequence[JsonObject], number: int) -> bool:
    return all(port["port"] != number for port in ports)


@st.composite
def services(
    draw: st.DrawFn,
    *,
    name: st.SearchStrategy[str] | None = None,
    selector: st.SearchStrategy[dict[str, str]] | None = None,
    target_ports: Sequence[JsonObject] = (),
    types: Sequence[str] = SERVICE_TYPES,
) -> JsonObject:
    """A Service of one of `types`, sometimes with session affinity or a Local traffic policy."""
    arguments.some_of("types", types, SERVICE_TYPES)
    arguments.strategies(name=name, selector=selector)
    spec: JsonObject = {
        "type": draw(st.sampled_from(tuple(types))),
        "selector": draw(selector if selector is not None else selectors()),
        "ports": draw(service_ports(target_ports=target_ports)),
    }
    if draw(st.booleans()):
        spec["sessionAffinity"] = "ClientIP"
    for policy in ("internalTrafficPolicy", "externalTrafficPolicy"):
        if draw(st.sampled_from(("Cluster", "Cluster", "Local"))) == "Local":
            spec[policy] = "Local"
    if spec["type"] == "ClusterIP":
        spec.pop("externalTrafficPolicy", None)
    metadata = {"name": draw(name if name is not None else names())}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
