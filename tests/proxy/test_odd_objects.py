"""Objects that the API server lets through and that are odd: kube-proxy leaves out what it cannot use, and says so."""

from __future__ import annotations

from typing import Any

import pytest
from proxy_objects import endpoint_slice, node, service
from scapy.layers.inet import IP, TCP

from fakecluster import Cluster
from fakecluster.kernel.netns import Netns
from fakecluster.proxy import config
from fakecluster.proxy.process import KubeProxy
from fakecluster.proxy.view import canonical_ip
from fakecluster.sim import Clock, Scripted

Json = dict[str, Any]
SLICES = "endpointslices.discovery.k8s.io"


class World:
    """One node with a kube-proxy of IPv4 and IPv6."""

    def __init__(self, mode: str = "iptables", **fields: Any) -> None:
        self.clock = Clock()
        self.netns = Netns("node-a", clock=self.clock, choices=Scripted())
        self.netns.add_interface("eth0")
        self.netns.run("ip address add 192.168.1.10/24 dev eth0")
        document = {"apiVersion": config.API_VERSION, "kind": config.KIND, "mode": mode, **fields}
        self.proxy = KubeProxy("node-a", config.parse(document), self.netns, self.clock, choices=Scripted())
        self.proxy.on_object("nodes", node())
        self.proxy.start()
        self.clock.settle()

    def show(self, *objects: Json) -> None:
        for obj in objects:
            self.proxy.on_object("services" if obj["kind"] == "Service" else SLICES, obj)
        self.clock.advance(1.5)

    @property
    def lines(self) -> list[tuple[str, str]]:
        return list(dict.fromkeys((line.service, line.text) for line in self.proxy.log))

    def rules(self, word: str) -> list[str]:
        return [line for line in self.netns.run("iptables-save").splitlines() if word in line]


def test_an_endpoint_port_without_a_number_is_ignored() -> None:
    world = World()
    world.show(service(), endpoint_slice("10.244.0.4", ports=[{"name": "http", "port": None, "protocol": "TCP"}]))
    assert world.lines == [("shop/web", '"Ignoring invalid endpoint port" portName="http"')]
    assert [line.partition(" -j ")[2] for line in world.rules("has no endpoints")] == [
        "REJECT --reject-with icmp-port-unreachable"
    ]


def test_a_slice_that_names_no_service_is_ignored() -> None:
    world, orphan = World(), endpoint_slice("10.244.0.4")
    orphan["metadata"]["labels"] = {}
    world.show(orphan)
    problem = "no kubernetes.io/service-name label set on endpoint slice: web-1"
    assert world.lines == [("", f'"Error getting endpoint slice cache keys" err="{problem}"')]


def test_external_ips_and_source_ranges_that_are_none_are_left_out() -> None:
    world = World()
    status = {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}
    world.show(
        service(
            type="LoadBalancer",
            externalIPs=["example.com", " ", "198.51.100.8"],
            loadBalancerSourceRanges=["203.0.113.0/24", "everyone"],
            externalTrafficPolicy="Local",
            status=status,
        ),
        endpoint_slice("10.244.0.4"),
    )
    assert world.lines == [
        ("shop/web", '"Skipping invalid IP" ip="example.com"'),
        ("shop/web", '"Invalid CIDR ignored" err="invalid CIDR address: everyone" CIDR="everyone"'),
        ("shop/web", '"Service has no healthcheck nodeport" service="shop/web"'),
    ]
    assert ["198.51.100.8/32" in line for line in world.rules("external IP")] == [True]
    assert ["203.0.113.0/24" in line for line in world.rules("-A KUBE-FW-")] == [True, False]


@pytest.mark.parametrize(
    ("mode", "address", "line"),
    [
        ("iptables", "127.0.0.1", "--iptables-localhost-nodeports=false was passed"),
        ("nftables", "127.0.0.1", "localhost NodePorts are not supported"),
        ("iptables", "::1", "localhost NodePorts are not supported on IPv6"),
    ],
)
def test_node_ports_on_loopback_are_refused_where_they_cannot_work(mode: str, address: str, line: str) -> None:
    cidrs = ["127.0.0.0/8", "192.168.1.0/24", "::1/128"]
    world = World(mode, nodePortAddresses=cidrs, iptables={"localhostNodePorts": False})
    said = f'"--nodeport-addresses includes localhost but {line}" address="{address}"'
    assert ("", said) in world.lines


def test_an_ipv4_address_in_ipv6_clothes_is_one_of_ipv4() -> None:
    assert canonical_ip("::ffff:10.0.0.1") == "10.0.0.1"
    world = World()
    world.show(service(externalIPs=["::ffff:198.51.100.8"]), endpoint_slice("10.244.0.4"))
    assert ["-d 198.51.100.8/32" in line for line in world.rules("external IP")] == [True]


def show_two_at_one_external_ip(world: World) -> None:
    for name, number in (("one", 4), ("two", 5)):
        ip = f"10.96.0.{number}"
        world.show(
            service(name, externalIPs=["198.51.100.8"], clusterIP=ip, clusterIPs=[ip]),
            endpoint_slice(f"10.244.0.{number}", service=name, name=f"{name}-1"),
        )


def test_two_services_at_one_address_and_port_both_get_rules_and_the_first_one_is_reached() -> None:
    world = World()
    show_two_at_one_external_ip(world)
    found = [line.partition('--comment "')[2].partition('"')[0] for line in world.rules("external IP")]
    assert found == ["shop/one:http external IP", "shop/two:http external IP"]
    assert world.lines == []


