"""What hosts say when something cannot be reached, resolved or named."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from fakecluster import Cluster
from fakecluster.handles import ConnectFailed, ResolveFailed, TargetError

POD = {
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
