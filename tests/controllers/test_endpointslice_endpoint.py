"""Pods as endpoints of slices, and the order of a slice's ports."""

import pytest
from endpoint_objects import NODES, pod, service

from fakecluster.controllers.endpointslices.endpoint import endpoint_for, endpoint_ports, fnv128a, ordered, slice_ports


def conditions(made, **spec):
    found = endpoint_for(made, NODES["node-a"], service(**spec), "IPv4")["conditions"]
    return found["ready"], found["serving"], found["terminating"]


def test_an_endpoint_names_its_pod_its_node_and_its_zone():
    assert endpoint_for(pod("a", "10.244.0.3"), NODES["node-a"], service(), "IPv4") == {
        "addresses": ["10.244.0.3"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "targetRef": {"kind": "Pod", "namespace": "shop", "name": "a", "uid": "uid-a"},
        "nodeName": "node-a",
        "zone": "zone-a",
    }


@pytest.mark.parametrize(
    ("ready", "deleted", "expected"),
    [
        (True, False, (True, True, False)),
        (False, False, (False, False, False)),
        (True, True, (False, True, True)),
        (False, True, (False, False, True)),
    ],
)
def test_a_terminating_pod_serves_but_is_not_ready(ready, deleted, expected):
    assert conditions(pod("a", "10.244.0.3", ready=ready, deleted=deleted)) == expected


def test_publishing_not_ready_addresses_overrules_readiness_only():
    made = pod("a", "10.244.0.3", ready=False, deleted=True)
    assert conditions(made, publishNotReadyAddresses=True) == (True, False, True)


@pytest.mark.parametrize(("family", "addresses"), [("IPv4", ["10.244.0.3", "10.244.0.4"]), ("IPv6", ["fd00::3"])])
def test_each_family_takes_its_addresses_in_canonical_form(family, addresses):
    made = pod("a", "010.244.0.03", "FD00:0::0003", "10.244.0.4")
    assert endpoint_for(made, None, service(), family)["addresses"] == addresses


def test_sidecars_offer_ports_but_plain_init_containers_do_not():
    port = {"name": "web", "containerPort": 9000, "protocol": "TCP"}
    wanted = service(ports=[{"name": "x", "port": 80, "targetPort": "web", "protocol": "TCP"}])
    plain = pod("a", "10.244.0.3", initContainers=[{"name": "i", "ports": [port]}])
    sidecar = pod("a", "10.244.0.3", initContainers=[{"name": "i", "restartPolicy": "Always", "ports": [port]}])
    assert endpoint_ports(wanted, plain) == ()
    assert endpoint_ports(wanted, sidecar) == (("x", 9000, "TCP", None),)


def test_the_hash_is_fnv_1a():
    assert fnv128a(b"") == 0x6C62272E07BB014262B821756295C58D
    assert fnv128a(b"a") == 0xD228CB696F1A8CAF78912B704E4A8964


def test_ports_stand_in_the_order_that_a_real_controller_wrote():
    written = (
        ("dns", 53, "UDP", None),
        ("https", 443, "TCP", None),
        ("dns-tcp", 53, "TCP", None),
        ("http", 80, "TCP", None),
    )
    assert ordered(tuple(sorted(written))) == written
    assert ordered((("gossip", 7000, "UDP", None), ("http", 8080, "TCP", None)))[0][0] == "http"


def test_the_ports_of_a_slice_are_read_back_whatever_their_order():
    ports = [{"name": "b", "port": 2, "protocol": "TCP"}, {"port": 1}]
    assert slice_ports({"ports": ports}) == slice_ports({"ports": ports[::-1]})
    assert set(slice_ports({"ports": ports})) == {("b", 2, "TCP", None), ("", 1, "TCP", None)}
    assert slice_ports({"ports": None}) == ()
