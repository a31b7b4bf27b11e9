"""What policies say, read once from the API's JSON: whom a policy is about, and what its rules let through.

Two families of kinds share these values. A NetworkPolicy is about Pods of its own namespace and only allows; an
administrator's policy (`policy.admin`) is about Pods of any namespaces and says Allow, Deny or Pass.
Source: Kubernetes API networking.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from fakecluster.api.kinds_network.ip_text import parse_cidr, parse_ip
from fakecluster.api.selectors import EVERYTHING, Labels, Selector, from_label_selector

JsonObject = dict[str, Any]
INGRESS, EGRESS = "Ingress", "Egress"
DIRECTIONS = (INGRESS, EGRESS)
ADMIN, NETWORK, BASELINE = "admin", "network", "baseline"
#: In the order in which they are asked.
TIERS = (ADMIN, NETWORK, BASELINE)
ALLOW, DENY, PASS = "Allow", "Deny", "Pass"
FINISHED = ("Succeeded", "Failed")
#: The field that holds the peers of a direction's rule; the rules' own field is the direction in small letters.
PEERS_FIELDS = {INGRESS: "from", EGRESS: "to"}

PodKey = tuple[str, str]


@attrs.frozen
class Ports:
    """TCP, UDP or SCTP ports `first` to `last`; or those that the Pod which is reached calls `name`."""

    protocol: str
    first: int = 0
    last: int = 65535
    name: str = ""

    @property
    def is_every(self) -> bool:
        return not self.name and (self.first, self.last) == (0, 65535)


@attrs.frozen
class PodGroup:
    """Pods with certain labels in one `namespace`, or in all namespaces with certain labels."""

    namespace: str
    namespaces: Selector
    pods: Selector

    def covers(self, namespace: str, namespace_labels: Labels | None) -> bool:
        """Whether Pods of this namespace can be meant."""
        if self.namespace:
            return namespace == self.namespace
        return namespace_labels is not None and self.namespaces.matches(namespace_labels)

    def contains(self, pod: PolicyPod, namespace_labels: Labels | None) -> bool:
        return self.covers(pod.namespace, namespace_labels) and self.pods.matches(pod.labels)


@attrs.frozen
class Block:
    """Addresses inside `cidr` but outside each of `holes`."""

    cidr: str
    holes: tuple[str, ...] = ()

    @property
    def family(self) -> int:
        return 6 if ":" in self.cidr else 4


@attrs.frozen
class NodeGroup:
    """The addresses of the nodes with certain labels."""

    nodes: Selector


Group = PodGroup | NodeGroup
Peer = Group | Block


@attrs.frozen
class Rule:
    """What is let through (or not): from or to `peers` on `ports`; None means all of them, an empty tuple none."""

    peers: tuple[Peer, ...] | None
    ports: tuple[Ports, ...] | None
    action: str = ALLOW
    name: str = ""


@attrs.frozen
class Policy:
    """One policy; `rules` has an entry for each direction that it is about."""

    kind: str
    tier: str
    namespace: str
    name: str
    subject: PodGroup
    rules: tuple[tuple[str, tuple[Rule, ...]], ...]
    priority: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        return self.kind, self.namespace, self.name

    @property
    def order(self) -> tuple[int, str, str, str]:
        """Policies of a tier are asked in this order; the API leaves it open which of one priority comes first."""
        return self.priority, self.namespace, self.name, self.kind

    @property
    def words(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    def about(self, direction: str) -> tuple[Rule, ...] | None:
        """The rules of a direction, None when the policy says nothing about it."""
        return dict(self.rules).get(direction)

    def groups(self) -> Iterator[Group]:
        """Every group of Pods or nodes among the peers."""
        for _direction, rules in self.rules:
            for rule in rules:
                yield from (peer for peer in rule.peers or () if not isinstance(peer, Block))

    def port_names(self) -> Iterator[tuple[str, str]]:
        """(name, protocol) of every port that is meant by name; protocol "" is any."""
        for _direction, rules in self.rules:
            for rule in rules:
                yield from ((port.name, port.protocol) for port in rule.ports or () if port.name)


@attrs.frozen
class PolicyPod:
    """A Pod as policies see it: `ports` are the named ones, (name, protocol, number)."""

    namespace: str
    name: str
    node: str
    labels: Labels = attrs.field(hash=False)
    ips: tuple[str, ...]
    ports: tuple[tuple[str, str, int], ...]

    @property
    def key(self) -> PodKey:
        return self.namespace, self.name

    def ip(self, family: int) -> str:
        """Its address of a family, "" without one."""
        return next((ip for ip in self.ips if (":" in ip) == (family == 6)), "")


@attrs.frozen
class PolicyNode:
    """A node as policies see it."""

    name: str
    labels: Labels = attrs.field(hash=False)
    ips: tuple[str, ...]


def node_of(node: JsonObject) -> PolicyNode:
    """A node with all addresses of its status that are numbers (its names are no peers)."""
    meta, found = node["metadata"], (node.get("status") or {}).get("addresses") or ()
    ips = tuple(dict.fromkeys(one["address"] for one in found if parse_ip(one["address"]) is not None))
    return PolicyNode(meta["name"], meta.get("labels") or {}, ips)


def pod_of(pod: JsonObject) -> PolicyPod | None:
    """A Pod that policies can be about; None for one on the host network, without an address yet, or finished."""
    status, spec, meta = pod.get("status") or {}, pod["spec"], pod["metadata"]
    ips = tuple(entry["ip"] for entry in status.get("podIPs") or ())
    if spec.get("hostNetwork") or status.get("phase") in FINISHED or not ips:
        return None
    return PolicyPod(
        meta["namespace"], meta["name"], spec.get("nodeName") or "", meta.get("labels") or {}, ips, named_ports(pod)
    )


def named_ports(pod: JsonObject) -> tuple[tuple[str, str, int], ...]:
    """(name, protocol, number) of the container ports that have a name, sidecars' too."""
    spec = pod["spec"]
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    return tuple(
        (port["name"], port.get("protocol", "TCP"), port["containerPort"])
        for container in (*sidecars, *spec["containers"])
        for port in container.get("ports") or ()
        if port.get("name")
    )


