"""One ``table NAME { ... }`` of a file, as the commands that nft sends for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fakecluster.rules.nft.objects import Command, Place, TableName, TableSpec
from fakecluster.rules.nft.parse_chain import end_of_line
from fakecluster.rules.nft.parse_set import OBJECT_KINDS, set_block, skip_braces

if TYPE_CHECKING:
    from fakecluster.rules.nft.parser import Parser

#: What a table may hold that is not modelled.
REFUSED_NOUNS = frozenset(("flowtable", "ct", "secmark", "synproxy", "meter", "tunnel"))


@attrs.define(eq=False)
class TableBlock:
    """One ``table NAME { ... }``: where its chains stand, so that they are read after its sets."""

    parser: Parser
    table: TableName
    place: Place
    comment: str = ""
    flags: frozenset[str] = frozenset()
    chains: list[tuple[str, int, Place]] = attrs.field(factory=list)
    sets: list[Command] = attrs.field(factory=list)
    elements: list[Command] = attrs.field(factory=list)
    objects: list[Command] = attrs.field(factory=list)

    def read(self, verb: str) -> None:
        cursor, parser = self.parser.cursor, self.parser
        cursor.expect("{")
        cursor.skip_separators()
        while not cursor.accept("}"):
            self._part()
            end_of_line(cursor)
        end = cursor.at
        parser._put(Command(verb, "table", self.table, body=TableSpec(self.comment, self.flags), place=self.place))
        bodies: list[tuple[str, int]] = []
        for name, at, place in self.chains:
            cursor.at = at
            spec, rules_at = parser._chain_header(self.table, name)
            parser._put(Command("add", "chain", self.table, name, spec, place))
            bodies.append((name, rules_at))
        parser.commands += self.objects + self.sets + self.elements
        for name, rules_at in bodies:
            cursor.at = rules_at
            parser._rules(self.table, name)
        cursor.at = end

    def _part(self) -> None:
        cursor = self.parser.cursor
        word, first = cursor.word, cursor.at
        if word == "chain":
            cursor.take()
            name = cursor.name()
            place = self.parser._place(first)
            at = cursor.at + 1
            skip_braces(cursor)
            self.chains.append((name, at, place))
        elif word in ("set", "map"):
            cursor.take()
            name = cursor.word
            spec, elements = set_block(cursor, self.parser.scope, self.table, word)
            place = self.parser._place(first)
            self.sets.append(Command("add", word, self.table, name, spec, place))
            if elements:
                self.elements.append(Command("add", "element", self.table, name, elements, place))
        elif word in OBJECT_KINDS:
            cursor.take()
            name = cursor.name()
            body = self.parser._object_body(word, name)
            self.objects.append(Command("add", word, self.table, name, body, self.parser._place(first)))
        elif word == "comment":
            cursor.take()
            self.comment = cursor.quoted()
        elif word == "flags":
            cursor.take()
            if cursor.word != "dormant":
                cursor.unexpected() if cursor.word != "owner" else self.parser._unsupported("table flags owner")
            self.flags = frozenset((cursor.take(),))
        elif word in REFUSED_NOUNS:
            self.parser._unsupported(f"nft {word}")
        else:
            cursor.unexpected()
