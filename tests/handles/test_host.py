"""What hosts say when something cannot be reached, resolved or named."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from fakecluster import Cluster
from fakecluster.handles import ConnectFailed, ResolveFailed, TargetError

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "client"},
    "spec": {"containers": [{"name": "main", "image": "example.com/x:1"}]},
}


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster(nodes=2)
    cluster.apply(POD)
    return cluster


def test_a_name_that_does_not_exist_is_nxdomain(cluster: Cluster) -> None:
    with pytest.raises(ResolveFailed, match="nothing: NXDOMAIN"):
        cluster.pod("client").connect("nothing", 80)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("svc/none:80", 'services "none" not found'),
        ("svc/kube-system/kube-dns", "say which port of dns:53, dns-tcp:53, metrics:9153"),
        ("svc/kube-system/kube-dns:http", "no port is named 'http'"),
        ("pod/client", "say which port"),
        ("node/a", "a port is needed"),
        ("web", "a port is needed"),
    ],
)
def test_targets_that_lead_nowhere_say_why(cluster: Cluster, target: str, words: str) -> None:
    with pytest.raises(TargetError, match=words.replace("(", r"\(")):
        cluster.pod("client").connect(target)


def shop_object(kind: str, name: str, spec: dict[str, Any], **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": spec}


WEB = {"nodeName": "b", "containers": [{"name": "main", "image": "example.com/x:1", "ports": [{"containerPort": 80}]}]}
SHOP = [
    shop_object("Pod", "web-1", WEB, app="web"),
    shop_object(
        "Service",
        "web",
        {
            "selector": {"app": "web"},
            "ports": [{"port": 80, "name": "http"}, {"port": 53, "protocol": "UDP", "name": "dns"}],
        },
    ),
    shop_object("Service", "typo", {"selector": {"app": "wbe"}, "ports": [{"port": 80}]}),
    shop_object("Service", "named", {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}),
    shop_object("Service", "bare", {"ports": [{"port": 80}]}),
    shop_object(
        "Service", "local", {"selector": {"app": "web"}, "ports": [{"port": 80}], "internalTrafficPolicy": "Local"}
    ),
]


@pytest.mark.parametrize("proxy", ["iptables", "nftables", "ipvs"])
@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("svc/web:81", "Service default/web has no port 81/TCP, only 80/TCP, 53/UDP"),
        ("web:53", "Service default/web has no port 53/TCP, only 80/TCP, 53/UDP"),
        ("typo:80", "Service default/typo has no ready endpoint: no Pod matches its selector app=wbe"),
        (
            "named:80",
            "Service default/named has no ready endpoint: 1 Pod matches its selector app=web, none is ready for this port",
        ),
        ("bare:80", "Service default/bare has no ready endpoint: it has no selector, and its EndpointSlices list none"),
        ("local:80", "Service default/local has internalTrafficPolicy Local and no ready endpoint on node a"),
        ("pod/web-1:81", "Pod default/web-1 declares no port 81/TCP, only 80/TCP"),
        ("pod/client:80", "Pod default/client declares no port 80/TCP and no other"),
        ("10.96.9.9:80", "no Service has this address"),
        ("192.0.2.1:80", ""),
    ],
)
def test_what_fails_says_what_the_target_lacks(proxy: str, target: str, hint: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply([{**POD, "spec": {**POD["spec"], "nodeName": "a"}}, *SHOP])
    reach = cluster.pod("client").can_reach(target)
    assert not reach
    assert reach.hint == hint
    assert hint in repr(reach) and hint in str(reach)
    with pytest.raises(ConnectFailed) as failed:
        cluster.pod("client").connect(target)
    assert (failed.value.hint, f"({hint})" in str(failed.value)) == (hint, bool(hint))


def test_what_is_there_but_shut_off_needs_no_hint(cluster: Cluster) -> None:
    cluster.apply(SHOP)
    cluster.pod("web-1").run("iptables -A INPUT -p tcp -j DROP")
    reach = cluster.pod("client").can_reach("web:80")
    assert (reach.hint, reach.cause.partition(" at ")[0]) == ("", "dropped in pod/web-1")


def test_readiness_that_no_probe_asks_for_cannot_be_set(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="pod/default/client has no readiness probe that runs a command: give its"):
        cluster.pod("client").set_ready(False)


def test_what_nobody_answers_is_no_answer_now_and_times_out_later(cluster: Cluster) -> None:
    client = cluster.pod("client")
    cluster.outside.run("iptables -A INPUT -j DROP")
    with pytest.raises(ConnectFailed) as silent:
        client.connect(cluster.outside.ip, 80)
    assert (silent.value.error, silent.value.outcome) == ("", "no answer")
    with pytest.raises(ConnectFailed) as timed_out:
        client.connect(cluster.outside.ip, 80, timeout_s=200)
    assert (timed_out.value.error, timed_out.value.outcome) == ("ETIMEDOUT", "timed out")


def test_source_and_port_of_a_packet_are_filled_in_as_the_kernel_would(cluster: Cluster) -> None:
    client = cluster.pod("client")
    packet = IP(dst=cluster.outside.ip) / UDP(dport=9)
    one, two = (client.send(packet) for _ in range(2))
    assert one.hops[0].packet_in[12:16] == IPv4Address(client.ip).packed
    assert one.hops[0].packet_in[20:22] != two.hops[0].packet_in[20:22]
    assert "src" not in packet.fields  # the caller's packet stays as it was


def test_an_ethernet_header_is_left_out_and_other_packets_are_refused(cluster: Cluster) -> None:
    client = cluster.pod("client")
    assert client.send(Ether() / IP(dst=cluster.outside.ip) / UDP(dport=9)).delivered_to == cluster.outside
    with pytest.raises(ValueError, match="expected an IP or IPv6 packet, not UDP"):
        client.send(UDP(dport=9))
    with pytest.raises(ValueError):
        client.send(b"\x45")


def test_a_pod_that_does_not_run_says_in_which_phase_it_is(cluster: Cluster) -> None:
    cluster.apply({**POD, "metadata": {"name": "late"}, "spec": {**POD["spec"], "nodeSelector": {"no": "where"}}})
    with pytest.raises(LookupError, match=r"does not run \(phase Pending\)"):
        cluster.pod("late").connect("svc/kube-system/kube-dns:dns")


def test_handles_of_the_same_thing_are_equal(cluster: Cluster) -> None:
    assert cluster.pod("client") == cluster.pod("client") != cluster.node("a")
    assert len({cluster.service("x"), cluster.service("x")}) == 1
