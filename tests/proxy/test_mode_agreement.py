"""All modes lead a Service's clients to the same endpoints, but for the differences that stand in a table here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from fakecluster import Cluster
from fakecluster import strategies as kube
from fakecluster.handles import ConnectFailed
from fakecluster.handles.pod import Pod
from fakecluster.handles.service import Service
from fakecluster.proxy.ipvs import writer as ipvs_writer
from fakecluster.proxy.ipvs.service import Needs
from fakecluster.strategies.packets import packet

Json = dict[str, Any]
Names = frozenset[str]
MODES = ("iptables", "nftables", "ipvs", "userspace")

#: What the rules of iptables mode say of a cluster IP, by situation: endpoints here, endpoints anywhere -> outcomes.
SITUATIONS: dict[str, Callable[[Names, Names], Names]] = {
    "no endpoints": lambda here, anywhere: frozenset(("rejected",)),
    "policy Cluster": lambda here, anywhere: anywhere,
    "policy Local, endpoints here": lambda here, anywhere: here,
    "policy Local, endpoints only elsewhere": lambda here, anywhere: frozenset(("dropped",)),
    "policy Local, endpoints only elsewhere, open to the outside": lambda here, anywhere: frozenset(("dropped",)),
}
#: The known differences: mode, situation -> outcomes.
DIFFERENCES: dict[tuple[str, str], Callable[[Names, Names], Names]] = {
    # no drop rule: the cluster's endpoints stand in, which are known only of Services that are open to the outside
    # (pkg/proxy/ipvs/proxier.go, syncEndpoint; pkg/proxy/topology.go, CategorizeEndpoints)
    ("ipvs", "policy Local, endpoints only elsewhere, open to the outside"): lambda here, anywhere: anywhere,
    ("ipvs", "policy Local, endpoints only elsewhere"): lambda here, anywhere: frozenset(("rejected",)),
    # never heard of traffic policies
    ("userspace", "policy Local, endpoints here"): lambda here, anywhere: anywhere,
    ("userspace", "policy Local, endpoints only elsewhere"): lambda here, anywhere: anywhere,
    ("userspace", "policy Local, endpoints only elsewhere, open to the outside"): lambda here, anywhere: anywhere,
    # accepts a connection before it looks for an endpoint, and closes it again
    ("userspace", "no endpoints"): lambda here, anywhere: frozenset(("closed",)),
}


def _situation(service: Service, here: Names, anywhere: Names) -> str:
    if not anywhere:
        return "no endpoints"
    if service.object["spec"].get("internalTrafficPolicy") != "Local":
        return "policy Cluster"
    if here:
        return "policy Local, endpoints here"
    outside = ", open to the outside" if service.object["spec"]["type"] != "ClusterIP" else ""
    return f"policy Local, endpoints only elsewhere{outside}"


def expected(mode: str, service: Service, client: Pod) -> Names:
    """The outcomes that the table foretells for connections from `client`."""
    anywhere = frozenset(pod.name for pod in service.ready_pods)
    here = frozenset(pod.name for pod in service.ready_pods if pod.node == client.node)
    situation = _situation(service, here, anywhere)
    return DIFFERENCES.get((mode, situation), SITUATIONS[situation])(here, anywhere)


def _by_chance(cluster: Cluster, service: Service, port: Json, tries: int) -> Names:
    towards = packet(port["protocol"].lower(), service.cluster_ip, port["port"], sport=40000)
    return frozenset(cluster.pod("client").outcomes(towards).destinations)


def _in_turn(cluster: Cluster, service: Service, port: Json, tries: int) -> Names:
    """One packet after the other: the scheduler goes round."""
    client, found = cluster.pod("client"), set[str]()
    for number in range(tries):
        towards = packet(port["protocol"].lower(), service.cluster_ip, port["port"], sport=40000 + number)
        delivered = client.send(towards).delivered_to
        found.add(delivered.name if isinstance(delivered, Pod) else "rejected")
    return frozenset(found)


def _by_talking(cluster: Cluster, service: Service, port: Json, tries: int) -> Names:
    """Whole connections: behind the relay no packet goes from the client to a Pod."""
    client, found = cluster.pod("client"), set[str]()
    for _ in range(tries):
        try:
            connection = client.connect(service.cluster_ip, port["port"], protocol=port["protocol"].lower())
            found.add(connection.request(b"hi", timeout_s=1).server)
        except ConnectFailed:
            found.add("closed")
    return frozenset(found)


REACHED = {"iptables": _by_chance, "nftables": _by_chance, "ipvs": _in_turn, "userspace": _by_talking}


def disagreements(mode: str, cluster: Cluster) -> Iterator[str]:
    """Service ports that lead elsewhere than the table says."""
    for service in cluster.services:
        for port in service.object["spec"]["ports"]:
            wanted = expected(mode, service, cluster.pod("client"))
            reached = REACHED[mode](cluster, service, port, max(1, len(wanted)))
            sticky = service.object["spec"].get("sessionAffinity") == "ClientIP" and mode in ("ipvs", "userspace")
            agrees = reached <= wanted and len(reached) == 1 if sticky else reached == wanted
            if not agrees:
                yield f"{mode}: {service.name}:{port['port']} leads to {set(reached)} instead of {set(wanted)}"


def _cluster(mode: str, nodes: int, objects: list[Json]) -> Cluster:
    cluster = Cluster(nodes=nodes, proxy=mode)
    cluster.apply(objects)
    cluster.advance(2)
    return cluster


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nodes=st.integers(1, 3), objects=kube.manifests())
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_reaches_what_the_table_says(mode: str, nodes: int, objects: list[Json]) -> None:
    assert list(disagreements(mode, _cluster(mode, nodes, objects))) == []


def test_a_real_server_that_ipvs_mode_forgets_is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ipvs_writer.needs_of

    def forgets_the_last(*arguments: Any) -> Needs:
        needs = real(*arguments)
        servers = tuple(
            (key, attrs.evolve(wanted, real_servers=wanted.real_servers[: max(1, len(wanted.real_servers) - 1)]))
            for key, wanted in needs.servers
        )
        return attrs.evolve(needs, servers=servers)

    monkeypatch.setattr(ipvs_writer, "needs_of", forgets_the_last)
    search = settings(
        max_examples=100,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    objects = find(
        kube.manifests(),
        lambda objects: bool(list(disagreements("ipvs", _cluster("ipvs", 1, objects)))),
        settings=search,
    )
    assert sorted(obj["kind"] for obj in objects) == ["Pod", "Pod", "Pod", "Service"]  # the client, and two behind it


def test_the_table_names_only_modes_and_situations_that_exist() -> None:
    assert {mode for mode, _ in DIFFERENCES} <= set(MODES)
    assert {situation for _, situation in DIFFERENCES} <= set(SITUATIONS)
