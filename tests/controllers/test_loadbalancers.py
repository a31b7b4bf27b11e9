"""Services of type LoadBalancer: their addresses, and what happens when they go."""

import pytest
from endpoint_objects import ControlPlane

from fakecluster.controllers.loadbalancers import FINALIZER, PoolError, pool


def plane(**flags):
    return ControlPlane("service-lb-controller", **flags)


def ingress(plane, name="web"):
    return (plane.get("services", name)["status"]["loadBalancer"]).get("ingress", [])


def test_the_lowest_free_address_is_given_to_each_service():
    made = plane()
    made.add_service("a", type="LoadBalancer")
    made.add_service("b", type="LoadBalancer")
    made.add_service("c")
    made.settle()
    assert ingress(made, "a") == [{"ip": "198.51.100.1", "ipMode": "VIP"}]
    assert ingress(made, "b") == [{"ip": "198.51.100.2", "ipMode": "VIP"}]
    assert ingress(made, "c") == []


def test_a_dual_stack_service_gets_an_address_of_each_family_and_the_chosen_mode():
    made = plane(load_balancer_ip_mode="Proxy")
    made.add_service(type="LoadBalancer", ipFamilyPolicy="RequireDualStack", ipFamilies=["IPv6", "IPv4"])
    made.settle()
    assert ingress(made) == [
        {"ip": "2001:db8:100::1", "ipMode": "Proxy"},
        {"ip": "198.51.100.1", "ipMode": "Proxy"},
    ]


def test_the_address_asked_for_is_given():
    made = plane()
    made.add_service(type="LoadBalancer", loadBalancerIP="198.51.100.77")
    made.settle()
    assert [one["ip"] for one in ingress(made)] == ["198.51.100.77"]


def test_a_service_of_another_class_is_left_to_others():
    made = plane()
    made.add_service(type="LoadBalancer", loadBalancerClass="example.com/other")
    made.settle()
    assert ingress(made) == []
    assert "finalizers" not in made.get("services", "web")["metadata"]


def test_the_finalizer_holds_a_deleted_service_until_its_load_balancer_is_gone():
    made = plane()
    made.add_service(type="LoadBalancer")
    made.settle()
    assert made.get("services", "web")["metadata"]["finalizers"] == [FINALIZER]
    made.clock.hold("service-lb-controller")
    made.client.delete("services", "web", "shop")
    made.settle()
    assert "deletionTimestamp" in made.get("services", "web")["metadata"]
    made.clock.release("service-lb-controller")
    made.settle()
    assert made.get("services", "web") is None


def test_an_address_given_back_is_given_again():
    made = plane()
    made.add_service("a", type="LoadBalancer")
    made.settle()
    made.client.patch("services", "a", {"spec": {"type": "ClusterIP"}}, "shop")
    made.settle()
    assert ingress(made, "a") == [] and "finalizers" not in made.get("services", "a")["metadata"]
    made.add_service("b", type="LoadBalancer")
    made.settle()
    assert [one["ip"] for one in ingress(made, "b")] == ["198.51.100.1"]


def test_an_empty_pool_is_said_and_tried_again_when_an_address_is_free():
    made = plane(load_balancer_pool="192.0.2.8/32")
    made.add_service("a", type="LoadBalancer")
    made.add_service("b", type="LoadBalancer")
    made.settle()
    assert ingress(made, "b") == []
    messages = [one["message"] for one in made.client.list("events", "shop") if one["type"] == "Warning"]
    assert messages == [
        "Error syncing load balancer: failed to ensure load balancer: the load balancer pool has no free IPv4 address"
    ]
    made.client.delete("services", "a", "shop")
    made.settle(10.0)
    assert [one["ip"] for one in ingress(made, "b")] == ["192.0.2.8"]


def test_a_fork_gives_addresses_of_its_own():
    made = plane()
    copy = made.fork()
    for one, name in ((made, "a"), (copy, "b")):
        one.add_service(name, type="LoadBalancer")
        one.settle()
    assert ingress(made, "a") == ingress(copy, "b") == [{"ip": "198.51.100.1", "ipMode": "VIP"}]


@pytest.mark.parametrize("wanted", ["203.0.113.1", "198.51.100.3"], ids=["outside the pool", "taken"])
def test_an_address_that_cannot_be_given_is_refused(wanted):
    with pytest.raises(PoolError):
        pool("198.51.100.0/29").address("IPv4", wanted, {"198.51.100.3"})


def test_a_pool_that_is_no_network_is_refused():
    with pytest.raises(ValueError):
        pool("198.51.100.0/24,nonsense")
