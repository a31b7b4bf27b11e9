"""Which statements and expressions answer alike for every packet of a flow, every first packet, or those of kin.

See trail.KINDS for the kinds, and xtables.steady for what is alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fakecluster.kernel.packet import PSH
from fakecluster.kernel.trail import DESTINATIONS, FLOW, OPENING, SOURCES, Steady
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


_SOURCE_PORTS = frozenset((("tcp", "sport"), ("udp", "sport"), ("th", "sport")))
_DESTINATION_PORTS = frozenset((("tcp", "dport"), ("udp", "dport"), ("th", "dport")))
#: By kind, what its packets do not share although those of a flow do (see trail.KINDS).
_NOT_SHARED: Mapping[int, frozenset[tuple[str, str]]] = {
    FLOW: frozenset(),
    OPENING: _SOURCE_PORTS,
    SOURCES: _SOURCE_PORTS,
    DESTINATIONS: _DESTINATION_PORTS,
}
_CT_OF_A_FLOW = frozenset(("id", "proto-dst", "proto-src"))


def steady_parts(rule: Rule) -> Steady:
    """How many of a rule's operations, from the first, can be relied on, by kind."""
    return _count(rule, FLOW), _count(rule, OPENING), _count(rule, SOURCES), _count(rule, DESTINATIONS)


def _count(rule: Rule, kind: int) -> int:
    count = 0
    for statement in rule.statements:
        look = _STATEMENTS.get(type(statement))
        if look is None or not look(statement, kind):
            break
        count += not (isinstance(statement, Match) and statement.with_next)
    return count


def _match(match: Match, kind: int) -> bool:
    if _is_tcp_flags(match.left) and match.operator in ("any", "none"):
        return isinstance(match.right, Const) and isinstance(match.right.raw, int) and not match.right.raw & PSH
    return _expression(match.left, kind) and _expression(match.right, kind)


def _named(statement: Named, kind: int) -> bool:
    name = statement.name
    return statement.kind == "counter" and (not isinstance(name, MapName) or _expression(name.key, kind))


def _assign(statement: Assign, kind: int) -> bool:
    return isinstance(statement.target, Meta | Ct) and _expression(statement.value, kind)


def _nat(statement: Nat, kind: int) -> bool:
    """Asked for first packets only; what it maps to tells the trail."""
    parts = (statement.address, statement.port)
    return kind == OPENING and all(part is None or _expression(part, kind) for part in parts)


_STATEMENTS: Mapping[type, Callable[[Any, int], bool]] = {
    Match: _match,
    Vmap: lambda statement, kind: _expression(statement.key, kind),
    Verdict: lambda statement, kind: True,
    Counter: lambda statement, kind: True,
    Named: _named,
    Nat: _nat,
    Assign: _assign,
    Notrack: lambda statement, kind: True,
}


def _expression(expression: object, kind: int) -> bool:
    look = _EXPRESSIONS.get(type(expression))
    return look is not None and look(expression, kind)


def _is_tcp_flags(expression: object) -> bool:
    return isinstance(expression, Payload) and (expression.protocol, expression.field) == ("tcp", "flags")


def _payload(expression: Payload, kind: int) -> bool:
    field = expression.protocol, expression.field
    return field in _FIELDS and field not in _NOT_SHARED[kind]


def _ct(expression: Ct, kind: int) -> bool:
    return expression.key in _CT and (kind == FLOW or expression.key not in _CT_OF_A_FLOW)


def _bitwise(expression: Bitwise, kind: int) -> bool:
    return _expression(expression.left, kind) or (_is_tcp_flags(expression.left) and not expression.mask & PSH)


def _hash(expression: Hash, kind: int) -> bool:
    return expression.of is not None and expression.seed is not None and _expression(expression.of, kind)


#: Sets tell the trail when they are looked into.
_EXPRESSIONS: Mapping[type, Callable[[Any, int], bool]] = {
    Const: lambda expression, kind: True,
    Prefix: lambda expression, kind: True,
    Range: lambda expression, kind: True,
    Verdict: lambda expression, kind: True,
    SetRef: lambda expression, kind: True,
    AnonymousSet: lambda expression, kind: True,
    Payload: _payload,
    Meta: lambda expression, kind: expression.key in _META,
    Ct: _ct,
    Fib: lambda expression, kind: True,
    Rt: lambda expression, kind: True,
    Hash: _hash,
    Bitwise: _bitwise,
    Shift: lambda expression, kind: _expression(expression.left, kind),
    Concat: lambda expression, kind: all(_expression(part, kind) for part in expression.parts),
    MapLookup: lambda expression, kind: _expression(expression.key, kind),
    Numgen: lambda expression, kind: kind == OPENING and expression.mode == "random",
}
