"""What compiled rules are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from fakecluster.kernel.hooks import HookContext
from fakecluster.kernel.packet import Skb
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

    `chain` is where it jumps or goes ("" when nowhere).
    """

    __slots__ = ("act", "chain", "goto", "index", "rule", "tests", "verdict")

    def __init__(
        self, index: int, rule: Rule, tests: tuple[Test, ...], act: Act | None, verdict: int, chain: str, *, goto: bool
    ) -> None:
        self.index, self.rule, self.tests, self.act, self.verdict = index, rule, tests, act, verdict
        self.chain, self.goto = chain, goto


class States:
    """What rules remember between packets (token buckets, counters of nth): by rule, copied when a namespace forks."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: dict[tuple[Any, str], Any] = {}

    def fork(self) -> States:
        twin = States()
        twin.held = {key: value.fork() if hasattr(value, "fork") else list(value) for key, value in self.held.items()}
        return twin
