"""Text to rules: matches and verdict maps, and the statements by their first word."""

from __future__ import annotations

from typing import NoReturn

import attrs

from fakecluster.rules.nft.datatypes import BOOLEAN, Datatype
from fakecluster.rules.nft.expressions import (
    AnonymousSet,
    Bitwise,
    Const,
    Ct,
    Element,
    Expression,
    Fib,
    Meta,
    Payload,
    Prefix,
    Range,
    SetRef,
    TcpOption,
    datatypes_of,
    width,
)  # fmt: skip
from fakecluster.rules.nft.headers import PROTOCOL_BY_NUMBER
from fakecluster.rules.nft.merging import merged
from fakecluster.rules.nft.objects import Rule, TableName
from fakecluster.rules.nft.parse_action import ACTIONS, TERMINAL, assignment
from fakecluster.rules.nft.parse_expression import (
    _anonymous_element as anonymous_element,
)
from fakecluster.rules.nft.parse_expression import (
    anonymous_set,
    finished_set,
    joined_value,
    left_hand_side,
    set_reference,
    types_of,
)  # fmt: skip
from fakecluster.rules.nft.parse_selector import unsupported
from fakecluster.rules.nft.parse_verdict import verdict
from fakecluster.rules.nft.scope import RuleContext, Scope
from fakecluster.rules.nft.selectors import META, fib
from fakecluster.rules.nft.statements import Match, Statement, Vmap
from fakecluster.rules.nft.symbols import INTERFACE_TYPES
from fakecluster.rules.nft.tokens import SEPARATORS, Cursor

_OPERATORS = {
    "==": "==", "eq": "==", "!=": "!=", "ne": "!=", "<": "<", "lt": "<", ">": ">", "gt": ">", "<=": "<=", "le": "<=",
    ">=": ">=", "ge": ">=",
}  # fmt: skip
_ENDS = frozenset((*SEPARATORS, "", "}", "comment"))


def rule(cursor: Cursor, scope: Scope, table: TableName) -> Rule:
    """Read one rule up to the end of its line."""
    context = RuleContext(cursor, scope, table)
    terminal, before = False, 0
    while cursor.word not in _ENDS:
        first = cursor.at
        if terminal:
            last = first - 1
            _skip(context)
            cursor.fail_at("Statement after terminal statement has no effect", first, other=(before, last))
        word, before = cursor.word, first
        terminal = word in TERMINAL
        _statement(context, word)
    comment = ""
    if cursor.accept("comment"):
        cursor.note("comment")
        comment = cursor.quoted()
    return Rule(merged(context.statements), comment)


def _skip(context: RuleContext) -> None:
    action = ACTIONS.get(context.cursor.word)
    if action:
        action(context)
    else:
        _match(context)


def _compat(context: RuleContext) -> NoReturn:
    """``xt match NAME``: what nft lists of rules of iptables-nft that it cannot say."""
    cursor, first = context.cursor, context.cursor.at
    cursor.take()
    if cursor.take() not in ("match", "target"):
        cursor.at -= 1
        cursor.unexpected()
    if cursor.word[:1] == '"':
        cursor.unexpected(expecting="string")
    cursor.take()
    cursor.fail_at("unsupported xtables compat expression, use iptables-nft with this ruleset", first, cursor.at - 1)


def _statement(context: RuleContext, word: str) -> None:
    if word == "xt":
        _compat(context)
    action = ACTIONS.get(word)
    if action is not None and not (word == "ct" and context.cursor.peek() != "count"):
        statement = action(context)
        context.action_follows()
        if statement is not None:
            context.statements.append(statement)
    else:
        _match(context)


def _match(context: RuleContext) -> None:
    cursor, first = context.cursor, context.cursor.at
    if cursor.word == "notrack":
        unsupported(context, "notrack here")
    left = left_hand_side(context)
    if cursor.word == "set" and isinstance(left, AssignableTypes):
        statement: Statement = assignment(context, left, first)
        context.action_follows()
    elif cursor.accept("vmap"):
        statement = _vmap(context, left)
        context.action_follows()
    else:
        statement = _relation(context, left, first)
    context.statements.append(statement)
    if isinstance(statement, Match):
        before = context.transport, context.one_of
        _note_protocol(context, statement)
        if (context.transport, context.one_of) != before:
            context.transport_words = (first, cursor.at - 1)


