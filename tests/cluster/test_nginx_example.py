"""The main job: what `examples/nginx.yaml` becomes, and every way a connection can go."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from fakecluster import Cluster

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "nginx.yaml"


@pytest.fixture
def nginx() -> Cluster:
    cluster = Cluster(nodes=2)
    cluster.apply(EXAMPLE)
    return cluster


def test_objects_are_stored_with_the_real_servers_defaults(nginx: Cluster) -> None:
    spec = dict(nginx.service("nginx-service").object["spec"])
    cluster_ip = spec.pop("clusterIP")
    assert ip_address(cluster_ip) in ip_network("10.96.0.0/16")
    assert spec.pop("clusterIPs") == [cluster_ip]
    assert spec == {
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "ports": [
            {"name": "name-of-service-port", "port": 8081, "protocol": "TCP", "targetPort": "http-web-svc"},
        ],
        "selector": {"app": "my-app"},
        "sessionAffinity": "None",
        "type": "ClusterIP",
    }


def test_the_pod_is_scheduled_addressed_and_ready(nginx: Cluster) -> None:
    pod = nginx.pod("nginx")
    assert pod.object["spec"]["nodeName"] in ("a", "b")
    assert ip_address(pod.ip) in ip_network(pod.node.pod_cidr)
    assert pod.ready
    assert pod.object["status"]["qosClass"] == "Burstable"


def test_endpoints_and_slice_name_the_containers_port(nginx: Cluster) -> None:
    pod = nginx.pod("nginx")
    (subset,) = nginx.api.get("endpoints", "nginx-service", "default")["subsets"]
    assert [(port["name"], port["port"]) for port in subset["ports"]] == [("name-of-service-port", 80)]
    assert [address["ip"] for address in subset["addresses"]] == [pod.ip]
    (found,) = nginx.service("nginx-service").slices
    assert [(port["name"], port["port"], port["protocol"]) for port in found["ports"]] == [
        ("name-of-service-port", 80, "TCP")
    ]
    (endpoint,) = found["endpoints"]
    assert endpoint["addresses"] == [pod.ip]
    assert endpoint["conditions"] == {"ready": True, "serving": True, "terminating": False}
    assert endpoint["nodeName"] == pod.node.name


def test_every_node_has_the_rules_with_kube_proxys_chain_names(nginx: Cluster) -> None:
    cluster_ip, pod_ip = nginx.service("nginx-service").cluster_ip, nginx.pod("nginx").ip
    for node in nginx.nodes:
        rules = node.run("iptables-save -t nat").splitlines()
        portal = "default/nginx-service:name-of-service-port"
        assert (
            f'-A KUBE-SERVICES -d {cluster_ip}/32 -p tcp -m comment --comment "{portal} cluster IP" '
            "-m tcp --dport 8081 -j KUBE-SVC-IQGXNJVVP26VHMIN"
        ) in rules
        assert any(rule.endswith(f"-m tcp -j DNAT --to-destination {pod_ip}:80") for rule in rules)


def test_the_name_resolves_and_pods_started_later_have_the_variables(nginx: Cluster) -> None:
    cluster_ip = nginx.service("nginx-service").cluster_ip
    client = nginx.pod("client")
    assert client.resolve("nginx-service") == [cluster_ip]
    assert client.resolve("nginx-service.default.svc.cluster.local.") == [cluster_ip]
    assert client.env["NGINX_SERVICE_SERVICE_HOST"] == cluster_ip
    assert client.env["NGINX_SERVICE_SERVICE_PORT"] == "8081"


def test_pods_that_ran_before_the_service_lack_its_variables() -> None:
    cluster = Cluster(nodes=2)
    first, service, client = EXAMPLE.read_text().split("\n---\n")
    for text in (first, service, client):
        cluster.apply(text)
    assert "NGINX_SERVICE_SERVICE_HOST" in cluster.pod("client").env
    assert "NGINX_SERVICE_SERVICE_HOST" not in cluster.pod("nginx").env


def test_a_connection_is_answered_by_the_pod(nginx: Cluster) -> None:
    client = nginx.pod("client")
    connection = client.connect("nginx-service", 8081)
    answer = connection.request(b"GET / HTTP/1.1\r\n\r\n")
    assert (answer.status, answer.server) == (200, "nginx")
    assert answer.client.startswith(f"{client.ip}:")  # not masqueraded
    connection.close()
    assert connection.state == "TIME_WAIT"
