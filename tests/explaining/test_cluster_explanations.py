"""Explanations in a cluster: names looked up, from host to host, reasons in every mode, and what would change the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakecluster import Cluster
from fakecluster.explaining import Explanation, names_of
from fakecluster.explaining.packet_words import PacketSyntaxError
from fakecluster.handles import TargetError

SHOP = Path(__file__).resolve().parents[2] / "examples" / "shop.yaml"


@pytest.fixture(scope="module")
def clusters() -> dict[str, Cluster]:
    first = Cluster(nodes=2)
    first.apply(SHOP)
    return {mode: first.fork(proxy=mode) for mode in ("iptables", "nftables", "ipvs")}


def reasons(found: Explanation) -> dict[str, str]:
    return {f"{one.chain} #{one.rule}": found.names.in_text(one.why) for one in found.neighbours}


def test_a_name_is_asked_for_and_the_walk_goes_from_host_to_host(clusters: dict[str, Cluster]) -> None:
    found = clusters["iptables"].explain("tcp pod/client > web:80")
    assert found.lookup == ("pod/client asks 10.96.0.10 for web.default.svc.cluster.local. A: NOERROR 10.96.73.39",)
    assert [hop.namespace for hop in found.trace.way] == ["pod/client", "node/b", "node/a", "pod/web-3"]
    assert str(found).splitlines()[1] == (
        "TCP pod/client:40000 > svc/web:80 [S]: delivered in pod/web-3 to web-3 (tcp:8080)"
    )  # fmt: skip
    assert (found.end, found.arrived) == ("delivered in pod/web-3 to web-3 (tcp:8080)", True)
    assert "PREROUTING  dnat: dst svc/web -> pod/web-3" in str(found)
    assert "  10.96.73.39 is svc/web" in str(found).splitlines()


@pytest.mark.parametrize(
    ("mode", "rule", "why"),
    [
        ("iptables", "KUBE-SERVICES #5", "the destination port is 81, not 80"),
        ("iptables", "KUBE-FORWARD #2", "the mark is 0x0, not 0x4000 under 0x4000"),
        ("iptables", "KUBE-FORWARD #3", "the connection is NEW, not ESTABLISHED or RELATED"),
        ("nftables", "services #2", "svc/web . tcp . 81 is not in @service-ips; it has svc/web . tcp . 80"),
        ("nftables", "firewall-check #1", "@firewall-ips is empty"),
        ("nftables", "services #1", "ip saddr is pod/client; asked: ip saddr != 10.244.0.0/16"),
        ("ipvs", "KUBE-SERVICES #4", "svc/web,tcp:81 is not in the set KUBE-CLUSTER-IP; it has svc/web,tcp:80"),
        ("ipvs", "KUBE-IPVS-FILTER #1", "the set KUBE-LOAD-BALANCER is empty"),
    ],
)
def test_rules_say_why_they_did_not_match(clusters: dict[str, Cluster], mode: str, rule: str, why: str) -> None:
    assert reasons(clusters[mode].explain("tcp pod/client > svc/web:81"))[rule] == why


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_the_port_that_would_have_worked_is_found(clusters: dict[str, Cluster], mode: str) -> None:
    changes = {one.change: one.end for one in clusters[mode].explain("tcp pod/client > svc/web:81").changes}
    assert changes["with destination port 80"].startswith("delivered in pod/web-")


def test_what_dropped_a_packet_is_taken_away_on_trial(clusters: dict[str, Cluster]) -> None:
    cluster = clusters["nftables"].fork()
    node = cluster.pod("web-2").node
    node.run("iptables -A FORWARD -s 203.0.113.0/24 -j DROP")
    node.run("iptables -P INPUT DROP")
    ip = cluster.pod("web-2").ip
    before = node.run("iptables-save")
    found = cluster.explain(f"tcp 203.0.113.9:5 > {ip}:8080 in eth0", at=node.name)
    assert (found.arrived, found.end) == (False, f"dropped in node/{node.name} at FORWARD (iptables/filter/FORWARD)")
    rule = f"without node/{node.name}'s rule ip filter FORWARD #1 (-s 203.0.113.0/24 -j DROP)"
    assert (found.changes[0].change, found.changes[0].end) == (rule, "delivered in pod/web-2 to web-2 (tcp:8080)")
    local = cluster.explain(f"tcp 203.0.113.9:5 > {node.ips[0]}:10250 in eth0", at=node.name)
    assert local.changes[0].change == f"with node/{node.name}'s policy accept for ip filter INPUT"
    assert node.run("iptables-save") == before


def test_an_old_connection_is_forgotten_on_trial(clusters: dict[str, Cluster]) -> None:
    cluster = clusters["iptables"].fork()
    client = cluster.pod("client")
    client.resolve("web")
    entry = next(line for line in client.node.run("conntrack -L -p udp").splitlines() if f"src={client.ip}" in line)
    port = entry.split("sport=")[1].split()[0]
    client.node.run("iptables -t nat -F KUBE-SERVICES")
    found = cluster.explain(f"udp pod/client:{port} > 10.96.0.10:53")
    assert found.arrived
    assert found.changes[0].change == f"without the connection that {client.node.namespace} remembers"
    assert "coredns" not in found.changes[0].end


def test_what_cannot_be_read_says_what_is_expected(clusters: dict[str, Cluster]) -> None:
    cluster = clusters["iptables"]
    with pytest.raises(PacketSyntaxError, match="where does it begin"):
        cluster.explain("tcp 1.1.1.1:5 > 2.2.2.2:80")
    with pytest.raises(TargetError, match='services "nothing" not found'):
        cluster.explain("tcp pod/client > svc/nothing:80")
    with pytest.raises(LookupError, match="no pod/nobody"):
        cluster.explain("tcp pod/nobody > svc/web:80")


def test_names_are_read_from_dumps_of_objects() -> None:
    names = names_of(
        [
            {"kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}, "status": {"podIP": "10.0.0.5", "podIPs": []}},
            {"kind": "Pod", "metadata": {"name": "proxy"}, "spec": {"hostNetwork": True}, "status": {"podIP": "10.9.9.9"}},
            {"kind": "Service", "metadata": {"name": "web"}, "spec": {"clusterIP": "None", "externalIPs": ["192.0.2.7"]}},
            {"kind": "Node", "metadata": {"name": "a"}, "status": {"addresses": [{"address": "10.9.9.9"}, {"address": "a"}]}},
        ]
    )
    assert names.in_text("10.0.0.5:80 > 192.0.2.7:5, 10.9.9.9 110.0.0.5 10.0.0.55 10.0.0.5/32") == (
        "pod/shop/web:80 > svc/web:5, node/a 110.0.0.5 10.0.0.55 10.0.0.5/32"
    )


@pytest.mark.parametrize(
    ("words", "end"),
    [
        ("tcp outside > node/a:9", "delivered in node/a to the host: nobody listens on tcp port 9"),
        ("udp pod/client > pod/web-1:9", "delivered in pod/web-1 to the host: nobody listens on udp port 9"),
        ("icmp pod/client > pod/web-1", "delivered in pod/web-1 to the host"),
        ("tcp pod/client > pod/web-1:8080", "delivered in pod/web-1 to web-1 (tcp:8080)"),
    ],
)
def test_a_packet_that_no_socket_takes_is_told_apart(clusters: dict[str, Cluster], words: str, end: str) -> None:
    assert clusters["iptables"].explain(words).end == end
