"""Cluster DNS in a cluster: reached by packets, run by its Corefile, behind time and behind broken things."""

from __future__ import annotations

from typing import Any

import pytest

from fakecluster import Cluster
from fakecluster.discovery.server import DEFAULT_COREFILE
from fakecluster.errors import Unsupported
from fakecluster.handles import ResolveFailed

CLIENT = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "client"},
    "spec": {"containers": [{"name": "main", "image": "busybox"}]},
}


def service(name: str, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports, **spec}}


WEB = service("web", clusterIP="10.96.7.7")


def corefile(text: str, *, name: str = "coredns") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"Corefile": text}}


def cluster_with(*objects: dict[str, Any], **options: Any) -> Cluster:
    cluster = Cluster(nodes=2, **options)
    cluster.apply([CLIENT, *objects])
    return cluster


# --- the way of a query


def test_two_pods_of_coredns_run_behind_the_service_kube_dns() -> None:
    cluster = Cluster(nodes=2)
    pods = [
        pod for pod in cluster.api.list("pods", "kube-system") if pod["metadata"]["labels"]["k8s-app"] == "kube-dns"
    ]
    assert sorted(pod["spec"]["nodeName"] for pod in pods) == ["a", "b"]
    assert cluster.api.get("services", "kube-dns", "kube-system")["spec"]["clusterIP"] == "10.96.0.10"
    slices = cluster.api.list("endpointslices.discovery.k8s.io", "kube-system")
    ready = [one["addresses"][0] for entry in slices for one in entry["endpoints"]]
    assert sorted(ready) == sorted(pod["status"]["podIP"] for pod in pods)


@pytest.mark.parametrize("family", ["ipv4", "ipv6", "dual", "dual-ipv6"])
def test_a_name_resolves_to_the_cluster_ips_of_the_family(family: str) -> None:
    cluster = cluster_with(service("web", ipFamilyPolicy="PreferDualStack"), ip_family=family)
    assert sorted(cluster.pod("client").resolve("web")) == sorted(cluster.service("web").cluster_ips)


@pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables", "userspace"])
def test_queries_go_through_the_proxy_of_every_mode(mode: str) -> None:
    cluster = cluster_with(WEB, proxy=mode)
    assert cluster.pod("client").resolve("web") == ["10.96.7.7"]


def test_a_broken_proxy_breaks_dns() -> None:
    cluster = cluster_with(WEB)
    client = cluster.pod("client")
    client.node.run("iptables -t nat -F KUBE-SERVICES")
    with pytest.raises(ResolveFailed) as failed:
        client.resolve("web")
    assert failed.value.status == "TIMEOUT"


def test_a_large_answer_is_fetched_over_tcp() -> None:
    endpoints = [{"addresses": [f"10.244.9.{number}"]} for number in range(1, 61)]
    headless = service("many", clusterIP="None")
    slices = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "many-1", "labels": {"kubernetes.io/service-name": "many"}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": 80}],
    }
    cluster = cluster_with(headless, slices)
    found = cluster.pod("client").lookup("many")
    assert len(found.addresses) == 60
    assert [(query.tcp, query.status) for query in found.queries] == [(False, "TRUNCATED"), (True, "NOERROR")]


def test_the_hosts_file_comes_before_dns() -> None:
    aliases = [{"ip": "192.0.2.9", "hostnames": ["db.corp"]}]
    known = {**CLIENT, "metadata": {"name": "known"}, "spec": {**CLIENT["spec"], "hostAliases": aliases}}
    cluster = cluster_with(known)
    pod = cluster.pod("known")
    for name, addresses in (("db.corp", ("192.0.2.9",)), ("known", (pod.ip,)), ("localhost", ("127.0.0.1",))):
        found = pod.lookup(name)
        assert (found.addresses, found.queries) == (addresses, ()), name
    assert cluster.pod("client").lookup("db.corp").status == "NXDOMAIN"
    assert cluster.node("a").resolve("localhost") == ["127.0.0.1"]


def test_the_server_names_itself_by_the_service_that_it_is_behind() -> None:
    cluster = cluster_with()
    assert cluster.pod("client").resolve("cluster.local.", "NS") == ["kube-dns.kube-system.svc.cluster.local."]
    assert cluster.pod("client").resolve("ns.dns.cluster.local.") == ["10.96.0.10"]


