"""Settled clusters with Services and the Pods behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from fakecluster.cluster import Cluster
from fakecluster.strategies.objects import SERVICE_TYPES, pods, services

JsonObject = dict[str, Any]
MAX_SERVICES, MAX_PODS = 3, 3
_CONTAINER_PORTS: list[JsonObject] = [
    {"containerPort": 80, "protocol": "TCP", "name": "http"},
    {"containerPort": 53, "protocol": "UDP", "name": "dns"},
]


@st.composite
def _apps(draw: st.DrawFn, types: Sequence[str]) -> tuple[JsonObject, list[JsonObject]]:
    """A Service and the Pods behind it, still without names: a list of these shrinks by leaving some out."""
    ports = draw(st.lists(st.sampled_from(_CONTAINER_PORTS), min_size=1, max_size=2, unique_by=str))
    service = draw(services(name=st.just(""), selector=st.just({}), target_ports=ports, types=types))
    member = pods(name=st.just(""), labels=st.just({}), ports=st.just(ports))
    return service, draw(st.lists(member, max_size=MAX_PODS))


@st.composite
def manifests(
    draw: st.DrawFn, *, min_services: int = 1, max_services: int = MAX_SERVICES, types: Sequence[str] = SERVICE_TYPES
) -> list[JsonObject]:
    """Services `s0`, `s1`..., each with 0 to 3 Pods (`s0-0`...) of its own behind it, and one Pod `client`."""
    if min_services > max_services:
        raise InvalidArgument(f"min_services={min_services} is larger than max_services={max_services}")
    found: list[JsonObject] = [draw(pods(name=st.just("client"), labels=st.just({}), ports=st.just([])))]
    apps = draw(st.lists(_apps(types), min_size=min_services, max_size=max_services))
    for index, (service, members) in enumerate(apps):
        label = {"app": f"s{index}"}
        spec = {**service["spec"], "selector": label}
        found.append({**service, "metadata": {"name": f"s{index}"}, "spec": spec})
        for number, pod in enumerate(members):
            found.append({**pod, "metadata": {"name": f"s{index}-{number}", "labels": label}})
    return found


@st.composite
def clusters(
    draw: st.DrawFn,
    *,
    nodes: st.SearchStrategy[int] = st.integers(1, 3),  # noqa: B008
    proxy: str = "iptables",
    objects: st.SearchStrategy[list[JsonObject]] | None = None,
    ip_family: str = "ipv4",
) -> Cluster:
    """A cluster in which `objects` (see `manifests`) were applied, settled. Its manifests stand in `repr`-able form
    in the failing example, because Hypothesis prints what was drawn."""
    cluster = Cluster(nodes=draw(nodes), proxy=proxy, ip_family=ip_family)
    cluster.apply(draw(objects if objects is not None else manifests()))
    return cluster