AssignableTypes = (Meta, Ct, Payload, TcpOption)


def _relation(context: RuleContext, left: Expression, first: int) -> Match:
    cursor, behind = context.cursor, (first, context.cursor.at - 1)
    context.left_words = behind
    operator = _OPERATORS.get(cursor.word, "")
    if cursor.word == "!":
        operator = "!"
    if operator:
        cursor.take()
    datatypes, right_first = datatypes_of(left), cursor.at
    is_flags = datatypes[0].kind == "bitmask" and len(datatypes) == 1
    if cursor.word == "@" and len(cursor.peek()) and cursor.peek(2) != ",":
        reference, _spec = set_reference(context, left, want_map=False, left=behind)
        _check_negation(context, operator, behind, right_first)
        return Match(left, operator or "==", reference)
    if cursor.word == "{":
        given, found = anonymous_set(context, left)
        _check_negation(context, operator, behind, right_first)
        return _from_set(left, operator or "==", given, found)
    if is_flags:
        return _flags(context, left, operator, datatypes[0])
    if isinstance(left, Fib) and cursor.word in BOOLEAN.words:
        left = fib(left.flags, "exists")
    right = joined_value(context, types_of(left))
    _check_negation(context, operator, behind, right_first)
    if operator in ("<", ">", "<=", ">=") and not isinstance(right, Const):
        cursor.fail_at("Relational expression (<, >, ...) is undefined for this type", first)
    return _masked_relation(left, operator or "==", right)


def _check_negation(context: RuleContext, operator: str, left: tuple[int, int], right: int) -> None:
    """``!`` alone only says that a flag is not set."""
    if operator == "!":
        reason = "negation can only be used with singleton bitmask values"
        context.cursor.fail_at(reason, *left, other=(right, context.cursor.at - 1))


def _from_set(left: Expression, operator: str, given: int, found: AnonymousSet) -> Match:
    """A set that was given as one plain member is that member."""
    if given == 1:
        only = found.elements[0]
        if isinstance(only.key, Const | Prefix | Range) and not only.comment:
            return Match(left, operator, only.key)
    return Match(left, operator, found)


def _masked_relation(left: Expression, operator: str, right: Expression) -> Match:
    """``ip saddr & 255.255.0.0 == 10.0.0.0`` is ``ip saddr 10.0.0.0/16``."""
    if not isinstance(left, Bitwise) or left.xor or not isinstance(right, Const) or not isinstance(right.raw, int):
        return Match(left, operator, right)
    bits = width(left)
    free = (~left.mask & (1 << bits) - 1).bit_length()
    is_prefix = left.mask == (1 << bits) - (1 << free) and 0 < free < bits and not right.raw & ~left.mask
    if is_prefix and right.datatype.kind in ("address4", "address6") and operator in ("==", "!="):
        return Match(left.left, operator, Prefix(right.datatype, right.raw, bits - free))
    return Match(left, operator, right)


def _flags(context: RuleContext, left: Expression, operator: str, datatype: Datatype) -> Match:
    """Flags: by default "one of them is set"; ``A / B`` means "of B exactly A"."""
    cursor = context.cursor
    first = cursor.at
    value, listed = _flag_list(context, datatype, width(left))
    if cursor.word == "/" and listed | True:
        cursor.take()
        mask, listed_mask = _flag_list(context, datatype, width(left))
        if not listed_mask:
            cursor.unexpected(expecting="comma")
        return Match(Bitwise(left, mask, 0), operator or "==", Const(datatype, value))
    right = Const(datatype, value)
    if isinstance(left, Bitwise) and not left.xor:
        return _masked_flags(left, operator, right)
    if operator in ("", "!"):
        return Match(left, "none" if operator else "any", right)
    if operator not in ("==", "!="):
        cursor.fail_at("Relational expression (<, >, ...) is undefined for this type", first)
    return Match(left, operator, right)


