"""Folded words (see `folding`) to commands: lines that stand for themselves, read by their shape."""

from __future__ import annotations

import re
from collections.abc import Callable

from fakecluster.rules.nft.element_blocks import BLANK, elements_of
from fakecluster.rules.nft.objects import ChainSpec, Command, Place, Rule, TableName
from fakecluster.rules.nft.scope import Scope
from fakecluster.rules.nft.shapes import NAME, Shape, learn
from fakecluster.rules.nft.tokens import Cursor, Hesitation

FAMILIES = frozenset(("ip", "ip6", "inet"))
#: How rules of one family may begin, and shapes that begin so: more than these are no common shapes any more.
MAX_BEGINNINGS, MAX_ALIKE = 512, 16
#: Letters at the start of a rule by which shapes are looked up.
BEGINNING = 6
_NAME = re.compile(NAME, re.ASCII)
#: (family, first letters of the text) -> the shapes that rules may have, the last one that fitted first
_shapes: dict[tuple[str, str], list[Shape]] = {}


class Lines:
    """Reads the lines of one text."""

    def __init__(self, cursor: Cursor, scope: Scope) -> None:
        self.cursor, self.scope = cursor, scope
        self.tables: dict[tuple[str, str], TableName] = {}
        self.names: set[str] = set()

    def commands(self, line: str) -> list[Command]:
        """The commands that a line is, nearly always one. Raises NftError, `Unsupported`, `Hesitation`."""
        words = line.split(" ", 5)
        read = _READERS.get((line[:9], len(words)))
        found = read(self, words) if read is not None else None
        return [found] if found is not None else self._by_word(line)

    def rule_command(self, table: TableName, chain: str, line: str) -> Command:
        """The rule that a line in a chain's block is."""
        at = self.cursor.at
        return Command("add", "rule", table, chain, self._rule(line.strip(BLANK), table), Place(self.cursor, at, at))

    def _add_rule(self, words: list[str]) -> Command:
        _add, _rule, family, name, chain, text = words
        at = self.cursor.at
        table = self._table(family, name)
        if chain not in self.names:
            self._check_name(chain)
        return Command("add", "rule", table, chain, self._rule(text, table), Place(self.cursor, at, at))

    def _add_chain(self, words: list[str]) -> Command:
        _add, _chain, family, name, chain = words
        table, at = self._table(family, name), self.cursor.at
        self._check_name(chain)
        return Command("add", "chain", table, chain, ChainSpec(chain), Place(self.cursor, at, at))

    def _flush_chain(self, words: list[str]) -> Command:
        _flush, _chain, family, name, chain = words
        table, at = self._table(family, name), self.cursor.at
        if chain not in self.names:
            self._check_name(chain)
        return Command("flush", "chain", table, chain, None, Place(self.cursor, at, at))

    def _add_element(self, words: list[str]) -> Command | None:
        _add, _element, family, name, set_name, block = words
        table, at = self._table(family, name), self.cursor.at
        spec = self.scope.set_spec(table, set_name)
        elements = None if spec is None else elements_of(block, spec)
        if elements is None:
            return None
        return Command("add", "element", table, set_name, elements, Place(self.cursor, at, at))

    def _by_word(self, line: str) -> list[Command]:
        from fakecluster.rules.nft.parser import Parser

        cursor = Cursor(line, outer=(self.cursor, self.cursor.at))
        return Parser(cursor, self.scope).run()

    def _check_name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise Hesitation
        self.names.add(name)

    def _table(self, family: str, name: str) -> TableName:
        found = self.tables.get((family, name))
        if found is None:
            if family not in FAMILIES or not _NAME.fullmatch(name):
                raise Hesitation
            found = self.tables[family, name] = TableName(family, name)
        return found

    def _rule(self, text: str, table: TableName) -> Rule:
        """The rule that a text is: by its shape when it has one that is known."""
        shapes = _shapes.get((table.family, text[:BEGINNING]))
        if shapes is None:
            return self._new(text, table, [])
        for shape in shapes:
            match = shape.pattern.fullmatch(text)
            if match is not None:
                if shape.sets and not shape.fits(text, self.scope, table):
                    continue
                if shape is not shapes[0]:
                    shapes.remove(shape)
                    shapes.insert(0, shape)
                return Rule(None, "", 0, shape, text, shape.targets(match))
        return self._new(text, table, shapes)

    def _new(self, text: str, table: TableName, shapes: list[Shape]) -> Rule:
        cursor = Cursor(text)
        found, shape = learn(cursor, self.scope, table)
        if cursor.word or not found.statements:
            raise Hesitation
        if shape is not None and len(_shapes) < MAX_BEGINNINGS and len(shapes) < MAX_ALIKE:
            shapes.insert(0, shape)
            _shapes[table.family, text[:BEGINNING]] = shapes
        return found


#: (first letters, number of words, the sixth being all the rest) -> reader; None: not plain after all
_READERS: dict[tuple[str, int], Callable[[Lines, list[str]], Command | None]] = {
    ("add rule ", 6): Lines._add_rule,
    ("add chain", 5): Lines._add_chain,
    ("flush cha", 5): Lines._flush_chain,
    ("add eleme", 6): Lines._add_element,
}
