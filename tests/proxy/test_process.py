"""The kube-proxy process: starts, restarts, failures, its HTTP ports."""

from __future__ import annotations

import json
from typing import Any

import pytest
from proxy_node_stub import StubNode
from proxy_objects import endpoint, endpoint_slice, node, service

from fakecluster.proxy import config
from fakecluster.proxy.log import LogLine
from fakecluster.proxy.process import KubeProxy
from fakecluster.proxy.service_health import HttpAnswer
from fakecluster.sim import Clock

SLICES = "endpointslices.discovery.k8s.io"
LOCAL: dict[str, Any] = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000}
SYNCS = "kubeproxy_sync_proxy_rules_duration_seconds"


class World:
    def __init__(self, **fields: Any) -> None:
        self.clock, self.node = Clock(), StubNode()
        self.document = {"apiVersion": config.API_VERSION, "kind": config.KIND, **fields}
        self.start()

    def start(self) -> None:
        self.proxy = KubeProxy("node-a", config.parse(self.document), self.node, self.clock, ports=self.node)
        self.proxy.on_object("nodes", node())
        self.proxy.on_object("services", service(**LOCAL))
        self.show_endpoint(ready=True)
        self.proxy.start()
        self.clock.settle()

    def show_endpoint(self, **conditions: bool) -> None:
        found = endpoint_slice(endpoint("10.244.0.4", node="node-a", **conditions))
        self.proxy.on_object(SLICES, found)

    def ask(self, port: int, path: str = "/", address: str = "192.168.1.10") -> HttpAnswer:
        answer = self.proxy.http(address, port, path)
        assert answer is not None
        return answer

    def syncs(self) -> int:
        return self.proxy.metrics.count(SYNCS, ip_family="IPv4")


def test_both_families_sync_once_at_the_start() -> None:
    world = World()
    assert {family: world.proxy.metrics.count(SYNCS, ip_family=family) for family in ("IPv4", "IPv6")} == {
        "IPv4": 1,
        "IPv6": 1,
    }


def test_a_health_check_port_tells_the_number_of_local_ready_endpoints() -> None:
    answer = World().ask(32000)
    assert answer.status == 200
    assert json.loads(answer.body) == {
        "service": {"namespace": "shop", "name": "web"},
        "localEndpoints": 1,
        "serviceProxyHealthy": True,
    }
    assert dict(answer.headers)["X-Load-Balancing-Endpoint-Weight"] == "1"


def test_a_terminating_endpoint_still_serves_but_does_not_count() -> None:
    world = World()
    world.show_endpoint(ready=False, serving=True, terminating=True)
    world.clock.advance(2)
    assert world.ask(32000).status == 503
    assert "--to-destination 10.244.0.4:8080" in world.node.stdins[-1]


def test_ports_close_when_nobody_asks_for_them_any_more() -> None:
    world = World()
    assert ("0.0.0.0", 32000) in world.node.listening
    world.proxy.on_object("services", service(), deleted=False)
    world.clock.advance(2)
    assert ("0.0.0.0", 32000) not in world.node.listening
    world.proxy.stop()
    assert world.node.listening == {}
    assert world.proxy.http("192.168.1.10", 10256, "/healthz") is None


def test_a_health_port_that_is_taken_is_said_and_tried_again() -> None:
    world = World()
    world.proxy.stop()
    world.node.listen("0.0.0.0", 32000, "someone else")
    world.start()
    assert world.proxy.proxiers["IPv4"].log == [
        LogLine(
            0.0,
            '"Failed to start healthcheck" err="bind: address already in use" node="node-a" service="shop/web" port=32000',
            "shop/web",
        )
    ]
    world.node.close("0.0.0.0", 32000)
    world.show_endpoint(ready=False)
    world.clock.advance(2)
    assert world.ask(32000).status == 503


@pytest.mark.parametrize(("path", "status"), [("/healthz", 503), ("/livez", 200)])
def test_a_node_about_to_be_deleted_is_alive_but_not_eligible(path: str, status: int) -> None:
    world = World()
    assert world.ask(10256, path).status == 200
    world.proxy.on_object("nodes", node(taints=[{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]))
    assert world.ask(10256, path).status == status


def test_syncs_that_fail_for_long_make_the_proxy_unhealthy_until_one_succeeds() -> None:
    world = World()
    world.node.refuse = {"iptables-restore"}
    world.show_endpoint(ready=False)
    world.clock.advance(59)
    assert world.ask(10256, "/healthz").status == 200
    world.clock.advance(5)
    assert world.ask(10256, "/healthz").status == 503
    world.node.refuse = set()
    world.clock.advance(31)
    assert world.ask(10256, "/healthz").status == 200
    failures = world.proxy.metrics.get("kubeproxy_sync_proxy_rules_iptables_restore_failures_total", ip_family="IPv4")
    assert failures == 3  # after 1 s, and every 30 s: with the check for the canary that was not missed


def test_an_idle_proxy_syncs_in_full_once_an_hour() -> None:
    world = World()
    full = "kubeproxy_sync_full_proxy_rules_duration_seconds"
    counts = []
    for seconds in (3599, 1, 3600):
        world.clock.advance(seconds)
        counts.append(world.proxy.metrics.count(full, ip_family="IPv4"))
    assert counts == [1, 2, 3]


def test_changes_within_the_minimum_period_cost_one_sync() -> None:
    world = World()
    for ready in (False, True, False):
        world.show_endpoint(ready=ready)
        world.clock.advance(0.2)
    assert world.syncs() == 1
    world.clock.advance(1)
    assert world.syncs() == 2


def test_metrics_and_mode_are_served_on_the_loopback_address_only() -> None:
    world = World(mode="nftables")
    assert world.ask(10249, "/proxyMode", "127.0.0.1").body == "nftables"
    assert f'{SYNCS}_count{{ip_family="IPv4"}} 1' in world.ask(10249, "/metrics", "127.0.0.1").body
    assert world.proxy.http("192.168.1.10", 10249, "/metrics") is None


def test_a_process_that_ended_leaves_no_timer_to_its_successor() -> None:
    world = World()
    for _ in range(3):
        world.clock.advance(7)
        world.proxy.stop()
        world.start()
    world.node.commands.clear()
    world.clock.advance(30.5)
    checks = [argv for argv in world.node.commands if argv[0] == "iptables" and "KUBE-PROXY-CANARY" in argv]
    assert len(checks) == 1


def test_a_mode_removes_what_another_left_and_iptables_leaves_ipvs_alone() -> None:
    tools = {mode: {argv[0] for argv in World(mode=mode).node.commands} for mode in ("iptables", "nftables")}
    assert "ipvsadm" in tools["nftables"]
    assert "ipvsadm" not in tools["iptables"]
    assert "nft" in tools["iptables"]