# --- the outside


def test_names_outside_are_asked_for_by_packets_of_the_dns_pod() -> None:
    cluster = cluster_with()
    cluster.outside.dns["example.com"] = "198.51.100.7"
    assert cluster.pod("client").resolve("example.com.") == ["198.51.100.7"]
    delivered = [hop.namespace for trace in cluster.traces for hop in trace.hops if hop.verdict.what == "delivered"]
    assert "outside" in delivered


def test_an_external_name_under_ndots_5_costs_four_queries_of_each_family() -> None:
    cluster = cluster_with()
    cluster.outside.dns["example.com"] = ["198.51.100.7", "2001:db8::7"]
    found = cluster.pod("client").lookup("example.com", types=("A", "AAAA"))
    assert found.addresses == ("198.51.100.7", "2001:db8::7")
    assert [query.name for query in found.queries if query.type == "A"] == [
        "example.com.default.svc.cluster.local.",
        "example.com.svc.cluster.local.",
        "example.com.cluster.local.",
        "example.com.",
    ]
    assert len(found.queries) == 8
    assert len(cluster.pod("client").lookup("example.com.", types=("A", "AAAA")).queries) == 2


def test_an_external_name_service_leads_outside() -> None:
    cluster = cluster_with(service("db", type="ExternalName", externalName="db.example.com"))
    cluster.outside.dns["db.example.com"] = "198.51.100.9"
    assert cluster.pod("client").resolve("db") == ["198.51.100.9"]


def test_nodes_and_the_outside_do_not_know_the_cluster_s_names() -> None:
    cluster = cluster_with(WEB)
    cluster.outside.dns["example.com"] = "198.51.100.7"
    for host in (cluster.node("a"), cluster.outside):
        assert host.resolve("example.com") == ["198.51.100.7"]
        assert host.lookup("web.default.svc.cluster.local").status == "NXDOMAIN"


def test_an_upstream_that_is_silent_is_asked_every_two_seconds_until_five_have_passed() -> None:
    cluster = cluster_with(corefile(".:53 {\n reload\n forward . 203.0.113.99\n}\n"))
    client, begin = cluster.pod("client"), cluster.clock.now_s
    assert client.lookup("example.com.", timeout_s=5.5).status == "TIMEOUT"
    assert [len(process.transactions) for process in cluster.dns.processes.values()].count(1) >= 1
    cluster.advance(0.5)
    assert cluster.clock.now_s - begin == pytest.approx(6.0)
    waiting = [one for process in cluster.dns.processes.values() for one in process.transactions.values()]
    assert [one.waiting_ns / 1e9 - begin for one in waiting] == [5.0]  # only the second attempt of the client


def test_an_upstream_that_refuses_connections_gives_servfail_at_once() -> None:
    cluster = cluster_with(corefile(".:53 {\n reload\n forward . 172.18.0.1:99 {\n force_tcp\n}\n}\n"))
    found = cluster.pod("client").lookup("example.com.")
    assert [query.status for query in found.queries] == ["SERVFAIL", "SERVFAIL"]


def test_the_second_upstream_is_asked_when_the_first_is_silent() -> None:
    text = ".:53 {\n reload\n forward . 203.0.113.99 /etc/resolv.conf {\n policy sequential\n}\n}\n"
    cluster = cluster_with(corefile(text))
    cluster.outside.dns["example.com"] = "198.51.100.7"
    client, begin = cluster.pod("client"), cluster.clock.now_s
    assert client.resolve("example.com.", timeout_s=30) == ["198.51.100.7"]
    assert cluster.clock.now_s - begin == pytest.approx(2.0)


def test_force_tcp_asks_the_upstream_over_tcp() -> None:
    cluster = cluster_with(corefile(".:53 {\n reload\n forward . /etc/resolv.conf {\n force_tcp\n}\n}\n"))
    cluster.outside.dns["example.com"] = "198.51.100.7"
    assert cluster.pod("client").resolve("example.com.") == ["198.51.100.7"]
    assert cluster.outside.run("conntrack -L -p udp").strip() == ""


