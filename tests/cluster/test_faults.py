"""Faults: what is broken behaves so, what is mended works again, what does not exist is named."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from fakecluster import Cluster
from fakecluster.handles import ConnectFailed

from .conftest import pod, service


@pytest.fixture
def cluster() -> Cluster:
    """A server on node b, a client on node a and one beside the server."""
    cluster = Cluster(nodes=3)
    objects = [pod("client", node="a"), pod("near", node="b"), pod("web", {"app": "web"}, port=80, node="b")]
    cluster.apply([*objects, service("web", {"app": "web"}, clusterIP="10.96.0.80")])
    return cluster


def reach(cluster: Cluster, client: str) -> bool:
    return bool(cluster.pod(client).can_reach("10.96.0.80", 80))


def test_a_partition_separates_two_nodes_until_it_is_healed(cluster: Cluster) -> None:
    cluster.faults.partition("a", "b")
    assert (reach(cluster, "client"), reach(cluster, "near")) == (False, True)
    assert bool(cluster.node("c").can_reach("10.96.0.80", 80))
    cluster.faults.heal("b", "a")
    assert reach(cluster, "client")


def test_a_one_way_partition_lets_the_other_direction_pass(cluster: Cluster) -> None:
    cluster.faults.partition("b", "a", one_way=True)
    with pytest.raises(ConnectFailed) as failed:
        cluster.pod("client").connect("10.96.0.80", 80)
    trace = failed.value.trace
    assert trace is not None
    assert trace.delivered_to == cluster.pod("web")  # the question arrives, the answer does not
    cluster.faults.heal()
    assert reach(cluster, "client")


def test_a_fork_has_the_faults_of_its_origin_and_mends_them_alone(cluster: Cluster) -> None:
    cluster.faults.partition(["a", "c"], ["b", "outside"])
    copy = cluster.fork()
    copy.faults.heal()
    assert (reach(cluster, "client"), reach(copy, "client")) == (False, True)


def test_loss_has_exact_outcomes(cluster: Cluster) -> None:
    assert cluster.pod("client").outcomes("tcp://10.96.0.80:80").probabilities == {"web": 1}
    cluster.faults.link("pod/web", loss=0.1)
    probabilities = cluster.pod("client").outcomes("tcp://10.96.0.80:80").probabilities
    assert set(probabilities) == {"web", "no answer"}
    assert probabilities["web"] < Fraction(81, 100)  # at least the SYN and its answer must arrive
    cluster.faults.link("pod/web", loss=1)
    assert cluster.pod("client").outcomes("tcp://10.96.0.80:80").probabilities == {"no answer": 1}
    cluster.faults.link("pod/web", loss=0)
    assert cluster.pod("client").outcomes("tcp://10.96.0.80:80").probabilities == {"web": 1}


def test_delay_is_counted_each_way(cluster: Cluster) -> None:
    cluster.faults.link(delay_s=0.5)
    client = cluster.pod("client")
    with pytest.raises(ConnectFailed):
        client.connect("10.96.0.80", 80, timeout_s=0.9)
    connection = client.connect("10.96.0.80", 80, timeout_s=1.1)
    assert connection.request(b"slow", timeout_s=1.1).server == "web"
    assert cluster.pod("near").connect("10.96.0.80", 80).request(b"x").server == "web"


def test_doubled_packets_arrive_twice_and_are_answered_once_by_tcp(cluster: Cluster) -> None:
    cluster.faults.link("pod/web", duplicate=1)
    answer = cluster.pod("client").connect("10.96.0.80", 80).request(b"once")
    assert answer.body == b"once"


def test_a_held_component_catches_up_when_the_block_ends(cluster: Cluster) -> None:
    with cluster.held("kube-proxy@a", "kube-proxy@c"):
        cluster.delete("services", "web")
        assert reach(cluster, "client")
    assert not reach(cluster, "client")


def test_a_crashed_node_is_noticed_and_comes_back(cluster: Cluster) -> None:
    def ready() -> str:
        conditions = cluster.node("b").object["status"]["conditions"]
        return str(next(one["status"] for one in conditions if one["type"] == "Ready"))

    connection = cluster.pod("client").connect("10.96.0.80", 80)
    cluster.faults.crash("b")
    assert not reach(cluster, "client")
    assert ready() == "True"
    cluster.advance(60)
    assert ready() == "Unknown"
    assert cluster.service("web").ready_pods == []
    cluster.faults.boot("b")
    cluster.advance(20)
    assert ready() == "True"
    assert reach(cluster, "client")
    (status,) = cluster.pod("web").object["status"]["containerStatuses"]
    assert status["restartCount"] == 1
    with pytest.raises(ConnectFailed, match="reset"):
        connection.request(b"do you remember me?")


def test_a_program_that_ends_gives_its_port_back_to_the_next_start(cluster: Cluster) -> None:
    cluster.pod("web").exit(1)
    cluster.settle()
    (status,) = cluster.pod("web").object["status"]["containerStatuses"]
    assert status["restartCount"] == 1
    assert "running" in status["state"]


def test_a_restarted_kube_proxy_knows_what_the_old_one_knew(cluster: Cluster) -> None:
    cluster.faults.restart("kube-proxy@a")
    assert reach(cluster, "client")
    cluster.delete("services", "web")
    assert not reach(cluster, "client")


def test_full_tables_and_used_up_ports(cluster: Cluster) -> None:
    cluster.faults.conntrack_limit("a", 1)
    held_open = cluster.pod("client").connect("10.96.0.80", 80)
    assert not reach(cluster, "client")
    assert held_open.request(b"x").server == "web"
    cluster.faults.conntrack_limit("a", 1000)
    cluster.faults.ephemeral_ports("pod/client", 1)
    again = cluster.pod("client").connect("10.96.0.80", 80)
    with pytest.raises(ConnectFailed, match="EADDRNOTAVAIL"):
        cluster.pod("client").connect("10.96.0.80", 80)
    assert again.request(b"x").server == "web"


@pytest.mark.parametrize(
    ("call", "arguments", "error", "words"),
    [
        ("partition", ("a", "z"), LookupError, "no node 'z'; there are a, b, c"),
        ("partition", ("a", ["a", "b"]), ValueError, "no node in common"),
        ("crash", ("z",), LookupError, "there are a, b, c"),
        ("boot", ("z",), LookupError, "there are a, b, c"),
        ("restart", ("kube-proxy@z",), LookupError, "there are kube-proxy@a"),
        ("link", ("pod/nobody",), LookupError, "no link 'pod/nobody'; there are node-network, .*pod/client"),
        ("conntrack_limit", ("a", 0), ValueError, "expected 1 or more"),
        ("ephemeral_ports", ("pod/nobody", 3), LookupError, "no host 'pod/nobody'"),
        ("ephemeral_ports", ("pod/client", 0), ValueError, "expected 1 to 28232"),
    ],
)
def test_wrong_names_are_answered_with_the_right_ones(
    cluster: Cluster, call: str, arguments: tuple[Any, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        getattr(cluster.faults, call)(*arguments)


@pytest.mark.parametrize("bad", [{"loss": 1.5}, {"loss": -0.1}, {"duplicate": 2}, {"delay_s": -1}])
def test_impossible_links_are_refused(cluster: Cluster, bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected a probability|before they are sent"):
        cluster.faults.link(**bad)


def test_a_held_kubelet_falls_silent_and_is_heard_again(cluster: Cluster) -> None:
    def ready() -> str:
        conditions = cluster.node("b").object["status"]["conditions"]
        return str(next(one["status"] for one in conditions if one["type"] == "Ready"))

    with cluster.held("kubelet@b"):
        cluster.advance(40)
        seen = [ready()]
        cluster.advance(11)
        seen.append(ready())
        assert cluster.service("web").ready_pods == []
    assert [*seen, ready()] == ["True", "Unknown", "True"]
    cluster.advance(20)
    assert [pod.name for pod in cluster.service("web").ready_pods] == ["web"]
    cluster.faults.kill("kubelet@b")
    cluster.release("kubelet@b")
    cluster.advance(60)
    assert ready() == "Unknown"  # it was killed, not held
    cluster.faults.start("kubelet@b")
    assert ready() == "True"


def test_an_unknown_component_is_answered_with_those_there_are(cluster: Cluster) -> None:
    with (
        pytest.raises(ValueError, match=r"no component 'kube-proxy@z'; there are .*kube-proxy@a"),
        cluster.held("kube-proxy@a", "kube-proxy@z"),
    ):
        pass
    assert cluster.clock.held == ()


def test_releasing_what_does_not_exist_is_refused_and_what_is_not_held_is_nothing() -> None:
    cluster = Cluster(nodes=1)
    with pytest.raises(ValueError, match=r"no component 'kube-proxy@z'; there are .*kube-proxy@a"):
        cluster.release("kube-proxy@z")
    cluster.release("kube-proxy@a")
    assert cluster.clock.held == ()
