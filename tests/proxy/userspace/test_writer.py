"""Portals and relays of userspace mode, on a node that remembers what it was asked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from proxy_node_stub import StubNode
from proxy_objects import endpoint, endpoint_slice, node, service

from fakecluster.errors import CommandError
from fakecluster.proxy import config
from fakecluster.proxy.process import KubeProxy
from fakecluster.sim import Clock, Seeded


class StubRelays:
    """Ports from 40001 on; what each was told to serve."""

    def __init__(self) -> None:
        self.open_ports: dict[int, str] = {}
        self.served: dict[int, tuple[tuple[tuple[str, int], ...], int]] = {}
        self.claimed: list[int] = []
        self.taken: set[int] = set()

    def open(self, protocol: str, address: str, port: int, *, idle_s: float) -> int:
        if port in self.taken:
            raise CommandError(("listen",), 1, "bind: address already in use")
        port = port or 40001 + len(self.open_ports)
        self.open_ports[port] = protocol
        return port

    def claim(self, protocol: str, address: str, port: int) -> None:
        if port in self.taken or port in self.claimed:
            raise CommandError(("listen",), 1, "bind: address already in use")
        self.claimed.append(port)

    def serve(self, protocol: str, port: int, endpoints: tuple[tuple[str, int], ...], *, affinity_s: int) -> None:
        self.served[port] = (endpoints, affinity_s)

    def close(self, protocol: str, port: int) -> None:
        self.open_ports.pop(port, None)
        if port in self.claimed:
            self.claimed.remove(port)


class World:
    def __init__(self, **fields: object) -> None:
        self.clock, self.node, self.relays = Clock(), StubNode(), StubRelays()
        document = {"apiVersion": config.API_VERSION, "kind": config.KIND, "mode": "userspace", **fields}
        self.proxy = KubeProxy(
            "node-a", config.parse(document), self.node, self.clock, relays=self.relays, choices=Seeded(0)
        )
        self.proxy.on_object("nodes", node())
        self.proxy.start()
        self.clock.settle()

    def service(self, *, deleted: bool = False, **spec: object) -> None:
        self.proxy.on_object("services", service(**spec), deleted=deleted)
        self.clock.advance(1.5)

    def endpoints(self, ips: Sequence[str], **conditions: bool) -> None:
        found = [endpoint(ip, **{"ready": True, **conditions}) for ip in ips]
        self.proxy.on_object("endpointslices.discovery.k8s.io", endpoint_slice(*found))

    def commands(self, word: str) -> list[str]:
        """Those that have the word."""
        return [" ".join(argv) for argv in self.node.commands if word in argv]


def test_only_the_family_of_the_node_is_served():
    assert set(World().proxy.proxiers) == {"IPv4"}


def test_every_service_port_gets_a_proxy_port_and_its_rules():
    world = World()
    world.service()
    assert world.relays.open_ports == {40001: "TCP"}
    assert [line for line in world.commands("KUBE-PORTALS-CONTAINER") if " -A " in line] == [
        "iptables -w 5 -t nat -A KUBE-PORTALS-CONTAINER -m comment --comment shop/web:http -p tcp -m tcp --dport 80 "
        "-d 10.96.0.10/32 -j REDIRECT --to-ports 40001"
    ]


def test_sctp_is_not_relayed():
    world = World()
    world.service(ports=[{"name": "sig", "port": 3868, "protocol": "SCTP"}])
    assert world.relays.open_ports == {}


def test_endpoints_reach_the_relay_without_a_sync():
    world = World()
    world.service()
    before = len(world.node.commands)
    world.endpoints(["10.244.0.4", "10.244.0.5"])
    endpoints, affinity_s = world.relays.served[40001]
    assert (sorted(endpoints), affinity_s) == ([("10.244.0.4", 8080), ("10.244.0.5", 8080)], 0)
    assert len(world.node.commands) == before


def test_endpoints_that_are_not_ready_are_not_served():
    world = World()
    world.service()
    world.endpoints(["10.244.0.4"], ready=False, serving=True)
    assert world.relays.served[40001] == ((), 0)


def test_the_same_endpoints_again_do_not_begin_a_new_round():
    world = World()
    world.service()
    world.endpoints(["10.244.0.4", "10.244.0.5"])
    world.relays.served.clear()
    world.endpoints(["10.244.0.5", "10.244.0.4"])
    assert world.relays.served == {}


def test_a_changed_affinity_timeout_alone_is_not_noticed():
    world = World()
    world.service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}})
    assert world.relays.served[40001] == ((), 60)
    world.service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 90}})
    assert world.relays.served[40001] == ((), 60)


def test_a_changed_service_is_closed_and_opened_anew():
    world = World()
    world.service(ports=[{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}], type="NodePort")
    assert world.relays.claimed == [30080]
    world.service(ports=[{"name": "http", "port": 81, "protocol": "TCP"}])
    assert world.relays.claimed == []
    assert len(world.relays.open_ports) == 1
    assert len([line for line in world.commands("-D") if "shop/web:http" in line]) == 5


def test_flows_to_a_deleted_udp_service_are_forgotten():
    world = World()
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}]
    world.service(ports=ports)
    world.service(ports=ports, deleted=True)
    assert [line for line in world.commands("conntrack") if line.startswith("conntrack")] == [
        "conntrack -D -f ipv4 -p udp --orig-dst 10.96.0.10"
    ]
    assert world.relays.open_ports == {}


def test_proxy_ports_come_from_the_configured_range_as_far_as_they_are_free():
    world = World(portRange="5000-5001")
    world.relays.taken = {5000}
    world.service()
    assert world.relays.open_ports == {5001: "TCP"}


def test_relays_end_with_the_process():
    world = World()
    world.service()
    world.proxy.stop()
    assert world.relays.open_ports == {}


def test_a_node_port_that_someone_else_has_gets_no_rules_but_the_cluster_ip_does() -> None:
    world = World()
    world.relays.taken = {30080}
    world.service(ports=[{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}], type="NodePort")
    assert [line for line in world.commands("KUBE-PORTALS-HOST") if " -A " in line]
    assert not [line for line in world.commands("KUBE-NODEPORT-HOST") if "shop/web:http" in line]
    assert "bind: address already in use" in world.proxy.proxiers["IPv4"].log[0].text
    world.relays.taken = set()
    world.clock.advance(31)
    assert world.relays.claimed == [30080]
    assert [line for line in world.commands("KUBE-NODEPORT-HOST") if " -A " in line and "shop/web:http" in line]


@pytest.mark.parametrize(
    ("addresses", "family"), [(["192.168.1.10", "fd00::10"], "IPv4"), (["fd00::10", "192.168.1.10"], "IPv6")]
)
def test_the_nodes_first_address_decides_the_family(addresses: list[str], family: str) -> None:
    known = node()
    known["status"]["addresses"] = [{"type": "InternalIP", "address": address} for address in addresses]
    document = {"apiVersion": config.API_VERSION, "kind": config.KIND, "mode": "userspace"}
    proxy = KubeProxy("node-a", config.parse(document), StubNode(), Clock(), relays=StubRelays())
    proxy.on_object("nodes", known)
    proxy.start()
    assert set(proxy.proxiers) == {family}
