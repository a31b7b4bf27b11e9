"""Which statements and expressions answer alike for every packet of a flow, or (`opening`) for every first packet.

See xtables.steady for what is alike.
"""

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
    Numgen,
    Payload,
    Prefix,
    Range,
    Rt,
    SetRef,
    Shift,
    Verdict,
)  # fmt: skip
from fakecluster.rules.nft.objects import Rule
from fakecluster.rules.nft.statements import Assign, Counter, MapName, Match, Named, Nat, Notrack, Vmap

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


#: What first packets to one port do not share.
_NOT_OPENING = frozenset((("tcp", "sport"), ("udp", "sport"), ("th", "sport")))
_CT_NOT_OPENING = frozenset(("id", "proto-dst", "proto-src"))


def steady_part(rule: Rule) -> tuple[int, int]:
    """How many of a rule's operations, from the first, can be relied on: for a flow, and for first packets."""
    return _count(rule, False), _count(rule, True)


def _count(rule: Rule, opening: bool) -> int:
    count = 0
    for statement in rule.statements:
        look = _STATEMENTS.get(type(statement))
        if look is None or not look(statement, opening):
            break
        count += not (isinstance(statement, Match) and statement.with_next)
    return count


def _match(match: Match, opening: bool) -> bool:
    if _is_tcp_flags(match.left) and match.operator in ("any", "none"):
        return isinstance(match.right, Const) and isinstance(match.right.raw, int) and not match.right.raw & PSH
    return _expression(match.left, opening) and _expression(match.right, opening)


def _named(statement: Named, opening: bool) -> bool:
    name = statement.name
    return statement.kind == "counter" and (not isinstance(name, MapName) or _expression(name.key, opening))


def _assign(statement: Assign, opening: bool) -> bool:
    return isinstance(statement.target, Meta | Ct) and _expression(statement.value, opening)


def _nat(statement: Nat, opening: bool) -> bool:
    """Asked for first packets only; what it maps to tells the trail."""
    parts = (statement.address, statement.port)
    return opening and all(part is None or _expression(part, opening) for part in parts)


_STATEMENTS: Mapping[type, Callable[[Any, bool], bool]] = {
    Match: _match,
    Vmap: lambda statement, opening: _expression(statement.key, opening),
    Verdict: lambda statement, opening: True,
    Counter: lambda statement, opening: True,
    Named: _named,
    Nat: _nat,
    Assign: _assign,
    Notrack: lambda statement, opening: True,
}


def _expression(expression: object, opening: bool) -> bool:
    look = _EXPRESSIONS.get(type(expression))
    return look is not None and look(expression, opening)


def _is_tcp_flags(expression: object) -> bool:
    return isinstance(expression, Payload) and (expression.protocol, expression.field) == ("tcp", "flags")


def _payload(expression: Payload, opening: bool) -> bool:
    field = expression.protocol, expression.field
    return field in _FIELDS and not (opening and field in _NOT_OPENING)


def _ct(expression: Ct, opening: bool) -> bool:
    return expression.key in _CT and not (opening and expression.key in _CT_NOT_OPENING)


def _bitwise(expression: Bitwise, opening: bool) -> bool:
    return _expression(expression.left, opening) or (_is_tcp_flags(expression.left) and not expression.mask & PSH)


def _hash(expression: Hash, opening: bool) -> bool:
    return expression.of is not None and expression.seed is not None and _expression(expression.of, opening)


#: Sets tell the trail when they are looked into.
_EXPRESSIONS: Mapping[type, Callable[[Any, bool], bool]] = {
    Const: lambda expression, opening: True,
    Prefix: lambda expression, opening: True,
    Range: lambda expression, opening: True,
    Verdict: lambda expression, opening: True,
    SetRef: lambda expression, opening: True,
    AnonymousSet: lambda expression, opening: True,
    Payload: _payload,
    Meta: lambda expression, opening: expression.key in _META,
    Ct: _ct,
    Fib: lambda expression, opening: True,
    Rt: lambda expression, opening: True,
    Hash: _hash,
    Bitwise: _bitwise,
    Shift: lambda expression, opening: _expression(expression.left, opening),
    Concat: lambda expression, opening: all(_expression(part, opening) for part in expression.parts),
    MapLookup: lambda expression, opening: _expression(expression.key, opening),
    Numgen: lambda expression, opening: opening and expression.mode == "random",
}
