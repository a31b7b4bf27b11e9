"""Which objects are meant: label selectors as text and as JSON, field selectors, sets of labels.

A selector is a tuple of requirements that must all hold, sorted by key. The grammar of the text form, the canonical
text and the words of the errors are those of apimachinery (pkg/labels/selector.go, pkg/fields/selector.go).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from operator import gt, lt
from typing import Any

import attrs

from fakecluster.api import names
from fakecluster.api.go_values import go_json, go_quote

Labels = Mapping[str, str]

IN, NOT_IN, EXISTS, ABSENT = "in", "notin", "exists", "!"
EQUALS, DOUBLE_EQUALS, NOT_EQUALS, GREATER, LESS = "=", "==", "!=", "gt", "lt"
_LIST_OPERATORS = (IN, NOT_IN)
_ONE_VALUE_OPERATORS = (EQUALS, DOUBLE_EQUALS, NOT_EQUALS)
_NUMBER_OPERATORS = {GREATER: gt, LESS: lt}
_BARE_OPERATORS = (EXISTS, ABSENT)
_SIGNS = {EQUALS: "=", DOUBLE_EQUALS: "==", NOT_EQUALS: "!=", GREATER: ">", LESS: "<"}
#: operators of the JSON form -> those of the text form
JSON_OPERATORS = {"In": IN, "NotIn": NOT_IN, "Exists": EXISTS, "DoesNotExist": ABSENT}

_INT64 = range(-(2**63), 2**63)
_NUMBER_RE = re.compile("[+-]?[0-9]+")


class SelectorError(ValueError):
    """A selector that the server refuses; the text is what it says."""


def _number(text: str) -> int | None:
    value = int(text) if _NUMBER_RE.fullmatch(text) and len(text) < 40 else None
    return value if value is not None and value in _INT64 else None


@attrs.frozen
class Requirement:
    """One condition on a label: `operator` as in the text form, `values` sorted."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Whether an object with these labels satisfies it; a missing label satisfies the negative operators."""
        value = labels.get(self.key)
        if self.operator in _NUMBER_OPERATORS:
            return value is not None and self._compares(value)
        if self.operator == EXISTS:
            return value is not None
        if self.operator == ABSENT:
            return value is None
        return (value in self.values) == (self.operator in (IN, EQUALS, DOUBLE_EQUALS))

    def _compares(self, value: str) -> bool:
        number, bound = _number(value), _number(self.values[0])
        return number is not None and bound is not None and bool(_NUMBER_OPERATORS[self.operator](number, bound))

    def __str__(self) -> str:
        if self.operator in _BARE_OPERATORS:
            return f"!{self.key}" if self.operator == ABSENT else self.key
        if self.operator in _LIST_OPERATORS:
            return f"{self.key} {self.operator} ({','.join(self.values)})"
        return f"{self.key}{_SIGNS[self.operator]}{self.values[0]}"


