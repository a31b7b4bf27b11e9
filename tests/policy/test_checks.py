"""The check finds the usual mistakes, and nothing in policies that are right."""

from __future__ import annotations

from typing import Any

from fakecluster import Cluster, checks

from .grid import namespace, pod

Json = dict[str, Any]


def found(*specs: Json) -> list[str]:
    cluster = Cluster()
    pods = [pod("x", name, app=name) for name in ("a", "c")]
    metas = ({"name": f"p{number}", "namespace": "x"} for number in range(9))
    policies = [
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}
        for meta, spec in zip(metas, specs, strict=False)
    ]
    cluster.apply([namespace("x"), *pods, *policies])
    return [f"{one.subject}: {one.problem}" for one in checks.run(cluster, ["policies"])]


def test_a_policy_that_selects_nothing() -> None:
    assert "netpol/x/p0: selects no Pod" in found({"podSelector": {"matchLabels": {"app": "gone"}}})


def test_a_rule_whose_peers_do_not_exist() -> None:
    spec = {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "gone"}}}]}]}
    assert found(spec) == ["netpol/x/p0: ingress[0] can never match: its peers select no Pod"]


def test_a_named_port_that_nobody_has() -> None:
    spec = {"podSelector": {}, "ingress": [{"ports": [{"port": "metrics"}]}]}
    assert found(spec) == ["netpol/x/p0: ingress[0] names port metrics/TCP, which no Pod it is about has"]


def test_egress_that_forgot_dns() -> None:
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 443}]}]}
    words = "isolates egress and no policy lets x/a reach cluster DNS at UDP 53: it cannot look up names"
    assert found(spec) == [f"netpol/x/p0: {words}"]
    dns = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]}
    assert found(spec, dns) == []


def test_blocks_that_overlap() -> None:
    blocks = [{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"ipBlock": {"cidr": "10.1.0.0/16"}}]
    assert found({"podSelector": {}, "ingress": [{"from": blocks}]}) == [
        "netpol/x/p0: ingress[0] has blocks that overlap: 10.0.0.0/8 and 10.1.0.0/16"
    ]


def test_a_pod_beside_the_protected_ones() -> None:
    assert found({"podSelector": {"matchLabels": {"app": "a"}}}) == [
        "pod/x/c: everything can reach it: policies of its namespace are about other Pods only"
    ]


def test_a_default_deny_is_no_finding() -> None:
    assert found({"podSelector": {}}) == []
