"""Endpoints that are gone, going or not there yet, and clients that do not notice."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fakecluster import Cluster
from fakecluster.handles import ConnectFailed, Connection

from .manifests import pod, service, web
from .page import shows, way, way_of_last

KERNEL_MODES = ("iptables", "nftables", "ipvs")
ALL_MODES = (*KERNEL_MODES, "userspace")
HALF = Fraction(1, 2)
READINESS = {"readinessProbe": {"exec": {"command": ["ready"]}, "periodSeconds": 1, "failureThreshold": 1}}


def ending(connection: Connection) -> str:
    """Who answers one more request, or what happens instead."""
    try:
        return connection.request(b"hello").server
    except ConnectFailed as failed:
        return failed.outcome


@pytest.mark.parametrize("proxy", KERNEL_MODES)
def test_a_dead_endpoint_is_not_retried(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("a", "b"))
    cluster.pod("web-2").stop_listening()  # without a readiness probe nobody will ever know
    cluster.advance(300)
    seen = cluster.pod("client").outcomes("tcp://svc/web:80", explain=True)
    assert seen.probabilities == {"web-1": HALF, "refused": HALF}
    shows(way(seen, "refused"))


def test_only_the_userspace_proxy_tried_another_endpoint() -> None:
    cluster = Cluster(nodes=2, proxy="userspace")
    cluster.apply(web("a", "b"))
    cluster.pod("web-2").stop_listening()
    assert cluster.pod("client").outcomes("tcp://web:80").probabilities == {"web-1": 1}
    assert {cluster.pod("client").connect("web", 80).request(b"x").server for _ in range(4)} == {"web-1"}
    shows(cluster.traces[-1].headline)


@pytest.mark.parametrize("proxy", KERNEL_MODES)
def test_a_rolling_update_loses_connections_until_the_rules_are_rewritten(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("a", "b"))
    cluster.hold("kube-proxy@a")  # SIGTERM and the new rules race; here the rules lose
    cluster.delete("pods", "web-2")
    cluster.advance(1)
    client = cluster.pod("client")
    seen = client.outcomes("tcp://svc/web:80", explain=True)
    assert seen.probabilities == {"web-1": HALF, "no answer": HALF}
    shows(way(seen, "no answer"))
    cluster.release("kube-proxy@a")
    cluster.settle()
    assert client.outcomes("tcp://web:80").probabilities == {"web-1": 1}


@pytest.mark.parametrize("proxy", KERNEL_MODES)
def test_a_pre_stop_sleep_keeps_the_old_pod_answering_meanwhile(proxy: str) -> None:
    sleeping = {"lifecycle": {"preStop": {"sleep": {"seconds": 10}}}}
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply([*web("a"), pod("web-2", "web", node="b", container=sleeping)])
    cluster.hold("kube-proxy@a")
    cluster.delete("pods", "web-2")
    cluster.advance(1)
    seen = cluster.pod("client").outcomes("tcp://web:80")
    assert seen.probabilities == {"web-1": HALF, "web-2": HALF}
    shows(seen)


@pytest.mark.parametrize("proxy", KERNEL_MODES)
def test_a_long_lived_connection_never_meets_the_new_pods(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("a"))
    connection = cluster.pod("client").connect("web", 80)
    cluster.apply([pod(f"web-{number}", "web") for number in (2, 3, 4)])
    assert {connection.request(b"again").server for _ in range(20)} == {"web-1"}
    shows(cluster.node("a").run("conntrack -L -p tcp"))
    assert len(cluster.pod("client").outcomes("tcp://web:80").destinations) == 4


@pytest.mark.parametrize("proxy", KERNEL_MODES)
def test_udp_clients_keep_sending_to_the_pod_that_has_gone_until_conntrack_is_cleaned(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    first = pod("dns-1", "dns", port=53, protocol="UDP", node="a")
    cluster.apply([first, service("dns", 53, protocol="UDP"), pod("client", node="a")])
    flow = cluster.pod("client").connect("udp://svc/dns:53")
    assert ending(flow) == "dns-1"
    cluster.hold("kube-proxy@a")
    cluster.apply(pod("dns-2", "dns", port=53, protocol="UDP", node="b"))
    cluster.delete("pods", "dns-1")
    cluster.advance(40)
    assert ending(flow) == "no answer"
    shows(way_of_last(flow.trace))
    cluster.release("kube-proxy@a")
    cluster.settle()
    assert ending(flow) == "dns-2"


@pytest.mark.parametrize(("kubernetes", "after"), [("1.36", "no answer"), ("1.31", "refused")])
@pytest.mark.parametrize("proxy", ["iptables", "nftables"])
def test_scaling_a_udp_service_to_zero_leaves_its_flows_in_a_black_hole(
    proxy: str, kubernetes: str, after: str
) -> None:
    cluster = Cluster(nodes=2, proxy=proxy, kubernetes=kubernetes)
    server = pod("dns-1", "dns", port=53, protocol="UDP", node="b")
    cluster.apply([server, service("dns", 53, protocol="UDP"), pod("client", node="a")])
    flow = cluster.pod("client").connect("udp://svc/dns:53")
    assert ending(flow) == "dns-1"
    cluster.delete("pods", "dns-1")
    cluster.advance(3)
    assert ending(flow) == after
    shows(way_of_last(flow.trace))


@pytest.mark.parametrize(("kubernetes", "after"), [("1.36", "dns-1"), ("1.31", "network unreachable")])
def test_a_deleted_udp_service_still_answers_those_who_talked_to_it(kubernetes: str, after: str) -> None:
    cluster = Cluster(nodes=2, kubernetes=kubernetes)
    server = pod("dns-1", "dns", port=53, protocol="UDP", node="b")
    cluster.apply([server, service("dns", 53, protocol="UDP"), pod("client", node="a")])
    flow = cluster.pod("client").connect("udp://svc/dns:53")
    assert ending(flow) == "dns-1"
    cluster.delete("services", "dns")
    cluster.advance(5)
    assert ending(flow) == after
    shows(way_of_last(flow.trace))


@pytest.mark.parametrize("proxy", KERNEL_MODES)
def test_when_every_endpoint_is_terminating_they_are_used_although_not_ready(proxy: str) -> None:
    sleeping = {"lifecycle": {"preStop": {"sleep": {"seconds": 20}}}}
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply([pod("web-1", "web", node="b", container=sleeping), service("web"), pod("client", node="a")])
    cluster.delete("pods", "web-1")
    cluster.advance(5)
    (only,) = [entry["conditions"] for one in cluster.service("web").slices for entry in one["endpoints"]]
    assert only == {"ready": False, "serving": True, "terminating": True}
    seen = cluster.pod("client").outcomes("tcp://svc/web:80", explain=True)
    assert seen.probabilities == {"web-1": 1}
    shows(way(seen, "web-1"))


def test_an_endpoints_object_is_cut_at_a_thousand_addresses() -> None:
    cluster = Cluster(dns=False)
    cluster.apply([{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "elsewhere"}}, service("big")])
    for number in range(1001):
        ip = f"10.9.{number // 250}.{number % 250 + 1}"
        created = cluster.api.create("pods", pod(f"big-{number}", "big", node="elsewhere"), "default")
        ready = [{"type": "Ready", "status": "True"}]
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": ready}
        cluster.api.update_status("pods", {**created, "status": status})
    cluster.settle()
    cluster.advance(2)
    endpoints = cluster.api.get("endpoints", "big", "default")
    assert sum(len(subset["addresses"]) for subset in endpoints["subsets"]) == 1000
    assert endpoints["metadata"]["annotations"]["endpoints.kubernetes.io/over-capacity"] == "truncated"
    shows(endpoints["metadata"]["annotations"])
    assert sum(len(one["endpoints"] or ()) for one in cluster.service("big").slices) == 1001


@pytest.mark.parametrize("proxy", KERNEL_MODES)
def test_readiness_does_not_end_the_connections_that_exist(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply([pod("web-1", "web", node="b", container=READINESS), service("web"), pod("client", node="a")])
    cluster.advance(2)
    connection = cluster.pod("client").connect("web", 80)
    cluster.pod("web-1").set_ready(False)
    cluster.advance(30)
    assert cluster.service("web").ready_pods == []
    assert ending(connection) == "web-1"
    shows(way_of_last(connection.trace))
    assert cluster.pod("client").outcomes("tcp://svc/web:80").probabilities == {"refused": 1}
