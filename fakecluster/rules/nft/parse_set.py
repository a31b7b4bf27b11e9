"""Text to sets, maps and their elements.

Elements come by the ten thousands, so plain ones (values joined with dots, perhaps a verdict) take a short way: the
words are looked up in tables of values already read, and only what does not fit is read word by word.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from fakecluster.rules.nft import datatypes
from fakecluster.rules.nft.datatypes import Datatype
from fakecluster.rules.nft.element_blocks import elements_of, memory
from fakecluster.rules.nft.expressions import Concat, Const, Element, Expression, Prefix, Range, Verdict, datatypes_of
from fakecluster.rules.nft.objects import SetSpec, TableName
from fakecluster.rules.nft.parse_action import counter_values, limit_values, quota_values, time_value
from fakecluster.rules.nft.parse_expression import (
    concatenation_words,
    is_interval,
    joined_value,
    left_hand_side,
    types_of,
    value,
)  # fmt: skip
from fakecluster.rules.nft.parse_verdict import PLAIN, verdict
from fakecluster.rules.nft.scope import RuleContext, Scope
from fakecluster.rules.nft.statements import Statement
from fakecluster.rules.nft.tokens import Cursor, is_folded

FLAGS = ("constant", "dynamic", "interval", "timeout")
OBJECT_KINDS = ("counter", "quota", "limit")


@attrs.define(eq=False)
class SetReader:
    """Collects the properties of one ``set NAME { ... }`` block; `elements_at` is where its elements start."""

    rule: RuleContext
    name: str
    word: str
    fields: dict[str, object] = attrs.field(factory=dict)
    statements: list[Statement] = attrs.field(factory=list)
    elements_at: int = -1


#: Properties behind which nft wants no end of line.
_END_BY_THEMSELVES = frozenset(("elements", "auto-merge"))
#: What else could go on there.
_OR_MORE = {"type": " or .", "typeof": " or .", "flags": " or comma"}


def set_block(cursor: Cursor, scope: Scope, table: TableName, word: str) -> tuple[SetSpec, tuple[Element, ...]]:
    """``NAME { type ...; ... }`` after the word set or map, and the elements given in it."""
    first = cursor.at
    reader = SetReader(RuleContext(cursor, scope, table), cursor.name(), word)
    cursor.expect("{")
    cursor.skip_separators()
    while not cursor.accept("}"):
        property_name = cursor.word
        property_of = _PROPERTIES.get(property_name)
        if property_of is None:
            cursor.unexpected()
        property_of(reader)
        if cursor.word != "}" or property_name not in _END_BY_THEMSELVES:
            if cursor.word not in ("\n", ";"):
                cursor.unexpected(expecting="newline or semicolon" + _OR_MORE.get(property_name, ""))
            cursor.skip_separators()
    spec = _spec(reader, first)
    scope.declared[(table, spec.name)] = spec
    elements: tuple[Element, ...] = ()
    if reader.elements_at >= 0:
        end, cursor.at = cursor.at, reader.elements_at
        elements = element_block(cursor, scope, table, spec)
        cursor.at = end
    return spec, elements


def _spec(reader: SetReader, first: int) -> SetSpec:
    fields = reader.fields
    if "key" not in fields:
        noun = "map" if reader.word == "map" else "set"
        reader.rule.cursor.fail_at(f"{noun} definition does not specify key", first, first)
    if reader.word == "map" and not fields.get("data_kind"):
        reader.rule.cursor.fail_at("map definition does not specify mapping data type", first, first)
    if fields.get("timeout_ms"):
        fields["flags"] = frozenset((*fields.get("flags", ()), "timeout"))  # type: ignore[misc]
    return SetSpec(name=reader.name, statements=tuple(reader.statements), **fields)  # type: ignore[arg-type]


def _type(reader: SetReader) -> None:
    cursor = reader.rule.cursor
    cursor.take()
    keys = _type_names(cursor)
    reader.fields["key"] = keys
    reader.fields["key_bits"] = tuple(datatype.bits for datatype in keys)
    if reader.word == "map":
        cursor.expect(":")
        if cursor.word in OBJECT_KINDS:
            reader.fields["data_kind"] = cursor.take()
            return
        data = _type_names(cursor)
        reader.fields["data"] = data
        reader.fields["data_kind"] = "verdict" if data[0] is datatypes.VERDICT else "value"


def _type_names(cursor: Cursor) -> tuple[Datatype, ...]:
    found = []
    while True:
        datatype = datatypes.BY_NAME.get(cursor.word)
        if datatype is None:
            if not cursor.word[:1].isalpha():
                cursor.unexpected(expecting="string")
            cursor.fail_at(f"unknown datatype {cursor.word}", cursor.at, cursor.at)
        if not datatype.bits and datatype is not datatypes.VERDICT:
            cursor.fail_at(f"unqualified key type {datatype.name} in set definition", cursor.at, cursor.at)
        cursor.take()
        found.append(datatype)
        if not cursor.accept("."):
            return tuple(found)


def _typeof(reader: SetReader) -> None:
    cursor = reader.rule.cursor
    cursor.take()
    key = left_hand_side(reader.rule)
    reader.fields["key"] = datatypes_of(key)
    reader.fields["key_bits"] = tuple(bits for _datatype, bits in types_of(key))
    reader.fields["key_typeof"] = key
    if reader.word != "map":
        return
    cursor.expect(":")
    if cursor.word == "verdict":
        cursor.take()
        reader.fields.update(data=(datatypes.VERDICT,), data_kind="verdict")
        return
    data = left_hand_side(reader.rule)
    reader.fields.update(data=datatypes_of(data), data_kind="value", data_typeof=data)


def _flags(reader: SetReader) -> None:
    cursor = reader.rule.cursor
    cursor.take()
    found = set()
    while True:
        if cursor.word not in FLAGS:
            cursor.unexpected()
        found.add(cursor.take())
        if not cursor.accept(","):
            break
    reader.fields["flags"] = frozenset(found)


def _time(field: str) -> Callable[[SetReader], None]:
    def read(reader: SetReader) -> None:
        reader.fields[field] = time_value(reader.rule.cursor)

    return read


def _size(reader: SetReader) -> None:
    reader.rule.cursor.take()
    reader.fields["size"] = reader.rule.cursor.number()


def _policy(reader: SetReader) -> None:
    cursor = reader.rule.cursor
    cursor.take()
    if cursor.word not in ("performance", "memory"):
        cursor.unexpected()
    word = cursor.take()
    reader.fields["policy"] = "" if word == "performance" else word


def _comment(reader: SetReader) -> None:
    reader.rule.cursor.take()
    reader.fields["comment"] = reader.rule.cursor.quoted()


def _auto_merge(reader: SetReader) -> None:
    reader.rule.cursor.take()
    reader.fields["auto_merge"] = True


def _elements(reader: SetReader) -> None:
    cursor = reader.rule.cursor
    cursor.take()
    cursor.expect("=")
    reader.elements_at = cursor.at
    if is_folded(cursor.word):
        cursor.at += 1
    else:
        skip_braces(cursor)


def _statement(reader: SetReader) -> None:
    cursor = reader.rule.cursor
    word = cursor.take()
    if word == "counter":
        reader.statements.append(counter_values(cursor))
    elif word == "limit":
        reader.statements.append(limit_values(cursor))
    else:
        reader.statements.append(quota_values(cursor))


def skip_braces(cursor: Cursor) -> None:
    """Move past a balanced ``{ ... }``."""
    if cursor.word != "{":
        cursor.unexpected(expecting="'{'")
    depth = 0
    while True:
        word = cursor.word
        if word == "{":
            depth += 1
        elif word == "}":
            depth -= 1
        elif not word:
            cursor.unexpected()
        cursor.at += 1
        if not depth:
            return


_PROPERTIES: dict[str, Callable[[SetReader], None]] = {
    "type": _type,
    "typeof": _typeof,
    "flags": _flags,
    "timeout": _time("timeout_ms"),
    "gc-interval": _time("gc_interval_ms"),
    "size": _size,
    "policy": _policy,
    "comment": _comment,
    "auto-merge": _auto_merge,
    "elements": _elements,
    "counter": _statement,
    "limit": _statement,
    "quota": _statement,
}


def element_block(cursor: Cursor, scope: Scope, table: TableName, spec: SetSpec) -> tuple[Element, ...]:
    """``{ ELEMENT, ELEMENT, ... }`` of a set whose types are known."""
    if is_folded(cursor.word):
        elements = elements_of(block := cursor.word, spec)
        if elements is None:
            elements = element_block(Cursor(block), scope, table, spec)
        cursor.at += 1
        return elements
    cursor.expect("{")
    rule = RuleContext(cursor, scope, table)
    memories = [(memory(datatype), datatype, bits) for datatype, bits in zip(spec.key, spec.key_bits, strict=True)]
    found: list[Element] = []
    words = cursor.words
    while True:
        cursor.skip_newlines()
        if words[cursor.at] == "}" and found:
            break
        found.append(_element(rule, spec, memories))
        cursor.skip_newlines()
        if words[cursor.at] != ",":
            break
        cursor.at += 1
    if words[cursor.at] != "}":
        cursor.unexpected(expecting="comma or '}'")
    cursor.at += 1
    return tuple(found)


Memories = list[tuple[dict[str, Const], Datatype, int]]


def _element(rule: RuleContext, spec: SetSpec, memories: Memories) -> Element:
    cursor, first = rule.cursor, rule.cursor.at
    key: Expression | None
    if cursor.accept("*"):
        key = None
    else:
        key = _plain_key(rule, memories)
        if key is None:
            key = joined_value(rule, list(zip(spec.key, spec.key_bits, strict=True)))
            _check_interval(rule, spec, key, first)
    word = cursor.word
    if word == "," or word == "}" or word == "\n" or word == ":":
        element = Element(key)
    else:
        element = _with_extras(rule, key)
    if spec.data_kind:
        cursor.skip_newlines()
        if cursor.word != ":":
            cursor.fail_at("unmapped element in map definition" if cursor.word in (",", "}") else "syntax error", first)
        cursor.at += 1
        return _with_data(rule, spec, element)
    if cursor.word == ":":
        cursor.fail_at("set is not a map", cursor.at, cursor.at)
    return element


def _plain_key(rule: RuleContext, memories: Memories) -> Expression | None:
    """The short way: values joined with single dots, then something that ends them. None when it is not that."""
    cursor = rule.cursor
    words, at = cursor.words, cursor.at
    parts: list[Const] = []
    for known, datatype, bits in memories:
        if parts:
            if words[at] != ".":
                return None
            at += 1
        constant = known.get(words[at])
        if constant is None:
            constant = _read_plain(rule, words[at], datatype, bits, known)
            if constant is None:
                return None
        parts.append(constant)
        at += 1
    if words[at] not in _AFTER_PLAIN:
        return None
    cursor.at = at
    return parts[0] if len(parts) == 1 else Concat(tuple(parts))


_AFTER_PLAIN = frozenset((",", "}", "\n", ":", "comment", "timeout"))


def _read_plain(rule: RuleContext, word: str, datatype: Datatype, bits: int, memory: dict[str, Const]) -> Const | None:
    if datatype is datatypes.IFINDEX or word[:1] in '"[(' or word[-1:] == "*":
        return None
    try:
        constant = Const(datatype, datatypes.parse(word, datatype, bits))
    except ValueError:
        return None
    memory[word] = constant
    return constant


def _check_interval(rule: RuleContext, spec: SetSpec, key: Expression, first: int) -> None:
    if "interval" in spec.flags or not is_interval(key):
        return
    parts = key.parts if isinstance(key, Concat) else (key,)
    kind = "range" if any(isinstance(part, Range) for part in parts) else "prefix"
    assert any(isinstance(part, Range | Prefix | Const) for part in parts)
    rule.cursor.fail_at(f"Set member cannot be {kind}, missing interval flag on declaration", first)


def _with_extras(rule: RuleContext, key: Expression | None) -> Element:
    cursor = rule.cursor
    comment, timeout_ms, expires_ms = "", 0, 0
    statements: list[Statement] = []
    while True:
        word = cursor.word
        if word == "comment":
            cursor.take()
            comment = cursor.quoted()
        elif word == "timeout":
            timeout_ms = time_value(cursor)
        elif word == "expires":
            expires_ms = time_value(cursor)
        elif word in ("counter", "limit", "quota"):
            cursor.take()
            statements.append(_VALUES[word](cursor))
        else:
            break
    return Element(key, None, comment, timeout_ms, expires_ms, tuple(statements))


_VALUES: dict[str, Callable[[Cursor], Statement]] = {
    "counter": counter_values,
    "limit": limit_values,
    "quota": quota_values,
}


def _with_data(rule: RuleContext, spec: SetSpec, element: Element) -> Element:
    cursor = rule.cursor
    cursor.skip_newlines()
    data: Expression
    if spec.data_kind == "verdict":
        word = cursor.words[cursor.at]
        data = PLAIN.get(word) or verdict(cursor)
        if word in PLAIN:
            cursor.at += 1
    elif spec.data_kind == "value":
        parts = [value(rule, spec.data[0], spec.data[0].bits)]
        for datatype in spec.data[1:]:
            cursor.expect(".")
            parts.append(value(rule, datatype, datatype.bits))
        if len(parts) != len(spec.data):
            cursor.fail_at(f"datatype mismatch, expected {concatenation_words(spec.data)}", cursor.at)
        data = parts[0] if len(parts) == 1 else Concat(tuple(parts))
    else:
        data = Const(datatypes.STRING, cursor.quoted())
    if element.comment or element.timeout_ms or element.expires_ms or element.statements:
        return attrs.evolve(element, data=data)
    return Element(element.key, data)


__all__ = ["FLAGS", "OBJECT_KINDS", "Verdict", "element_block", "set_block", "skip_braces"]
