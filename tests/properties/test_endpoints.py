"""Whatever Services there are: their ready endpoints, and nobody else, answer."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakecluster import Cluster
from fakecluster import strategies as kube
from fakecluster.strategies.packets import packet


def wrong_destinations(cluster: Cluster) -> list[str]:
    """Services whose cluster IP leads elsewhere than to exactly their ready endpoints, from the Pod `client`."""
    found = []
    client = cluster.pod("client")
    for service in cluster.services:
        spec = service.object["spec"]
        local = spec.get("internalTrafficPolicy") == "Local"
        expected = {pod.name for pod in service.ready_pods if not local or pod.node == client.node}
        nothing = {"dropped"} if local and service.ready_pods else {"rejected"}
        for port in spec["ports"]:
            towards = packet(port["protocol"].lower(), service.cluster_ip, port["port"], sport=40000)
            seen = client.outcomes(towards).destinations
            if seen != (expected or nothing):
                found.append(f"{service.name}:{port['port']}: {sorted(seen)} instead of {sorted(expected or nothing)}")
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), proxy=st.sampled_from(["iptables", "nftables"]))
def test_every_ready_endpoint_and_nothing_else_has_a_positive_probability(data: st.DataObject, proxy: str) -> None:
    cluster = data.draw(kube.clusters(proxy=proxy))
    assert wrong_destinations(cluster) == []
