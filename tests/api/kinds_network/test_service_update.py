from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fakecluster.api.client import Client

Create = Callable[..., dict[str, Any]]
Refusal = Callable[[Callable[[], Any]], str]
Patch = Callable[..., dict[str, Any]]


@pytest.fixture
def patch(client: Client) -> Patch:
    def change(**spec: Any) -> dict[str, Any]:
        found: dict[str, Any] = client.patch("services", "web", {"spec": spec}, "default")["spec"]
        return found

    return change


@pytest.mark.parametrize("change", [{"clusterIP": ""}, {"clusterIP": None, "clusterIPs": None}])
def test_leaving_out_the_address_keeps_it(service: Create, patch: Patch, change: dict[str, Any]) -> None:
    address = service()["spec"]["clusterIP"]
    assert patch(**change)["clusterIPs"] == [address]


def test_the_address_cannot_change(service: Create, patch: Patch, refusal: Refusal) -> None:
    service()
    assert refusal(lambda: patch(clusterIP="10.96.55.1")) == (
        'spec.clusterIPs[0]: Invalid value: ["10.96.55.1"]: may not change once set'
    )


def test_a_node_port_goes_with_its_type_and_is_free_again(service: Create, patch: Patch) -> None:
    service(type="NodePort", ports=[{"port": 80, "nodePort": 30101}])
    spec = patch(type="ClusterIP")
    assert "nodePort" not in spec["ports"][0]
    assert "externalTrafficPolicy" not in spec
    assert (
        service("b", type="NodePort", ports=[{"port": 80, "nodePort": 30101}])["spec"]["ports"][0]["nodePort"] == 30101
    )


def test_a_node_port_survives_an_update_that_leaves_it_out(service: Create, patch: Patch) -> None:
    node_port = service(type="NodePort")["spec"]["ports"][0]["nodePort"]
    assert patch(ports=[{"port": 81}])["ports"][0] == {
        "port": 81,
        "protocol": "TCP",
        "targetPort": 81,
        "nodePort": node_port,
    }


def test_becoming_an_external_name_gives_the_address_back(service: Create, patch: Patch) -> None:
    address = service()["spec"]["clusterIP"]
    spec = patch(type="ExternalName", externalName="ex.example.org")
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"} & spec.keys()
    assert service("b", clusterIP=address)["spec"]["clusterIP"] == address
    assert patch(type="ClusterIP")["clusterIP"] != address


def test_a_second_family_comes_and_goes_with_the_policy(service: Create, patch: Patch) -> None:
    first = service()["spec"]["clusterIP"]
    spec = patch(ipFamilyPolicy="PreferDualStack")
    assert spec["ipFamilies"] == ["IPv4", "IPv6"]
    second = spec["clusterIPs"][1]
    spec = patch(ipFamilyPolicy="SingleStack")
    assert (spec["clusterIPs"], spec["ipFamilies"]) == ([first], ["IPv4"])
    assert service("b", clusterIP=second)["spec"]["clusterIP"] == second


def test_releasing_a_family_needs_the_policy(service: Create, patch: Patch, refusal: Refusal) -> None:
    service(ipFamilyPolicy="RequireDualStack")
    assert refusal(lambda: patch(ipFamilies=["IPv4"])) == (
        'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": '
        "must be 'SingleStack' to release the secondary IP family"
    )


def test_the_health_check_port_cannot_change(service: Create, patch: Patch, refusal: Refusal) -> None:
    service(type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=30511)
    assert (
        refusal(lambda: patch(healthCheckNodePort=30512)) == "spec.healthCheckNodePort: Forbidden: field is immutable"
    )


def test_leaving_load_balancer_clears_its_status(client: Client, service: Create, patch: Patch) -> None:
    service(type="LoadBalancer")
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.5"}]}}}
    stored = client.patch("services", "web", status, "default", subresource="status")
    assert stored["status"]["loadBalancer"]["ingress"] == [{"ip": "203.0.113.5", "ipMode": "VIP"}]
    patch(type="ClusterIP")
    assert client.get("services", "web", "default")["status"] == {"loadBalancer": {}}


def test_an_external_names_node_ports_are_nobodys(client: Client, service: Create, refusal: Refusal) -> None:
    ports = [{"port": 80, "nodePort": 30100}]
    service("a", type="NodePort", ports=ports)
    service("web", type="ExternalName", externalName="a.b", ports=ports)
    client.delete("services", "web", "default")
    assert "provided port is already allocated" in refusal(lambda: service("b", type="NodePort", ports=ports))