@attrs.frozen
class Selector:
    """Requirements that must all hold; without any it selects everything, `NOTHING` selects nothing."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Labels) -> bool:
        """Whether an object with these labels is selected."""
        return not self.nothing and all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def empty(self) -> bool:
        """Whether it says nothing at all, so that everything is selected."""
        return not self.requirements and not self.nothing

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)


def _selector(requirements: Iterable[Requirement]) -> Selector:
    return Selector(tuple(sorted(requirements, key=lambda requirement: requirement.key)))


def requirement(key: str, operator: str, values: Sequence[str]) -> Requirement:
    """A checked requirement; raises `SelectorError` with everything that is wrong with it."""
    found = _complaint("key", key, names.qualified_name(key))
    if operator in _LIST_OPERATORS and not values:
        found.append("values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty")
    if operator in _BARE_OPERATORS and values:
        found.append(
            f"values: Invalid value: {go_json(list(values))}: values set must be empty for exists and does not exist"
        )
    if operator in _NUMBER_OPERATORS:
        for number, value in enumerate(values):
            if _number(value) is None:
                complaint = "for 'Gt', 'Lt' operators, the value must be an integer"
                found += _complaint(f"values[{number}]", value, [complaint])
    for number, value in enumerate(values):
        found += _complaint(f"values[{number}][{key}]", value, names.label_value(value))
    if found:
        distinct = list(dict.fromkeys(found))
        raise SelectorError(distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]")
    return Requirement(key, operator, tuple(sorted(values)))


def _complaint(place: str, value: str, found: list[str]) -> list[str]:
    return [f"{place}: Invalid value: {go_quote(value)}: {'; '.join(found)}"] if found else []


# --- the JSON form


def from_label_selector(selector: Mapping[str, Any] | None) -> Selector:
    """The meaning of a LabelSelector object: None selects nothing, `{}` everything.

    Raises `SelectorError` (apimachinery, LabelSelectorAsSelector).
    """
    if selector is None:
        return NOTHING
    found = [requirement(k, EQUALS, [v]) for k, v in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        operator = JSON_OPERATORS.get(expression.get("operator", ""))
        if operator is None:
            raise SelectorError(f"{go_quote(expression.get('operator', ''))} is not a valid label selector operator")
        found.append(requirement(expression.get("key", ""), operator, expression.get("values") or []))
    return _selector(found)


def format_label_selector(selector: Mapping[str, Any] | None) -> str:
    """A LabelSelector as tables show it: `<none>` when it says nothing, `<error>` when it is wrong."""
    try:
        return str(from_label_selector(selector)) or "<none>"
    except SelectorError:
        return "<error>"


def from_set(labels: Labels | None) -> Selector:
    """Selects objects that carry all of `labels`, as a Service's selector does; not checked."""
    return Selector(tuple(Requirement(k, EQUALS, (v,)) for k, v in sorted((labels or {}).items())))


def from_checked_set(labels: Labels | None) -> Selector:
    """As `from_set`, for labels that someone typed; raises `SelectorError`."""
    return Selector(tuple(requirement(k, EQUALS, [v]) for k, v in sorted((labels or {}).items())))


def format_set(labels: Labels | None) -> str:
    """Labels as text, sorted: `a=1,b=2`."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()))


# --- the text form

_TOKEN_RE = re.compile(r"[ \t\r\n]*(?:(?P<symbol>==|!=|[=!(),><])|(?P<word>[^=!(),>< \t\r\n\0]+))")
_END, _WORD = "end", "word"
_BINARY = {"=": EQUALS, "==": DOUBLE_EQUALS, "!=": NOT_EQUALS, ">": GREATER, "<": LESS, IN: IN, NOT_IN: NOT_IN}
_EXPECTED = "in, notin, =, ==, !=, gt, lt"

Token = tuple[str, str]  # what it is (a symbol, "word" or "end"), its text


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    position = 0
    while match := _TOKEN_RE.match(text, position):
        symbol = match["symbol"]
        found.append((symbol, symbol) if symbol else (_WORD, match["word"]))
        position = match.end()
    return [*found, (_END, "")]


def parse(text: str) -> Selector:
    """A label selector's meaning, such as `app=web,tier in (a,b),!old,n>3`; raises `SelectorError`."""
    return _Parser(_tokens(text)).parse() if text else EVERYTHING


