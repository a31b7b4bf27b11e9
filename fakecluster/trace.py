"""What happened to a packet, as frozen data: a Trace is hops, a Hop is one walk through one namespace, made of steps.

Nothing here computes anything about packets; the kernel and the fabric write these values, people and tests read them.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class RuleStep:
    """A rule whose matches all held: `rule` counts from 1 within its chain; `verdict` is in iptables'/nft's words."""

    hook: str
    table: str  # "ip nat", "ip6 filter", "inet my-table": family and table
    chain: str
    rule: int
    text: str
    verdict: str
    mark: int = 0


@attrs.frozen
class ChainEnd:
    """A chain was left without a verdict (`end` is "chain-end") or a base chain fell to its policy ("policy")."""

    hook: str
    table: str
    chain: str
    end: str
    verdict: str
    mark: int = 0


@attrs.frozen
class Rewrite:
    """A header or metadata field changed: `field` as in "dst", "dport", "ttl", "mark"; both values as text."""

    hook: str
    field: str
    before: str
    after: str
    why: str


@attrs.frozen
class Note:
    """Anything else the kernel did: `kind` is one of route, conntrack, socket, ipvs, icmp, fragment, drop, arp."""

    hook: str
    kind: str
    text: str


Step = RuleStep | ChainEnd | Rewrite | Note


@attrs.frozen
class Verdict:
    """How a hop ended: `what` is transmitted, delivered, dropped, rejected or consumed; `where` names the place."""

    what: str
    where: str = ""
    reason: str = ""


@attrs.frozen
class Hop:
    """One packet's walk through one network namespace.

    `packet_in` and `packet_out` are the L3 bytes on entry and exit (empty when it did not leave);
    `rules_walked` is how many rules and set lookups the real kernel would have evaluated.
    """

    namespace: str
    iif: str
    oif: str
    packet_in: bytes
    packet_out: bytes
    steps: tuple[Step, ...]
    verdict: Verdict
    rules_walked: int = 0
    time_ns: int = 0


class Tracer:
    """Collects the steps of one walk while the kernel makes them; a packet without one is not traced."""

    __slots__ = ("hook", "rules_walked", "steps")

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.rules_walked = 0
        self.hook = ""  # the hook being run, set by the namespace

    def rule(self, table: str, chain: str, rule: int, text: str, verdict: str, mark: int) -> None:
        self.steps.append(RuleStep(self.hook, table, chain, rule, text, verdict, mark))

    def end(self, table: str, chain: str, end: str, verdict: str, mark: int) -> None:
        self.steps.append(ChainEnd(self.hook, table, chain, end, verdict, mark))

    def rewrite(self, field: str, before: object, after: object, why: str) -> None:
        if before != after:
            self.steps.append(Rewrite(self.hook, field, str(before), str(after), why))

    def note(self, kind: str, text: str) -> None:
        self.steps.append(Note(self.hook, kind, text))
