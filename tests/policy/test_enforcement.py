"""What stands on a node, what passes, and what a change costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fakecluster import Cluster
from fakecluster.explaining.dumps import node_from_dumps
from fakecluster.explaining.explaining import explain
from fakecluster.explaining.packet_words import parse_packet
from fakecluster.trace import step_text

from .grid import PODS, Grid, namespace, pod
from .test_definitions import admin

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


# --- what a change costs


def written(grid: Grid, change: Callable[[Cluster], object], node: str = "a") -> list[str]:
    """The lines that the agents write on a node for one change, settled."""
    lines: list[str] = []
    netns = grid.cluster.node(node).netns
    run = netns.run

    def recorded(command: Any, stdin: str = "") -> str:
        lines.extend(stdin.splitlines() or [" ".join(command)])
        return run(command, stdin)

    netns.run = recorded  # type: ignore[method-assign]
    change(grid.cluster)
    grid.cluster.settle()
    return lines


def relabel(name: str, space: str, **labels: str) -> Callable[[Cluster], object]:
    return lambda cluster: cluster.api.patch("pods", name, {"metadata": {"labels": labels}}, space)


PEERS_OF_B = policy("p", podSelector={"matchLabels": {"pod": "a"}}, ingress=[{"from": [FRIENDS]}])
OF_EVERYONE = policy("all", podSelector={}, ingress=[{}])


def test_a_peers_new_label_is_one_element_of_one_set() -> None:
    one = written(Grid.of(PEERS_OF_B, OF_EVERYONE), relabel("c", "x", pod="b"))
    assert [line.partition(" ")[0] for line in one] == ["add"]
    one = written(Grid.of(PEERS_OF_B, OF_EVERYONE, cni="nftables"), relabel("c", "x", pod="b"))
    assert [line.partition(" network-policies ")[0] for line in one] == ["add element ip"]


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_a_label_that_chooses_other_policies_rewrites_that_pods_chain_only(cni: str) -> None:
    few = written(Grid.of(PEERS_OF_B, OF_EVERYONE, cni=cni), relabel("c", "x", pod="a"))
    more = [pod("x", f"more-{number}", app="more") for number in range(12)]
    many = written(Grid.of(PEERS_OF_B, OF_EVERYONE, *more, cni=cni), relabel("c", "x", pod="a"))
    assert 0 < len(few) == len(many) < 10
    assert not any("more-" in line for line in many)


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_the_first_policy_about_a_pod_adds_its_entry_to_the_stage(cni: str) -> None:
    grid = Grid.of(PEERS_OF_B, *(pod("x", f"more-{number}", app="more") for number in range(12)), cni=cni)
    lines = written(grid, relabel("more-3", "x", pod="a"))
    assert 0 < len(lines) < 10
    assert not any(f"more-{number}" in line for line in lines for number in range(12) if number != 3)
    assert not grid.cluster.pod("c", "x").can_reach(grid.cluster.pod("more-3", "x"), 80)


def test_what_concerns_no_pod_of_a_node_writes_nothing_there() -> None:
    only_b = policy("q", podSelector={"matchLabels": {"pod": "b"}}, ingress=[{"from": [{"namespaceSelector": {}}]}])
    assert written(Grid.of(PEERS_OF_B), lambda cluster: cluster.apply(only_b)) == []


# --- an agent that dies, a node that boots


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


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_a_node_that_boots_again_enforces_what_it_did(cni: str) -> None:
    cluster = Grid.of(policy("p", podSelector={}, ingress=[{"from": [FRIENDS]}]), cni=cni).cluster
    cluster.faults.crash("a")
    cluster.apply(policy("q", podSelector={}, ingress=[{"from": [{"podSelector": {"matchLabels": {"pod": "c"}}}]}]))
    cluster.faults.boot("a")
    cluster.advance(60)
    target = cluster.pod("a", "x")
    assert [bool(cluster.pod(*reversed(name.split("/"))).can_reach(target, 80)) for name in ("x/b", "x/c", "y/a")] == [
        True,
        True,
        False,
    ]


# --- who is seen, and what else there is


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_a_client_from_outside_is_judged_by_the_address_that_is_seen(cni: str) -> None:
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "x"},
        "spec": {"type": "NodePort", "selector": {"pod": "a"}, "ports": [{"port": 80, "nodePort": 30080}]},
    }  # fmt: skip
    router = policy("p", podSelector={}, ingress=[{"from": [{"ipBlock": {"cidr": "172.18.0.1/32"}}]}])
    cluster = Grid.of(service, router, cni=cni).cluster

    def reached(node: str) -> bool:
        address = cluster.node(node).object["status"]["addresses"][0]["address"]
        return bool(cluster.outside.can_reach(address, 30080))

    assert (reached("a"), reached("b")) == (True, False)  # b masquerades what it sends on
    nodes = {"ipBlock": {"cidr": f"{cluster.node('b').object['status']['addresses'][0]['address']}/32"}}
    cluster.apply(policy("q", podSelector={}, ingress=[{"from": [nodes]}]))
    assert (reached("a"), reached("b")) == (True, True)


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_a_pod_reaches_itself_through_a_service_past_networkpolicies_only(cni: str) -> None:
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "x"},
        "spec": {"selector": {"pod": "a"}, "ports": [{"port": 80}]},
    }  # fmt: skip
    cluster = Grid.of(service, policy("p", podSelector={}, policyTypes=["Ingress", "Egress"]), cni=cni).cluster
    address, own = cluster.service("web", "x").cluster_ip, cluster.pod("a", "x")
    assert own.can_reach(address, 80)
    cluster.apply(admin({"priority": 1, "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}]}))
    assert not own.can_reach(address, 80)
    assert own.can_reach(own, 80)


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_sctp_is_judged_by_its_ports(cni: str) -> None:
    rule = {"ports": [{"protocol": "SCTP", "port": 80}]}
    grid = Grid.of(policy("p", podSelector={}, ingress=[rule]), cni=cni)
    seen = [grid.arrives("y/a", "x/a", protocol, port) for protocol, port in (("SCTP", 80), ("SCTP", 81), ("TCP", 80))]
    assert seen == [True, False, False]


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_an_administrators_denial_is_named_with_its_rule(cni: str) -> None:
    rule = {"name": "no strangers", "action": "Deny", "from": [{"namespaces": {"matchLabels": {"ns": "z"}}}]}
    cluster = Grid.of(admin({"priority": 1, "ingress": [rule]}, name="guard"), cni=cni).cluster
    cause = cluster.pod("a", "z").can_reach(cluster.pod("a", "x"), 80).cause
    assert '"AdminNetworkPolicy guard denies ingress[0] no strangers"' in cause


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_nodes_are_peers_by_their_labels_as_they_change(cni: str) -> None:
    far = {"action": "Deny", "to": [{"nodes": {"matchLabels": {"off": "limits"}}}]}
    cluster = Grid.of(admin({"priority": 1, "egress": [far]}), cni=cni).cluster
    source, node = cluster.pod("a", "x"), cluster.node("b")
    assert source.can_reach(node, 9).outcome == "refused"
    cluster.api.patch("nodes", "b", {"metadata": {"labels": {"off": "limits"}}})
    cluster.settle()
    assert source.can_reach(node, 9).outcome == "no answer"


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_a_tier_that_nobody_uses_any_more_is_taken_away(cni: str) -> None:
    rule = {"action": "Allow", "to": [{"namespaces": {}}]}
    cluster = Grid.of(admin({"priority": 1, "egress": [rule]}), policy("p", podSelector={}), cni=cni).cluster
    cluster.delete("adminnetworkpolicies.policy.networking.k8s.io", "p")
    wanted = Grid.of(policy("p", podSelector={}), cni=cni).cluster
    for command in ("iptables-save -t mangle", "ipset save", "nft list ruleset"):
        found, clean = (sorted(one.node("a").run(command).splitlines()) for one in (cluster, wanted))
        assert found == clean


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_a_nodes_dumps_explain_a_denial_by_the_policys_rule(cni: str) -> None:
    cluster = Grid.of(policy("locked", podSelector={}, ingress=[{"from": [FRIENDS]}]), cni=cni).cluster
    node = cluster.node("a")
    dumps = {
        "iptables-save": "iptables-save",
        "ipset": "ipset save",
        "ip-addr": "ip address show",
        "ip-route": "ip route show",
    }
    dumps |= {"nft": "nft list ruleset"} if cni == "nftables" else {}
    twin = node_from_dumps({kind: (node.run(command), kind) for kind, command in dumps.items()})
    ends = [cluster.pod("a", space).object["status"]["podIP"] for space in ("y", "x")]
    explained = explain(twin, parse_packet(f"tcp {ends[0]}:40000 > {ends[1]}:80 in eth0"))
    steps = [step_text(step) for hop in explained.trace.hops for step in hop.steps]
    assert any("no policy allows ingress of x/a: locked" in step and "drop" in step for step in steps)
