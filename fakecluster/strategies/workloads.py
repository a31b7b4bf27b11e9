"""Deployments and hand-written EndpointSlices as manifests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from fakecluster.api.names import dns_1035_label
from fakecluster.strategies import arguments
from fakecluster.strategies.naming import labels, names

JsonObject = dict[str, Any]
MAX_REPLICAS, MAX_ENDPOINTS = 3, 4


@st.composite
def deployments(
    draw: st.DrawFn,
    *,
    name: st.SearchStrategy[str] | None = None,
    labels: st.SearchStrategy[dict[str, str]] = labels(min_size=1),  # noqa: B008
    port: int = 80,
) -> JsonObject:
    """A Deployment of 0 to 3 Pods that listen on `port`, with or without a readiness probe and a preStop pause."""
    arguments.strategies(name=name, labels=labels)
    arguments.port("port", port)
    chosen = draw(labels)
    if not chosen:
        raise InvalidArgument("labels drew {}: a Deployment selects its Pods by their labels; say labels(min_size=1)")
    container: JsonObject = {
        "name": "main",
        "image": "example.com/server:1",
        "ports": [{"containerPort": port, "name": "http"}],
    }
    if draw(st.booleans()):
        container["readinessProbe"] = {"tcpSocket": {"port": port}, "periodSeconds": draw(st.sampled_from((1, 10)))}
    if draw(st.booleans()):
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": draw(st.integers(1, 10))}}}
    strategy = draw(st.sampled_from(("RollingUpdate", "Recreate")))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": draw(name if name is not None else names())},
        "spec": {
            "replicas": draw(st.integers(0, MAX_REPLICAS)),
            "selector": {"matchLabels": chosen},
            "strategy": {"type": strategy},
            "template": {"metadata": {"labels": chosen}, "spec": {"containers": [container]}},
        },
    }


@st.composite
def endpoint_slices(
    draw: st.DrawFn, *, service: str, name: st.SearchStrategy[str] | None = None, port: int = 80
) -> JsonObject:
    """An IPv4 EndpointSlice of `service` with addresses outside the cluster (192.0.2.0/24), ready or not."""
    arguments.strategies(name=name)
    arguments.port("port", port)
    if complaints := dns_1035_label(service):
        raise InvalidArgument(f"service={service!r} is no name of a Service: {complaints[0]}")
    hosts = draw(st.lists(st.integers(1, 254), max_size=MAX_ENDPOINTS, unique=True))
    endpoints = [{"addresses": [f"192.0.2.{host}"], "conditions": {"ready": draw(st.booleans())}} for host in hosts]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": draw(name if name is not None else names()),
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "", "port": port, "protocol": "TCP"}],
    }
