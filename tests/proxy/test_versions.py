"""What a kube-proxy of an older Kubernetes does otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from proxy_node_stub import StubNode
from proxy_objects import endpoint, endpoint_slice, node, service

from fakecluster.errors import Unsupported
from fakecluster.kernel.netns import Netns
from fakecluster.proxy import config
from fakecluster.proxy.process import KubeProxy
from fakecluster.proxy.versions import CHANGES, VERSIONS, behaviours
from fakecluster.sim import Clock

DNS: list[dict[str, Any]] = [{"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}]
SLICES = "endpointslices.discovery.k8s.io"
FLOW = (
    "ipv4 2 udp 17 29 src=10.244.0.9 dst=10.96.0.10 sport=5000 dport=53 "
    "src=10.244.0.4 dst=10.244.0.9 sport={port} dport=5000 mark=0 use=1\n"
)
LIST = "conntrack -L -f ipv4 -p udp"


class World:
    """A node with the UDP Service `web` and its endpoint 10.244.0.4:5353."""

    def __init__(self, version: str, *, flow_port: int = 5353) -> None:
        self.clock, self.node = Clock(), StubNode()
        self.node.answers[LIST] = FLOW.format(port=flow_port)
        document = config.parse({"apiVersion": config.API_VERSION, "kind": config.KIND})
        self.proxy = KubeProxy("node-a", document, self.node, self.clock, kubernetes=version)
        self.proxy.on_object("nodes", node())
        self.service()
        self.endpoints("10.244.0.4")
        self.proxy.start()
        self.clock.advance(2)
        self.node.commands.clear()

    def service(self, *, deleted: bool = False) -> None:
        self.proxy.on_object("services", service(ports=DNS, type="NodePort"), deleted=deleted)
        self.clock.advance(2)

    def endpoints(self, *ips: str, port: int = 5353) -> None:
        ports = [{"name": "dns", "port": port, "protocol": "UDP"}]
        self.proxy.on_object(SLICES, endpoint_slice(*[endpoint(ip, ready=True) for ip in ips], ports=ports))
        self.clock.advance(2)

    def conntrack(self) -> list[str]:
        return [" ".join(argv) for argv in self.node.commands if argv[0] == "conntrack"]


def test_since_1_32_the_whole_table_is_compared_with_who_serves() -> None:
    world = World("1.32")
    world.endpoints("10.244.0.5")
    assert world.conntrack() == [
        LIST,
        "conntrack -D -f ipv4 -p udp --orig-dst 10.96.0.10 --orig-port-dst 53 --reply-src 10.244.0.4 "
        "--reply-port-src 5353",
    ]


def test_a_service_port_with_the_number_of_a_node_port_is_taken_for_it_too() -> None:
    world = World("1.36")
    other = [{"name": "dns", "port": 30053, "protocol": "UDP"}]
    world.proxy.on_object("services", service("other", ports=other, clusterIP="10.96.0.11", clusterIPs=["10.96.0.11"]))
    slice_ports = [{"name": "dns", "port": 5353, "protocol": "UDP"}]
    serving = endpoint_slice("10.244.0.9", service="other", name="other-1", ports=slice_ports)
    world.proxy.on_object(SLICES, serving)
    served = FLOW.replace("dst=10.96.0.10", "dst=10.96.0.11").replace("dport=53 ", "dport=30053 ", 1)
    world.node.answers[LIST] = served.replace("src=10.244.0.4", "src=10.244.0.9").format(port=5353)
    world.node.commands.clear()
    world.clock.advance(2)
    assert [line.partition("--orig-dst ")[2].partition(" --reply-src")[0] for line in world.conntrack()] == [
        "",
        "10.96.0.11 --orig-port-dst 30053",
    ]


def test_before_1_32_flows_to_each_removed_endpoint_are_deleted() -> None:
    world = World("1.31")
    world.endpoints("10.244.0.5")
    assert world.conntrack() == [
        "conntrack -D --dport 30053 --dst-nat 10.244.0.4 -p udp",
        "conntrack -D --orig-dst 10.96.0.10 --dst-nat 10.244.0.4 -p udp",
    ]


def test_before_1_32_a_service_that_serves_again_or_is_gone_loses_all_its_flows() -> None:
    world = World("1.31")
    world.endpoints()
    world.node.commands.clear()
    world.endpoints("10.244.0.5")
    assert world.conntrack() == ["conntrack -D --orig-dst 10.96.0.10 -p udp", "conntrack -D --dport 30053 -p udp"]
    world.node.commands.clear()
    world.service(deleted=True)
    assert world.conntrack() == ["conntrack -D --orig-dst 10.96.0.10 -p udp"]


@pytest.mark.parametrize(("version", "deletes"), [("1.32", False), ("1.33", False), ("1.34", True), ("1.36", True)])
def test_an_endpoint_that_serves_on_another_port_has_stale_flows_since_1_34(version: str, deletes: bool) -> None:
    world = World(version, flow_port=5353)
    world.endpoints("10.244.0.4", port=5354)
    assert any(line.startswith("conntrack -D") for line in world.conntrack()) is deletes


@pytest.mark.parametrize(("version", "honoured"), [("1.33", False), ("1.34", True)])
def test_hints_that_name_nodes_count_since_1_34(version: str, honoured: bool) -> None:
    world = World(version)
    here, there = ({"forNodes": [{"name": name}]} for name in ("node-a", "node-b"))
    found = [endpoint("10.244.0.4", ready=True, hints=here), endpoint("10.244.1.4", ready=True, hints=there)]
    ports = [{"name": "dns", "port": 5353, "protocol": "UDP"}]
    world.proxy.on_object(SLICES, endpoint_slice(*found, ports=ports))
    world.clock.advance(2)
    written = [text for text in world.node.stdins if "*nat" in text][-1]
    assert ("--to-destination 10.244.1.4:5353" not in written) is honoured


@pytest.mark.parametrize(("version", "chosen"), [("1.35", False), ("1.36", True)])
def test_a_running_pod_wins_over_a_terminating_one_with_its_address_since_1_36(version: str, chosen: bool) -> None:
    world = World(version)
    leaving = endpoint("10.244.0.4", node="node-a", ready=False, serving=False, terminating=True)
    running = endpoint("10.244.0.4", node="node-b", ready=True)
    ports = [{"name": "dns", "port": 5353, "protocol": "UDP"}]
    world.proxy.on_object(SLICES, endpoint_slice(leaving, running, ports=ports))
    world.clock.advance(2)
    written = [text for text in world.node.stdins if "*nat" in text][-1]
    assert ("--to-destination 10.244.0.4:5353" in written) is chosen


@pytest.mark.parametrize(("version", "dropped"), [("1.32", False), ("1.33", True)])
def test_unallocated_cluster_ips_are_dropped_in_nftables_mode_since_1_33(version: str, dropped: bool) -> None:
    netns, clock = Netns("node-a"), Clock()
    document = config.parse({"apiVersion": config.API_VERSION, "kind": config.KIND, "mode": "nftables"})
    proxy = KubeProxy("node-a", document, netns, clock, kubernetes=version)
    cidrs = {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16"]}}
    proxy.on_object("servicecidrs.networking.k8s.io", cidrs)
    proxy.start()
    clock.settle()
    assert ("ip daddr 10.96.0.0/16 drop" in netns.run("nft list chain ip kube-proxy cluster-ips-check")) is dropped


def test_every_change_has_a_source_and_a_known_version() -> None:
    assert all(change.since in VERSIONS and change.source for change in CHANGES)


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"kube-proxy of Kubernetes 1\.20"):
        behaviours("1.20")