def test_a_fork_goes_on_with_a_query_that_waits_for_its_upstream() -> None:
    cluster = cluster_with(
        corefile(".:53 {\n reload\n forward . 203.0.113.99 172.18.0.1 {\n policy sequential\n}\n}\n")
    )
    cluster.outside.dns["example.com"] = "198.51.100.7"
    assert cluster.pod("client").lookup("example.com.").status == "TIMEOUT"  # asked, and nobody waits any more
    copy = cluster.fork()
    for one in (cluster, copy):
        waiting = [process.transactions for process in one.dns.processes.values() if process.transactions]
        assert waiting, one
        one.advance(3)
        assert not [process for process in one.dns.processes.values() if process.transactions]
    assert copy.pod("client").resolve("example.com.", timeout_s=9) == ["198.51.100.7"]


# --- the Corefile


def test_a_changed_corefile_is_taken_when_its_config_map_changes() -> None:
    cluster = cluster_with()
    cluster.apply(corefile(".:53 {\n reload\n hosts {\n 192.0.2.5 intranet.corp\n }\n}\n"))
    assert cluster.pod("client").resolve("intranet.corp.") == ["192.0.2.5"]
    assert [line.partition(": ")[2] for line in cluster.dns.log] == ["[INFO] Reloading complete"] * 2


def test_a_wrong_corefile_leaves_the_old_one_in_force_and_is_said_with_its_line() -> None:
    cluster = cluster_with(WEB)
    cluster.apply(corefile(".:53 {\n reload\n bogus\n}\n"))
    assert cluster.pod("client").resolve("web") == ["10.96.7.7"]
    assert len(cluster.dns.log) == 2
    assert all("reload failed: Corefile:3: " in line and "'bogus'" in line for line in cluster.dns.log)


def test_a_corefile_without_reload_is_read_by_new_pods_only() -> None:
    cluster = cluster_with(corefile(DEFAULT_COREFILE.replace("    reload\n", "")))
    cluster.apply(corefile(".:53 {\n hosts {\n 192.0.2.5 intranet.corp\n }\n}\n"))
    client = cluster.pod("client")
    assert client.lookup("intranet.corp.").status == "NXDOMAIN"
    for pod in cluster.api.list("pods", "kube-system"):
        cluster.delete("pods", pod["metadata"]["name"], "kube-system")
    cluster.advance(31)
    assert client.resolve("intranet.corp.") == ["192.0.2.5"]


def test_a_plugin_that_is_not_modelled_is_named() -> None:
    cluster = cluster_with()
    with pytest.raises(Unsupported, match="CoreDNS plugin dnssec"):
        cluster.apply(corefile(".:53 {\n reload\n dnssec\n}\n"))


def test_pods_that_start_with_a_wrong_corefile_do_not_run() -> None:
    cluster = cluster_with()
    cluster.apply(corefile(".:53 {\n bogus\n}\n"))
    for pod in cluster.api.list("pods", "kube-system"):
        cluster.delete("pods", pod["metadata"]["name"], "kube-system")
    cluster.advance(31)
    assert cluster.pod("client").lookup("kubernetes").status == "TIMEOUT"
    assert any("Unknown directive 'bogus'" in line for line in cluster.dns.log)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_the_log_plugin_tells_of_every_query(family: str) -> None:
    text = DEFAULT_COREFILE.replace("    errors\n", "    errors\n    log\n")
    cluster = cluster_with(WEB if family == "ipv4" else service("web"), corefile(text), ip_family=family)
    cluster.dns.log.clear()
    cluster.pod("client").lookup("web.ns", types=("A",))
    words = [line.split() for line in cluster.dns.log]
    assert [line[5:11] for line in words] == [
        ['"A', "IN", "web.ns.default.svc.cluster.local.", "udp", '50"', "NXDOMAIN"],
        ['"A', "IN", "web.ns.svc.cluster.local.", "udp", '42"', "NXDOMAIN"],
        ['"A', "IN", "web.ns.cluster.local.", "udp", '38"', "NXDOMAIN"],
        ['"A', "IN", "web.ns.", "udp", '24"', "NXDOMAIN"],
    ]
    client = cluster.pod("client").ip
    assert all(line[2].startswith(f"[{client}]:" if family == "ipv6" else f"{client}:") for line in words)


