"""What tells the proxy modes apart, in a whole cluster: one named difference a test."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP

from fakecluster import Cluster
from fakecluster.handles import ConnectFailed
from fakecluster.sim import Seeded

Json = dict[str, Any]
MODES = ("iptables", "ipvs", "nftables", "userspace")
BALANCING_IN_KERNEL = ("iptables", "ipvs", "nftables")


def _pod(name: str, node: str, *, app: str = "", **container: Any) -> Json:
    ports = {"ports": [{"containerPort": 80}]} if app else {}
    spec = {"containers": [{"name": "main", "image": "example.com/x:1", **ports, **container}], "nodeName": node}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": app}}, "spec": spec}


def _service(**spec: Any) -> Json:
    whole = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": whole}


def _cluster(proxy: str, *, pods: int = 2, probe: bool = False, **spec: Any) -> Cluster:
    """Web Pods on alternate nodes behind the Service `web`, and a client on node a."""
    ready = {"readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1, "failureThreshold": 1}}
    web = [_pod(f"web-{n}", "ba"[n % 2], app="web", **(ready if probe else {})) for n in range(1, pods + 1)]
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply([*web, _service(**spec), _pod("client", "a")])
    cluster.advance(3)
    return cluster


def _servers(cluster: Cluster, connections: int) -> list[str]:
    client = cluster.pod("client")
    return [client.connect("svc/web").request(b"hi").server for _ in range(connections)]


def _silence(cluster: Cluster, pod: str) -> None:
    cluster.pod(pod).run("iptables -A INPUT -p tcp --dport 80 -j DROP")


# -- choice --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("proxy", "chances"), [("iptables", {Fraction(1, 2)}), ("nftables", {Fraction(1, 2)})])
def test_iptables_and_nftables_choose_at_random(proxy: str, chances: set[Fraction]) -> None:
    seen = _cluster(proxy).pod("client").outcomes("tcp://svc/web:80").probabilities
    assert (set(seen), set(seen.values())) == ({"web-1", "web-2"}, chances)


@pytest.mark.parametrize("proxy", ["ipvs", "userspace"])
def test_ipvs_and_userspace_leave_nothing_to_chance_but_go_round(proxy: str) -> None:
    cluster = _cluster(proxy, pods=3)
    copies = [cluster.fork(choices=Seeded(seed)) for seed in range(5)]
    assert len({copy.pod("client").connect("svc/web").request(b"hi").server for copy in copies}) == 1
    servers = _servers(cluster, 6)
    assert set(servers[:3]) == {"web-1", "web-2", "web-3"}
    assert servers[3:] == servers[:3]


def test_ipvs_begins_its_round_with_a_new_pod_after_all_others() -> None:
    cluster = _cluster("ipvs")
    first = _servers(cluster, 1)[0]
    cluster.apply(_pod("web-3", "a", app="web"))
    cluster.advance(3)
    assert _servers(cluster, 3)[1:] == ["web-3", first]  # it went to the head of the list


# -- a Pod that does not answer -------------------------------------------------------------------------------------


@pytest.mark.parametrize("proxy", BALANCING_IN_KERNEL)
def test_no_mode_in_the_kernel_tries_another_pod_when_the_one_it_took_is_dead(proxy: str) -> None:
    cluster = _cluster(proxy)
    _silence(cluster, "web-1")
    _silence(cluster, "web-2")
    dead = cluster.fork()
    cluster.pod("web-2").run("iptables -F INPUT")
    reached = []
    for _ in range(8):
        try:
            reached.append(cluster.pod("client").connect("svc/web", timeout_s=1).request(b"hi").server)
        except ConnectFailed:
            reached.append("")
    assert set(reached) == {"", "web-2"}
    with pytest.raises(ConnectFailed):
        dead.pod("client").connect("svc/web", timeout_s=1)


def test_userspace_goes_on_to_the_next_pod_when_the_one_it_took_is_dead() -> None:
    cluster = _cluster("userspace")
    _silence(cluster, "web-1")
    assert [cluster.pod("client").connect("svc/web").request(b"hi", timeout_s=1).server for _ in range(4)] == [
        "web-2"
    ] * 4


@pytest.mark.parametrize("proxy", MODES)
def test_a_failing_readiness_probe_takes_a_pod_out_of_every_mode(proxy: str) -> None:
    cluster = _cluster(proxy, probe=True)
    cluster.pod("web-1").stop_listening(80)
    cluster.advance(5)
    assert set(_servers(cluster, 4)) == {"web-2"}


# -- who the backend sees -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proxy", BALANCING_IN_KERNEL)
def test_a_backend_sees_the_clients_address_in_every_mode_of_the_kernel(proxy: str) -> None:
    cluster = _cluster(proxy)
    client = cluster.pod("client")
    assert client.connect("svc/web").request(b"hi").client.rpartition(":")[0] == client.ip


def test_behind_userspace_the_clients_address_is_lost() -> None:
    cluster = _cluster("userspace")
    client, node = cluster.pod("client"), cluster.node("a")
    seen = {client.connect("svc/web").request(b"hi").client.rpartition(":")[0] for _ in range(2)}
    assert client.ip not in seen
    assert seen <= set(node.ips)


@pytest.mark.parametrize(("proxy", "crossings"), [("iptables", 0), ("ipvs", 0), ("nftables", 0), ("userspace", 4)])
def test_only_userspace_pays_with_crossings_between_kernel_and_user_space(proxy: str, crossings: int) -> None:
    connection = _cluster(proxy).pod("client").connect("svc/web")
    connection.request(b"hi")
    assert connection.trace.trace.crossings == crossings  # the question up and down, the answer up and down


# -- affinity ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proxy", MODES)
def test_session_affinity_keeps_a_client_on_one_pod_in_every_mode(proxy: str) -> None:
    timeout = {"clientIP": {"timeoutSeconds": 60}}
    cluster = _cluster(proxy, sessionAffinity="ClientIP", sessionAffinityConfig=timeout)
    servers = _servers(cluster, 5)
    assert len(set(servers)) == 1


# -- established connections ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("proxy", MODES)
def test_an_established_connection_outlives_its_endpoint_leaving_the_service(proxy: str) -> None:
    cluster = _cluster(proxy)
    connection = cluster.pod("client").connect("svc/web")
    server = connection.request(b"hi").server
    cluster.api.patch("pods", server, {"metadata": {"labels": {"app": "other"}}}, "default")
    cluster.advance(3)
    assert connection.request(b"again").server == server
    assert server not in _servers(cluster, 3)


def test_ipvs_keeps_a_leaving_server_at_weight_zero_until_its_connections_end() -> None:
    cluster = _cluster("ipvs")
    connection = cluster.pod("client").connect("svc/web")
    server = connection.request(b"hi").server
    ip = cluster.pod(server).ip
    cluster.api.patch("pods", server, {"metadata": {"labels": {"app": "other"}}}, "default")
    cluster.advance(3)
    assert f"-r {ip}:80 -m -w 0" in cluster.node("a").run("ipvsadm -Sn")
    connection.reset()
    cluster.advance(80)  # CLOSE runs out after 10 s, the list is looked through every minute
    assert f"-r {ip}:80" not in cluster.node("a").run("ipvsadm -Sn")


# -- service addresses ----------------------------------------------------------------------------------------------


def test_only_ipvs_has_service_addresses_on_the_node() -> None:
    with_address = {}
    for proxy in MODES:
        cluster = _cluster(proxy, pods=1)
        with_address[proxy] = f"{cluster.service('web').cluster_ip}/32" in cluster.node("a").run("ip address show")
    assert with_address == {"iptables": False, "ipvs": True, "nftables": False, "userspace": False}


def test_a_ping_to_a_cluster_ip_is_refused_by_ipvs() -> None:
    cluster = _cluster("ipvs")
    trace = cluster.pod("client").send(IP(dst=cluster.service("web").cluster_ip) / ICMP())
    assert trace.reply[ICMP].type == 3
    assert trace.reply[ICMP].code == 3


def test_another_port_of_a_cluster_ip_is_refused_by_ipvs_even_where_the_node_listens() -> None:
    ipvs, iptables = _cluster("ipvs"), _cluster("iptables")
    packet = IP(dst=ipvs.service("web").cluster_ip) / TCP(dport=10256, flags="S")
    refused = ipvs.pod("client").send(packet)
    assert (refused.reply[IP].src, refused.reply[ICMP].type) == (packet.dst, 3)
    elsewhere = iptables.pod("client").send(packet)
    assert elsewhere.reply[IP].src == "172.18.0.1"  # it left the node: the gateway says that it knows no way


def test_a_client_port_that_is_used_again_reaches_the_same_server_while_ipvs_knows_the_connection() -> None:
    cluster = _cluster("ipvs")
    client, address = cluster.pod("client"), cluster.service("web").cluster_ip
    seen = [client.send(IP(dst=address) / TCP(sport=40000, dport=80, flags="S")).delivered_to for _ in range(3)]
    assert len(set(seen)) == 1


def test_a_client_port_that_is_used_again_during_a_rollout_is_scheduled_anew() -> None:
    cluster = _cluster("ipvs")
    client, address = cluster.pod("client"), cluster.service("web").cluster_ip
    syn = IP(dst=address) / TCP(sport=40000, dport=80, flags="S")
    first = client.send(syn).delivered_to
    assert first is not None
    cluster.api.patch("pods", first.name, {"metadata": {"labels": {"app": "other"}}}, "default")
    cluster.advance(3)
    again = client.send(syn).delivered_to
    assert {first.name, again.name} == {"web-1", "web-2"}


@pytest.mark.parametrize(
    ("proxy", "reaches"), [("iptables", False), ("nftables", False), ("ipvs", True), ("userspace", True)]
)
def test_local_policy_without_a_local_pod_is_strict_in_two_modes_only(proxy: str, reaches: bool) -> None:
    cluster = _cluster(proxy, pods=1, type="NodePort", internalTrafficPolicy="Local")
    cluster.apply(_pod("stranger", "b"))
    assert cluster.pod("web-1").node.name == "a"
    assert bool(cluster.pod("stranger").can_reach("svc/web")) is reaches


def test_ipvs_has_no_other_endpoints_to_fall_back_to_where_a_service_is_for_the_inside_only() -> None:
    cluster = _cluster("ipvs", pods=1, internalTrafficPolicy="Local")
    cluster.apply(_pod("stranger", "b"))
    assert cluster.pod("stranger").can_reach("svc/web").outcome == "refused"
