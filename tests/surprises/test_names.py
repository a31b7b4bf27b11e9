"""Names: what DNS, environment variables and policies do to them."""

from __future__ import annotations

from typing import Any

import pytest

from fakecluster import Cluster
from fakecluster.handles import ResolveFailed

from .manifests import pod, service, web
from .page import shows, way
from .test_endpoints import READINESS


def test_a_name_outside_the_cluster_costs_four_queries_and_a_final_dot_saves_three() -> None:
    cluster = Cluster(nodes=2)
    cluster.outside.dns["example.com"] = "198.51.100.7"
    cluster.apply(pod("client"))
    client = cluster.pod("client")
    assert [query.name for query in client.lookup("example.com").queries] == [
        "example.com.default.svc.cluster.local.",
        "example.com.svc.cluster.local.",
        "example.com.cluster.local.",
        "example.com.",
    ]
    assert [query.name for query in client.lookup("example.com.").queries] == ["example.com."]
    shows("\n".join(f"{query.name} {query.type}: {query.status}" for query in client.lookup("example.com").queries))


@pytest.mark.parametrize(("publish", "found"), [(False, None), (True, ["10.244.0.3"])])
def test_peers_of_a_headless_service_cannot_be_found_until_they_are_ready(publish: bool, found: Any) -> None:
    cluster = Cluster(nodes=2)
    headless = service("db", clusterIP="None", publishNotReadyAddresses=publish)
    cluster.apply([pod("db-1", "db", node="a", container=READINESS), headless, pod("client", node="b")])
    cluster.advance(3)
    cluster.pod("db-1").set_ready(False)
    cluster.advance(40)
    if found is None:
        with pytest.raises(ResolveFailed, match="NXDOMAIN") as failed:
            cluster.pod("client").resolve("db")
        shows(failed.value)
    else:
        assert cluster.pod("client").resolve("db") == found


def test_a_service_called_redis_overwrites_the_programs_own_redis_port() -> None:
    cluster = Cluster()
    cluster.apply([service("redis", 6379, clusterIP="10.96.0.77"), pod("app"), pod("quiet", enableServiceLinks=False)])
    assert cluster.pod("app").env["REDIS_PORT"] == "tcp://10.96.0.77:6379"  # and not 6379
    assert "REDIS_PORT" not in cluster.pod("quiet").env
    shows("\n".join(f"{name}={value}" for name, value in sorted(cluster.pod("app").env.items()) if "REDIS" in name))


def test_environment_variables_know_only_the_services_that_were_there_first() -> None:
    cluster = Cluster()
    cluster.apply(pod("early"))
    cluster.apply([service("web"), pod("late")])
    assert "WEB_SERVICE_HOST" not in cluster.pod("early").env
    assert cluster.pod("late").env["WEB_SERVICE_PORT"] == "80"
    shows(
        "\n".join(
            f"{name}: {sorted(one for one in cluster.pod(name).env if 'WEB' in one)}" for name in ("early", "late")
        )
    )
    assert cluster.pod("early").resolve("web") == [cluster.service("web").cluster_ip]


def test_a_headless_service_has_no_port_of_its_own() -> None:
    cluster = Cluster(nodes=2)
    headless = service("web", clusterIP="None")
    headless["spec"]["ports"][0]["targetPort"] = 8080
    cluster.apply([pod("web-1", "web", port=8080, node="b"), headless, pod("client", node="a")])
    seen = cluster.pod("client").outcomes("tcp://web:80", explain=True)
    assert seen.probabilities == {"refused": 1}
    shows(way(seen, "refused"))
    assert cluster.pod("client").outcomes("tcp://web:8080").probabilities == {"web-1": 1}


def test_pods_of_the_host_network_do_not_ask_cluster_dns() -> None:
    cluster = Cluster(nodes=2)
    plain = pod("plain", node="a", hostNetwork=True)
    right = pod("right", node="a", hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet")
    cluster.apply([*web("b"), plain, right])
    assert cluster.pod("right").resolve("web") == [cluster.service("web").cluster_ip]
    with pytest.raises(ResolveFailed, match="NXDOMAIN") as failed:
        cluster.pod("plain").resolve("web")
    shows(failed.value)


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_an_egress_policy_that_forgot_dns_lets_packets_through_but_no_names(cni: str) -> None:
    cluster = Cluster(nodes=2, cni=cni)
    to_web = [{"to": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]
    spec = {"podSelector": {"matchLabels": {"app": "shop"}}, "policyTypes": ["Egress"], "egress": to_web}
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "shop"}, "spec": spec}
    cluster.apply([*web("b"), policy, pod("shop", "shop", node="a")])
    shop = cluster.pod("shop")
    assert shop.connect(cluster.service("web").cluster_ip, 80).request(b"x").server == "web-1"
    with pytest.raises(ResolveFailed, match="TIMEOUT"):
        shop.resolve("web")
    shows(cluster.traces[-1])
