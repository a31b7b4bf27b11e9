"""Administrators' policies, read from the API's JSON: AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy.

They are about Pods of any namespaces, their rules are asked one after the other, and the first that fits says Allow, Deny
or Pass. A peer that has no field which is known here fails closed, as the API asks of implementations: a rule that
allows then matches nothing, any other one denies everything.
Source: sigs.k8s.io/network-policy-api policy.networking.k8s.io/v1alpha1 and v1alpha2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fakecluster.api.selectors import EVERYTHING, SelectorError, from_label_selector
from fakecluster.errors import ManifestError, Unsupported
from fakecluster.policy.model import (
    ADMIN,
    ALLOW,
    BASELINE,
    DENY,
    DIRECTIONS,
    PASS,
    PEERS_FIELDS,
    NodeGroup,
    Peer,
    PodGroup,
    Policy,
    Ports,
    Rule,
    block_of,
)

JsonObject = dict[str, Any]
ACTIONS = {"Allow": ALLOW, "Accept": ALLOW, "Deny": DENY, "Pass": PASS}
#: ClusterNetworkPolicy's own word for a tier -> ours
_TIERS = {"Admin": ADMIN, "Baseline": BASELINE}
DOMAIN_NAMES = "domainNames"


def admin_policy_of(policy: JsonObject) -> Policy:
    """Read an AdminNetworkPolicy.

    Raises `Unsupported` for peers that are domain names, `ManifestError` for a selector that means nothing: the API
    takes any operator.
    """
    return _policy("AdminNetworkPolicy", ADMIN, policy, policy["spec"]["priority"], _ports)


def baseline_policy_of(policy: JsonObject) -> Policy:
    """Read the BaselineAdminNetworkPolicy; raises as `admin_policy_of`."""
    return _policy("BaselineAdminNetworkPolicy", BASELINE, policy, 0, _ports)


def cluster_policy_of(policy: JsonObject) -> Policy:
    """Read a ClusterNetworkPolicy; raises as `admin_policy_of`."""
    spec = policy["spec"]
    return _policy("ClusterNetworkPolicy", _TIERS[spec["tier"]], policy, spec["priority"], _protocols)


_PortReader = Callable[[JsonObject], tuple[Ports, ...] | None]


def _policy(kind: str, tier: str, policy: JsonObject, priority: int, ports_of: _PortReader) -> Policy:
    spec, name = policy["spec"], policy["metadata"]["name"]
    try:
        subject = _pods(spec["subject"])
        rules = tuple(
            (direction, tuple(_rule(rule, direction, ports_of, f"{kind} {name}") for rule in spec[direction.lower()]))
            for direction in DIRECTIONS
            if spec.get(direction.lower())
        )
    except SelectorError as problem:
        raise ManifestError(str(problem), place=f"{kind} {name}") from None
    return Policy(kind, tier, "", name, subject, rules, priority)


def _pods(chosen: Mapping[str, Any]) -> PodGroup:
    """A subject or a peer that is Pods: all of some namespaces, or some of them."""
    if chosen.get("namespaces") is not None:
        return PodGroup("", from_label_selector(chosen["namespaces"]), EVERYTHING)
    pods = chosen["pods"]
    namespaces = from_label_selector(pods.get("namespaceSelector") or {})
    return PodGroup("", namespaces, from_label_selector(pods.get("podSelector") or {}))


def _rule(rule: JsonObject, direction: str, ports_of: _PortReader, words: str) -> Rule:
    action, name = ACTIONS[rule["action"]], rule.get("name") or ""
    peers: list[Peer] = []
    for peer in rule[PEERS_FIELDS[direction]]:
        known = next((field for field in PEERS if peer.get(field) is not None), None)
        if peer.get(DOMAIN_NAMES):
            raise Unsupported("peers that are domain names in a network policy", token=f"{words}: {DOMAIN_NAMES}")
        if known is None:
            return Rule((), None, ALLOW, name) if action == ALLOW else Rule(None, None, DENY, name)
        peers += PEERS[known](peer)
    return Rule(tuple(peers), ports_of(rule), action, name)


def _networks(peer: JsonObject) -> Iterator[Peer]:
    return (block_of(cidr) for cidr in peer["networks"])


#: field of a peer -> how it is read
PEERS: dict[str, Callable[[JsonObject], Iterator[Peer]]] = {
    "namespaces": lambda peer: iter((_pods(peer),)),
    "pods": lambda peer: iter((_pods(peer),)),
    "nodes": lambda peer: iter((NodeGroup(from_label_selector(peer["nodes"])),)),
    "networks": _networks,
}


def _ports(rule: JsonObject) -> tuple[Ports, ...] | None:
    """v1alpha1: a port's number, a range of them, or a name over any protocol."""
    if rule.get("ports") is None:
        return None
    return tuple(map(_port, rule["ports"]))


def _port(port: JsonObject) -> Ports:
    if port.get("namedPort") is not None:
        return Ports("", name=port["namedPort"])
    if port.get("portRange") is not None:
        return Ports(port["portRange"].get("protocol") or "TCP", port["portRange"]["start"], port["portRange"]["end"])
    number = port["portNumber"]
    return Ports(number.get("protocol") or "TCP", number["port"], number["port"])


def _protocols(rule: JsonObject) -> tuple[Ports, ...] | None:
    """v1alpha2: a protocol with or without its ports, or a port's name over any protocol."""
    return None if rule.get("protocols") is None else tuple(map(_protocol, rule["protocols"]))


def _protocol(protocol: JsonObject) -> Ports:
    if protocol.get("destinationNamedPort"):
        return Ports("", name=protocol["destinationNamedPort"])
    ((word, wanted),) = protocol.items()
    port = (wanted or {}).get("destinationPort") or {}
    if port.get("range") is not None:
        return Ports(word.upper(), port["range"]["start"], port["range"]["end"])
    if port.get("number") is not None:
        return Ports(word.upper(), port["number"], port["number"])
    return Ports(word.upper())
