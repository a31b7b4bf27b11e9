"""Text to expressions: selectors joined and masked on the left, typed values, lists and sets on the right."""

from __future__ import annotations

from collections.abc import Sequence

from fakecluster.rules.nft.datatypes import IFINDEX, INVALID, Datatype, Raw, parse
from fakecluster.rules.nft.expressions import (
    AnonymousSet,
    Bitwise,
    Concat,
    Const,
    Element,
    Expression,
    MapLookup,
    Payload,
    Prefix,
    Range,
    SetRef,
    Shift,
    datatypes_of,
    width,
)  # fmt: skip
from fakecluster.rules.nft.intervals import merged
from fakecluster.rules.nft.objects import SetSpec
from fakecluster.rules.nft.parse_selector import selector, starts_selector
from fakecluster.rules.nft.scope import RuleContext

_AND, _XOR, _OR = ("&", "and"), ("^", "xor"), ("|", "or")
_SHIFTS = {"<<": "<<", "lshift": "<<", ">>": ">>", "rshift": ">>"}
#: Parts that one concatenation may have (nft's own NFT_REG32_COUNT is 16 words of 4 bytes).
MAX_CONCATENATED_BITS = 512
Types = Sequence[tuple[Datatype, int]]


def left_hand_side(rule: RuleContext) -> Expression:
    """A selector, masked or shifted as it may be, or several joined with dots."""
    first = rule.cursor.at
    parts, ends = [_masked(rule)], [rule.cursor.at]
    while rule.cursor.accept("."):
        parts.append(_masked(rule))
        ends.append(rule.cursor.at)
    if len(parts) == 1:
        return parts[0]
    for part, begin, end in zip(parts, (first, *(end + 1 for end in ends)), ends, strict=False):
        if datatypes_of(part)[0] is INVALID:
            reason = "can not use variable sized data types (invalid) in concat expressions"
            rule.cursor.fail_at(reason, begin, end - 1, other=(first, rule.cursor.at - 1))
    joined = Concat(tuple(parts))
    if sum((width(part) + 31) // 32 * 32 for part in parts) > MAX_CONCATENATED_BITS:
        rule.cursor.fail_at("Concatenation of size greater than 64 bytes", first)
    return joined


def _masked(rule: RuleContext) -> Expression:
    """``A & m ^ x | o``: all constants folded into one mask and one xor."""
    cursor = rule.cursor
    if cursor.accept("("):
        expression = _masked(rule)
        cursor.expect(")")
    else:
        expression = selector(rule)
    while cursor.word in _SHIFTS:
        operator = _SHIFTS[cursor.take()]
        expression = Shift(expression, operator, cursor.number())
    bits = width(expression)
    full = (1 << bits) - 1
    mask, xor, touched = full, 0, False
    datatype = datatypes_of(expression)[0]
    while cursor.word in _AND or cursor.word in _XOR or cursor.word in _OR:
        operator = cursor.take()
        constant = _constant_operand(rule, datatype, bits)
        touched = True
        if operator in _AND:
            mask, xor = mask & constant, xor & constant
        elif operator in _XOR:
            xor ^= constant
        else:
            mask, xor = mask & ~constant, xor & ~constant | constant
    return Bitwise(expression, mask & full, xor) if touched else expression


def _constant_operand(rule: RuleContext, datatype: Datatype, bits: int) -> int:
    cursor = rule.cursor
    if cursor.accept("("):
        value = _constant_operand(rule, datatype, bits)
        while cursor.word in _OR or cursor.word in _AND or cursor.word in _XOR or cursor.word == ",":
            operator = cursor.take()
            other = _constant_operand(rule, datatype, bits)
            if operator in _AND:
                value &= other
            elif operator in _XOR:
                value ^= other
            else:
                value |= other
        cursor.expect(")")
        return value
    raw = _raw(rule, datatype, bits)
    if isinstance(raw, str):
        cursor.fail_at("invalid operand of a binary operation", cursor.at - 1)
    return raw


def _raw(rule: RuleContext, datatype: Datatype, bits: int) -> Raw:
    cursor = rule.cursor
    word = cursor.word
    if not word or word in _NOT_VALUES:
        cursor.unexpected()
    text = word[1:-1] if word[0] == '"' and len(word) > 1 else word
    if datatype.kind == "classid" and cursor.peek() == ":":
        text = f"{cursor.take()}{cursor.take()}{cursor.word}"
    try:
        raw = parse(text, datatype, bits)
    except ValueError as error:
        if word in _PROTOCOL_KEYWORDS:
            wrong = f"datatype mismatch, expected {datatype.description}, expression has type Internet protocol"
            cursor.fail_at(wrong, cursor.at, cursor.at, other=rule.left_words)
        cursor.fail_at(str(error), cursor.at, cursor.at)
    if datatype is IFINDEX and isinstance(raw, str) and not rule.scope.known.interface_exists(raw):
        cursor.fail_at("Interface does not exist", cursor.at, cursor.at)
    cursor.note(datatype.kind if datatype.kind in _KINDS_NOTED else datatype.name, bits)
    cursor.at += 1
    return raw


#: Protocols that are words of the language, not names that a type explains.
_PROTOCOL_KEYWORDS = frozenset(("tcp", "udp", "udplite", "esp", "ah", "icmp", "igmp", "icmpv6", "comp", "dccp", "sctp"))
#: Types that a shape tells apart by kind; all others by name.
_KINDS_NOTED = frozenset(("address4", "address6", "service", "ifindex"))
_NOT_VALUES = frozenset(("\n", ";", "{", "}", ",", ".", ":", "=", "==", "!=", "(", ")", "/", "|", "&", "^"))


def value(rule: RuleContext, datatype: Datatype, bits: int) -> Expression:
    """One value of a type: a constant, a prefix, a range, or constants joined by ``|``."""
    cursor, first = rule.cursor, rule.cursor.at
    if cursor.word == "[":
        cursor.take()
        raw = _raw(rule, datatype, bits)
        cursor.expect("]")
    elif cursor.word == "(":
        raw = _constant_operand(rule, datatype, bits)
    else:
        raw = _raw(rule, datatype, bits)
    following = cursor.word
    if following == "/" and isinstance(raw, int) and datatype.kind != "bitmask":
        return _prefix(rule, datatype, bits, raw, first)
    if following == "-":
        return _range(rule, datatype, bits, raw, first)
    while isinstance(raw, int) and (cursor.word in _OR or cursor.word in _AND or cursor.word in _XOR):
        operator, other = cursor.take(), _constant_operand(rule, datatype, bits)
        raw = raw & other if operator in _AND else raw ^ other if operator in _XOR else raw | other
    return Const(datatype, raw)


def _prefix(rule: RuleContext, datatype: Datatype, bits: int, raw: int, first: int) -> Expression:
    rule.cursor.take()
    length = rule.cursor.number()
    bits = bits or datatype.bits
    if length > bits:
        rule.cursor.fail_at(f"Prefix length {length} is invalid for type of {bits} bits width", first)
    if length == bits:
        return Const(datatype, raw)
    return Prefix(datatype, raw >> bits - length << bits - length, length)


def _range(rule: RuleContext, datatype: Datatype, bits: int, low: Raw, first: int) -> Expression:
    rule.cursor.take()
    high = _raw(rule, datatype, bits)
    if isinstance(low, str) or isinstance(high, str):
        rule.cursor.fail_at("Byteorder mismatch: expected big endian, got host endian", first)
    if high < low:
        rule.cursor.fail_at("Range has zero or negative size", first)
    return Range(datatype, low, high)


def joined_value(rule: RuleContext, types: Types) -> Expression:
    """A value for one type, or values joined with dots for several."""
    cursor, first = rule.cursor, rule.cursor.at
    if len(types) > 1 and cursor.peek() in ("}", ",", "\n") and cursor.word != "(":
        expected = concatenation_words([datatype for datatype, _bits in types])
        cursor.fail_at(f"invalid data type, expected {expected}", first, first)
    if len(types) == 1 and cursor.peek() == ".":
        cursor.fail_at("Can't parse symbolic invalid expressions", first, first)
    parts = [value(rule, *types[0])]
    while cursor.word == ".":
        cursor.take()
        if len(parts) >= len(types):
            at = first if len(types) == 1 else cursor.at
            cursor.fail_at("Can't parse symbolic invalid expressions", at, at)
        parts.append(value(rule, *types[len(parts)]))
    if len(parts) < len(types):
        expected = concatenation_words([datatype for datatype, _bits in types])
        cursor.fail_at(f"invalid data type, expected {expected}", first)
    return parts[0] if len(parts) == 1 else Concat(tuple(parts))


def types_of(expression: Expression) -> list[tuple[Datatype, int]]:
    """(type, bits) of each part of an expression."""
    if isinstance(expression, Concat):
        return [pair for part in expression.parts for pair in types_of(part)]
    return [(datatypes_of(expression)[0], width(expression))]


def concatenation_words(datatypes: Sequence[Datatype]) -> str:
    """How nft names a type in an error."""
    if len(datatypes) == 1:
        return datatypes[0].description
    return f"concatenation of ({', '.join(datatype.description for datatype in datatypes)})"


def set_reference(
    rule: RuleContext, key: Expression, *, want_map: bool, left: tuple[int, int] | None = None
) -> tuple[SetRef, SetSpec]:
    """``@name``, checked to exist and to have the type of the key, which stands at the words `left`."""
    cursor, first = rule.cursor, rule.cursor.at
    cursor.expect("@")
    cursor.note("set")
    name = cursor.name()
    spec = rule.scope.set_spec(rule.table, name)
    if spec is None:
        cursor.fail_at("No such file or directory", first)
    if want_map and not spec.is_map:
        cursor.fail_at("Expression is not a map", first)
    expected = datatypes_of(key)
    if not _compatible(expected, spec.key):
        cursor.fail_at(
            f"datatype mismatch, expected {concatenation_words(expected)}, "
            f"expression has type {concatenation_words(spec.key)}",
            first,
            other=left,
        )
    return SetRef(name), spec


def _compatible(expected: Sequence[Datatype], found: Sequence[Datatype]) -> bool:
    if len(expected) != len(found):
        return False
    return all(
        left is right or left.name == right.name or "integer" in (left.name, right.name)
        for left, right in zip(expected, found, strict=True)
    )


def anonymous_set(rule: RuleContext, key: Expression) -> tuple[int, AnonymousSet]:
    """``{ A, B, C }`` of the key's type: how many were given, and the set with overlapping ranges merged."""
    cursor, types = rule.cursor, types_of(key)
    elements = [_anonymous_element(rule, types) for _ in cursor.members()]
    rule.members = tuple(elements)
    return len(elements), finished_set(elements, types)


def finished_set(elements: Sequence[Element], types: Types) -> AnonymousSet:
    """The members in the order in which nft lists them, ranges merged, duplicates gone."""
    interval = any(is_interval(element.key) for element in elements)
    return AnonymousSet(tuple(merged(elements, types, interval=interval)), interval)


def _anonymous_element(rule: RuleContext, types: Types) -> Element:
    if rule.cursor.accept("*"):
        return Element(None)
    key = joined_value(rule, types)
    comment = rule.cursor.quoted() if rule.cursor.accept("comment") else ""
    return Element(key, comment=comment)


def is_interval(key: Expression | None) -> bool:
    """Whether a member covers more than one value."""
    if isinstance(key, Concat):
        return any(is_interval(part) for part in key.parts)
    if isinstance(key, Const) and isinstance(key.raw, str):
        return key.raw.endswith("*")
    return isinstance(key, Prefix | Range)


def map_source(rule: RuleContext, key: Expression, data: Types) -> tuple[SetRef | AnonymousSet, list[Datatype]]:
    """What stands after ``map``: ``@name`` or ``{ KEY : VALUE, ... }``; also the types of the answers."""
    if rule.cursor.word == "@":
        reference, spec = set_reference(rule, key, want_map=True)
        return reference, list(spec.data)
    cursor, types = rule.cursor, types_of(key)
    elements: list[Element] = []
    answers: list[Datatype] = [data[0][0]]
    for _ in cursor.members():
        member = _anonymous_element(rule, types)
        cursor.skip_newlines()
        cursor.expect(":")
        cursor.skip_newlines()
        parts = [value(rule, *data[0])]
        while len(parts) < len(data) and cursor.accept("."):
            parts.append(value(rule, *data[len(parts)]))
        answers = [datatype for datatype, _bits in data[: len(parts)]]
        answer: Expression = parts[0] if len(parts) == 1 else Concat(tuple(parts))
        elements.append(Element(member.key, answer, member.comment))
    return finished_set(elements, types), answers


def computed(rule: RuleContext, datatype: Datatype, bits: int) -> Expression:
    """A value for ``set``: a constant, a selector with masks, or a map look-up."""
    cursor, first = rule.cursor, rule.cursor.at
    if not starts_selector(cursor.word) or cursor.word in datatype.words:
        return value(rule, datatype, bits)
    expression = left_hand_side(rule)
    if cursor.accept("map"):
        source, answers = map_source(rule, expression, [(datatype, bits)])
        return MapLookup(expression, source, answers[0])
    found = datatypes_of(expression)
    if len(found) != 1 or not _assignable(datatype, found[0]):
        cursor.fail_at(
            f"datatype mismatch: expected {datatype.description}, expression has type {concatenation_words(found)}",
            first,
            other=rule.left_words,
        )
    return expression


def _assignable(wanted: Datatype, found: Datatype) -> bool:
    return wanted.name == found.name or (found.name == "integer" and (wanted.bits == 0 or found.bits <= wanted.bits))


def field_of(expression: Expression) -> Payload | None:
    """The header field that an expression reads, through masks."""
    while isinstance(expression, Bitwise | Shift):
        expression = expression.left
    return expression if isinstance(expression, Payload) else None
