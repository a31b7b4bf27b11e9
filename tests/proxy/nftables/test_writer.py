"""Transactions of nftables mode, as the node is handed them."""

from __future__ import annotations

from proxy_node_stub import StubNode
from proxy_objects import endpoint, endpoint_slice, node, service

from fakecluster.proxy import config
from fakecluster.proxy.process import KubeProxy
from fakecluster.sim import Clock

SLICES = "endpointslices.discovery.k8s.io"
#: KHN6ECMT: the first 8 characters of base32(sha256("shop/web/tcp/http"))
CHAIN = "service-KHN6ECMT-shop/web/tcp/http"
HERE = endpoint("10.244.0.4", ready=True, node="node-a")
THERE = endpoint("10.244.1.9", ready=True)


class World:
    def __init__(self) -> None:
        self.clock, self.node = Clock(), StubNode()
        document = {"apiVersion": config.API_VERSION, "kind": config.KIND, "mode": "nftables"}
        self.proxy = KubeProxy("node-a", config.parse(document), self.node, self.clock)
        self.proxy.on_object("nodes", node())
        self.proxy.on_object("services", service())
        self.proxy.on_object(SLICES, endpoint_slice(HERE, THERE))
        self.proxy.start()
        self.clock.settle()

    def transaction(self) -> list[str]:
        """The lines of the last IPv4 transaction."""
        return [text for text in self.node.stdins if "ip kube-proxy" in text][-1].splitlines()


def test_the_first_transaction_writes_the_chain_of_a_service_and_its_elements() -> None:
    lines = [line for line in World().transaction() if "web" in line or "10.244" in line or "10.96" in line]
    assert lines == [
        f"add chain ip kube-proxy {CHAIN}",
        f"flush chain ip kube-proxy {CHAIN}",
        "add element ip kube-proxy hairpin-connections { 10.244.0.4 . 10.244.0.4 . tcp . 8080 }",
        "add element ip kube-proxy cluster-ips { 10.96.0.10 }",
        f"add element ip kube-proxy service-ips {{ 10.96.0.10 . tcp . 80 : goto {CHAIN} }}",
        f"add rule ip kube-proxy {CHAIN} meta l4proto tcp dnat ip addr . port to numgen random mod 2 map "
        "{ 0 : 10.244.0.4 . 8080 , 1 : 10.244.1.9 . 8080 }",
    ]


def test_a_changed_endpoint_rewrites_its_chain_and_nothing_else() -> None:
    world = World()
    world.proxy.on_object(SLICES, endpoint_slice(HERE))
    world.clock.advance(2)
    assert world.transaction() == [
        f"add chain ip kube-proxy {CHAIN}",
        f"flush chain ip kube-proxy {CHAIN}",
        f"add rule ip kube-proxy {CHAIN} meta l4proto tcp dnat ip addr . port to numgen random mod 1 map "
        "{ 0 : 10.244.0.4 . 8080 }",
    ]


def test_a_deleted_service_leaves_an_empty_chain_behind() -> None:
    world = World()
    world.proxy.on_object("services", service(), deleted=True)
    world.clock.advance(2)
    assert world.transaction() == [
        f"flush chain ip kube-proxy {CHAIN}",
        "delete element ip kube-proxy hairpin-connections { 10.244.0.4 . 10.244.0.4 . tcp . 8080 }",
        "delete element ip kube-proxy cluster-ips { 10.96.0.10 }",
        "delete element ip kube-proxy service-ips { 10.96.0.10 . tcp . 80 }",
    ]


def test_the_empty_chain_goes_before_the_next_sync_a_second_later() -> None:
    world = World()
    world.proxy.on_object("services", service(), deleted=True)
    world.clock.advance(1)
    world.proxy.on_object("services", service("other"))
    world.node.stdins.clear()
    world.clock.advance(1)
    assert world.node.stdins[0] == f"delete chain ip kube-proxy {CHAIN}\n"
    assert world.transaction() == [
        "add element ip kube-proxy cluster-ips { 10.96.0.10 }",
        'add element ip kube-proxy no-endpoint-services { 10.96.0.10 . tcp . 80 comment "shop/other:http" '
        ": goto reject-chain }",
    ]


def test_a_refused_transaction_is_repeated_in_full_after_the_sync_period() -> None:
    world = World()
    world.node.refuse = {"nft"}
    world.proxy.on_object(SLICES, endpoint_slice(HERE))
    world.clock.advance(2)
    assert world.proxy.metrics.get("kubeproxy_sync_proxy_rules_nftables_sync_failures_total", ip_family="IPv4") == 1
    world.node.refuse = set()
    world.clock.advance(31)
    assert any(line.startswith("add table ip kube-proxy") for line in world.transaction())
