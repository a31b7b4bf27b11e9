from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fakecluster.api.client import ApiError, Client

Refusal = Callable[[Callable[[], Any]], str]


def test_a_namespace_keeps_its_name_as_a_label(client: Client) -> None:
    name_label = "kubernetes.io/metadata.name"
    client.create("namespaces", {"metadata": {"name": "shop", "labels": {name_label: "other"}}})
    patched = client.patch("namespaces", "shop", {"metadata": {"labels": {name_label: "hack", "n": "1"}}})
    assert patched["metadata"]["labels"] == {name_label: "shop", "n": "1"}
    assert (patched["spec"], patched["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})


def test_system_namespaces_stay(client: Client, refusal: Refusal) -> None:
    words = 'namespaces "kube-system" is forbidden: this namespace may not be deleted'
    assert refusal(lambda: client.delete("namespaces", "kube-system")) == words


def test_a_deleted_namespace_waits_for_its_finalizers(client: Client) -> None:
    client.create("namespaces", {"metadata": {"name": "shop"}})
    marked = client.delete("namespaces", "shop")
    assert marked is not None
    assert marked["status"] == {"phase": "Terminating"}
    assert "deletionGracePeriodSeconds" not in marked["metadata"]
    client.update("namespaces", {"metadata": {"name": "shop"}, "spec": {"finalizers": []}}, subresource="finalize")
    with pytest.raises(ApiError):
        client.get("namespaces", "shop")


def test_a_new_node_is_tainted_and_its_pod_range_is_one_field(client: Client) -> None:
    node = client.create("nodes", {"metadata": {"name": "a"}, "spec": {"podCIDR": "10.244.1.0/24"}})
    assert node["spec"] == {
        "podCIDR": "10.244.1.0/24",
        "podCIDRs": ["10.244.1.0/24"],
        "taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}],
    }
    assert node["status"]["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 0}}


def test_a_nodes_pod_range_is_set_once(client: Client, refusal: Refusal) -> None:
    client.create("nodes", {"metadata": {"name": "a"}})
    client.patch("nodes", "a", {"spec": {"podCIDR": "10.244.1.0/24"}})
    assert refusal(lambda: client.patch("nodes", "a", {"spec": {"podCIDR": "10.244.2.0/24"}})) == (
        'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'
    )


def test_a_slice_counts_up_for_labels_too(client: Client) -> None:
    resource = "endpointslices.discovery.k8s.io"
    obj = {"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.1.0.1"]}]}
    created = client.create(resource, obj, "default")
    assert (created["metadata"]["generation"], created["ports"]) == (1, None)
    assert created["endpoints"] == [{"addresses": ["10.1.0.1"], "conditions": {}}]
    assert client.patch(resource, "s", {"metadata": {"labels": {"a": "b"}}}, "default")["metadata"]["generation"] == 2
    patched = client.patch(resource, "s", {"metadata": {"annotations": {"a": "b"}}}, "default")
    assert patched["metadata"]["generation"] == 2


def test_a_slice_never_changes_its_family(client: Client, refusal: Refusal) -> None:
    resource = "endpointslices.discovery.k8s.io"
    client.create(resource, {"metadata": {"name": "s"}, "addressType": "IPv4"}, "default")
    words = 'addressType: Invalid value: "IPv6": field is immutable'
    assert refusal(lambda: client.patch(resource, "s", {"addressType": "IPv6"}, "default")) == words


def test_endpoints_hear_twice_that_an_address_is_none(client: Client, refusal: Refusal) -> None:
    obj = {"metadata": {"name": "e"}, "subsets": [{"addresses": [{"ip": "bad"}]}]}
    assert refusal(lambda: client.create("endpoints", obj, "default")) == (
        '[subsets[0].addresses[0].ip: Invalid value: "bad": must be a valid IP address, '
        '(e.g. 10.9.8.7 or 2001:db8::ffff), subsets[0].addresses[0].ip: Invalid value: "bad": '
        "must be a valid IP address]"
    )


def test_a_policy_is_about_egress_when_it_has_such_rules(client: Client) -> None:
    resource = "networkpolicies.networking.k8s.io"
    policy = {"metadata": {"name": "p"}, "spec": {"egress": [{"ports": [{"port": 53}]}]}}
    assert client.create(resource, policy, "default")["spec"] == {
        "podSelector": {},
        "egress": [{"ports": [{"port": 53, "protocol": "TCP"}]}],
        "policyTypes": ["Ingress", "Egress"],
    }


@pytest.mark.parametrize(
    ("peer", "words"),
    [
        ({}, "Required value: must specify a peer"),
        (
            {"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}},
            "Forbidden: may not specify both ipBlock and another peer",
        ),
    ],
)
def test_a_policy_peer_is_one_thing(client: Client, refusal: Refusal, peer: dict[str, Any], words: str) -> None:
    policy = {"metadata": {"name": "p"}, "spec": {"ingress": [{"from": [peer]}]}}
    found = refusal(lambda: client.create("networkpolicies.networking.k8s.io", policy, "default"))
    assert found == f"spec.ingress[0].from[0]: {words}"


def test_an_immutable_config_map_stays(client: Client, refusal: Refusal) -> None:
    client.create("configmaps", {"metadata": {"name": "c"}, "data": {"a": "1"}, "immutable": True}, "default")
    words = "data: Forbidden: field is immutable when `immutable` is set"
    assert refusal(lambda: client.patch("configmaps", "c", {"data": {"a": "2"}}, "default")) == words
    assert client.patch("configmaps", "c", {"metadata": {"labels": {"a": "b"}}}, "default")["data"] == {"a": "1"}


def test_a_secrets_texts_are_encoded(client: Client) -> None:
    secret = client.create("secrets", {"metadata": {"name": "s"}, "stringData": {"k": "hello"}}, "default")
    assert (secret["data"], secret["type"]) == ({"k": "aGVsbG8="}, "Opaque")
    assert "stringData" not in secret


def test_an_ingress_path_cannot_climb(client: Client, refusal: Refusal) -> None:
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    path = {"path": "/../x", "pathType": "Exact", "backend": backend}
    ingress = {"metadata": {"name": "i"}, "spec": {"rules": [{"http": {"paths": [path]}}]}}
    words = "spec.rules[0].http.paths[0].path: Invalid value: \"/../x\": must not contain '/../'"
    assert refusal(lambda: client.create("ingresses.networking.k8s.io", ingress, "default")) == words
