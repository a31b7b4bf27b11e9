"""Who may talk to whom, by the structure of the policies: no packet is sent.

Pods are numbered and sets of them are integers with a bit for each Pod, so that a policy's rule costs one operation for
all sources at once. Judged is a new connection to a Pod's own address, as behind DNAT; the ends' addresses are their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network

import attrs

from fakecluster.api.selectors import Labels
from fakecluster.policy.model import DIRECTIONS, EGRESS, INGRESS, Block, Peer, Policy, PolicyPod, Ports, Rule


@attrs.frozen
class Place:
    """An end of a connection: a Pod, or an address that no Pod has."""

    name: str
    address: str
    pod: PolicyPod | None = None


@attrs.frozen
class Judge:
    """What the policies allow between places for one protocol ("TCP") and port.

    `allowed[direction][i]` has a bit for each place that place number i lets in (or may send to).
    """

    places: tuple[Place, ...]
    policies: tuple[tuple[tuple[Policy, ...], tuple[Policy, ...]], ...]  # by place: (ingress, egress)
    allowed: Mapping[str, tuple[int, ...]]

    def is_allowed(self, source: int, target: int) -> bool:
        """Whether both ends let a new connection pass; a Pod always reaches itself."""
        return source == target or bool(
            self.allowed[EGRESS][source] >> target & 1 and self.allowed[INGRESS][target] >> source & 1
        )

    def reasons(self, source: int, target: int) -> tuple[str, ...]:
        """The policies that decide: those that isolate the ends, "ingress x/p"; none when nothing isolates them."""
        found = [f"egress {policy.words}" for policy in self.policies[source][1]]
        return (*found, *(f"ingress {policy.words}" for policy in self.policies[target][0]))


def judge(
    places: Sequence[Place],
    policies: Iterable[Policy],
    namespaces: Mapping[str, Labels],
    protocol: str,
    port: int,
    family: int,
) -> Judge:
    """Evaluate policies (those of NetworkPolicies) for every pair of places."""
    reader = _Reader(tuple(places), namespaces, protocol, port)
    by_space: dict[str, list[Policy]] = {}
    for policy in policies:
        by_space.setdefault(policy.namespace, []).append(policy)
    about = tuple(_about(place, by_space, namespaces) for place in places)
    allowed = {
        direction: tuple(
            reader.allowed(number, direction, about[number][DIRECTIONS.index(direction)])
            for number in range(len(about))
        )
        for direction in DIRECTIONS
    }
    return Judge(tuple(places), about, allowed)


def _about(
    place: Place, by_space: Mapping[str, list[Policy]], namespaces: Mapping[str, Labels]
) -> tuple[tuple[Policy, ...], tuple[Policy, ...]]:
    """The policies that isolate a place for ingress, and for egress."""
    pod = place.pod
    if pod is None:
        return (), ()
    chosen = [
        one for one in by_space.get(pod.namespace, ()) if one.subject.contains(pod, namespaces.get(pod.namespace))
    ]
    ingress, egress = (tuple(one for one in chosen if one.about(way) is not None) for way in DIRECTIONS)
    return ingress, egress


class _Reader:
    """Sets of places as bits, each worked out once."""

    def __init__(self, places: tuple[Place, ...], namespaces: Mapping[str, Labels], protocol: str, port: int) -> None:
        self._places, self._namespaces = places, namespaces
        self._protocol, self._port = protocol, port
        self._everyone = (1 << len(places)) - 1
        self._peers: dict[Peer, int] = {}
        self._rules: dict[tuple[str, Rule], int] = {}

    def allowed(self, number: int, direction: str, policies: tuple[Policy, ...]) -> int:
        if not policies:
            return self._everyone
        found = 1 << number
        for policy in policies:
            for rule in policy.about(direction) or ():
                found |= self._ingress(rule, self._places[number]) if direction == INGRESS else self._egress(rule)
        return found

    def _ingress(self, rule: Rule, target: Place) -> int:
        return self._of_peers(rule) if self._fits(rule, target) else 0

    def _egress(self, rule: Rule) -> int:
        key = (EGRESS, rule)
        if key not in self._rules:
            fitting = self._everyone
            if rule.ports is not None and not self._fits(rule, None):
                fitting = self._bits(place for place in self._places if self._fits(rule, place))
            self._rules[key] = self._of_peers(rule) & fitting
        return self._rules[key]

    def _fits(self, rule: Rule, target: Place | None) -> bool:
        return rule.ports is None or any(self._port_fits(ports, target) for ports in rule.ports)

    def _port_fits(self, ports: Ports, target: Place | None) -> bool:
        if ports.protocol not in (self._protocol, ""):
            return False
        if not ports.name:
            return ports.first <= self._port <= ports.last
        pod = target.pod if target is not None else None
        return pod is not None and (ports.name, self._protocol, self._port) in pod.ports

    def _of_peers(self, rule: Rule) -> int:
        if rule.peers is None:
            return self._everyone
        found = 0
        for peer in rule.peers:
            if peer not in self._peers:
                self._peers[peer] = self._bits(place for place in self._places if self._is_peer(peer, place))
            found |= self._peers[peer]
        return found

    def _is_peer(self, peer: Peer, place: Place) -> bool:
        if not isinstance(peer, Block):
            pod = place.pod
            return pod is not None and peer.contains(pod, self._namespaces.get(pod.namespace))
        address = ip_address(place.address)
        return address in ip_network(peer.cidr) and not any(address in ip_network(hole) for hole in peer.holes)

    def _bits(self, places: Iterable[Place]) -> int:
        chosen = {place.name for place in places}
        return sum(1 << number for number, place in enumerate(self._places) if place.name in chosen)
