"""The administrators' policies as custom resources: what the API lets through and refuses, in its words."""

from __future__ import annotations

from typing import Any

import pytest

from fakecluster.errors import ManifestError, Unsupported

from .grid import Grid

Json = dict[str, Any]
EVERYONE: Json = {"namespaces": {}}


def admin(spec: Json, *, name: str = "p", kind: str = "AdminNetworkPolicy", version: str = "v1alpha1") -> Json:
    whole = {"subject": EVERYONE, **spec}
    return {
        "apiVersion": f"policy.networking.k8s.io/{version}",
        "kind": kind,
        "metadata": {"name": name},
        "spec": whole,
    }


def egress(peer: Json, **more: Any) -> Json:
    return {"priority": 1, "egress": [{"action": "Deny", "to": [peer], **more}]}


@pytest.mark.parametrize(
    ("policy", "complaint"),
    [
        (admin({"priority": 1001}), "spec.priority in body should be less than or equal to 1000"),
        (admin({}), "spec.priority: Required value"),
        (admin({"priority": 1, "subject": {}}), "spec.subject in body should have at least 1 properties"),
        (admin({"priority": 1, "subject": {**EVERYONE, "pods": {"namespaceSelector": {}, "podSelector": {}}}}),
         "spec.subject: Too many: 2: must have at most 1 item"),
        (admin({"priority": 1, "ingress": [{"action": "Drop", "from": [EVERYONE]}]}),
         'spec.ingress[0].action: Unsupported value: "Drop": supported values: "Allow", "Deny", "Pass"'),
        (admin({"priority": 1, "ingress": [{"action": "Deny", "from": []}]}),
         "spec.ingress[0].from in body should have at least 1 items"),
        (admin(egress({"networks": ["10.0.0.0/33"]})),
         'spec.egress[0].to[0].networks[0]: Invalid value: "10.0.0.0/33": Invalid CIDR format provided'),
        (admin(egress({"nodes": {}}, ports=[{"namedPort": "http"}])),
         "spec.egress[0]: Invalid value: networks/nodes/domainNames peer cannot be set with namedPorts since there are no"
         " namedPorts for networks/nodes/domainNames"),
        (admin({}, kind="BaselineAdminNetworkPolicy"),
         'Only one baseline admin network policy with metadata.name="default" can be created in the cluster'),
        (admin({"tier": "Admin", "priority": 1, "ingress": [{"action": "Deny", "from": [EVERYONE], "protocols": [
            {"tcp": {"destinationPort": {"range": {"start": 9, "end": 9}}}}]}]},
            kind="ClusterNetworkPolicy", version="v1alpha2"), "Start port must be less than End port"),
    ],
)  # fmt: skip
def test_what_the_definitions_refuse(policy: Json, complaint: str) -> None:
    with pytest.raises(ManifestError) as refused:
        Grid.of(policy)
    assert complaint in str(refused.value)


def test_a_port_without_a_protocol_is_tcp() -> None:
    rule = {"action": "Deny", "from": [EVERYONE], "ports": [{"portNumber": {"port": 80}}]}
    grid = Grid.of(admin({"priority": 1, "ingress": [rule]}))
    assert [grid.arrives("x/a", "x/b", protocol, 80) for protocol in ("TCP", "UDP")] == [False, True]


def test_domain_names_are_said_to_be_a_gap() -> None:
    with pytest.raises(Unsupported, match="domain names"):
        Grid.of(admin({"priority": 1, "egress": [{"action": "Allow", "to": [{"domainNames": ["example.com"]}]}]}))


def test_a_selector_that_means_nothing_is_the_manifests_fault() -> None:
    wrong = {"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}
    with pytest.raises(ManifestError, match='AdminNetworkPolicy p: "Like" is not a valid label selector operator'):
        Grid.of(admin({"priority": 1, "subject": {"namespaces": wrong}}))
