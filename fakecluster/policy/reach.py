"""Who may talk to whom, by the structure of the policies: no packet is sent.

Places are numbered and sets of them are integers with a bit for each place, so that a policy's rule costs one operation
for all peers at once. Judged is a new connection to a Pod's own address, as behind DNAT; the ends' addresses are their own.

    undecided ─► admin tier, rule by rule: allowed, denied, passed on ─► isolated? NetworkPolicies decide all that is left
                                                                     └─► not: baseline tier, rule by rule ─► allowed
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network

import attrs

from fakecluster.api.kinds_network.ip_text import Network
from fakecluster.api.selectors import Labels
from fakecluster.policy.model import (
    ADMIN,
    ALLOW,
    BASELINE,
    DIRECTIONS,
    EGRESS,
    INGRESS,
    NETWORK,
    PASS,
    Block,
    NodeGroup,
    Peer,
    Policy,
    PolicyNode,
    PolicyPod,
    Ports,
    Rule,
)


@attrs.frozen
class Place:
    """An end of a connection: a Pod, or an address that no Pod has."""

    name: str
    address: str
    pod: PolicyPod | None = None


@attrs.frozen
class Surroundings:
    """What the policies' selectors are held against, besides Pods."""

    namespaces: Mapping[str, Labels]
    nodes: tuple[PolicyNode, ...] = ()


@attrs.frozen
class Decided:
    """What one place lets in (or out): a bit for each peer that passes, and who decided that, in the order of asking."""

    allowed: int
    by: tuple[tuple[int, Policy], ...] = ()

    def policies(self, peer: int) -> Iterator[Policy]:
        """The policies that decided about one peer."""
        return (policy for mask, policy in self.by if mask >> peer & 1)


@attrs.frozen
class Judge:
    """What the policies allow between places for one protocol ("TCP") and port, by direction and place."""

    places: tuple[Place, ...]
    decided: Mapping[str, tuple[Decided, ...]]

    def is_allowed(self, source: int, target: int) -> bool:
        """Whether both ends let a new connection pass; a Pod always reaches its own address."""
        return source == target or self.lets_through(source, target)

    def lets_through(self, source: int, target: int) -> bool:
        """The same where the source may come back to itself, through a Service: administrators' policies apply."""
        return bool(
            self.decided[EGRESS][source].allowed >> target & 1 and self.decided[INGRESS][target].allowed >> source & 1
        )

    def reasons(self, source: int, target: int) -> tuple[str, ...]:
        """The policies that decide, "ingress x/p": where one end denies those that are about it, else what allows."""
        ends = ((EGRESS, self.decided[EGRESS][source], target), (INGRESS, self.decided[INGRESS][target], source))
        denying = [end for end in ends if not end[1].allowed >> end[2] & 1]
        return tuple(
            f"{direction.lower()} {policy.words}"
            for direction, decided, peer in (denying or ends if source != target else ())
            for policy in decided.policies(peer)
        )


def judge(places: Sequence[Place], policies: Iterable[Policy], around: Surroundings, protocol: str, port: int) -> Judge:
    """Evaluate policies for every pair of places."""
    reader = _Reader(tuple(places), around, protocol, port)
    by_space: dict[str, list[Policy]] = {}
    for policy in sorted(policies, key=lambda one: one.order):
        by_space.setdefault(policy.namespace, []).append(policy)
    about = tuple(_about(place, by_space, around.namespaces) for place in places)
    return Judge(
        tuple(places),
        {way: tuple(reader.decide(number, way, chosen) for number, chosen in enumerate(about)) for way in DIRECTIONS},
    )


def _about(place: Place, by_space: Mapping[str, list[Policy]], namespaces: Mapping[str, Labels]) -> tuple[Policy, ...]:
    """The policies that are about a place."""
    pod = place.pod
    if pod is None:
        return ()
    labels = namespaces.get(pod.namespace)
    candidates = (*by_space.get("", ()), *by_space.get(pod.namespace, ()))
    return tuple(one for one in candidates if one.subject.contains(pod, labels))


