"""Text to chains: the hook line, the policy, and where the rules start."""

from __future__ import annotations

import attrs

from fakecluster.rules.nft.objects import BaseChain, ChainSpec
from fakecluster.rules.nft.parse_selector import unsupported
from fakecluster.rules.nft.priorities import NAMED
from fakecluster.rules.nft.scope import RuleContext
from fakecluster.rules.nft.tokens import SEPARATORS, Cursor

CHAIN_TYPES = ("filter", "nat", "route")
HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_HOOKS_OF_TYPE = {"filter": HOOKS, "nat": ("prerouting", "input", "output", "postrouting"), "route": ("output",)}
#: A nat chain must run after conntrack (NF_IP_PRI_CONNTRACK).
_FIRST_NAT_PRIORITY = -200


@attrs.define(eq=False)
class ChainReader:
    """The properties of one chain, as its lines give them."""

    rule: RuleContext
    name: str
    base: BaseChain | None = None
    policy: str = ""
    comment: str = ""

    def finish(self) -> ChainSpec:
        base = self.base
        if base is not None and self.policy:
            base = attrs.evolve(base, policy=self.policy, policy_given=True)
        return ChainSpec(self.name, base, self.comment)


def chain_property(reader: ChainReader) -> bool:
    """Read one property line of a chain; False when the cursor stands at something else (a rule)."""
    cursor = reader.rule.cursor
    word = cursor.word
    if word == "type" and cursor.peek() in (*CHAIN_TYPES, cursor.peek()) and cursor.peek(2) in ("hook", "device"):
        reader.base = _hook(reader)
    elif word == "policy":
        cursor.take()
        if cursor.word not in ("accept", "drop"):
            cursor.unexpected()
        reader.policy = cursor.take()
    elif word == "comment":
        cursor.take()
        reader.comment = cursor.quoted()
    elif word in ("flags", "devices", "device"):
        unsupported(reader.rule, f"chain {word}")
    else:
        return False
    return True


def _hook(reader: ChainReader) -> BaseChain:
    cursor = reader.rule.cursor
    cursor.take()
    kind_at = cursor.at
    kind = cursor.take()
    if kind not in CHAIN_TYPES:
        cursor.fail_at("unknown chain type", kind_at, kind_at)
    cursor.expect("hook")
    hook_at = cursor.at
    hook = cursor.take()
    if hook in ("ingress", "egress"):
        cursor.at = hook_at
        unsupported(reader.rule, f"hook {hook}")
    if hook not in HOOKS:
        cursor.fail_at("unknown chain hook", hook_at, hook_at)
    if cursor.word == "device":
        unsupported(reader.rule, "chain device")
    cursor.expect("priority")
    priority = _priority(cursor, hook)
    return BaseChain(kind, hook, priority)


def _priority(cursor: Cursor, hook: str) -> int:
    first = cursor.at
    if cursor.accept("-"):
        return -cursor.number()
    if cursor.word.isdigit():
        return cursor.number()
    name = cursor.take()
    if name not in NAMED or (name == "dstnat" and hook != "prerouting") or (name == "srcnat" and hook != "postrouting"):
        cursor.fail_at(f"'{name}' is invalid priority.", first, first)
    priority = NAMED[name]
    if cursor.accept("+"):
        return priority + cursor.number()
    if cursor.accept("-"):
        return priority - cursor.number()
    return priority


def chain_is_possible(base: BaseChain) -> bool:
    """Whether the kernel has such a chain: the type on that hook, a nat chain behind conntrack."""
    if base.hook not in _HOOKS_OF_TYPE[base.kind]:
        return False
    return base.kind != "nat" or base.priority > _FIRST_NAT_PRIORITY


def end_of_line(cursor: Cursor) -> None:
    """A property or rule ends here."""
    if cursor.word in SEPARATORS:
        cursor.skip_separators()
    elif cursor.word:
        cursor.unexpected(expecting="newline or semicolon")
