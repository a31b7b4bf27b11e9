"""Policies as chains of rules, in no tool's language yet.

    forwarded ─► (established: leave) ─► egress ─► a Pod's chain ─► its policies' chains ─► allowed: go to ingress
                                           │                                └─ none allows: drop
                                           └─ not a Pod with egress policies ─► ingress ─► the same ─► accept

A packet is judged behind DNAT and before source NAT: at the forward hook, and (IPVS sends from there) at the output hook
unless the node itself is the sender. What goes to or comes from the node itself is always allowed, so that there is
nothing at the input hook. Replies pass because their connection is established. Everything that allows at one end goes
on to the other end; a chain that decides nothing falls through to the next tier, and finally accepts. A Pod that reaches
itself through a Service is subject to administrators' policies and to no NetworkPolicy.

nf_tables follows 16 chains in a row and no more (NFT_JUMP_STACK_SIZE, "Too many links"), whichever way they lead on. The
longest way is a base chain, iptables' entrance, and for each direction seven: the admin tier's stage, a Pod's chain, a
policy's; the stage of NetworkPolicies; the baseline tier's stage, a Pod's chain, a policy's. That is all there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from fakecluster.policy.model import (
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
class StageChange:
    """What leaves a stage's chain and what comes to it, by address."""

    chain: Chain
    removed: Mapping[str, Chain]
    added: Mapping[str, Chain]


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
    comment = f"{policy.words} {verb} {direction.lower()}[{number}]{f' {rule.name}' if rule.name else ''}"
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
    if tier == NETWORK:
        yield ChainRule(onwards, f"{words} reaches itself", side=side, address=pod.ip(family))
    for policy in policies:
        yield ChainRule(policy_chain(policy, direction), f"policy {policy.words}", call=True)
    if tier == NETWORK:
        names = ", ".join(policy.name for policy in policies)
        yield ChainRule(DROP, f"no policy allows {direction.lower()} of {words}: {names}")
    else:
        yield ChainRule(route.behind(direction, tier), f"no policy of the {tier} tier decides")


Entries = Mapping[Chain, tuple[str, Chain]]


def entries(pod: PolicyPod, policies: Iterable[Policy], route: Route, family: int) -> Entries:
    """By stage: the Pod's address and its chain, in the stages in which a policy is about it."""
    asked = {(one.tier, direction) for one in policies for direction, _rules in one.rules}
    return {
        stage: (pod.ip(family), pod_chain(pod, stage.direction, stage.tier))
        for stage in route.stages
        if (stage.tier, stage.direction) in asked
    }


def stages(placed: Iterable[Entries], route: Route) -> Iterator[Stage]:
    """Every stage as a whole, of the entries of all Pods of the node."""
    every = tuple(placed)
    for chain in route.stages:
        pods = dict(one[chain] for one in every if chain in one)
        yield Stage(chain, pods, route.behind(chain.direction, chain.tier))


def stage_changes(old: Iterable[Entries], new: Iterable[Entries], route: Route) -> Iterator[StageChange]:
    """The stages that differ when some Pods' entries become others."""
    left, came = tuple(old), tuple(new)
    for chain in route.stages:
        before = {one[chain] for one in left if chain in one}
        after = {one[chain] for one in came if chain in one}
        if before != after:
            yield StageChange(chain, dict(sorted(before - after, key=str)), dict(sorted(after - before, key=str)))
