"""What Services promise, and what people think that they promise."""

from __future__ import annotations

from fractions import Fraction

import pytest
from scapy.layers.inet import ICMP, IP

from fakecluster import Cluster
from fakecluster.apps.echo import Echo

from .manifests import pod, service, web
from .page import shows, way
from .test_endpoints import ALL_MODES, KERNEL_MODES, READINESS, ending


def address(client: str) -> str:
    return client.rpartition(":")[0]


@pytest.mark.parametrize("proxy", KERNEL_MODES)
def test_policy_local_is_silent_on_nodes_without_a_pod_and_refuses_when_there_is_none_at_all(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("a", type="NodePort", externalTrafficPolicy="Local"))
    elsewhere = f"tcp://{cluster.node('b').ip}:{cluster.service('web').node_port()}"
    seen = cluster.outside.outcomes(elsewhere, explain=True)
    assert seen.probabilities == {"no answer": 1}
    shows(way(seen, "no answer"))
    cluster.delete("pods", "web-1")
    cluster.advance(40)
    assert cluster.outside.outcomes(elsewhere).probabilities == {"refused": 1}


@pytest.mark.parametrize(("proxy", "end"), [("iptables", "no answer"), ("nftables", "no answer"), ("ipvs", "refused")])
def test_internal_policy_local_ends_differently_from_mode_to_mode(proxy: str, end: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("b", internalTrafficPolicy="Local"))  # the client is on node a
    seen = cluster.pod("client").outcomes("tcp://svc/web:80", explain=True)
    assert seen.probabilities == {end: 1}
    shows(way(seen, end))


@pytest.mark.parametrize("proxy", KERNEL_MODES)
def test_a_pod_that_asks_its_own_service_sees_a_stranger(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("b"))
    itself = cluster.pod("web-1")
    connection = itself.connect("svc/web", 80)
    shows(connection.trace)
    answer = connection.request(b"me")
    assert (answer.server, itself.ip, address(answer.client)) == ("web-1", "10.244.1.3", "10.244.1.1")


@pytest.mark.parametrize("proxy", KERNEL_MODES)
def test_a_node_port_hides_who_the_client_is(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("b", type="NodePort"))
    connection = cluster.outside.connect(cluster.node("a"), cluster.service("web").node_port())
    shows(connection.trace)
    answer = connection.request(b"who am I?")
    assert address(answer.client) == "172.18.0.2"  # node a, and not 172.18.0.1


@pytest.mark.parametrize("proxy", ["iptables", "nftables"])
def test_client_affinity_holds_for_each_port_by_itself(proxy: str) -> None:
    two = service("web", 80, 81, sessionAffinity="ClientIP")
    two["spec"]["ports"][1]["targetPort"] = 80
    objects = [pod("web-1", "web", node="a"), pod("web-2", "web", node="b"), two, pod("client", node="a")]
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(objects)
    client = cluster.pod("client")
    first = client.connect("svc/web", 80).request(b"x").server
    assert client.outcomes("tcp://svc/web:80").probabilities == {first: 1}
    both = {"web-1": Fraction(1, 2), "web-2": Fraction(1, 2)}
    assert client.outcomes("tcp://svc/web:81").probabilities == both
    shows(f"port 80\n{client.outcomes('tcp://svc/web:80')}\nport 81\n{client.outcomes('tcp://svc/web:81')}")


@pytest.mark.parametrize("proxy", KERNEL_MODES)
def test_affinity_does_not_survive_a_moment_of_not_being_ready_but_open_connections_do(proxy: str) -> None:
    pods = [pod(name, "web", node=node, container=READINESS) for name, node in (("web-1", "a"), ("web-2", "b"))]
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply([*pods, service("web", sessionAffinity="ClientIP"), pod("client", node="a")])
    cluster.advance(3)
    connection = cluster.pod("client").connect("web", 80)
    first = ending(connection)
    cluster.pod(first).set_ready(False)
    cluster.advance(3)
    second = ending(cluster.pod("client").connect("web", 80))
    cluster.pod(first).set_ready(True)
    cluster.advance(3)
    assert {first, second} == {"web-1", "web-2"}
    assert ending(connection) == first
    assert cluster.pod("client").outcomes("tcp://web:80").probabilities == {second: 1}
    shows(f"open connection: {ending(connection)}\nnew connections:\n{cluster.pod('client').outcomes('tcp://web:80')}")


