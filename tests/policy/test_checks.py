"""The check finds the usual mistakes, and nothing in policies that are right."""

from __future__ import annotations

from typing import Any

from fakecluster import Cluster, checks
from fakecluster.policy.definitions import policy_definitions

from .grid import namespace, pod
from .test_definitions import EVERYONE, admin

Json = dict[str, Any]


def found(*specs: Json, more: list[Json] | None = None) -> list[str]:
    cluster = Cluster()
    pods = [*policy_definitions(), *(pod("x", name, app=name) for name in ("a", "c"))]
    metas = ({"name": f"p{number}", "namespace": "x"} for number in range(9))
    policies = [
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}
        for meta, spec in zip(metas, specs, strict=False)
    ]
    cluster.apply([namespace("x"), *pods, *policies, *(more or [])])
    return [f"{one.subject}: {one.problem}" for one in checks.run(cluster, ["policies"])]


def of(*blocks: str, holes: tuple[str, ...] = ()) -> Json:
    return {"from": [{"ipBlock": {"cidr": cidr, **({"except": list(holes)} if holes else {})}} for cidr in blocks]}


def test_a_policy_that_selects_nothing() -> None:
    assert "netpol/x/p0: selects no Pod" in found({"podSelector": {"matchLabels": {"app": "gone"}}})
    both = {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "c"]}]}}
    assert found(both) == []


def test_a_rule_whose_peers_do_not_exist() -> None:
    spec = {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "gone"}}}]}]}
    assert found(spec) == ["netpol/x/p0: ingress[0] can never match: its peers select no Pod"]
    spec["ingress"][0]["from"].append({"podSelector": {"matchLabels": {"app": "c"}}})
    assert found(spec) == []


def test_a_block_of_which_nothing_is_left_or_that_no_address_is_in() -> None:
    halves = of("10.0.0.0/8", holes=("10.0.0.0/9", "10.128.0.0/9"))
    assert found({"podSelector": {}, "ingress": [halves]}) == [
        "netpol/x/p0: ingress[0] can never match: nothing of 10.0.0.0/8 is left"
    ]
    assert found({"podSelector": {}, "ingress": [of("fd00::/8")]}) == [
        "netpol/x/p0: ingress[0] can never match: the cluster has no IPv6"
    ]
    assert found({"podSelector": {}, "ingress": [of("10.0.0.0/8", holes=("10.0.0.0/9", "10.128.0.0/10"))]}) == []


def test_a_rule_that_an_earlier_one_hides() -> None:
    pods_a = {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "a"}}}}
    wide, narrow = {"action": "Deny", "from": [EVERYONE]}, {"action": "Allow", "from": [pods_a]}
    assert found(more=[admin({"priority": 1, "ingress": [wide, narrow]})]) == [
        "anp/p: ingress[1] can never match: ingress[0] is asked before and fits as well"
    ]
    assert found(more=[admin({"priority": 1, "ingress": [narrow, wide]})]) == []


def test_an_administrators_rule_about_nodes_or_ports_that_do_not_exist() -> None:
    nodes = {"action": "Deny", "to": [{"nodes": {"matchLabels": {"disk": "ssd"}}}]}
    port = {"action": "Deny", "to": [EVERYONE], "ports": [{"namedPort": "gone"}]}
    assert found(more=[admin({"priority": 1, "egress": [nodes, port]})]) == [
        "anp/p: egress[0] can never match: its peers select no node",
        "anp/p: egress[1] names port gone, which no Pod it is about has",
    ]


def test_a_named_port_that_nobody_has() -> None:
    spec = {"podSelector": {}, "ingress": [{"ports": [{"port": "metrics"}]}]}
    assert found(spec) == ["netpol/x/p0: ingress[0] names port metrics/TCP, which no Pod it is about has"]
    assert found({"podSelector": {}, "ingress": [{"ports": [{"port": "serve-80-tcp"}]}]}) == []


def test_egress_that_forgot_dns() -> None:
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 443}]}]}
    words = "isolates egress and no policy lets x/a reach cluster DNS at UDP 53: it cannot look up names"
    assert found(spec) == [f"netpol/x/p0: {words}"]
    dns = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]}
    assert found(spec, dns) == []


def test_dns_that_is_allowed_to_the_wrong_pods_is_not_allowed() -> None:
    rule = {"to": [{"podSelector": {}}], "ports": [{"port": 53, "protocol": "UDP"}]}
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}
    assert [one.partition(": ")[0] for one in found(spec)] == ["netpol/x/p0"]
    rule["to"] = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]
    assert found(spec) == []


def test_an_administrator_can_cut_off_dns_as_well() -> None:
    deny = {"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}]}
    (words,) = found(more=[admin({"priority": 1, "egress": [deny]})])
    assert words.startswith("anp/p: isolates egress and no policy lets kube-system/coredns-")


def test_blocks_that_overlap() -> None:
    blocks = [{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"ipBlock": {"cidr": "10.1.0.0/16"}}]
    assert found({"podSelector": {}, "ingress": [{"from": blocks}]}) == [
        "netpol/x/p0: ingress[0] has blocks that overlap: 10.0.0.0/8 and 10.1.0.0/16"
    ]


def test_a_hole_that_another_rule_fills() -> None:
    kept = of("10.0.0.0/8", holes=("10.1.0.0/16",))
    assert found({"podSelector": {}, "ingress": [kept, of("10.1.2.0/24")]}) == [
        "netpol/x/p0: ingress[1] lets in by 10.1.2.0/24 what ingress[0] leaves out: 10.1.0.0/16"
    ]
    assert found({"podSelector": {}, "ingress": [kept, of("10.0.0.0/9", holes=("10.1.0.0/16",))]}) == []


def test_a_pod_that_a_wide_rule_opens() -> None:
    words = "everything can reach it, because of policy x/p0"
    assert found({"podSelector": {"matchLabels": {"app": "a"}}, "ingress": [{}]}, {"podSelector": {}}) == [
        f"pod/x/a: {words}"
    ]


def test_policies_of_another_vendor_are_said_to_be_unenforced() -> None:
    names = {"kind": "CiliumNetworkPolicy", "plural": "ciliumnetworkpolicies", "singular": "ciliumnetworkpolicy"}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v2", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "ciliumnetworkpolicies.cilium.io"},
        "spec": {"group": "cilium.io", "scope": "Namespaced", "names": names, "versions": [version]},
    }  # fmt: skip
    policy = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "l7", "namespace": "x"}}
    assert found(more=[definition, policy]) == [
        "ciliumnetworkpolicies.cilium.io/x/l7: is kept but not enforced: policies of cilium.io are not modelled"
    ]


def test_a_pod_beside_the_protected_ones() -> None:
    assert found({"podSelector": {"matchLabels": {"app": "a"}}}) == [
        "pod/x/c: everything can reach it: policies of its namespace are about other Pods only"
    ]


def test_a_default_deny_is_no_finding() -> None:
    assert found({"podSelector": {}}) == []
