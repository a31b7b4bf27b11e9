"""What a cluster's node prints (`iptables-save`, `nft list ruleset`) loads into the real kernel and does the same there."""

from __future__ import annotations

import re
from typing import Any

import pytest
from both import compare
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from real_node import why_not
from scapy.layers.inet import IP, TCP
from scenario import Inject, Load, React, Scenario

from fakecluster import Cluster
from fakecluster import strategies as kube

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"needs a network namespace of the real kernel: {REASON}")

#: kube-proxy counts with nfacct objects, for which machines seldom have the tool; the counters decide nothing.
_NFACCT = re.compile(r"-m nfacct --nfacct-name +\S+ ")


@pytest.fixture(params=["iptables", "nftables"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """One node with the Pods client (10.244.0.2) and web (10.244.0.3), as the machine of these tests has them."""
    cluster = Cluster(nodes=1, dns=False, proxy=request.param)

    def pod(name: str, **more: Any) -> dict[str, Any]:
        spec = {"containers": [{"name": "main", "image": "example.com/x:1", **more}]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}

    def service(name: str) -> dict[str, Any]:
        spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}], "type": "NodePort"}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}

    cluster.apply(pod("client"))
    cluster.apply([pod("web", ports=[{"containerPort": 8080}]), service("web"), service("empty")])
    assert [cluster.pod(name).ip for name in ("client", "web")] == ["10.244.0.2", "10.244.0.3"]
    return cluster


def loads(cluster: Cluster) -> tuple[Load, ...]:
    node = cluster.node("a")
    text = _NFACCT.sub("", node.run("iptables-save"))
    if cluster.spec.proxy == "iptables":
        return (Load(("iptables-restore",), text),)
    dump = node.run("nft list ruleset")
    return (
        Load(("iptables-legacy-restore",), text),  # legacy, so that nft lists its own tables only
        Load(("nft", "-f", "-"), dump[dump.index("table ip kube-proxy") :]),
    )


def syn(source: str, target: str, port: int, iface: str) -> Inject:
    return Inject(bytes(IP(src=source, dst=target) / TCP(sport=4000, dport=port, flags="S", seq=1)), iface)


def test_the_same_packets_come_out_of_the_real_kernel(cluster: Cluster) -> None:
    web, empty = cluster.service("web"), cluster.service("empty")
    steps = (
        syn("10.244.0.2", web.cluster_ip, 80, "vethA"),  # to the Service, answered, acknowledged
        React(0, "answer"),
        React(1, "answer"),
        syn("10.244.0.3", web.cluster_ip, 80, "vethB"),  # hairpin
        React(-1, "answer"),
        syn("10.244.0.2", empty.cluster_ip, 80, "vethA"),  # no endpoints
        syn("203.0.113.7", "192.168.1.10", web.node_port(), "eth0"),  # node port from outside
        React(-1, "answer"),
    )
    result = compare(Scenario(loads(cluster), steps))
    assert not result.differences, "\n".join(result.differences)
    assert result.outcome in ("compared", "undetermined")
    assert result.packets >= 4


@settings(
    max_examples=6, deadline=None, derandomize=True, database=None, phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(objects=kube.manifests(max_services=2), proxy=st.sampled_from(("iptables", "nftables")))
def test_the_rules_of_random_clusters_do_the_same_in_the_real_kernel(objects: list[dict[str, Any]], proxy: str) -> None:
    cluster = Cluster(nodes=1, dns=False, proxy=proxy)
    cluster.apply(objects[:1])  # the client first: it has to be 10.244.0.2
    cluster.apply(objects[1:])
    steps: list[Inject | React] = []
    for service in cluster.services:
        for port in service.object["spec"]["ports"]:
            if port["protocol"] == "TCP":
                steps += [syn("10.244.0.2", service.cluster_ip, port["port"], "vethA"), React(-1, "answer")]
    result = compare(Scenario(loads(cluster), tuple(steps)))
    assert not result.differences, "\n".join(result.differences)
