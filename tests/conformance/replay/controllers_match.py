"""Comparing what was recorded with what is: placeholders match anything of their kind, lists match in any order."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

#: placeholder -> what it stands for
KINDS = {
    "uid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z",
    "gen": "[a-z0-9]{5}",
    "slice": "[a-z0-9]{5}",
    "pod": "[a-z0-9]+",
    "hash": "[a-z0-9]+",
    "any": ".*",
    "ns": "[a-z0-9-]+",
    "ns2": "[a-z0-9-]+",
}
PLACEHOLDER = re.compile(r"\{\{(\w+)(?::(\d+))?\}\}")
#: Placeholders without a number that still mean one thing throughout a file.
NAMED = ("ns", "ns2", "hash")

Bound = dict[str, str]


def matches(expected: Any, got: Any, bound: Bound) -> Iterator[Bound]:
    """Every way to read `got` as `expected`: what the placeholders then stand for."""
    if expected == "{{any}}":
        yield bound
    elif isinstance(expected, dict):
        if isinstance(got, dict) and got.keys() <= expected.keys():
            absent = expected.keys() - got.keys()
            if all(expected[key] == "{{any}}" for key in absent):  # there in one run of the real thing, not in another
                yield from _all([key for key in expected if key in got], expected, got, bound)
    elif isinstance(expected, list):
        if isinstance(got, list) and len(expected) == len(got):
            yield from _in_any_order(expected, got, bound)
    elif isinstance(expected, str) and "{{" in expected:
        if isinstance(got, str) and (found := _text(expected, got, bound)) is not None:
            yield found
    elif expected == got and isinstance(expected, bool) == isinstance(got, bool):
        yield bound


def filled(value: Any, bound: Bound) -> Any:
    """A recorded request with what its placeholders stand for."""
    if isinstance(value, dict):
        return {key: filled(one, bound) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, bound) for one in value]
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda match: bound[match[0]], value)
    return value


def _all(keys: list[str], expected: dict[str, Any], got: dict[str, Any], bound: Bound) -> Iterator[Bound]:
    if not keys:
        yield bound
        return
    for found in matches(expected[keys[0]], got[keys[0]], bound):
        yield from _all(keys[1:], expected, got, found)


def _in_any_order(expected: list[Any], got: list[Any], bound: Bound) -> Iterator[Bound]:
    if not expected:
        yield bound
        return
    for index, candidate in enumerate(got):
        for found in matches(expected[0], candidate, bound):
            yield from _in_any_order(expected[1:], got[:index] + got[index + 1 :], found)


@functools.lru_cache(maxsize=4096)
def _pattern(expected: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """The expression of a text with placeholders, and which placeholder each of its groups is."""
    parts, names, end = [], [], 0
    for match in PLACEHOLDER.finditer(expected):
        parts.append(re.escape(expected[end : match.start()]))
        parts.append(f"({KINDS[match[1]]})")
        names.append(match[0] if match[2] or match[1] in NAMED else "")
        end = match.end()
    return re.compile("".join(parts) + re.escape(expected[end:]), re.DOTALL), tuple(names)


def _text(expected: str, got: str, bound: Bound) -> Bound | None:
    pattern, names = _pattern(expected)
    match = pattern.fullmatch(got)
    if match is None:
        return None
    found = bound
    for name, value in zip(names, match.groups(), strict=True):
        if not name:
            continue
        if found.get(name, value) != value:
            return None
        kind = name.strip("{}").partition(":")[0]
        if name not in found:
            taken = (found[other] for other in found if other.strip("{}").partition(":")[0] == kind)
            if value in taken:
                return None  # different symbols of one kind are different values
            found = {**found, name: value}
    return found
