"""Endpoints subsets: which address stands where, under which ports, and what is cut off."""

import pytest
from endpoint_objects import pod, service

from fakecluster.controllers.subsets import subsets_for, truncated

HTTP = [{"name": "http", "port": 8080, "protocol": "TCP"}]


def address(name, ip, node="node-a", **more):
    ref = {"kind": "Pod", "namespace": "shop", "name": name, "uid": f"uid-{name}"}
    return {"ip": ip, "nodeName": node, "targetRef": ref, **more}


def test_ready_and_unready_pods_stand_in_one_subset():
    pods = [pod("b", "10.244.0.20"), pod("a", "10.244.0.3"), pod("c", "10.244.0.4", ready=False)]
    assert subsets_for(service(), pods) == [
        {
            "addresses": [address("b", "10.244.0.20"), address("a", "10.244.0.3")],  # sorted as text
            "notReadyAddresses": [address("c", "10.244.0.4")],
            "ports": HTTP,
        }
    ]


@pytest.mark.parametrize(
    "left_out",
    [
        pod("p"),
        pod("p", "10.244.0.3", phase="Succeeded"),
        pod("p", "10.244.0.3", phase="Failed"),
        pod("p", "10.244.0.3", deleted=True),
        pod("p", "fd00::3"),
    ],
    ids=["no address", "succeeded", "failed", "terminating", "other family"],
)
def test_pods_that_are_no_endpoints_are_left_out(left_out):
    assert subsets_for(service(), [left_out]) == []


def test_publishing_not_ready_addresses_makes_every_pod_ready_and_keeps_terminating_ones():
    pods = [pod("a", "10.244.0.3", ready=False), pod("b", "10.244.0.4", deleted=True)]
    (subset,) = subsets_for(service(publishNotReadyAddresses=True), pods)
    assert [one["ip"] for one in subset["addresses"]] == ["10.244.0.3", "10.244.0.4"]
    assert "notReadyAddresses" not in subset


def test_the_first_family_of_the_service_chooses_the_address():
    pods = [pod("a", "10.244.0.3", "fd00::3")]
    (subset,) = subsets_for(service(ipFamilies=["IPv6", "IPv4"]), pods)
    assert [one["ip"] for one in subset["addresses"]] == ["fd00::3"]


def test_pods_with_other_numbers_behind_a_named_port_get_their_own_subset():
    named = [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}]
    other = [{"name": "fixed", "port": 81, "targetPort": 9000, "protocol": "TCP"}]

    def with_port(number):
        return [{"name": "main", "ports": [{"name": "web", "containerPort": number, "protocol": "TCP"}]}]

    pods = [
        pod("a", "10.244.0.3", containers=with_port(8080)),
        pod("b", "10.244.0.4", containers=with_port(9090)),
        pod("c", "10.244.0.5"),
    ]
    found = {
        tuple(port["port"] for port in subset["ports"]): [one["ip"] for one in subset["addresses"]]
        for subset in subsets_for(service(ports=named + other), pods)
    }
    assert found == {
        (8080,): ["10.244.0.3"],
        (9090,): ["10.244.0.4"],
        (9000,): ["10.244.0.3", "10.244.0.4", "10.244.0.5"],
    }


def test_a_headless_service_without_ports_has_subsets_without_ports():
    subsets = subsets_for(service(ports=[], clusterIP="None"), [pod("a", "10.244.0.3")])
    assert subsets == [{"addresses": [address("a", "10.244.0.3")]}]
    assert subsets_for(service(ports=[]), [pod("a", "10.244.0.3")]) == []


def test_an_address_that_is_not_ready_on_one_of_two_ports_with_one_number_is_not_ready():
    twice = [{"name": "a", "port": 80, "targetPort": 1, "protocol": "TCP"}] * 2
    same_ip = [pod("a", "10.244.0.3", ready=False), pod("a", "10.244.0.3")]
    for pods in (same_ip, same_ip[::-1]):
        (subset,) = subsets_for(service(ports=twice), pods)
        assert "addresses" not in subset and len(subset["notReadyAddresses"]) == 1


def test_the_host_name_is_told_where_it_belongs_to_the_services_subdomain():
    named = pod("a", "10.244.0.3", hostname="first", subdomain="web")
    other = pod("b", "10.244.0.4", hostname="second", subdomain="elsewhere")
    (subset,) = subsets_for(service(), [named, other])
    assert [one.get("hostname") for one in subset["addresses"]] == ["first", None]


def subset(ready, not_ready, name="http"):
    found = {
        "addresses": [{"ip": f"10.1.{i // 250}.{i % 250}"} for i in range(ready)],
        "notReadyAddresses": [{"ip": f"10.2.{i // 250}.{i % 250}"} for i in range(not_ready)],
        "ports": [{"name": name, "port": 1}],
    }
    return {key: value for key, value in found.items() if value}


def sizes(subsets):
    return [(len(one.get("addresses", ())), len(one.get("notReadyAddresses", ()))) for one in subsets]


def test_a_thousand_addresses_fit():
    assert truncated([subset(600, 400)]) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([subset(600, 500)], [(600, 400)]),
        ([subset(1005, 7)], [(1000, 0)]),
        ([subset(1500, 3), subset(500, 0)], [(750, 0), (250, 0)]),
        ([subset(900, 100), subset(0, 200)], [(900, 34), (0, 66)]),
    ],
)
def test_ready_addresses_are_kept_first_and_subsets_are_cut_in_proportion(before, after):
    assert sizes(truncated(before)) == after
