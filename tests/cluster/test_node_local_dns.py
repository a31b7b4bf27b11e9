"""NodeLocal DNSCache: the same names from a cache on the Pod's own node."""

from __future__ import annotations

from typing import Any

import pytest

from fakecluster import Cluster
from fakecluster.cluster import node_local_dns
from fakecluster.errors import Unsupported

CLIENT = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "client"},
    "spec": {"containers": [{"name": "main", "image": "busybox"}]},
}
WEB = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"clusterIP": "10.96.7.7", "ports": [{"name": "http", "port": 80}]},
}


def cluster_with(*objects: dict[str, Any], **options: Any) -> Cluster:
    cluster = Cluster(nodes=2, node_local_dns=True, **options)
    cluster.apply([CLIENT, *objects])
    return cluster


def test_node_local_dns_answers_on_the_pod_s_own_node() -> None:
    cluster = cluster_with(WEB)
    client = cluster.pod("client")
    assert client.resolv_conf.nameservers == ("169.254.20.10",)
    assert client.resolve("web") == ["10.96.7.7"]
    first = cluster.traces[-1].hops
    assert next(hop.namespace for hop in first if hop.verdict.what == "delivered") == f"node/{client.node.name}"


def test_node_local_dns_keeps_answers_of_the_cluster_for_30_seconds() -> None:
    cluster = cluster_with(WEB)
    client = cluster.pod("client")
    assert client.resolve("web") == ["10.96.7.7"]
    cluster.delete("services", "web")
    assert client.resolve("web") == ["10.96.7.7"]
    cluster.advance(30)
    assert client.lookup("web").status == "NXDOMAIN"


def test_node_local_dns_goes_with_its_daemon_set() -> None:
    cluster = cluster_with()
    assert "169.254.20.10" in cluster.node("a").run("iptables-save -t raw")
    cluster.delete("daemonsets.apps", "node-local-dns", "kube-system")
    cluster.advance(31)
    assert "169.254.20.10" not in cluster.node("a").run("iptables-save")
    assert "169.254.20.10" not in cluster.node("a").ips
    assert cluster.pod("client").lookup("kubernetes").status == "TIMEOUT"


def test_node_local_dns_ends_when_its_port_is_taken() -> None:
    cluster = Cluster(nodes=1, node_local_dns=True)
    cluster.delete("daemonsets.apps", node_local_dns.NAME, "kube-system")
    cluster.advance(31)
    container = {"name": "main", "image": "dnsmasq", "ports": [{"containerPort": 53, "protocol": "UDP"}]}
    rival = {**CLIENT, "metadata": {"name": "rival"}, "spec": {"hostNetwork": True, "containers": [container]}}
    cluster.apply([rival, node_local_dns.daemon_set()])
    assert set(cluster.dns.log) == {"node/a: [ERROR] listen 169.254.20.10:53: EADDRINUSE"}
    assert "169.254.20.10" not in cluster.node("a").ips
    cluster.delete("pods", "rival")
    cluster.advance(120)  # the kubelet backs off before it tries again
    assert "169.254.20.10" in cluster.node("a").ips


def test_node_local_dns_needs_dns_and_ipv4() -> None:
    with pytest.raises(ValueError, match="dns=True"):
        Cluster(node_local_dns=True, dns=False)
    with pytest.raises(Unsupported, match="NodeLocal DNS"):
        Cluster(node_local_dns=True, ip_family="ipv6")


@pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables", "userspace"])
def test_node_local_dns_works_with_every_proxy(mode: str) -> None:
    cluster = cluster_with(WEB, proxy=mode)
    cluster.outside.dns["example.com"] = "198.51.100.7"
    client = cluster.pod("client")
    assert client.resolve("web") == ["10.96.7.7"]
    assert client.resolve("example.com.") == ["198.51.100.7"]
    assert client.resolve("7.7.96.10.in-addr.arpa.", "PTR") == ["web.default.svc.cluster.local."]
