"""Exact outcomes over the same rules."""

from __future__ import annotations

from fractions import Fraction

import pytest
from scapy.layers.inet import IP, TCP

from fakecluster import Cluster
from fakecluster.errors import OutcomesError

from .conftest import pod, service


@pytest.fixture
def three() -> Cluster:
    cluster = Cluster(nodes=3)
    objects = [pod(f"web-{n}", {"app": "web"}, port=80, node=node) for n, node in enumerate("abc", 1)]
    cluster.apply([*objects, service("web", {"app": "web"}), pod("client", node="a")])
    return cluster


def test_iptables_probabilities_are_those_of_the_kernels_32_bit_numbers(three: Cluster) -> None:
    seen = three.pod("client").outcomes("tcp://svc/web:80").probabilities
    assert set(seen) == {"web-1", "web-2", "web-3"}
    assert sum(seen.values()) == 1
    first = Fraction(715827883, 2**31)  # --probability 0.33333333349
    assert sorted(seen.values()) == sorted([first, (1 - first) / 2, (1 - first) / 2])


def test_a_packet_and_a_connection_have_the_same_outcomes(three: Cluster) -> None:
    client = three.pod("client")
    packet = client.outcomes(IP(dst=three.service("web").cluster_ip) / TCP(dport=80, flags="S"))
    assert packet.probabilities == client.outcomes("tcp://svc/web:80").probabilities
    assert packet.destinations == {"web-1", "web-2", "web-3"}


def test_the_cluster_is_not_changed_by_asking(three: Cluster) -> None:
    before = three.node("a").run("conntrack -L")
    three.pod("client").outcomes("tcp://svc/web:80")
    assert three.node("a").run("conntrack -L") == before


def test_what_cannot_connect_has_one_outcome(three: Cluster) -> None:
    three.apply(service("empty", {"app": "none"}))
    assert three.pod("client").outcomes("tcp://svc/empty:80").probabilities == {"refused": 1}
    packet = IP(dst=three.service("empty").cluster_ip) / TCP(dport=80, flags="S")
    assert three.pod("client").outcomes(packet).probabilities == {"rejected": 1}


def test_explain_keeps_choices_and_traces(three: Cluster) -> None:
    branches = three.pod("client").outcomes("tcp://svc/web:80", explain=True).branches
    assert all(branch.choices and branch.trace and branch.trace.hops for branch in branches)
    assert all("statistic" in branch.choices[0].why for branch in branches)


@pytest.mark.parametrize("proxy", ["iptables", "nftables", "ipvs", "userspace"])
def test_names_have_outcomes_in_every_mode(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply([pod("web", {"app": "web"}, port=80), service("web", {"app": "web"}), pod("client", node="a")])
    client = cluster.pod("client")
    assert client.outcomes("dns://web").probabilities == {cluster.service("web").cluster_ip: 1}
    (missing,) = client.outcomes("dns://nobody", explain=True).branches[:1]
    assert missing.outcome == "NXDOMAIN" and missing.trace is not None
    cluster.hold("coredns")
    cluster.delete("services", "web")
    assert client.outcomes("dns://web").destinations != {"NXDOMAIN"}  # the servers have not heard of it yet


def test_affinity_leaves_one_outcome_to_a_client_that_has_been_served(three: Cluster) -> None:
    three.api.patch("services", "web", {"spec": {"sessionAffinity": "ClientIP"}}, "default")
    three.settle()
    client = three.pod("client")
    assert len(client.outcomes("tcp://svc/web:80").destinations) == 3
    server = client.connect("svc/web:80").request(b"first").server
    assert client.outcomes("tcp://svc/web:80").probabilities == {server: 1}


@pytest.mark.parametrize("proxy", ["ipvs", "userspace"])
def test_a_long_round_is_told_whole_and_each_turn_with_its_own_trace(proxy: str) -> None:
    cluster = Cluster(nodes=1, proxy=proxy)
    pods = [pod(f"web-{number}", {"app": "web"}, port=80) for number in range(70)]
    cluster.apply([*pods, service("web", {"app": "web"}), pod("client")])
    seen = cluster.pod("client").outcomes("tcp://svc/web:80", explain=True)
    assert seen.probabilities == {f"web-{number}": Fraction(1, 70) for number in range(70)}
    traces = [branch.trace for branch in seen.branches if branch.trace is not None]
    assert len({trace.way for trace in traces}) == 70 and all(len(trace.hops) < 40 for trace in traces)


def test_a_round_that_is_longer_than_its_bound_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakecluster.handles.outcomes.TURNS_LIMIT", 3)
    cluster = Cluster(nodes=1, proxy="ipvs")
    pods = [pod(f"web-{number}", {"app": "web"}, port=80) for number in range(4)]
    cluster.apply([*pods, service("web", {"app": "web"}), pod("client")])
    with pytest.raises(OutcomesError, match=r"more than 3 turns in one round; the last was that of web-\d"):
        cluster.pod("client").outcomes("tcp://svc/web:80")


def test_a_turn_that_does_not_come_back_counts_once() -> None:
    """kube-proxy's relay dials a silent server, and answers nobody meanwhile."""
    cluster = Cluster(nodes=2, proxy="userspace")
    pods = [pod("web-1", {"app": "web"}, port=80, node="a"), pod("web-2", {"app": "web"}, port=80, node="b")]
    cluster.apply([*pods, service("web", {"app": "web"}), pod("client", node="a")])
    first = cluster.fork().pod("client").connect("svc/web:80").request(b"x").server
    (other,) = {"web-1", "web-2"} - {first}
    cluster.pod(other).run("iptables -A INPUT -p tcp -j DROP")
    half = Fraction(1, 2)
    assert cluster.pod("client").outcomes("tcp://svc/web:80").probabilities == {first: half, "no answer": half}