# --- time


def test_answers_are_stale_while_coredns_is_held() -> None:
    cluster = cluster_with(WEB)
    client = cluster.pod("client")
    cluster.hold("coredns")
    cluster.delete("services", "web")
    assert client.resolve("web") == ["10.96.7.7"]
    cluster.release("coredns")
    cluster.settle()
    assert client.lookup("web").status == "NXDOMAIN"


def test_names_outside_are_cached_for_30_seconds_of_virtual_time() -> None:
    cluster = cluster_with(seed=3)
    cluster.api.patch("deployments.apps", "coredns", {"spec": {"replicas": 1}}, "kube-system")
    cluster.advance(31)
    client = cluster.pod("client")
    cluster.outside.dns["example.com"] = "198.51.100.7"
    assert client.resolve("example.com.") == ["198.51.100.7"]
    cluster.outside.dns["example.com"] = "198.51.100.8"
    cluster.advance(29)
    found = client.lookup("example.com.")
    assert [(record.data, record.ttl_s) for record in found.records] == [("198.51.100.7", 1)]
    cluster.advance(1)
    assert client.resolve("example.com.") == ["198.51.100.8"]


def test_a_fork_has_caches_of_its_own() -> None:
    cluster = cluster_with()
    cluster.api.patch("deployments.apps", "coredns", {"spec": {"replicas": 1}}, "kube-system")
    cluster.advance(31)
    copy = cluster.fork()
    copy.outside.dns["example.com"] = "198.51.100.7"
    assert copy.pod("client").resolve("example.com.") == ["198.51.100.7"]
    assert cluster.pod("client").lookup("example.com.").status == "NXDOMAIN"
    assert copy.fork().pod("client").resolve("example.com.") == ["198.51.100.7"]


def test_silence_takes_the_time_that_resolv_conf_says() -> None:
    config = {"nameservers": ["203.0.113.99"], "options": [{"name": "timeout", "value": "3"}]}
    lonely = {
        **CLIENT,
        "metadata": {"name": "lonely"},
        "spec": {**CLIENT["spec"], "dnsPolicy": "None", "dnsConfig": config},
    }
    cluster = cluster_with(lonely)
    pod = cluster.pod("lonely")
    cluster.outside.run("ip route add blackhole 203.0.113.99")
    for flavour, seconds in (("glibc", 6.0), ("musl", 3.0)):
        begin = cluster.clock.now_s
        assert pod.lookup("example.com.", flavour=flavour, timeout_s=60).status == "TIMEOUT"
        assert cluster.clock.now_s - begin == pytest.approx(seconds), flavour
    begin = cluster.clock.now_s
    assert pod.lookup("example.com.", timeout_s=2).status == "TIMEOUT"
    assert cluster.clock.now_s - begin == pytest.approx(2.0)


def test_glibc_stops_waiting_when_the_port_is_unreachable_and_musl_does_not() -> None:
    config = {"nameservers": ["172.18.0.2"]}
    lonely = {
        **CLIENT,
        "metadata": {"name": "lonely"},
        "spec": {**CLIENT["spec"], "dnsPolicy": "None", "dnsConfig": config},
    }
    cluster = cluster_with(lonely)
    for flavour, seconds in (("glibc", 0.0), ("musl", 5.0)):
        begin = cluster.clock.now_s
        assert cluster.pod("lonely").lookup("example.com.", flavour=flavour, timeout_s=60).status == "TIMEOUT"
        assert cluster.clock.now_s - begin == pytest.approx(seconds), flavour


def test_outcomes_of_a_dns_packet_do_not_touch_the_cluster() -> None:
    from scapy.layers.inet import IP, UDP
    from scapy.packet import Raw

    from fakecluster.discovery.wire import make_query

    cluster = cluster_with()
    query = make_query("kubernetes.default.svc.cluster.local.", "A", message_id=7)
    packet = IP(dst="10.96.0.10") / UDP(sport=4000, dport=53) / Raw(query)
    taken = len(cluster.choices.taken)
    seen = cluster.pod("client").outcomes(packet)
    assert len(seen.destinations) == 2
    assert sum(seen.probabilities.values()) == 1
    assert len(cluster.choices.taken) == taken
