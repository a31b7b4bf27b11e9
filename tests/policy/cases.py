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


#: A rule that an administrator may begin with, and how it goes on: a rule for everyone, on any port.
FIRST: dict[str, Json] = {
    "namespace y": {"namespaces": {"matchLabels": {"ns": "y"}}},
    "Pods b": {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"pod": "b"}}}},
    "80": {"namespaces": {}},
}
EVERYONE: Json = {"namespaces": {}}
SUBJECT: Json = {"namespaces": {"matchLabels": {"ns": "x"}}}
_80: Json = {"portNumber": {"protocol": "TCP", "port": 80}}


def admin(
    spec: Json, *, name: str = "p", priority: int = 1, kind: str = "AdminNetworkPolicy", subject: Json = SUBJECT
) -> Json:
    ordered = {} if kind == "BaselineAdminNetworkPolicy" else {"priority": priority}
    whole = {**ordered, "subject": subject, **spec}
    return {"apiVersion": "policy.networking.k8s.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": whole}


def baseline(spec: Json, *, subject: Json = SUBJECT) -> Json:
    return admin(spec, name="default", kind="BaselineAdminNetworkPolicy", subject=subject)


def admin_cases() -> Iterator[tuple[str, list[Json]]]:
    """Tiers, in both directions: what decides first, and what is left to those below."""
    for direction, field in DIRECTIONS.items():

        def rule(action: str, peer: Json, *ports: Json, field: str = field) -> Json:
            return {"action": action, field: [peer], **({"ports": list(ports)} if ports else {})}

        denied = policy("p", "x", {"podSelector": {}, "policyTypes": [direction.title()]})
        allowed = policy("q", "x", {"podSelector": {}, "policyTypes": [direction.title()], direction: [{}]})
        closed = baseline({direction: [rule("Deny", EVERYONE)]})
        for whom, peer in FIRST.items():
            ports = [_80] if whom == "80" else []
            for action in ("Allow", "Deny", "Pass"):
                first = rule(action, peer, *ports)
                guard = admin({direction: [first, rule("Deny" if action != "Deny" else "Allow", EVERYONE)]})
                yield f"{direction} of x: admin {action} {whom}, then the rest", [guard]
            passing = admin({direction: [rule("Pass", peer, *ports), rule("Allow", EVERYONE)]})
            yield f"{direction} of x: admin Pass {whom} to a NetworkPolicy that denies", [passing, denied]
            yield f"{direction} of x: admin Pass {whom} to a baseline that denies", [passing, closed]
        deny = admin({direction: [rule("Deny", EVERYONE, _80)]}, name="late", priority=9)
        allow = admin({direction: [rule("Allow", FIRST["namespace y"])]}, name="early", priority=2)
        yield f"{direction} of x: priorities", [deny, allow]
        yield f"{direction} of x: a baseline that denies", [closed]
        yield f"{direction} of x: a baseline below a NetworkPolicy that allows", [closed, allowed]
        named = admin({direction: [rule("Deny", EVERYONE, {"namedPort": "serve-81-udp"})]})
        yield f"{direction} of x: admin Deny serve-81-udp", [named]
        span = {"portRange": {"protocol": "UDP", "start": 80, "end": 81}}
        yield f"{direction} of x: admin Deny 80-81 UDP", [admin({direction: [rule("Deny", EVERYONE, span)]})]
    networks = {"action": "Deny", "to": [{"networks": ["10.244.1.0/24"]}]}
    yield "egress of x: admin Deny node b's network", [admin({"egress": [networks]})]
    intra = {"namespaces": {"matchLabels": {"ns": "x"}}}
    tenant = admin({"ingress": [{"action": "Pass", "from": [intra]}, {"action": "Deny", "from": [EVERYONE]}]})
    yield (
        "both of x: a tenant of its own",
        [tenant, admin({"egress": [{"action": "Deny", "to": [EVERYONE]}]}, name="q")],
    )


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
    yield from admin_cases()