@pytest.mark.parametrize(("proxy", "end"), [("iptables", "web-1"), ("nftables", "refused"), ("ipvs", "refused")])
def test_node_ports_on_localhost_work_in_iptables_mode_only(proxy: str, end: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("b", type="NodePort"))
    node, port = cluster.node("a"), cluster.service("web").node_port()
    seen = node.outcomes(f"tcp://127.0.0.1:{port}", explain=True)
    assert seen.probabilities == {end: 1}
    shows(way(seen, end))
    assert node.outcomes(f"tcp://{node.ip}:{port}").probabilities == {"web-1": 1}


@pytest.mark.parametrize(("proxy", "kind", "code"), [("iptables", 3, 0), ("nftables", 3, 3), ("ipvs", 3, 3)])
def test_a_cluster_ip_does_not_answer_ping(proxy: str, kind: int, code: int) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("b"))
    ping = cluster.pod("client").send(IP(dst=cluster.service("web").cluster_ip) / ICMP())
    assert (ping.reply[ICMP].type, ping.reply[ICMP].code) == (kind, code)
    shows(ping)


@pytest.mark.parametrize(("rules", "end"), [("as written", "refused"), ("flushed", "node/a")])
def test_only_a_filter_keeps_node_programs_off_cluster_ips_in_ipvs_mode(rules: str, end: str) -> None:
    cluster = Cluster(nodes=2, proxy="ipvs")
    cluster.apply(web("b"))
    node = cluster.node("a")
    cluster.runtime.listen(node.netns, "tcp", 22, Echo("node/a"), owner=("", "sshd"), name="sshd")
    if rules == "flushed":  # kube-proxy before it had the chain
        node.run("iptables -F KUBE-IPVS-FILTER")
    seen = cluster.pod("client").outcomes(f"tcp://{cluster.service('web').cluster_ip}:22", explain=True)
    assert seen.probabilities == {end: 1}
    shows(way(seen, end))


def test_round_robin_forgets_what_long_lived_connections_weigh() -> None:
    cluster = Cluster(nodes=2, proxy="ipvs")
    cluster.apply(web("a", "b"))
    client = cluster.pod("client")
    open_ones = [client.connect("svc/web", 80) for _ in range(6)]
    cluster.delete("pods", "web-2")
    cluster.advance(40)
    again = [client.connect("svc/web", 80) for one in open_ones if ending(one) != "web-1"]
    cluster.apply(pod("web-2", "web", node="b"))
    served_by = [ending(one) for one in open_ones + again]
    assert (served_by.count("web-1"), served_by.count("web-2")) == (6, 0)  # balanced again only for new connections
    shows(cluster.node("a").run("ipvsadm -Ln"))
    assert client.outcomes("tcp://svc/web:80").destinations == {"web-1", "web-2"}


@pytest.mark.parametrize("proxy", ALL_MODES)
def test_selectors_do_not_know_whose_pods_they_take(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("a"))
    cluster.apply(pod("batch-job", "web", port=80, node="b"))  # another team's, with the same label
    seen = cluster.pod("client").outcomes("tcp://web:80")
    assert seen.destinations == {"web-1", "batch-job"}
    shows(seen)


@pytest.mark.parametrize("proxy", KERNEL_MODES)
def test_a_pod_that_listens_on_loopback_only_is_ready_and_refuses(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(web("b"))
    server = cluster.pod("web-1")
    server.stop_listening()
    server.netns.sockets.bind("tcp", 80, Echo("web-1"), family=4, address=0x7F000001, name="web-1 (tcp:80)")
    assert server.connect("127.0.0.1", 80).request(b"x").server == "web-1"
    assert cluster.service("web").ready_pods == [server]
    seen = cluster.pod("client").outcomes("tcp://svc/web:80", explain=True)
    assert seen.probabilities == {"refused": 1}
    shows(way(seen, "refused"))
