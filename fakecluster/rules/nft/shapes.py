"""Rules known by their shape: a line like one that was read before needs no second look until somebody asks.

The first rule of a shape is read word by word, and every word that was a plain value (an address, a port, a mark, a
chain's or set's name, a comment) is noted. The rest of the text and what may stand in these places make a pattern.
A later text that fits it is as right as the first: it leads to the chains and sets that stand in it, asks of its chain
what the first asked, and is read word by word, the same way, only when somebody looks inside (`objects.Rule`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import attrs

from fakecluster.rules.nft.objects import Rule, SetSpec, TableName
from fakecluster.rules.nft.parse_rule import rule
from fakecluster.rules.nft.scope import Scope
from fakecluster.rules.nft.tokens import Cursor

#: Rules whose reading is remembered: nodes have the same ones.
RULES_KEPT = 16_384
#: Values that one pattern may have, lists apart; a rule with more is no common shape.
MAX_PLACES = 40
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
ADDRESS4 = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}"
_H = "[0-9a-fA-F]{1,4}"
ADDRESS6 = "(?:" + "|".join((
    f"(?:{_H}:){{7}}{_H}", f"(?:{_H}:){{1,7}}:", "::",
    *(f"(?:{_H}:){{1,{7 - tail}}}(?::{_H}){{{tail}}}" for tail in range(1, 7)), f":(?::{_H}){{1,7}}",
)) + ")"  # fmt: skip
PORT = r"(?:6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3}|0)"
NAME = r"[A-Za-z_][A-Za-z0-9_/.-]*"
#: (kind, bits) -> what may stand in such a place. What a word is read as decides whether others may take its place.
_PLACES: dict[tuple[str, int], tuple[str, ...]] = {
    ("address4", 32): (ADDRESS4,),
    ("address6", 128): (ADDRESS6,),
    ("service", 16): (PORT,),
    ("mark", 32): (r"0x[0-9a-fA-F]{1,8}", r"\d{1,9}"),
    ("integer", 32): (r"\d{1,9}",),
    ("modulus", 0): (r"[1-9]\d{0,8}",),
    ("ifname", 128): (r'"[A-Za-z0-9._-]{1,15}"',),
    ("chain", 0): (NAME,),
    ("set", 0): (NAME,),
    ("comment", 0): (r'"[^"\n]*"',),
}
_COMPILED = {key: [re.compile(each, re.ASCII) for each in patterns] for key, patterns in _PLACES.items()}
_LIST = re.compile(r"\{ ([^{}\"]*, [^{}\"]*) \}")


@attrs.define(eq=False)
class Shape:
    """One shape: `pattern` fits the whole text of a rule; `model` is the rule it was learned from, as `text`.

    `chains` are the groups that name chains, `listed` finds those in the list that group `list` is; `sets` says for each
    set that the rule uses, in order, by which group or name it is known and of which type it must be. `derived` is where
    others keep what they computed from the model.
    """

    table: TableName
    pattern: re.Pattern[str]
    model: Rule
    text: str
    chains: tuple[str, ...] = ()
    listed: re.Pattern[str] | None = None
    sets: tuple[tuple[str, str, SetSpec], ...] = ()
    derived: object = None

    def read(self, text: str):  # type: ignore[no-untyped-def]
        """Statements and comment of a rule of this shape, read word by word."""
        return _take_apart(self, text)

    def targets(self, found: re.Match[str]) -> Sequence[str]:
        """The chains that a rule leads to, when `pattern` fits its text so."""
        if self.listed is not None:
            return [*(found[each] for each in self.chains), *self.listed.findall(found["list"])]
        chains = self.chains
        if not chains:
            return ()
        return (found[chains[0]],) if len(chains) == 1 else found.group(*chains)

    def set_names(self, text: str) -> list[str]:
        """The sets that a rule of this shape looks into or changes."""
        found = self.pattern.fullmatch(text)
        assert found is not None
        return [found[group] if group else name for group, name, _spec in self.sets]

    def fits(self, text: str, scope: Scope, table: TableName) -> bool:
        """Whether the sets that a text of this shape names are of the types that its model had."""
        for name, (_group, _name, wanted) in zip(self.set_names(text), self.sets, strict=True):
            spec = scope.set_spec(table, name)
            if spec is not wanted and (spec is None or _type(spec) != _type(wanted)):
                return False
        return True


def _type(spec: SetSpec) -> tuple[object, ...]:
    return spec.key, spec.key_bits, spec.data, spec.data_kind, spec.is_map, spec.statements


@attrs.frozen
class _Sets:
    """The sets that a text of some shape may name, and any interface."""

    specs: dict[str, SetSpec]

    def set_spec(self, table: TableName, name: str) -> SetSpec | None:
        return self.specs.get(name)

    def interface_exists(self, name: str) -> bool:
        return True


@lru_cache(maxsize=RULES_KEPT)
def _take_apart(shape: Shape, text: str):  # type: ignore[no-untyped-def]
    specs: dict[str, SetSpec] = {}
    if shape.sets:
        specs = {name: spec for name, (_g, _n, spec) in zip(shape.set_names(text), shape.sets, strict=True)}
    found = rule(Cursor(text), Scope(_Sets(specs)), shape.table)
    return found.statements, found.comment


def learn(cursor: Cursor, scope: Scope, table: TableName) -> tuple[Rule, Shape | None]:
    """Read the rule that a cursor's text is, word by word; also its shape, None when it has none that is plain.

    Raises NftError and `Unsupported` for a rule that is wrong. The cursor then stands behind what was read.
    """
    cursor.notes = []
    found = rule(cursor, scope, table)
    notes = sorted(set(cursor.notes))
    if cursor.word or len({at for at, _kind, _bits in notes}) != len(notes) or any(n[1] == "ifindex" for n in notes):
        return found, None
    return found, _Drawing(cursor, notes).shape(found, scope, table)


@attrs.define(eq=False)
class _Drawing:
    """A pattern in the making, from a text and the notes on its words."""

    cursor: Cursor
    notes: list[tuple[int, str, int]]
    chains: list[str] = attrs.field(factory=list)
    sets: list[tuple[str, str]] = attrs.field(factory=list)

    def shape(self, model: Rule, scope: Scope, table: TableName) -> Shape | None:
        text = self.cursor.text
        places = [place for note in self.notes if (place := self._place(note)) is not None]
        found = _LIST.search(text) if text.count("{") == 1 else None
        listed = found and self._listed(found, places)
        if listed:
            inside, items = found.span(1), listed  # type: ignore[union-attr]
            before = self._pattern(0, inside[0], places, names=True)
            after = self._pattern(inside[1], len(text), places, names=True)
            pattern = f"{before}(?P<list>{items[0]}(?:, {items[0]})*){after}"
        else:
            if len(places) > MAX_PLACES:
                return None
            pattern = self._pattern(0, len(text), places, names=True)
        specs = [(group, name, scope.set_spec(table, name)) for group, name in self.sets]
        return Shape(
            table, re.compile(pattern, re.ASCII), model, text, tuple(self.chains),
            re.compile(listed[1], re.ASCII) if listed and listed[1] else None,
            tuple((group, name, spec) for group, name, spec in specs if spec is not None),
        )  # fmt: skip

    def _place(self, note: tuple[int, str, int]) -> tuple[int, int, str, str] | None:
        """(start, end, what may stand there, kind) of a word that others may take the place of."""
        at, kind, bits = note
        words = self.cursor.words
        if words[at + 1] == "-" or (at and words[at - 1] == "-"):
            return None
        span = self.cursor.span(at, at)
        word = self.cursor.text[span.start : span.end]
        for compiled in _COMPILED.get((kind, bits), ()):
            if compiled.fullmatch(word):
                return span.start, span.end, compiled.pattern, kind
        if kind == "set":
            self.sets.append(("", word))
        return None

    def _listed(self, found: re.Match[str], places: Sequence[tuple[int, int, str, str]]) -> tuple[str, str] | None:
        """The one pattern of all items of a list, and that which finds the chains among them ("" without)."""
        start, items, finders = found.start(1), set(), set()
        for item in found[1].split(", "):
            items.add(self._pattern(start, start + len(item), places, names=False))
            finders.add(self._pattern(start, start + len(item), places, names=False, catch=True))
            start += len(item) + 2
        if len(items) != 1:
            return None
        item, finder = items.pop(), finders.pop()
        return item, finder if "(" + NAME + ")" in finder else ""

    def _pattern(
        self, start: int, end: int, places: Sequence[tuple[int, int, str, str]], *, names: bool, catch: bool = False
    ) -> str:
        """The pattern of a piece of the text; `names`: chains and sets are groups; `catch`: chains are caught."""
        text, at, parts = self.cursor.text, start, list[str]()
        for low, high, pattern, kind in places:
            if low < start or high > end:
                continue
            parts.append(re.escape(text[at:low]))
            at = high
            if names and kind in ("chain", "set"):
                group = f"{kind}{low}"
                parts.append(f"(?P<{group}>{pattern})")
                self.chains.append(group) if kind == "chain" else self.sets.append((group, text[low:high]))
            elif catch and kind == "chain":
                parts.append(f"({pattern})")
            else:
                parts.append(pattern)
        return "".join((*parts, re.escape(text[at:end])))
