"""Nodes that sleep: made when they are needed, and then as if they had been there all the time."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fakecluster import Cluster
from fakecluster.fabric.namespaces import SleepingNamespaces

from .conftest import pod, service

MODES = ("iptables", "nftables", "ipvs")


def shop(mode: str, *, sleeping: bool) -> Cluster:
    """Five nodes; web Pods on b and c, a client on a; nothing on d and e."""
    cluster = Cluster(nodes=5, proxy=mode, sleeping_nodes=sleeping, dns=False, ip_family="dual")
    pods = [pod(f"web-{node}", {"app": "web"}, port=80, node=node) for node in "bc"]
    spec: dict[str, Any] = {"clusterIP": "10.96.0.80", "type": "NodePort"}
    cluster.apply([*pods, service("web", {"app": "web"}, **spec), pod("client", node="a")])
    return cluster


def awake(cluster: Cluster) -> set[str]:
    namespaces = cluster.network.namespaces
    return set(namespaces.awake) if isinstance(namespaces, SleepingNamespaces) else set(namespaces)


@pytest.mark.parametrize("mode", MODES)
def test_what_a_packet_meets_is_the_same_whether_nodes_slept_or_not(mode: str) -> None:
    slept, woke = (shop(mode, sleeping=sleeping) for sleeping in (True, False))
    assert awake(slept) == {"outside"}
    for cluster in (slept, woke):
        cluster.delete("pods", "web-b")
        cluster.apply(pod("web-d", {"app": "web"}, port=80, node="d"))
    seen = [cluster.pod("client").outcomes("tcp://10.96.0.80:80").probabilities for cluster in (slept, woke)]
    assert seen[0] == seen[1] and set(seen[0]) == {"web-c", "web-d"}
    port = slept.service("web").object["spec"]["ports"][0]["nodePort"]
    for cluster in (slept, woke):
        assert cluster.outside.connect(cluster.runtime.nodes["c"].ips[0], port).request(b"x").server in (
            "web-c",
            "web-d",
        )
    ways = [{node: _ways(cluster.node(node).run("ip route")) for node in "abcde"} for cluster in (slept, woke)]
    assert ways[0] == ways[1]
    if mode == "iptables":
        rules = [cluster.node("e").run("iptables-save -t nat") for cluster in (slept, woke)]
        assert next(_without_times(text) for text in rules) == _without_times(rules[1])


def _ways(text: str) -> list[str]:
    """Routes, whatever the Pods' links are called."""
    return sorted(re.sub(r"veth\w+", "veth", line) for line in text.splitlines())


def _without_times(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if not line.startswith(("#", ":")))


def test_only_the_nodes_on_the_way_are_woken() -> None:
    cluster = shop("iptables", sleeping=True)
    cluster.delete("pods", "web-b")
    assert cluster.pod("client").connect("10.96.0.80", 80).request(b"x").server == "web-c"
    assert awake(cluster) == {"outside", "node/a", "pod/client", "node/c", "pod/web-c"}
    copy = cluster.fork()
    copy.node("d").run("ip route")
    assert awake(copy) - awake(cluster) == {"node/d"}


def test_a_component_of_a_sleeping_node_is_there_when_it_is_asked_for() -> None:
    cluster = shop("iptables", sleeping=True)
    with cluster.held("kube-proxy@d"):
        cluster.delete("services", "web")
        assert cluster.node("d").can_reach("10.96.0.80", 80)
    assert not cluster.node("d").can_reach("10.96.0.80", 80)
    cluster.faults.crash("e")
    cluster.faults.boot("e")
    assert {"node/d", "node/e"} <= awake(cluster)


def test_pods_that_need_more_than_an_address_wake_their_node() -> None:
    cluster = shop("iptables", sleeping=True)
    host = pod("host", port=8080, node="e")
    host["spec"]["hostNetwork"] = True
    cluster.apply(host)
    assert "node/e" in awake(cluster)
    assert cluster.outside.connect(cluster.runtime.nodes["e"].ips[0], 8080).request(b"x").server == "host"


def test_large_clusters_sleep_by_themselves_and_have_room_for_a_thousand_nodes() -> None:
    cluster = Cluster(nodes=300, dns=False)
    assert awake(cluster) == {"outside"}
    assert len(cluster.runtime.nodes) == 300
    cluster.apply([pod("web", {"app": "web"}, port=80), service("web", {"app": "web"}), pod("client", node="n299")])
    address = cluster.service("web").cluster_ip
    assert cluster.pod("client").connect(address, 80).request(b"x").server == "web"
    assert len(awake(cluster)) == 5