# --- networking.k8s.io/v1


def network_policy_of(policy: JsonObject) -> Policy:
    """Read a NetworkPolicy as the server has stored it (defaults are set)."""
    meta, spec = policy["metadata"], policy["spec"]
    namespace: str = meta["namespace"]
    rules = tuple(
        (direction, tuple(_network_rule(rule, PEERS_FIELDS[direction], namespace) for rule in _rules(spec, direction)))
        for direction in DIRECTIONS
        if direction in spec["policyTypes"]
    )
    subject = PodGroup(namespace, EVERYTHING, from_label_selector(spec.get("podSelector") or {}))
    return Policy("NetworkPolicy", NETWORK, namespace, meta["name"], subject, rules)


def _rules(spec: JsonObject, direction: str) -> list[JsonObject]:
    return [rule or {} for rule in spec.get(direction.lower()) or ()]


def _network_rule(rule: JsonObject, peers_field: str, namespace: str) -> Rule:
    peers = tuple(_network_peer(peer, namespace) for peer in rule.get(peers_field) or ()) or None
    ports = tuple(_network_port(port) for port in rule.get("ports") or ()) or None
    return Rule(peers, ports)


def _network_peer(peer: JsonObject, namespace: str) -> Peer:
    block = peer.get("ipBlock")
    if block is not None:
        return block_of(block["cidr"], block.get("except") or ())
    pods = from_label_selector(peer.get("podSelector") or {})
    if peer.get("namespaceSelector") is None:
        return PodGroup(namespace, EVERYTHING, pods)
    return PodGroup("", from_label_selector(peer["namespaceSelector"]), pods)


def block_of(cidr: str, holes: Iterable[str] = ()) -> Block:
    """A block in canonical words."""
    return Block(str(parse_cidr(cidr)), tuple(str(parse_cidr(hole)) for hole in holes))


def _network_port(port: JsonObject) -> Ports:
    protocol, number = port.get("protocol") or "TCP", port.get("port")
    if number is None:
        return Ports(protocol)
    if isinstance(number, str):
        return Ports(protocol, name=number)
    return Ports(protocol, number, port.get("endPort") or number)