class _Reader:
    """Sets of places as bits, each worked out once."""

    def __init__(self, places: tuple[Place, ...], around: Surroundings, protocol: str, port: int) -> None:
        self._places, self._around = places, around
        self._protocol, self._port = protocol, port
        self._everyone = (1 << len(places)) - 1
        self._peers: dict[Peer, int] = {}
        self._rules: dict[tuple[Rule, str], int] = {}

    def decide(self, number: int, direction: str, policies: tuple[Policy, ...]) -> Decided:
        """All tiers, for one end of a connection."""
        tiers: dict[str, list[Policy]] = {}
        for policy in policies:
            if policy.about(direction) is not None:
                tiers.setdefault(policy.tier, []).append(policy)
        allowed, denied, by = self._in_order(number, direction, tiers.get(ADMIN, ()), self._everyone)
        left = self._everyone & ~allowed & ~denied
        if NETWORK in tiers:
            more, named = self._union(number, direction, tiers[NETWORK], left)
            return Decided(allowed | more, (*by, *named))
        _, refused, named = self._in_order(number, direction, tiers.get(BASELINE, ()), left)
        return Decided(allowed | (left & ~refused), (*by, *named))

    def _in_order(
        self, number: int, direction: str, policies: Iterable[Policy], asked: int
    ) -> tuple[int, int, list[tuple[int, Policy]]]:
        """What the first rule that fits allows and denies, and by whose rule; what is passed on is in neither."""
        allowed = denied = 0
        by: list[tuple[int, Policy]] = []
        for policy in policies:
            for rule in policy.about(direction) or ():
                fitting = self._fitting(rule, direction, number) & asked
                asked &= ~fitting
                if rule.action == PASS or not fitting:
                    continue
                by.append((fitting, policy))
                if rule.action == ALLOW:
                    allowed |= fitting
                else:
                    denied |= fitting
        return allowed, denied, by

    def _union(
        self, number: int, direction: str, policies: Iterable[Policy], asked: int
    ) -> tuple[int, list[tuple[int, Policy]]]:
        """What any NetworkPolicy allows; each is named for that, and all of them for what none allows."""
        allows = []
        for policy in policies:
            fitting = 0
            for rule in policy.about(direction) or ():
                fitting |= self._fitting(rule, direction, number)
            allows.append((fitting & asked, policy))
        own = 1 << number & asked
        allowed = own
        for fitting, _policy in allows:
            allowed |= fitting
        return allowed, [(fitting | asked & ~allowed, policy) for fitting, policy in allows]

    def _fitting(self, rule: Rule, direction: str, number: int) -> int:
        """The peers of a rule as seen from a place; a port's number may depend on the Pod that is reached."""
        if rule.ports is None:
            return self._of_peers(rule)
        if direction == INGRESS:
            return self._of_peers(rule) if self._fits(rule, self._places[number]) else 0
        if (rule, EGRESS) not in self._rules:
            self._rules[rule, EGRESS] = self._of_peers(rule) & self._reached(rule)
        return self._rules[rule, EGRESS]

    def _reached(self, rule: Rule) -> int:
        if self._fits(rule, None):
            return self._everyone
        return self._bits(lambda place: self._fits(rule, place)) if any(one.name for one in rule.ports or ()) else 0

    def _fits(self, rule: Rule, target: Place | None) -> bool:
        return any(self._port_fits(ports, target) for ports in rule.ports or ())

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
                self._peers[peer] = self._bits(self._membership(peer))
            found |= self._peers[peer]
        return found

    def _membership(self, peer: Peer) -> Callable[[Place], bool]:
        if isinstance(peer, NodeGroup):
            addresses = {ip for node in self._around.nodes if peer.nodes.matches(node.labels) for ip in node.ips}
            return lambda place: place.address in addresses
        if isinstance(peer, Block):
            cidr, holes = ip_network(peer.cidr), [ip_network(hole) for hole in peer.holes]
            return lambda place: _is_inside(place.address, cidr, holes)
        spaces = {name for name, labels in self._around.namespaces.items() if peer.covers(name, labels)}
        return lambda place: (
            place.pod is not None and place.pod.namespace in spaces and peer.pods.matches(place.pod.labels)
        )

    def _bits(self, belongs: Callable[[Place], bool]) -> int:
        return int("".join("1" if belongs(place) else "0" for place in reversed(self._places)) or "0", 2)


def _is_inside(text: str, cidr: Network, holes: Sequence[Network]) -> bool:
    address = ip_address(text)
    return address in cidr and not any(address in hole for hole in holes)
