"""Which statements and expressions answer alike for every packet of a flow (see xtables.steady for what is alike)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fakecluster.kernel.packet import PSH
from fakecluster.rules.nft.expressions import (
    AnonymousSet,
    Bitwise,
    Concat,
    Const,
    Ct,
    Fib,
    Hash,
    MapLookup,
    Meta,
    Payload,
    Prefix,
    Range,
    Rt,
    SetRef,
    Shift,
    Verdict,
)  # fmt: skip
from fakecluster.rules.nft.objects import Rule
from fakecluster.rules.nft.statements import Assign, Counter, MapName, Match, Named, Notrack, Vmap

_META = frozenset((
    "cpu", "iif", "iifgroup", "iifname", "l4proto", "mark", "nfproto", "nftrace", "oif", "oifgroup", "oifname",
    "pkttype", "priority", "protocol", "skgid", "skuid",
))  # fmt: skip
_CT = frozenset((
    "direction", "id", "ip daddr", "ip saddr", "ip6 daddr", "ip6 saddr", "l3proto", "label", "mark", "proto-dst",
    "proto-src", "protocol", "state", "status", "zone",
))  # fmt: skip
_FIELDS = frozenset((
    ("ip", "saddr"), ("ip", "daddr"), ("ip", "protocol"), ("ip", "version"), ("ip", "hdrlength"), ("ip", "dscp"),
    ("ip6", "saddr"), ("ip6", "daddr"), ("ip6", "nexthdr"), ("ip6", "version"), ("ip6", "dscp"),
    ("tcp", "sport"), ("tcp", "dport"), ("udp", "sport"), ("udp", "dport"), ("th", "sport"), ("th", "dport"),
))  # fmt: skip


def steady_part(rule: Rule) -> int:
    """How many of a rule's operations, from the first, can be relied on."""
    count = 0
    for statement in rule.statements:
        if not _statement(statement):
            break
        count += not (isinstance(statement, Match) and statement.with_next)
    return count


def _statement(statement: object) -> bool:
    look = _STATEMENTS.get(type(statement))
    return look is not None and look(statement)


def _match(match: Match) -> bool:
    if _is_tcp_flags(match.left) and match.operator in ("any", "none"):
        return isinstance(match.right, Const) and isinstance(match.right.raw, int) and not match.right.raw & PSH
    return _expression(match.left) and _expression(match.right)


def _named(statement: Named) -> bool:
    name = statement.name
    return statement.kind == "counter" and (not isinstance(name, MapName) or _expression(name.key))


def _assign(statement: Assign) -> bool:
    return isinstance(statement.target, Meta | Ct) and _expression(statement.value)


_STATEMENTS: Mapping[type, Callable[[Any], bool]] = {
    Match: _match,
    Vmap: lambda statement: _expression(statement.key),
    Verdict: lambda statement: True,
    Counter: lambda statement: True,
    Named: _named,
    Assign: _assign,
    Notrack: lambda statement: True,
}


def _expression(expression: object) -> bool:
    look = _EXPRESSIONS.get(type(expression))
    return look is not None and look(expression)


def _is_tcp_flags(expression: object) -> bool:
    return isinstance(expression, Payload) and (expression.protocol, expression.field) == ("tcp", "flags")


def _bitwise(expression: Bitwise) -> bool:
    return _expression(expression.left) or (_is_tcp_flags(expression.left) and not expression.mask & PSH)


def _hash(expression: Hash) -> bool:
    return expression.of is not None and expression.seed is not None and _expression(expression.of)


#: Sets tell the trail when they are looked into.
_EXPRESSIONS: Mapping[type, Callable[[Any], bool]] = {
    Const: lambda expression: True,
    Prefix: lambda expression: True,
    Range: lambda expression: True,
    Verdict: lambda expression: True,
    SetRef: lambda expression: True,
    AnonymousSet: lambda expression: True,
    Payload: lambda expression: (expression.protocol, expression.field) in _FIELDS,
    Meta: lambda expression: expression.key in _META,
    Ct: lambda expression: expression.key in _CT,
    Fib: lambda expression: True,
    Rt: lambda expression: True,
    Hash: _hash,
    Bitwise: _bitwise,
    Shift: lambda expression: _expression(expression.left),
    Concat: lambda expression: all(_expression(part) for part in expression.parts),
    MapLookup: lambda expression: _expression(expression.key),
}