def _masked_flags(left: Bitwise, operator: str, right: Const) -> Match:
    if right.raw == 0 and operator in ("==", "!="):
        return Match(left.left, "none" if operator == "==" else "any", Const(right.datatype, left.mask))
    return Match(left, operator or "==", right)


def _flag_list(context: RuleContext, datatype: Datatype, bits: int) -> tuple[int, bool]:
    """``syn,ack`` or ``syn | ack`` or ``(syn | ack)``; whether there was more than one."""
    cursor = context.cursor
    total, count = 0, 0
    while True:
        part = joined_value(context, [(datatype, bits)])
        if not isinstance(part, Const) or not isinstance(part.raw, int):
            cursor.unexpected()
        total |= part.raw
        count += 1
        if not cursor.accept(","):
            return total, count > 1


def _vmap(context: RuleContext, key: Expression) -> Vmap:
    cursor = context.cursor
    if cursor.word == "@":
        first = cursor.at
        reference, spec = set_reference(context, key, want_map=True)
        if spec.data_kind != "verdict":
            cursor.fail_at("Expression is not a verdict map", first)
        return Vmap(key, reference)
    types = types_of(key)
    elements: list[Element] = []
    for _ in cursor.members():
        member = anonymous_element(context, types)
        cursor.skip_newlines()
        cursor.expect(":")
        cursor.skip_newlines()
        elements.append(attrs.evolve(member, data=verdict(cursor)))
    return Vmap(key, finished_set(elements, types))


def _note_protocol(context: RuleContext, match: Match) -> None:
    """After ``meta l4proto tcp`` and the like the transport protocol is known."""
    index = len(context.statements) - 1
    key, right = match.left, match.right
    if match.operator not in ("==", "any"):
        return
    name = _protocol_key(key)
    if name == "ct protocol" and context.table.family == "inet":
        return
    if name == "ethertype" and right == _own_ethertype(context):
        context.statements[index] = attrs.evolve(match, implicit=True)
    if name == "iiftype":
        is_ethernet = isinstance(right, Const) and right.raw == INTERFACE_TYPES["ether"]
        context.link, context.link_match = "ether" if is_ethernet else "unknown", index if is_ethernet else None
    elif name == "nfproto" and isinstance(right, Const) and right.raw in (2, 10):
        context.network = "ip" if right.raw == 2 else "ip6"
        context.network_match = index
    elif name != "ethertype" and name and isinstance(right, Const) and isinstance(right.raw, int):
        context.transport = PROTOCOL_BY_NUMBER.get(right.raw, "")
        context.any_transport = True
        hideable = name == "l4proto" or (context.table.family, name) in _HIDEABLE
        context.transport_match = index if hideable and context.transport else None
    elif name in ("l4proto", "protocol", "nexthdr", "ct protocol") and isinstance(right, AnonymousSet | SetRef):
        context.any_transport = True
        if isinstance(right, AnonymousSet):
            numbers = (member.key.raw for member in context.members if isinstance(member.key, Const))
            context.one_of = tuple(PROTOCOL_BY_NUMBER[raw] for raw in numbers if raw in PROTOCOL_BY_NUMBER)


#: Tests of the protocol that are not shown before a field of it, by the table's family.
_HIDEABLE = frozenset((("ip", "protocol"), ("ip6", "nexthdr"), ("ip", "ct protocol"), ("ip6", "ct protocol")))


def _own_ethertype(context: RuleContext) -> Const | None:
    """What ``meta protocol`` can only be in the table's family: nft leaves it out of its listing."""
    number = {"ip": 0x0800, "ip6": 0x86DD}.get(context.table.family)
    return None if number is None else Const(META["protocol"].datatype, number)


def _protocol_key(key: Expression) -> str:
    if isinstance(key, Meta) and key.key in ("nfproto", "l4proto", "iiftype"):
        return key.key
    if isinstance(key, Meta) and key.key == "protocol":
        return "ethertype"
    if isinstance(key, Ct) and key.key == "protocol":
        return "ct protocol"
    if isinstance(key, Payload) and (key.protocol, key.field) in (("ip", "protocol"), ("ip6", "nexthdr")):
        return key.field
    return ""
