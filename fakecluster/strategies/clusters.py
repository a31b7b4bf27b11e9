"""Settled clusters with Services and the Pods behind them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from fakecluster.cluster import Cluster
from fakecluster.sim import Choices
from fakecluster.strategies import arguments
from fakecluster.strategies.chance import choices as chance
from fakecluster.strategies.objects import SERVICE_TYPES
from fakecluster.strategies.telling import tell_at_the_end

JsonObject = dict[str, Any]
MAX_SERVICES, MAX_PODS = 3, 3
_CONTAINER_PORTS: list[JsonObject] = [
    {"containerPort": 80, "protocol": "TCP", "name": "http"},
    {"containerPort": 53, "protocol": "UDP", "name": "dns"},
]


#: Everything that a Service of `manifests` can be but its type, the plainest first. One choice out of a table, and not
#: one for every field: Hypothesis leaves out elements of a list most easily when they are made of few choices.
_PORTS = ((80, "TCP", 80), (80, "TCP", "http"), (8081, "TCP", 80), (53, "UDP", 53))
_PROFILES = tuple(
    product(
        ((0,), (0, 3), (3,), (1,), (2,)),  # which of _PORTS
        ("None", "ClientIP"),  # session affinity
        ("Cluster", "Local"),  # internal traffic policy
        ("Cluster", "Local"),  # external traffic policy
    )
)


def _service(kind: str, profile: tuple[tuple[int, ...], str, str, str]) -> JsonObject:
    ports, affinity, internal, external = profile
    spec: JsonObject = {"type": kind, "ports": [_port(number) for number in ports]}
    if affinity != "None":
        spec["sessionAffinity"] = affinity
    if internal != "Cluster":
        spec["internalTrafficPolicy"] = internal
    if external != "Cluster" and kind != "ClusterIP":
        spec["externalTrafficPolicy"] = external
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": ""}, "spec": spec}


def _port(index: int) -> JsonObject:
    number, protocol, target = _PORTS[index]
    return {"name": f"p{index}", "protocol": protocol, "port": number, "targetPort": target}


def _apps(types: Sequence[str]) -> st.SearchStrategy[tuple[JsonObject, int]]:
    """A Service without a name, and how many Pods stand behind it."""
    made = st.builds(_service, st.sampled_from(tuple(types)), st.sampled_from(_PROFILES))
    return st.tuples(made, st.integers(0, MAX_PODS))


@st.composite
def manifests(
    draw: st.DrawFn, *, min_services: int = 1, max_services: int = MAX_SERVICES, types: Sequence[str] = SERVICE_TYPES
) -> list[JsonObject]:
    """Services `s0`, `s1`..., each with 0 to 3 Pods (`s0-0`...) of its own behind it, and one Pod `client`."""
    if min_services > max_services:
        raise InvalidArgument(f"min_services={min_services} is larger than max_services={max_services}")
    arguments.some_of("types", types, SERVICE_TYPES)
    found: list[JsonObject] = [_pod("client", {}, [])]
    apps = draw(st.lists(_apps(types), min_size=min_services, max_size=max_services))
    for index, (service, count) in enumerate(apps):
        label = {"app": f"s{index}"}
        found.append({**service, "metadata": {"name": f"s{index}"}, "spec": {"selector": label, **service["spec"]}})
        found += [_pod(f"s{index}-{number}", label, _CONTAINER_PORTS) for number in range(count)]
    return found


def _pod(name: str, labels: dict[str, str], ports: list[JsonObject]) -> JsonObject:
    spec = {"containers": [{"name": "main", "image": "example.com/server:1", "ports": ports}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


@st.composite
def clusters(
    draw: st.DrawFn,
    *,
    nodes: st.SearchStrategy[int] = st.integers(1, 3),  # noqa: B008
    proxy: str = "iptables",
    objects: st.SearchStrategy[list[JsonObject]] | None = None,
    ip_family: str = "ipv4",
    choices: st.SearchStrategy[Choices] | None = None,
) -> Cluster:
    """A cluster in which `objects` (see `manifests`) were applied, settled; chance is Hypothesis' too (see `choices`).

    An example that fails prints the cluster's script: how it was made, its manifests and all that was done to it.
    """
    arguments.strategies(nodes=nodes, objects=objects, choices=choices)
    source = draw(choices if choices is not None else chance())
    try:
        cluster = Cluster(nodes=draw(nodes), proxy=proxy, ip_family=ip_family, choices=source)
    except ValueError as wrong:
        raise InvalidArgument(str(wrong)) from None
    tell_at_the_end(cluster)
    cluster.apply(draw(objects if objects is not None else manifests()))
    return cluster
