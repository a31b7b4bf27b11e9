"""Settled clusters with Services and the Pods behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from fakecluster.cluster import Cluster
from fakecluster.strategies.objects import SERVICE_TYPES, pods, services

JsonObject = dict[str, Any]
MAX_SERVICES, MAX_PODS = 3, 3
_CONTAINER_PORTS: list[JsonObject] = [
    {"containerPort": 80, "protocol": "TCP", "name": "http"},
    {"containerPort": 53, "protocol": "UDP", "name": "dns"},
]


@st.composite
def manifests(draw: st.DrawFn, *, min_services: int = 1, types: Sequence[str] = SERVICE_TYPES) -> list[JsonObject]:
    """Services, each with 0 to 3 Pods of its own behind it, and one Pod `client`."""
    found: list[JsonObject] = [draw(pods(name=st.just("client"), labels=st.just({}), ports=st.just([])))]
    for index in range(draw(st.integers(min_services, MAX_SERVICES))):
        label = {"app": f"s{index}"}
        ports = draw(st.lists(st.sampled_from(_CONTAINER_PORTS), min_size=1, max_size=2, unique_by=str))
        found.append(
            draw(services(name=st.just(f"s{index}"), selector=st.just(label), target_ports=ports, types=types))
        )
        members = [f"s{index}-{number}" for number in range(draw(st.integers(0, MAX_PODS)))]
        found += [draw(pods(name=st.just(name), labels=st.just(label), ports=st.just(ports))) for name in members]
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
