"""What compiled rules are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from fakecluster.kernel.hooks import HookContext
from fakecluster.kernel.packet import Skb
from fakecluster.kernel.trail import Steady
from fakecluster.rules.iptables.rule import Rule, RuleParts

#: A target lets the packet go on to the next rule, or back to the calling chain (besides hooks.DROP, ACCEPT, STOLEN).
CONTINUE, RETURN = -1, -2
#: Does the packet match?
Test = Callable[[Skb, HookContext], bool]
#: What a target does; a verdict.
Act = Callable[[Skb, HookContext], int]


class HotDrop(Exception):
    """A match found the packet so broken that it must be dropped at once (par->hotdrop)."""


@attrs.frozen
class Building:
    """What a match or target is compiled for: the rule around it and the backend ("nft" or "legacy")."""

    rule: Rule
    parts: RuleParts
    backend: str


class Code:
    """One compiled rule. `verdict` is a verdict when nothing has to be done for it, else `act` gives one.

    `chain` is where it jumps or goes ("" when nowhere). The first `steady[kind]` of its tests (and, above their number,
    its target) answer alike for packets of that kind (see trail.KINDS); `is_steady` when all do for all.
    """

    __slots__ = ("act", "chain", "goto", "index", "is_steady", "rule", "steady", "tests", "verdict")

    def __init__(
        self, index: int, rule: Rule, tests: tuple[Test, ...], act: Act | None, verdict: int, chain: str, *,
        goto: bool, steady: Steady,
    ) -> None:  # fmt: skip
        self.index, self.rule, self.tests, self.act, self.verdict = index, rule, tests, act, verdict
        self.chain, self.goto, self.steady = chain, goto, steady
        self.is_steady = min(steady) > len(tests)

    def matches_on_trail(self, skb: Skb, ctx: HookContext) -> bool:
        """Run the tests of a packet whose walk may be remembered: no longer, once one is asked that is not steady."""
        asked, matches = 0, True
        for test in self.tests:
            asked += 1
            if not test(skb, ctx):
                matches = False
                break
        trail = skb.trail
        if trail is not None and not trail.holds(self.steady, asked + matches):
            skb.trail = None
        return matches


class States:
    """What rules remember between packets (token buckets, counters of nth): by rule, copied when a namespace forks."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: dict[tuple[Any, str], Any] = {}

    def forget(self, rules: set[Rule]) -> None:
        """Let these rules begin anew."""
        for key in [key for key in self.held if key[0] in rules] if rules else ():
            del self.held[key]

    def fork(self) -> States:
        twin = States()
        twin.held = {key: value.fork() if hasattr(value, "fork") else list(value) for key, value in self.held.items()}
        return twin
