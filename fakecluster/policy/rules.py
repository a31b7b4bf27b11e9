"""Policies as chains of rules, in no tool's language yet.

    forwarded ─► (established: leave) ─► egress ─► a Pod's chain ─► its policies' chains ─► allowed: go to ingress
                                           │                                └─ none allows: drop
                                           └─ not a Pod with egress policies ─► ingress ─► the same ─► accept

A packet is judged behind DNAT and before source NAT: at the forward hook, and (IPVS sends from there) at the output hook
unless the node itself is the sender. What goes to or comes from the node itself is always allowed, so that there is
nothing at the input hook. Replies pass because their connection is established. Everything that allows at one end goes
on to the other end; a chain that decides nothing falls through to the next tier, and finally accepts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from fakecluster.policy.model import (
    ADMIN,
    ALLOW,
    DENY,
    DIRECTIONS,
    EGRESS,
    INGRESS,
    NETWORK,
    PASS,
    TIERS,
    Block,
    Peer,
    Policy,
    PolicyPod,
    Ports,
    Rule,
)

ACCEPT, DROP = "accept", "drop"
#: The end of a packet at which a direction's peer, and its own Pod, stand.
PEER_SIDE = {INGRESS: "src", EGRESS: "dst"}
POD_SIDE = {INGRESS: "dst", EGRESS: "src"}


@attrs.frozen
class Chain:
    """A chain by what it is for: a stage (`kind` "stage"), one Pod's ("pod") or one policy's ("policy").

    `what` is "namespace/name" of the Pod or policy.
    """

    kind: str
    direction: str
    tier: str
    what: str = ""


Target = str | Chain


@attrs.frozen
class ChainRule:
    """If everything that is given holds, go to `target`; with `call`, come back when it decides nothing."""

    target: Target
    comment: str = ""
    call: bool = False
    side: str = ""  # where `address` or `peer` is looked for: src or dst
    address: str = ""
    peer: Peer | None = None
    ports: Ports | None = None


@attrs.frozen
class Stage:
    """A stage's chain: the Pods that have a chain in it, by address, and where everyone else goes."""

    chain: Chain
    pods: Mapping[str, Chain]
    otherwise: Target


@attrs.frozen
class Route:
    """The order of the stages that are in use."""

    stages: tuple[Chain, ...]

    @classmethod
    def of(cls, tiers: Iterable[str]) -> Route:
        used = {*tiers, NETWORK}
        return cls(tuple(Chain("stage", way, tier) for way in (EGRESS, INGRESS) for tier in TIERS if tier in used))

    @property
    def first(self) -> Chain:
        return self.stages[0]

    def behind(self, direction: str, tier: str = "") -> Target:
        """Where a packet goes that a direction (or one tier of it) lets through."""
        if not tier:
            return ACCEPT if direction == INGRESS else next(one for one in self.stages if one.direction == INGRESS)
        place = self.stages.index(Chain("stage", direction, tier)) + 1
        return self.stages[place] if place < len(self.stages) else ACCEPT


def policy_chain(policy: Policy, direction: str) -> Chain:
    return Chain("policy", direction, policy.tier, policy.words)


def pod_chain(pod: PolicyPod, direction: str, tier: str) -> Chain:
    return Chain("pod", direction, tier, f"{pod.namespace}/{pod.name}")


def policy_chains(policy: Policy, route: Route, family: int) -> Iterator[tuple[Chain, tuple[ChainRule, ...]]]:
    """A policy's chain for each direction that it is about."""
    for direction, rules in policy.rules:
        lines = [line for number, rule in enumerate(rules) for line in _lines(policy, direction, number, rule, route)]
        fitting = (one for one in lines if not isinstance(one.peer, Block) or one.peer.family == family)
        yield policy_chain(policy, direction), tuple(fitting)


def _lines(policy: Policy, direction: str, number: int, rule: Rule, route: Route) -> Iterator[ChainRule]:
    target = _target(policy, direction, rule, route)
    verb = {ALLOW: "allows", DENY: "denies", PASS: "passes on"}[rule.action]
    comment = f"{policy.words} {verb} {direction.lower()}[{number}]"
    for peer in (None,) if rule.peers is None else rule.peers:
        for ports in (None,) if rule.ports is None else rule.ports:
            side = PEER_SIDE[direction] if peer is not None else ""
            yield ChainRule(target, comment, side=side, peer=peer, ports=ports)


def _target(policy: Policy, direction: str, rule: Rule, route: Route) -> Target:
    if rule.action == DENY:
        return DROP
    return route.behind(direction, policy.tier if rule.action == PASS else "")


def pod_chains(
    pod: PolicyPod, policies: Iterable[Policy], route: Route, family: int
) -> Iterator[tuple[Chain, tuple[ChainRule, ...]]]:
    """A Pod's chain for each direction and tier in which policies are about it."""
    chosen = tuple(policies)
    for direction in DIRECTIONS:
        for tier in TIERS:
            about = [one for one in chosen if one.tier == tier and one.about(direction) is not None]
            if about:
                yield pod_chain(pod, direction, tier), tuple(_pod_rules(pod, direction, tier, about, route, family))


def _pod_rules(
    pod: PolicyPod, direction: str, tier: str, policies: list[Policy], route: Route, family: int
) -> Iterator[ChainRule]:
    words = f"{pod.namespace}/{pod.name}"
    onwards, side = route.behind(direction), PEER_SIDE[direction]
    yield ChainRule(onwards, f"{words} reaches itself", side=side, address=pod.ip(family))
    for policy in policies:
        yield ChainRule(policy_chain(policy, direction), f"policy {policy.words}", call=True)
    if tier == NETWORK:
        names = ", ".join(policy.name for policy in policies)
        yield ChainRule(DROP, f"no policy allows {direction.lower()} of {words}: {names}")
    else:
        yield ChainRule(route.behind(direction, tier), f"no {tier} policy decides")


def stages(
    selected: Mapping[tuple[str, str], tuple[Policy, ...]],
    pods: Mapping[tuple[str, str], PolicyPod],
    route: Route,
    family: int,
) -> Iterator[Stage]:
    """Every stage with the Pods of the node that have a chain in it."""
    for chain in route.stages:
        entries = {
            pods[key].ip(family): pod_chain(pods[key], chain.direction, chain.tier)
            for key, policies in sorted(selected.items())
            if any(one.tier == chain.tier and one.about(chain.direction) is not None for one in policies)
        }
        yield Stage(chain, entries, route.behind(chain.direction, chain.tier))


__all__ = ["ACCEPT", "ADMIN", "DROP", "Chain", "ChainRule", "Route", "Stage", "pod_chains", "policy_chains", "stages"]
