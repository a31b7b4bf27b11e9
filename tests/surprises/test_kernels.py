"""What the node's kernel adds: connection tracking, masquerading, loopback, MTU."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP

from fakecluster import Cluster
from fakecluster.apps.echo import Echo
from fakecluster.fabric.links import Port
from fakecluster.handles import ConnectFailed

from .manifests import pod, web
from .page import shows, way_of_last
from .test_endpoints import ALL_MODES, KERNEL_MODES, ending


def test_two_pods_with_the_same_source_port_cannot_both_keep_it_behind_one_node() -> None:
    cluster = Cluster(nodes=1)
    cluster.apply([pod("x", node="a"), pod("y", node="a")])
    cluster.outside.serve(9, Echo("outside"), protocol="udp")
    packet = IP(dst=cluster.outside.ip) / UDP(sport=5000, dport=9) / b"hi"
    (first, _), (second, trace) = [(sent.received, sent) for sent in (cluster.pod(name).send(packet) for name in "xy")]
    shows(trace)
    assert (first[IP].src, first[UDP].sport) == ("172.18.0.2", 5000)
    assert second[IP].src == "172.18.0.2"
    assert second[UDP].sport != 5000


@pytest.mark.parametrize(
    ("proxy", "rules", "end"),
    [
        ("iptables", "as written", "dropped in node/a at INPUT (iptables/filter/INPUT)"),
        ("iptables", "flushed", "delivered in node/a to admin (tcp:9000)"),
        ("nftables", "as written", "martian destination: loopback (route_localnet is 0)"),
    ],
)
def test_localhost_of_a_node_is_a_filter_rule_away_from_its_neighbours(proxy: str, rules: str, end: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    node = cluster.node("a")
    cluster.runtime.listen(node.netns, "tcp", 9000, Echo("admin"), owner=("", "admin"), name="admin")
    if rules == "flushed":
        node.run("iptables -F KUBE-FIREWALL")
    martian = IP(src=cluster.node("b").ip, dst="127.0.0.1") / TCP(sport=1234, dport=9000, flags="S")
    with cluster.network.recorded() as journey:
        cluster.network.inject(Port("node/a", "eth0"), bytes(martian))
        cluster.network.run()
    assert end in cluster.network.trace(journey).headline
    shows(cluster.network.trace(journey))


@pytest.mark.parametrize("proxy", KERNEL_MODES)
def test_small_requests_pass_and_large_ones_vanish_where_icmp_is_filtered(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("b"))
    cluster.node("a").run("ip link set dev eth0 mtu 1400")  # a tunnel that nobody told the Pods about
    assert ending(cluster.pod("client").connect("web", 80)) == "web-1"
    assert cluster.pod("client").connect("web", 80).request(b"z" * 1448).server == "web-1"  # path MTU discovery
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("b"))
    cluster.node("a").run("ip link set dev eth0 mtu 1400")
    cluster.node("a").run("iptables -I OUTPUT -p icmp -j DROP")
    connection = cluster.pod("client").connect("web", 80)
    assert ending(connection) == "web-1"
    with pytest.raises(ConnectFailed, match="no answer"):
        connection.request(b"z" * 1448)
    shows(way_of_last(connection.trace))


@pytest.mark.parametrize("proxy", KERNEL_MODES)
def test_a_full_connection_table_drops_new_flows_and_keeps_the_old_ones(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("b"))
    cluster.node("a").run("sysctl -w net.netfilter.nf_conntrack_max=3")
    client, ip = cluster.pod("client"), cluster.service("web").cluster_ip
    open_ones = [client.connect(ip, 80) for _ in range(3)]
    with pytest.raises(ConnectFailed, match="no answer") as failed:
        client.connect(ip, 80)
    shows(failed.value.trace)
    assert [ending(one) for one in open_ones] == ["web-1", "web-1", "web-1"]


@pytest.mark.parametrize("proxy", ALL_MODES)
def test_a_client_without_a_free_port_fails_before_any_packet_is_sent(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("b"))
    client, ip = cluster.pod("client"), cluster.service("web").cluster_ip
    client.run(["sysctl", "-w", "net.ipv4.ip_local_port_range=40000 40001"])
    for _ in range(2):
        client.connect(ip, 80).close()  # TIME_WAIT keeps the port for a minute
    with pytest.raises(ConnectFailed, match="EADDRNOTAVAIL") as failed:
        client.connect(ip, 80)
    shows(str(failed.value).splitlines()[0])
    cluster.advance(61)
    assert client.connect(ip, 80).request(b"x").server == "web-1"


@pytest.mark.parametrize(("expire", "end"), [(0, "no answer"), (1, "web-2")])
def test_a_reused_source_port_leads_to_the_pod_that_has_gone(expire: int, end: str) -> None:
    cluster = Cluster(nodes=2, proxy="ipvs")
    cluster.apply(web("b"))
    node, client, ip = cluster.node("a"), cluster.pod("client"), cluster.service("web").cluster_ip
    # without it the entry of a server of weight 0 is followed; kernels differ in when they heed it
    node.run(f"sysctl -w net.ipv4.vs.conn_reuse_mode=0 net.ipv4.vs.expire_nodest_conn={expire}")
    client.run(["sysctl", "-w", "net.ipv4.ip_local_port_range=40000 40000"])
    client.connect(ip, 80).close()
    cluster.apply(pod("web-2", "web", node="b"))
    cluster.delete("pods", "web-1")
    cluster.advance(65)  # the client's TIME_WAIT is over, that of IPVS is not
    try:
        seen = client.connect(ip, 80).request(b"x").server
    except ConnectFailed as failed:
        seen = failed.outcome
    assert seen == end
    shows(cluster.traces[-1])