class _Parser:
    """A cursor over the tokens; past the end it keeps seeing the end."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens, self._position = tokens, 0

    def _peek(self) -> Token:
        return self._tokens[min(self._position, len(self._tokens) - 1)]

    def _next(self) -> Token:
        token = self._peek()
        self._position += 1
        return token

    def parse(self) -> Selector:
        found: list[Requirement] = []
        while (token := self._peek())[0] != _END:
            if token[0] not in (_WORD, "!"):
                raise SelectorError(f"found '{token[1]}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self._requirement())
            except SelectorError as error:
                raise SelectorError(f"unable to parse requirement: {error}") from None
            kind, text = self._next()
            if kind == _END:
                break
            if kind != ",":
                raise SelectorError(f"found '{text}', expected: ',' or 'end of string'")
            kind, text = self._peek()
            if kind not in (_WORD, "!"):
                raise SelectorError(f"found '{text}', expected: identifier after ','")
        return _selector(found)

    def _requirement(self) -> Requirement:
        kind, key = self._next()
        absent = kind == "!"
        if absent:
            kind, key = self._next()
        if kind != _WORD:
            raise SelectorError(f"found '{key}', expected: identifier")
        if found := names.qualified_name(key):
            raise SelectorError(f"<nil>: Invalid value: {go_quote(key)}: {'; '.join(found)}")
        if absent:
            return requirement(key, ABSENT, [])
        if self._peek()[0] in (_END, ","):
            return requirement(key, EXISTS, [])
        _, sign = self._next()
        operator = _BINARY.get(sign)
        if operator is None:
            raise SelectorError(f"found '{sign}', expected: {_EXPECTED}")
        values = self._list() if operator in _LIST_OPERATORS else [self._value()]
        return requirement(key, operator, sorted(set(values)))

    def _value(self) -> str:
        if self._peek()[0] in (_END, ","):
            return ""
        kind, text = self._next()
        if kind != _WORD:
            raise SelectorError(f"found '{text}', expected: identifier")
        return text

    def _list(self) -> list[str]:
        kind, text = self._next()
        if kind != "(":
            raise SelectorError(f"found '{text}' expected: '('")
        kind, text = self._peek()
        if kind not in (_WORD, ",", ")"):
            raise SelectorError(f"found '{text}', expected: ',', ')' or identifier")
        values = [""] if kind == ")" else self._items()
        self._next()  # the closing parenthesis: `_items` stops nowhere else
        return values

    def _items(self) -> list[str]:
        found: list[str] = []
        while True:
            kind, text = self._next()
            after, after_text = self._peek()
            if kind == _WORD:
                found.append(text)
                if after == ")":
                    return found
                if after != ",":
                    raise SelectorError(f"found '{after_text}', expected: ',' or ')'")
            elif kind == ",":
                if not found:
                    found.append("")
                if after == ")":
                    return [*found, ""]
                if after == ",":
                    self._next()
                    found.append("")
            else:
                raise SelectorError(f"found '{text}', expected: ',', or identifier")


# --- field selectors


@attrs.frozen
class FieldRequirement:
    """One condition on a field: `operator` is `=` or `!=`; a field that is not there reads as the empty text."""

    field: str
    operator: str
    value: str

    def matches(self, fields: Mapping[str, str]) -> bool:
        return (fields.get(self.field, "") == self.value) == (self.operator == "=")

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{_escaped(self.value)}"


@attrs.frozen
class FieldSelector:
    """Requirements on fields that must all hold."""

    requirements: tuple[FieldRequirement, ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether an object whose selectable fields are `fields` is selected."""
        return all(requirement.matches(fields) for requirement in self.requirements)

    @property
    def empty(self) -> bool:
        return not self.requirements

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


_TERM_RE = re.compile(r"(.*?)(!=|==|=)(.*)", re.DOTALL)
_TERMS_RE = re.compile(r"(?:[^\\,]|\\.|\\\Z)*", re.DOTALL)
_ESCAPABLE = "\\,="


def parse_fields(text: str) -> FieldSelector:
    """A field selector's meaning, such as `metadata.name=a,spec.nodeName!=b`; raises `SelectorError`."""
    found = []
    for term in sorted(_terms(text)):
        match = _TERM_RE.fullmatch(term)
        if match is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{term}'")
        field, operator, value = match.groups()
        found.append(FieldRequirement(field, "!=" if operator == "!=" else "=", _unescaped(value)))
    return FieldSelector(tuple(found))


def _terms(text: str) -> list[str]:
    return [term for term in _TERMS_RE.findall(text) if term]


def _escaped(value: str) -> str:
    return "".join(f"\\{c}" if c in _ESCAPABLE else c for c in value)


def _unescaped(text: str) -> str:
    found, letters = [], iter(text)
    for c in letters:
        if c == "\\":
            c = next(letters, "")
            if not c or c not in _ESCAPABLE:
                raise SelectorError(f"invalid field selector: invalid escape sequence: \\{c}")
        elif c in _ESCAPABLE:
            raise SelectorError(f"invalid field selector: unescaped character in value: {ord(c)}")
        found.append(c)
    return "".join(found)
