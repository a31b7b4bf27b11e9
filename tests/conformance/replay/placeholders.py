"""Placeholders of the control-plane recordings: `{{kind:N}}` stands for one value per file, bound where it first appears."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

SYMBOL = re.compile(r"\{\{([a-zA-Z0-9]+)(?::(\d+))?\}\}")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
SHAPES = {
    "ns": r"[a-z0-9.-]+",
    "ns2": r"[a-z0-9.-]+",
    "uid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "rv": r"\d+",
    "listrv": r"\d+",
    "time": TIME,
    "rfc1123time": r".*",
    "ip4": r"10\.96\.\d+\.\d+",
    "ip6": r"fd00:10:96::[0-9a-f:]*",
    "nodePort": r"\d+",
    "gen": r"[bcdfghjklmnpqrstvwxz2456789]{5}",
    "pod": r"[bcdfghjklmnpqrstvwxz2456789]{5}",
    "slice": r"[bcdfghjklmnpqrstvwxz2456789]{5}",
    "hash": r"[bcdfghjklmnpqrstvwxz2456789]+",
    "continue": r"[A-Za-z0-9_-]+",
    "age": r"(?:\d+[smhdy])+|<unknown>|<invalid>",
    "openapiHash": r"[0-9A-F]+",
    "gitVersion": r"v1\.36\..*",
    "gitCommit": r"[0-9a-f]*",
    "any": r"(?s:.*)",
}
#: Symbols whose every appearance may stand for another value.
FREE = frozenset(("any", "time", "listrv", "age", "rfc1123time", "openapiHash", "gitCommit", "gitVersion"))
#: Symbols of which different numbers must stand for different values.
DISTINCT = frozenset(("uid", "ip4", "ip6", "nodePort", "gen"))
#: Without a number these stand for another value each time.
UNNUMBERED = frozenset(("{{gen}}", "{{hash}}", "{{uid}}"))
NUMBERS = frozenset(("nodePort",))


class Bindings:
    """What the placeholders of one file stand for, so far."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def fork(self) -> Bindings:
        copy = Bindings()
        copy.values = self.values.copy()
        return copy

    def bind(self, symbol: str, value: str) -> None:
        self.values[symbol] = value

    def fill(self, value: Any, *, key: str = "") -> Any:
        """`value` with every bound placeholder replaced; a whole-text nodePort becomes a number."""
        if isinstance(value, str):
            return self._fill_text(value)
        if isinstance(value, dict):
            return {self._fill_text(name): self.fill(item, key=name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        return value

    def _fill_text(self, text: str) -> Any:
        whole = SYMBOL.fullmatch(text)
        if whole and whole[1] in NUMBERS and whole[0] in self.values:
            return int(self.values[whole[0]])

        def replaced(match: re.Match[str]) -> str:
            if match[1] == "time":
                return "2026-01-01T00:00:00Z"
            return self.values.get(match[0], match[0])

        return SYMBOL.sub(replaced, text)

    def match(self, expected: Any, found: Any, place: str = "") -> Iterator[str]:
        """The differences between a recorded value and one of ours; binds what it meets for the first time."""
        if isinstance(expected, dict) and isinstance(found, dict):
            yield from self._match_objects(expected, found, place)
        elif isinstance(expected, list) and isinstance(found, list):
            if len(expected) != len(found):
                yield f"{place}: {len(found)} items instead of {len(expected)}: {shown(found)} instead of {shown(expected)}"
                return
            for index, (left, right) in enumerate(zip(expected, found, strict=True)):
                yield from self.match(left, right, f"{place}[{index}]")
        elif isinstance(expected, str) and SYMBOL.search(expected):
            if not self._match_text(expected, found):
                yield f"{place}: {shown(found)} instead of {shown(self.fill(expected))}"
        elif type(expected) is not type(found) or expected != found:
            yield f"{place}: {shown(found)} instead of {shown(expected)}"

    def _match_objects(self, expected: dict[str, Any], found: dict[str, Any], place: str) -> Iterator[str]:
        for name, value in expected.items():
            key = self._fill_text(name) if "{{" in name else name
            if key in found:
                yield from self.match(value, found[key], f"{place}.{name}")
            else:
                yield f"{place}.{name}: missing, should be {shown(value)}"
        filled = {self._fill_text(name) if "{{" in name else name for name in expected}
        for name in found:
            if name not in filled:
                yield f"{place}.{name}: should not be there: {shown(found[name])}"

    def _match_text(self, expected: str, found: Any) -> bool:
        whole = SYMBOL.fullmatch(expected)
        if whole and whole[1] == "any":
            return True
        if whole and whole[1] in NUMBERS and isinstance(found, int):
            found = str(found)
        if not isinstance(found, str):
            return False
        pattern, fresh = self._pattern(expected)
        match = re.fullmatch(pattern, found)
        if match is None:
            return False
        for group, symbol in fresh.items():
            value = match[group]
            if SYMBOL.fullmatch(symbol)[1] in DISTINCT and value in self._others(symbol):  # type: ignore[index]
                return False
            self.values[symbol] = value
        return True

    def _others(self, symbol: str) -> set[str]:
        kind = symbol[2:].rstrip("}").partition(":")[0]
        return {value for other, value in self.values.items() if other[2:].rstrip("}").partition(":")[0] == kind}

    def _pattern(self, expected: str) -> tuple[str, dict[str, str]]:
        fresh: dict[str, str] = {}
        groups: dict[str, str] = {}
        out, end = [], 0
        for match in SYMBOL.finditer(expected):
            out.append(re.escape(expected[end : match.start()]))
            end = match.end()
            symbol, kind = match[0], match[1]
            if symbol in self.values and kind not in FREE and symbol not in UNNUMBERED:
                out.append(re.escape(self.values[symbol]))
            elif symbol in groups:
                out.append(f"(?P={groups[symbol]})")
            elif (kind in FREE and kind != "listrv") or symbol in UNNUMBERED:
                out.append(f"(?:{SHAPES[kind]})")
            else:
                name = f"g{len(fresh)}"
                fresh[name], groups[symbol] = symbol, name
                out.append(f"(?P<{name}>{SHAPES.get(kind, '.+')})")
        out.append(re.escape(expected[end:]))
        return "".join(out), fresh


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 400 else text[:400] + "..."