def test_in_nftables_mode_the_later_of_two_services_at_one_address_and_port_has_the_element() -> None:
    world = World("nftables")
    show_two_at_one_external_ip(world)
    listing = world.netns.run("nft list map ip kube-proxy service-ips")
    assert listing.count("198.51.100.8 . tcp . 80 : goto external-") == 1
    assert "198.51.100.8 . tcp . 80 : goto external-74WEBCQ5-shop/two/tcp/http" in listing


def test_an_endpoint_that_is_an_address_of_the_node_is_an_endpoint_like_any_other() -> None:
    world = World()
    world.show(service(), endpoint_slice("192.168.1.10"))
    assert [line.partition("--to-destination ")[2] for line in world.rules("--to-destination")] == ["192.168.1.10:8080"]


def test_a_kernel_that_is_liberal_already_gets_no_rule_against_invalid_packets() -> None:
    strict, liberal = World(), World(conntrack={"tcpBeLiberal": True})
    assert [len(world.rules("--ctstate INVALID")) for world in (strict, liberal)] == [1, 0]
    again = liberal
    again.proxy.stop()
    document = {"apiVersion": config.API_VERSION, "kind": config.KIND}  # asks for nothing, finds it set
    again.proxy = KubeProxy("node-a", config.parse(document), again.netns, again.clock, choices=Scripted())
    again.proxy.start()
    again.clock.settle()
    assert again.rules("--ctstate INVALID") == []


def test_any_change_of_a_slice_is_a_change_but_the_same_object_again_is_none() -> None:
    world, shown = World(), endpoint_slice("10.244.0.4")
    counts = []
    for notes in ({}, {}, {"note": "new"}):
        world.show({**shown, "metadata": {**shown["metadata"], "annotations": notes}})
        metrics = world.proxy.metrics
        syncs = metrics.count("kubeproxy_sync_proxy_rules_duration_seconds", ip_family="IPv4")
        counts.append((syncs, metrics.get("kubeproxy_sync_proxy_rules_endpoint_changes_total")))
    assert counts == [(2, 1), (2, 2), (3, 3)]


def test_the_time_from_a_change_to_the_rules_that_follow_it_is_measured() -> None:
    world = World(iptables={"minSyncPeriod": "5s"})
    world.show(service())
    world.clock.advance(2)
    shown = endpoint_slice("10.244.0.4")
    for happened, ip in (("2026-01-01T00:00:01.25Z", "10.244.0.4"), ("1999-01-01T00:00:00Z", "10.244.0.5")):
        notes = {"endpoints.kubernetes.io/last-change-trigger-time": happened}
        shown = endpoint_slice(ip)
        world.show({**shown, "metadata": {**shown["metadata"], "annotations": notes}})
    world.clock.advance(5)
    found = world.proxy.metrics.histograms["kubeproxy_network_programming_duration_seconds", (("ip_family", "IPv4"),)]
    assert len(found.observations) == 1
    assert (
        'kubeproxy_network_programming_duration_seconds_bucket{ip_family="IPv4",le="0.25"} 0'
        in world.proxy.metrics.text()
    )


def test_ipvs_mode_tells_nothing_of_full_and_partial_syncs() -> None:
    said = {
        mode: World(mode).proxy.metrics.count("kubeproxy_sync_full_proxy_rules_duration_seconds", ip_family="IPv4")
        for mode in ("iptables", "nftables", "ipvs")
    }
    assert said == {"iptables": 1, "nftables": 1, "ipvs": 0}


def test_the_trace_of_a_packet_says_what_kube_proxy_had_to_say_about_its_service() -> None:
    cluster = Cluster(nodes=1, dns=False)
    pod = {"spec": {"containers": [{"name": "main", "image": "example.com/x:1"}]}}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, **pod})
    ports = [{"name": "http", "port": 80, "targetPort": "no-such-port"}]
    for name in ("web", "other"):
        kind = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}}
        cluster.apply({**kind, "spec": {"ports": ports}})
        slice_ports = [{"name": "http", "protocol": "TCP"}]
        made = endpoint_slice("10.244.0.9", service=name, name=f"{name}-1", namespace="default", ports=slice_ports)
        cluster.apply({"apiVersion": "discovery.k8s.io/v1", **made})
    packet = IP(dst=cluster.service("web").cluster_ip) / TCP(dport=80, flags="S")
    trace = cluster.pod("client").send(packet)
    assert [(event.source, event.text) for event in trace.trace.events] == [
        ("kube-proxy@a", '"Ignoring invalid endpoint port" portName="http"')
    ]
    assert str(trace).splitlines()[-1] == ('kube-proxy@a at 0.000 s: "Ignoring invalid endpoint port" portName="http"')


def test_a_packet_of_another_service_says_nothing_of_it() -> None:
    cluster = Cluster(nodes=1, dns=False)
    pod = {"spec": {"containers": [{"name": "main", "image": "example.com/x:1"}]}}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, **pod})
    made = endpoint_slice("10.244.0.9", namespace="default", ports=[{"name": "http", "protocol": "TCP"}])
    cluster.apply({"apiVersion": "discovery.k8s.io/v1", **made})
    trace = cluster.pod("client").send(IP(dst="192.168.1.10") / TCP(dport=80, flags="S"))
    assert trace.trace.events == ()
