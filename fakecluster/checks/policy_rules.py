"""Rules of network policies that can never match, that others hide, or whose blocks undo each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from itertools import combinations

import attrs

from fakecluster.api.kinds_network.ip_text import Network
from fakecluster.api.selectors import EVERYTHING, Labels
from fakecluster.policy.model import (
    INGRESS,
    NETWORK,
    Block,
    NodeGroup,
    Peer,
    PodGroup,
    Policy,
    PolicyNode,
    PolicyPod,
    Ports,
    Rule,
)

_EVERY_POD = PodGroup("", EVERYTHING, EVERYTHING)


@attrs.frozen
class Existing:
    """What there is for policies to be about."""

    pods: tuple[PolicyPod, ...]
    nodes: tuple[PolicyNode, ...]
    namespaces: Mapping[str, Labels]
    families: tuple[int, ...]

    def is_about(self, policy: Policy, pod: PolicyPod) -> bool:
        return policy.subject.contains(pod, self.namespaces.get(pod.namespace))

    def selected(self, policy: Policy) -> tuple[PolicyPod, ...]:
        return tuple(pod for pod in self.pods if self.is_about(policy, pod))

    def why_nobody(self, peer: Peer) -> str:
        """Why no address can be this peer; "" when one can."""
        if isinstance(peer, Block):
            if peer.family not in self.families:
                return f"the cluster has no IPv{peer.family}"
            return "" if _left_of(peer) else f"nothing of {peer.cidr} is left"
        if isinstance(peer, NodeGroup):
            return "" if any(peer.nodes.matches(node.labels) for node in self.nodes) else "its peers select no node"
        found = any(peer.contains(pod, self.namespaces.get(pod.namespace)) for pod in self.pods)
        return "" if found else "its peers select no Pod"


def problems_of_rules(policy: Policy, selected: tuple[PolicyPod, ...], existing: Existing) -> Iterator[str]:
    """What is wrong with each rule of a policy."""
    for way, rules in policy.rules:
        for number, rule in enumerate(rules):
            place = f"{way.lower()}[{number}]"
            yield from (f"{place} {problem}" for problem in _problems(way, rule, selected, existing))
            if policy.tier != NETWORK:
                hiding = next((n for n, earlier in enumerate(rules[:number]) if _covers(earlier, rule)), None)
                if hiding is not None:
                    yield f"{place} can never match: {way.lower()}[{hiding}] is asked before and fits as well"
        if policy.tier == NETWORK:
            yield from _undone_holes(way.lower(), rules)


def _problems(way: str, rule: Rule, selected: tuple[PolicyPod, ...], existing: Existing) -> Iterator[str]:
    reasons = [existing.why_nobody(peer) for peer in rule.peers or ()]
    if reasons and all(reasons):
        yield f"can never match: {', '.join(dict.fromkeys(reasons))}"
    blocks = [peer for peer in rule.peers or () if isinstance(peer, Block)]
    for one, other in combinations(blocks, 2):
        if one.family == other.family and ip_network(one.cidr).overlaps(ip_network(other.cidr)):
            yield f"has blocks that overlap: {one.cidr} and {other.cidr}"
    reached = selected if way == INGRESS else existing.pods
    for port in rule.ports or ():
        if port.name and not any(_is_called(pod, port) for pod in reached):
            words = f"{port.name}/{port.protocol}" if port.protocol else port.name
            yield f"names port {words}, which no Pod it is about has"


def _is_called(pod: PolicyPod, port: Ports) -> bool:
    return any(port.name == name and port.protocol in (own, "") for name, own, _number in pod.ports)


def _undone_holes(way: str, rules: tuple[Rule, ...]) -> Iterator[str]:
    """What one rule leaves out of a block and another rule of the policy lets in: rules are added up."""
    blocks = [
        (number, peer) for number, rule in enumerate(rules) for peer in rule.peers or () if isinstance(peer, Block)
    ]
    for number, block in blocks:
        for hole in map(ip_network, block.holes):
            for other, cover in blocks:
                inside = cover.family == block.family and other != number and hole.overlaps(ip_network(cover.cidr))
                if inside and not any(_contains(ip_network(one), hole) for one in cover.holes):
                    yield f"{way}[{other}] lets in by {cover.cidr} what {way}[{number}] leaves out: {hole}"


def _contains(network: Network, other: Network) -> bool:
    return (
        network.version == other.version and network.prefixlen <= other.prefixlen and other.network_address in network
    )


def _left_of(block: Block) -> int:
    """How many addresses are left of a block; its holes are inside it."""
    holes = sorted(map(ip_network, block.holes), key=lambda one: one.prefixlen)
    apart = [hole for n, hole in enumerate(holes) if not any(_contains(outer, hole) for outer in holes[:n])]
    return ip_network(block.cidr).num_addresses - sum(hole.num_addresses for hole in apart)


def _covers(earlier: Rule, later: Rule) -> bool:
    """Whether everything that a later rule fits fits an earlier one, as far as their words show it."""
    return _peers_cover(earlier, later) and (
        earlier.ports is None
        or (later.ports is not None and all(any(_port_covers(e, p) for e in earlier.ports) for p in later.ports))
    )


def _peers_cover(earlier: Rule, later: Rule) -> bool:
    if earlier.peers is None:
        return True
    return later.peers is not None and all(any(_peer_covers(e, p) for e in earlier.peers) for p in later.peers)


def _peer_covers(earlier: Peer, later: Peer) -> bool:
    if isinstance(earlier, Block) and isinstance(later, Block):
        return not earlier.holes and _contains(ip_network(earlier.cidr), ip_network(later.cidr))
    return earlier == later or (earlier == _EVERY_POD and isinstance(later, PodGroup))


def _port_covers(earlier: Ports, later: Ports) -> bool:
    if earlier.name or later.name:
        return earlier.name == later.name and earlier.protocol in (later.protocol, "")
    return earlier.protocol == later.protocol and earlier.first <= later.first and later.last <= earlier.last
