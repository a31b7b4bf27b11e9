from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fakecluster.api.client import ApiError, Client
from fakecluster.sim import Clock, Seeded

Create = Callable[..., dict[str, Any]]
Refusal = Callable[[Callable[[], Any]], str]


def _taken(client: Client) -> int:
    allocators = client.server.allocators
    addresses = sum(len(one.numbers.taken) for ranges in allocators.addresses.values() for one in ranges)
    return addresses + len(allocators.ports.taken)


def test_a_taken_address_is_refused_until_its_service_goes(client: Client, service: Create, refusal: Refusal) -> None:
    service("a", clusterIP="10.96.20.10")
    assert refusal(lambda: service("b", clusterIP="10.96.20.10")) == (
        'spec.clusterIPs: Invalid value: ["10.96.20.10"]: '
        "failed to allocate IP 10.96.20.10: provided IP is already allocated"
    )
    client.delete("services", "a", "default")
    assert service("b", clusterIP="10.96.20.10")["spec"]["clusterIP"] == "10.96.20.10"


def test_every_cluster_ip_has_an_object_that_names_its_service(client: Client, service: Create) -> None:
    address = service("a")["spec"]["clusterIP"]
    found = client.get("ipaddresses.networking.k8s.io", address)
    assert found["spec"]["parentRef"] == {"resource": "services", "namespace": "default", "name": "a"}
    assert found["metadata"]["labels"]["ipaddress.kubernetes.io/ip-family"] == "IPv4"
    client.delete("services", "a", "default")
    with pytest.raises(ApiError):
        client.get("ipaddresses.networking.k8s.io", address)


def test_a_service_that_is_refused_gives_everything_back(client: Client, service: Create, refusal: Refusal) -> None:
    before = _taken(client)
    ports = [{"port": 80, "targetPort": "BAD"}]
    assert "spec.ports[0].targetPort" in refusal(lambda: service("a", type="NodePort", ports=ports))
    assert _taken(client) == before


def test_a_second_family_that_is_taken_leaks_the_first_address(service: Create, refusal: Refusal) -> None:
    service("a", clusterIP="fd00:10:96::20a")
    wanted = ["10.96.20.12", "fd00:10:96::20a"]
    both = {"clusterIP": wanted[0], "clusterIPs": wanted, "ipFamilyPolicy": "RequireDualStack"}
    assert "fd00:10:96::20a: provided IP is already allocated" in refusal(lambda: service("b", **both))
    assert "10.96.20.12: provided IP is already allocated" in refusal(lambda: service("c", clusterIP="10.96.20.12"))


def test_ports_of_one_number_share_a_node_port(service: Create) -> None:
    ports = [{"name": "a", "port": 53, "nodePort": 30212}, {"name": "b", "port": 53, "protocol": "UDP"}]
    spec = service(type="NodePort", ports=ports)["spec"]
    assert [port["nodePort"] for port in spec["ports"]] == [30212, 30212]


def test_two_services_never_share_a_node_port(service: Create, refusal: Refusal) -> None:
    service("a", type="NodePort", ports=[{"port": 80, "nodePort": 30100}])
    ports = [{"port": 80, "protocol": "UDP", "nodePort": 30100}]
    assert refusal(lambda: service("b", type="NodePort", ports=ports)) == (
        "spec.ports[0].nodePort: Invalid value: 30100: provided port is already allocated"
    )


def test_health_checks_have_a_port_while_traffic_stays_local(client: Client, service: Create, refusal: Refusal) -> None:
    local = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30105}
    service("a", **local)
    assert refusal(lambda: service("b", **local)) == (
        "Internal error occurred: failed to allocate requested HealthCheck NodePort 30105: "
        "provided port is already allocated"
    )
    spec = client.patch("services", "a", {"spec": {"externalTrafficPolicy": "Cluster"}}, "default")["spec"]
    assert "healthCheckNodePort" not in spec
    assert service("c", **local)["spec"]["healthCheckNodePort"] == 30105


def test_a_dry_run_takes_nothing(client: Client) -> None:
    before = _taken(client)
    obj = {"metadata": {"name": "a"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}}
    spec = client.create("services", obj, "default", dry_run=True)["spec"]
    assert (spec["clusterIP"], spec["ports"][0]["nodePort"]) == ("10.96.0.0", 30000)
    assert _taken(client) == before


def test_a_service_without_a_name_fails_at_its_address(service: Create, refusal: Refusal) -> None:
    text = refusal(lambda: service(""))
    assert text.startswith('spec.clusterIPs: Invalid value: [""]: failed to allocate IP: IPAddress.networking.k8s.io "')
    assert text.endswith('" is invalid: spec.parentRef.name: Required value')


def test_a_fork_allocates_on_its_own(client: Client, service: Create) -> None:
    service("a", clusterIP="10.96.20.10")
    other = Client(client.server.fork(Clock(), Seeded(2)))
    other.delete("services", "a", "default")
    again = {"metadata": {"name": "b"}, "spec": {"clusterIP": "10.96.20.10", "ports": [{"port": 80}]}}
    assert other.create("services", again, "default")["spec"]["clusterIP"] == "10.96.20.10"
    assert client.get("services", "a", "default")["spec"]["clusterIP"] == "10.96.20.10"
    assert _taken(client) == 2


def test_the_server_publishes_itself_at_the_first_address(client: Client) -> None:
    assert client.get("services", "kubernetes", "default")["spec"]["clusterIP"] == "10.96.0.1"
    assert client.get("endpoints", "kubernetes", "default")["subsets"][0]["addresses"] == [{"ip": "172.18.0.2"}]
    found = client.get("endpointslices.discovery.k8s.io", "kubernetes", "default")
    assert found["endpoints"][0]["addresses"] == ["172.18.0.2"]


def test_another_service_cidr_gives_more_addresses(client: Client, service: Create) -> None:
    resource = "servicecidrs.networking.k8s.io"
    client.create(resource, {"metadata": {"name": "more"}, "spec": {"cidrs": ["10.50.0.0/24"]}})
    assert client.get(resource, "more")["status"]["conditions"][0]["status"] == "True"
    assert service("a", clusterIP="10.50.0.9")["spec"]["clusterIP"] == "10.50.0.9"


def test_an_address_keeps_the_text_it_was_asked_with(client: Client, service: Create) -> None:
    assert service("a", clusterIP="FD00:10:96::77")["spec"]["clusterIP"] == "FD00:10:96::77"
    assert client.get("ipaddresses.networking.k8s.io", "fd00:10:96::77")["spec"]["parentRef"]["name"] == "a"
    client.delete("services", "a", "default")
    assert service("b", clusterIP="fd00:10:96::77")["spec"]["clusterIP"] == "fd00:10:96::77"


def test_an_address_with_an_object_is_taken_whoever_made_it(client: Client, service: Create, refusal: Refusal) -> None:
    resource = "ipaddresses.networking.k8s.io"
    parent = {"resource": "gateways", "group": "example.com", "name": "x", "namespace": "default"}
    client.create(resource, {"metadata": {"name": "10.96.20.30"}, "spec": {"parentRef": parent}})
    assert "provided IP is already allocated" in refusal(lambda: service("a", clusterIP="10.96.20.30"))
    client.delete(resource, "10.96.20.30")
    assert service("a", clusterIP="10.96.20.30")["spec"]["clusterIP"] == "10.96.20.30"
