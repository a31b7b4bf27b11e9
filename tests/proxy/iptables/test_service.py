"""One service port as iptables text."""

from __future__ import annotations

from typing import Any

from proxy_objects import service

from fakecluster.proxy.detect_local import LocalDetector
from fakecluster.proxy.iptables.service import Policy, ServiceRules, render
from fakecluster.proxy.topology import categorize
from fakecluster.proxy.view import Endpoint, service_ports

HERE = Endpoint("10.244.0.4", 8080, "10.244.0.4:8080", is_local=True)
THERE = Endpoint("10.244.1.9", 8080, "10.244.1.9:8080")
POLICY = Policy(
    LocalDetector(cidr="10.244.0.0/16"), masquerade_all=False, counts_localhost=False, node_ip="192.168.1.10"
)


def _rules(*endpoints: Endpoint, comments: bool = True, **spec: Any) -> ServiceRules:
    (port,) = service_ports(service(**spec), "IPv4").values()
    return render(port, categorize(endpoints, port, "node-a", ""), POLICY, comments=comments)


def test_a_cluster_ip_leads_to_its_chain_and_the_chain_to_each_endpoint_alike() -> None:
    rules = _rules(HERE, THERE)
    svc = rules.chains[0]
    assert rules.shared == (
        '-A KUBE-SERVICES -m comment --comment "shop/web:http cluster IP" -m tcp -p tcp -d 10.96.0.10 --dport 80 '
        f"-j {svc}\n"
    )
    spread = [line for line in rules.own.splitlines() if line.startswith(f"-A {svc} ") and "KUBE-SEP-" in line]
    assert ["--probability 0.5000000000" in line for line in spread] == [True, False]
    assert [line.partition('"')[2].partition('"')[0] for line in spread] == [
        "shop/web:http -> 10.244.0.4:8080",
        "shop/web:http -> 10.244.1.9:8080",
    ]


def test_without_endpoints_there_is_only_a_refusal() -> None:
    rules = _rules()
    assert (rules.shared, rules.own, rules.chains) == ("", "", ())
    assert rules.filter == (
        '-A KUBE-SERVICES -m comment --comment "shop/web:http has no endpoints" -m tcp -p tcp -d 10.96.0.10 '
        "--dport 80 -j REJECT\n"
    )


def test_local_policy_without_local_endpoints_drops_from_outside_but_not_from_here() -> None:
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]
    rules = _rules(THERE, type="NodePort", externalTrafficPolicy="Local", ports=ports)
    assert rules.lacks_local_external
    assert not rules.lacks_local_internal
    assert "has no local endpoints" in rules.filter
    assert "-j DROP" in rules.filter
    external = [line.rpartition(" -j ")[2] for line in rules.own.splitlines() if line.startswith("-A KUBE-EXT-")]
    svc = next(chain for chain in rules.chains if chain.startswith("KUBE-SVC-"))
    assert external == [svc, "KUBE-MARK-MASQ", svc]  # from Pods, from the node itself; nothing for others


def test_affinity_asks_for_the_remembered_endpoint_first() -> None:
    rules = _rules(HERE, sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}})
    svc, sep = rules.chains
    lines = [line for line in rules.own.splitlines() if line.startswith(f"-A {svc} ") and sep in line]
    assert f"-m recent --name {sep} --rcheck --seconds 60 --reap -j {sep}" in lines[0]
    assert f"-m recent --name {sep} --set -m tcp -p tcp -j DNAT --to-destination 10.244.0.4:8080" in rules.own


def test_large_clusters_say_nothing_beside_endpoints() -> None:
    own = _rules(HERE, comments=False).own
    assert "-> 10.244.0.4:8080" not in own
    assert "--comment shop/web:http -s" not in own


def test_source_ranges_that_hold_the_node_let_it_in_by_the_address_itself() -> None:
    status = {"loadBalancer": {"ingress": [{"ip": "198.51.100.4"}]}}
    rules = _rules(HERE, type="LoadBalancer", status=status, loadBalancerSourceRanges=["192.168.1.0/24"])
    firewall = [line for line in rules.own.splitlines() if line.startswith("-A KUBE-FW-")]
    assert [line.partition(" -s ")[2].partition(" ")[0] for line in firewall] == ["192.168.1.0/24", "198.51.100.4", ""]
    assert "KUBE-PROXY-FIREWALL" in rules.filter
