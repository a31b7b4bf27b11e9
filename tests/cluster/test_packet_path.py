"""Where packets go: same node, other node, hairpin, nobody listening, no endpoints; in every proxy mode."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP

from fakecluster import Cluster
from fakecluster.handles import ConnectFailed

from .conftest import pod, service

MODES = ("iptables", "nftables", "ipvs")


@pytest.mark.parametrize("proxy", MODES)
@pytest.mark.parametrize("backend", ["a", "b"])
def test_a_cluster_ip_leads_to_a_pod_on_the_same_and_on_another_node(proxy: str, backend: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    objects = [pod("web", {"app": "web"}, port=80, node=backend), service("web", {"app": "web"}), pod("c", node="a")]
    cluster.apply(objects)
    trace = cluster.pod("c").send(IP(dst=cluster.service("web").cluster_ip) / TCP(dport=80, flags="S"))
    assert trace.delivered_to == cluster.pod("web"), trace
    assert trace.received[IP].dst == cluster.pod("web").ip
    assert trace.received[IP].src == cluster.pod("c").ip
    assert trace.received[TCP].dport == 80
    assert trace.reply[IP].src == cluster.service("web").cluster_ip
    assert trace.reply[TCP].flags == "SA"


@pytest.mark.parametrize("proxy", MODES)
def test_a_pod_that_reaches_itself_through_its_service_is_masqueraded(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply([pod("web", {"app": "web"}, port=80, node="b"), service("web", {"app": "web"})])
    answer = cluster.pod("web").connect("svc/web").request(b"me")
    assert answer.server == "web"
    seen = answer.client.rpartition(":")[0]
    assert seen in ("10.244.1.1", "172.18.0.3")  # an address of its node, not its own
    assert seen != cluster.pod("web").ip


def test_dnat_is_decided_once_per_flow(web: list[dict[str, Any]]) -> None:
    cluster = Cluster(nodes=2)
    cluster.apply(web)
    client = cluster.pod("client")
    connection = client.connect("svc/web")
    servers = {connection.request(b"again").server for _ in range(8)}
    assert len(servers) == 1
    (entry,) = [
        line
        for line in cluster.node("a").run("conntrack -L -p tcp").splitlines()
        if f"dst={cluster.service('web').cluster_ip}" in line
    ]
    assert "ESTABLISHED" in entry
    assert f"src={cluster.pod(servers.pop()).ip} dst={client.ip} sport=80" in entry


def test_a_pod_where_nobody_listens_answers_rst() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply([pod("idle", {"app": "idle"}), service("idle", {"app": "idle"}), pod("client")])
    with pytest.raises(ConnectFailed) as refused:
        cluster.pod("client").connect("svc/idle")
    assert refused.value.error == "ECONNREFUSED"
    trace = cluster.pod("client").send(IP(dst=cluster.service("idle").cluster_ip) / TCP(dport=80, flags="S"))
    assert trace.delivered_to == cluster.pod("idle")
    assert trace.reply[TCP].flags == "RA"
    assert trace.reply[IP].src == cluster.service("idle").cluster_ip


def test_a_service_without_endpoints_is_rejected_with_icmp_port_unreachable() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply([service("empty", {"app": "none"}), pod("client", node="b")])
    trace = cluster.pod("client").send(IP(dst=cluster.service("empty").cluster_ip) / TCP(dport=80, flags="S"))
    assert trace.delivered_to is None
    assert (trace.reply[ICMP].type, trace.reply[ICMP].code) == (3, 3)
    assert trace.end is not None
    assert "has no endpoints" in str(trace)
    with pytest.raises(ConnectFailed) as refused:
        cluster.pod("client").connect("svc/empty")
    assert refused.value.error == "ECONNREFUSED"


@pytest.mark.parametrize("proxy", MODES)
def test_a_node_port_is_reached_from_outside_on_every_node(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    objects = [pod("web", {"app": "web"}, port=80, node="a"), service("web", {"app": "web"}, type="NodePort")]
    cluster.apply(objects)
    port = cluster.service("web").node_port()
    for node in cluster.nodes:
        answer = cluster.outside.connect(node, port).request(b"hi")
        assert answer.server == "web"
        assert answer.client.rpartition(":")[0] in ("10.244.0.1", "172.18.0.2", "172.18.0.3")  # policy Cluster: SNAT


def test_policy_local_keeps_the_clients_address_and_drops_elsewhere() -> None:
    cluster = Cluster(nodes=2)
    web = service("web", {"app": "web"}, type="NodePort", externalTrafficPolicy="Local")
    cluster.apply([pod("web", {"app": "web"}, port=80, node="a"), web])
    port = cluster.service("web").node_port()
    answer = cluster.outside.connect(cluster.node("a"), port).request(b"hi")
    assert answer.client.rpartition(":")[0] == "172.18.0.1"
    with pytest.raises(ConnectFailed) as silent:
        cluster.outside.connect(cluster.node("b"), port)
    assert silent.value.error == ""


def test_a_pod_reaches_the_outside_masqueraded_as_its_node() -> None:
    from fakecluster.apps.echo import Echo

    cluster = Cluster(nodes=2)
    cluster.apply(pod("client", node="b"))
    cluster.outside.serve(443, Echo("internet"))
    answer = cluster.pod("client").connect(cluster.outside.ip, 443).request(b"hi")
    assert (answer.server, answer.client.rpartition(":")[0]) == ("internet", cluster.node("b").ip)


def test_udp_is_answered_through_the_service() -> None:
    cluster = Cluster(nodes=2)
    web = pod("web", {"app": "web"}, node="b", ports=[{"containerPort": 9, "protocol": "UDP"}])
    udp = service("web", {"app": "web"}, 9, 9)
    udp["spec"]["ports"][0]["protocol"] = "UDP"
    cluster.apply([web, udp, pod("client", node="a")])
    assert cluster.pod("client").connect("udp://svc/web:9").request(b"ping").body == b"ping"


@pytest.mark.parametrize("family", ["ipv6", "dual"])
@pytest.mark.parametrize("proxy", MODES)
def test_ipv6_and_dual_stack_clusters_connect(family: str, proxy: str) -> None:
    cluster = Cluster(nodes=2, ip_family=family, proxy=proxy)
    dual = service("web", {"app": "web"}, ipFamilyPolicy="PreferDualStack")
    cluster.apply([pod("web", {"app": "web"}, port=80, node="b"), dual, pod("client", node="a")])
    addresses = cluster.service("web").cluster_ips
    assert len(addresses) == (2 if family == "dual" else 1)
    for address in addresses:
        assert cluster.pod("client").connect(address, 80).request(b"hi").server == "web"


@pytest.mark.parametrize("proxy", MODES)
def test_a_load_balancer_address_is_reached_from_outside(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply([pod("web", {"app": "web"}, port=80, node="b"), service("web", {"app": "web"}, type="LoadBalancer")])
    (address,) = cluster.service("web").load_balancer_ips
    assert address == "198.51.100.1"
    assert cluster.outside.connect(address, 80).request(b"hi").server == "web"
    cluster.delete("services", "web")
    cluster.advance(1)
    with pytest.raises(ConnectFailed) as failed:
        cluster.outside.connect(address, 80)
    assert failed.value.error == "ENETUNREACH"


def test_a_local_load_balancer_is_announced_where_the_endpoints_are() -> None:
    cluster = Cluster(nodes=3)
    local = service("web", {"app": "web"}, type="LoadBalancer", externalTrafficPolicy="Local")
    cluster.apply([pod("web", {"app": "web"}, port=80, node="c"), local])
    (address,) = cluster.service("web").load_balancer_ips
    assert cluster.parts.announcer.announced == {address: "c"}
    answer = cluster.outside.connect(address, 80).request(b"hi")
    assert answer.client.rpartition(":")[0] == "172.18.0.1"  # nobody translated the client's address
