"""More than a hundred policies, each part by part: whom they are about, whom they let in or out, on which ports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
SUBJECTS: dict[str, Json] = {
    "every Pod of x": {},
    "x/a": {"matchLabels": {"pod": "a"}},
    "x but a": {"matchExpressions": [{"key": "pod", "operator": "NotIn", "values": ["a"]}]},
    "nothing": {"matchExpressions": [{"key": "pod", "operator": "DoesNotExist"}]},
}
PEERS: dict[str, list[Json]] = {
    "anyone": [],
    "Pods b of x": [{"podSelector": {"matchLabels": {"pod": "b"}}}],
    "every Pod of x": [{"podSelector": {}}],
    "every namespace": [{"namespaceSelector": {}}],
    "namespace y": [{"namespaceSelector": {"matchLabels": {"ns": "y"}}}],
    "Pods b of y": [{"namespaceSelector": {"matchLabels": {"ns": "y"}}, "podSelector": {"matchLabels": {"pod": "b"}}}],
    "namespace y or Pods b of x": [
        {"namespaceSelector": {"matchLabels": {"ns": "y"}}}, {"podSelector": {"matchLabels": {"pod": "b"}}},
    ],
    "node b's block": [{"ipBlock": {"cidr": "10.244.1.0/24"}}],
    "all but node b's block": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.244.1.0/24"]}}],
}  # fmt: skip
PORTS: dict[str, list[Json]] = {
    "any port": [],
    "80": [{"port": 80}],
    "serve-81": [{"port": "serve-81-tcp"}],
    "80-81 UDP": [{"protocol": "UDP", "port": 80, "endPort": 81}],
    "UDP": [{"protocol": "UDP"}],
}
DIRECTIONS = {"ingress": "from", "egress": "to"}


def policy(name: str, space: str, spec: Json) -> Json:
    metadata = {"name": name, "namespace": space}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def cases() -> Iterator[tuple[str, list[Json]]]:
    """(name, policies) of every case."""
    for direction, field in DIRECTIONS.items():
        for whom, peers in PEERS.items():
            for which, ports in PORTS.items():
                rule = {**({field: peers} if peers else {}), **({"ports": ports} if ports else {})}
                spec = {"podSelector": {}, "policyTypes": [direction.title()], direction: [rule]}
                yield f"{direction} of x: {whom}, {which}", [policy("p", "x", spec)]
        for subject, selector in SUBJECTS.items():
            spec = {"podSelector": selector, "policyTypes": [direction.title()]}
            yield f"{direction} of {subject}: denied", [policy("p", "x", spec)]
            allowing = {**spec, direction: [{}]}
            yield f"{direction} of {subject}: denied and allowed", [policy("p", "x", spec), policy("q", "x", allowing)]
    for subject, selector in SUBJECTS.items():
        both = {"podSelector": selector, "policyTypes": ["Ingress", "Egress"]}
        yield f"both of {subject}: denied", [policy("p", "x", both)]
        meeting = {"podSelector": {}, "ingress": [{"from": PEERS["every namespace"]}]}
        yield f"both of {subject}: denied, y open", [policy("p", "x", both), policy("q", "y", meeting)]
