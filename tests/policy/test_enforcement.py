"""What stands on a node, what passes, and what a change costs."""

from __future__ import annotations

from typing import Any

import pytest

from fakecluster import Cluster

from .grid import PODS, Grid, namespace, pod

Json = dict[str, Any]
RESOURCE = "networkpolicies.networking.k8s.io"
FRIENDS = {"podSelector": {"matchLabels": {"pod": "b"}}}


def policy(name: str, space: str = "x", **spec: Any) -> Json:
    metadata = {"name": name, "namespace": space}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def reaching(grid: Grid, target: str, protocol: str = "TCP", port: int = 80) -> list[str]:
    return [source for source in PODS if grid.arrives(source, target, protocol, port)]


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
@pytest.mark.parametrize("proxy", ["iptables", "ipvs", "nftables"])
def test_service_traffic_is_judged_behind_dnat(cni: str, proxy: str) -> None:
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "x"},
        "spec": {"selector": {"pod": "a"}, "ports": [{"port": 8080, "targetPort": 80}]},
    }  # fmt: skip
    rule = {"from": [FRIENDS], "ports": [{"port": 80}]}
    cluster = Grid.of(service, policy("p", podSelector={}, ingress=[rule]), cni=cni, proxy=proxy).cluster
    address = cluster.service("web", "x").cluster_ip
    seen = {name: bool(cluster.pod(name, "x").can_reach(address, 8080)) for name in "abc"}
    assert seen == {"a": True, "b": True, "c": False}  # a calls itself


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_a_node_reaches_its_own_pods_and_is_reached_by_them(cni: str) -> None:
    cluster = Grid.of(policy("p", podSelector={}, policyTypes=["Ingress", "Egress"]), cni=cni).cluster
    target = cluster.pod("a", "x")
    assert cluster.node("a").can_reach(target, 80)
    assert not cluster.node("b").can_reach(target, 80)
    assert target.can_reach(cluster.node("a"), 9).outcome == "refused"
    assert target.can_reach(cluster.node("b"), 9).outcome == "no answer"


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_an_open_connection_outlives_a_denial(cni: str) -> None:
    cluster = Grid.of(cni=cni).cluster
    connection = cluster.pod("a", "y").connect(cluster.pod("a", "x"), 80)
    assert connection.request(b"one").body == b"one"
    cluster.apply(policy("p", podSelector={}))
    assert connection.request(b"two").body == b"two"
    assert not cluster.pod("a", "y").can_reach(cluster.pod("a", "x"), 80)


def test_a_denial_names_the_policy() -> None:
    cluster = Grid.of(policy("locked", podSelector={})).cluster
    cause = cluster.pod("a", "y").can_reach(cluster.pod("a", "x"), 80).cause
    assert "mangle NP-POD-IN-" in cause
    assert '"no policy allows ingress of x/a: locked" -j DROP' in cause


def test_a_host_network_pod_is_nobodys_peer_and_no_subject() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply([namespace("x"), pod("x", "a"), pod("x", "h", node="b", host_network=True)])
    cluster.apply(policy("p", podSelector={}, ingress=[{"from": [{"podSelector": {}}]}]))
    assert not cluster.node("b").can_reach(cluster.pod("a", "x"), 80)
    assert cluster.pod("a", "x").can_reach(cluster.node("b"), 80)


def test_each_family_of_a_dual_stack_cluster_is_enforced() -> None:
    cluster = Cluster(nodes=2, ip_family="dual")
    cluster.apply([namespace("x"), pod("x", "a"), pod("x", "b")])
    cluster.apply(policy("p", podSelector={}, ingress=[{"from": [{"ipBlock": {"cidr": "fd00:10:244::/56"}}]}]))
    four, six = (one["ip"] for one in cluster.pod("a", "x").object["status"]["podIPs"])
    assert not cluster.pod("b", "x").can_reach(four, 80)
    assert cluster.pod("b", "x").can_reach(six, 80)


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_nothing_is_left_when_the_last_policy_has_gone(cni: str) -> None:
    clean = Grid.of(cni=cni).cluster
    cluster = Grid.of(policy("p", podSelector={}, ingress=[{"from": [FRIENDS]}]), cni=cni).cluster
    cluster.delete(RESOURCE, "p", "x")
    for command in ("iptables-save -t mangle", "ipset list -n", "nft list ruleset"):
        assert cluster.node("a").run(command) == clean.node("a").run(command)


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_a_group_passes_from_one_policy_to_another_in_one_change(cni: str) -> None:
    grid = Grid.of(policy("p", podSelector={}, ingress=[{"from": [FRIENDS]}]), cni=cni)
    grid.cluster.apply([policy("p", podSelector={}), policy("q", podSelector={}, ingress=[{"from": [FRIENDS]}])])
    assert reaching(grid, "x/a") == ["x/a", "x/b"]
    grid.cluster.delete(RESOURCE, "q", "x", settle=False)
    grid.cluster.apply(policy("p", podSelector={}, ingress=[{"from": [FRIENDS]}]))
    assert reaching(grid, "x/a") == ["x/a", "x/b"]


def test_a_new_label_changes_one_element_of_one_set() -> None:
    cluster = Grid.of(policy("p", podSelector={"matchLabels": {"pod": "a"}}, ingress=[{"from": [FRIENDS]}])).cluster
    before = cluster.node("a").run("iptables-save -t mangle")
    cluster.api.patch("pods", "c", {"metadata": {"labels": {"pod": "b"}}}, "x")
    cluster.settle()
    assert cluster.node("a").run("iptables-save -t mangle") == before
    assert cluster.pod("c", "x").can_reach(cluster.pod("a", "x"), 80)


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
@pytest.mark.parametrize("after", ["the same", "another", "none"])
def test_an_agent_that_starts_again_replaces_what_it_finds(cni: str, after: str) -> None:
    blocks = [{"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.1.0/24"]}}]
    grid = Grid.of(policy("p", podSelector={}, ingress=[{"from": [FRIENDS, *blocks]}]), cni=cni)
    wanted = Grid.of(cni=cni)
    if after == "the same":
        wanted = Grid.of(policy("p", podSelector={}, ingress=[{"from": [FRIENDS, *blocks]}]), cni=cni)
    cluster = grid.cluster
    cluster.faults.kill("network-policy@a")
    if after != "the same":
        cluster.delete(RESOURCE, "p", "x")
    if after == "another":
        other = policy("q", "y", podSelector={}, ingress=[{"from": [{"namespaceSelector": {}}]}])
        cluster.apply(other)
        wanted = Grid.of(other, cni=cni)
    cluster.faults.start("network-policy@a")
    for command in ("iptables-save -t mangle", "ipset save", "nft list ruleset"):
        found, clean = (sorted(one.node("a").run(command).splitlines()) for one in (cluster, wanted.cluster))
        assert found == clean
