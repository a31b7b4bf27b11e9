"""nft's language, text to commands.

    table ip t { chain c { ... } }      a file, or what `nft list ruleset` printed
    add rule ip t c tcp dport 80 drop   commands, one a line

A table block becomes the commands that nft sends for it: the table, its chains, named objects, sets, elements, rules;
in that order, so that a rule may use a set that stands below it. Values are typed while they are read: what comes out
needs no further look at the text, except for errors, which point back into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from fakecluster.errors import Unsupported
from fakecluster.rules.nft.definitions import expand
from fakecluster.rules.nft.errors import NftError
from fakecluster.rules.nft.folding import fold
from fakecluster.rules.nft.lines import Lines
from fakecluster.rules.nft.objects import (
    ChainSpec,
    Command,
    ObjectSpec,
    Place,
    Rule,
    TableName,
    TableSpec,
)  # fmt: skip
from fakecluster.rules.nft.parse_action import counter_values, limit_values, quota_values
from fakecluster.rules.nft.parse_chain import ChainReader, chain_property, end_of_line
from fakecluster.rules.nft.parse_rule import rule
from fakecluster.rules.nft.parse_set import OBJECT_KINDS, element_block, set_block, skip_braces
from fakecluster.rules.nft.scope import Known, Nothing, RuleContext, Scope
from fakecluster.rules.nft.statements import Counter, Limit, Quota
from fakecluster.rules.nft.table_block import REFUSED_NOUNS, TableBlock
from fakecluster.rules.nft.tokens import SEPARATORS, Cursor, Hesitation, is_folded

FAMILIES = ("ip", "ip6", "inet")
REFUSED_FAMILIES = ("arp", "bridge", "netdev")
VERBS = ("add", "create", "insert", "replace", "delete", "destroy", "flush", "list", "reset", "rename", "monitor")


def parse(
    text: str, *, known: Known | None = None, source: str = "", files: Mapping[str, str] | None = None
) -> list[Command]:
    """Read a text in nft's language.

    `known` tells of sets and interfaces outside the text; `source` is the file's name for messages ("" for a command
    line); `files` are the texts that ``include`` may name. Raises NftError in nft's words, `Unsupported`.
    """
    known = known or Nothing()
    folded = fold(text)
    if folded is not None:
        try:
            return Parser(Cursor(text, source, folded), Scope(known)).run()
        except (Hesitation, NftError, Unsupported, RecursionError):
            pass  # read it word by word: that finds the right words for what is wrong, or that nothing is
    return word_by_word(text, known, source, files or {})


def word_by_word(text: str, known: Known, source: str, files: Mapping[str, str]) -> list[Command]:
    """`parse` without the short way for plain lines; both give equal commands."""
    cursor = Cursor(text, source)
    expand(cursor, files)
    return Parser(cursor, Scope(known)).run()


@attrs.define(eq=False)
class Parser:
    """The commands read so far, and where."""

    cursor: Cursor
    scope: Scope
    commands: list[Command] = attrs.field(factory=list)
    lines: Lines = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.lines = Lines(self.cursor, self.scope)

    def run(self) -> list[Command]:
        """Read everything."""
        cursor, commands, read_line = self.cursor, self.commands, self.lines.commands
        while word := cursor.words[cursor.at]:
            first = cursor.at
            if is_folded(word):
                commands += read_line(word)
                cursor.at += 1
                continue
            if word in SEPARATORS:
                cursor.at += 1
                continue
            try:
                self.command()
            except RecursionError:
                cursor.fail_at("syntax error, memory exhausted", first, first)
            if cursor.word and cursor.word not in SEPARATORS:
                cursor.unexpected(expecting="newline or semicolon")
        return commands

    def command(self) -> None:
        """One command, from its verb (or from its noun, which means add)."""
        cursor = self.cursor
        first = cursor.at
        verb = cursor.take() if cursor.word in VERBS else "add"
        noun = cursor.word
        if verb == "monitor" or (verb == "list" and noun in ("hooks", "flowtables", "flowtable", "ct", "secmarks")):
            self._unsupported(f"nft {verb} {noun}".rstrip())
        if verb in ("list", "reset"):
            self._listing(verb, first)
            return
        if verb in ("add", "insert", "replace", "create") and (noun in FAMILIES or noun not in _NOUNS):
            self._implicit_noun(verb, first)
            return
        read = _NOUNS.get(noun)
        if read is None:
            if noun in REFUSED_NOUNS:
                self._unsupported(f"nft {noun}")
            cursor.unexpected()
        cursor.take()
        read(self, verb, first)

    def _implicit_noun(self, verb: str, first: int) -> None:
        """``add ip t c tcp dport 80`` means ``add rule ...``."""
        if self.cursor.word in REFUSED_NOUNS:
            self._unsupported(f"nft {self.cursor.word}")
        if self.cursor.word in FAMILIES and verb != "create":
            self._rule(verb, first)
            return
        self.cursor.unexpected()

    def _unsupported(self, what: str) -> None:
        cursor = self.cursor
        line = cursor.text.count("\n", 0, cursor.here().start) + 1
        raise Unsupported(what, line=line, token=cursor.word, source=cursor.source)

    def _put(self, command: Command) -> None:
        self.commands.append(command)

    def _place(self, first: int) -> Place:
        return Place(self.cursor, first, self.cursor.at - 1)

    def _table_name(self) -> TableName:
        cursor = self.cursor
        if cursor.word in REFUSED_FAMILIES:
            self._unsupported(f"nft family {cursor.word}")
        family = cursor.take() if cursor.word in FAMILIES else "ip"
        return TableName(family, cursor.name())

    def _handle(self) -> int:
        return self.cursor.number() if self.cursor.accept("handle") else 0

    def _table(self, verb: str, first: int) -> None:
        cursor = self.cursor
        if verb in ("delete", "destroy") and (cursor.word == "handle" or cursor.peek() == "handle"):
            family = cursor.take() if cursor.word in FAMILIES else "ip"
            self._put(Command(verb, "table", TableName(family, ""), handle=self._handle(), place=self._place(first)))
            return
        table = self._table_name()
        place = self._place(first)
        if verb not in ("add", "create") or cursor.word != "{":
            body = TableSpec() if verb in ("add", "create") else None
            self._put(Command(verb, "table", table, body=body, place=place))
            return
        TableBlock(self, table, place).read(verb)

    def _chain(self, verb: str, first: int) -> None:
        cursor = self.cursor
        table = self._table_name()
        handle = self._handle()
        name = "" if handle else cursor.name()
        if verb == "rename":
            self._put(Command(verb, "chain", table, name, new_name=cursor.name(), place=self._place(first)))
            return
        spec, rules_at = ChainSpec(name), -1
        place = self._place(first)
        if cursor.word == "{" and verb in ("add", "create"):
            cursor.take()
            spec, rules_at = self._chain_header(table, name)
            self._put(Command(verb, "chain", table, name, spec, place))
            cursor.at = rules_at
            self._rules(table, name)
            return
        body = spec if verb in ("add", "create") else None
        self._put(Command(verb, "chain", table, name, body, place, handle=handle))

    def _chain_header(self, table: TableName, name: str) -> tuple[ChainSpec, int]:
        """Properties of a chain block; also where its rules begin."""
        reader = ChainReader(RuleContext(self.cursor, self.scope, table), name)
        self.cursor.skip_separators()
        while chain_property(reader):
            end_of_line(self.cursor)
        return reader.finish(), self.cursor.at

    def _rules(self, table: TableName, chain: str) -> None:
        cursor = self.cursor
        cursor.skip_separators()
        while not cursor.accept("}"):
            first = cursor.at
            if not cursor.word:
                cursor.unexpected()
            if is_folded(cursor.word):
                self._put(self.lines.rule_command(table, chain, cursor.word))
                cursor.at += 1
                continue
            body = rule(cursor, self.scope, table)
            self._put(Command("add", "rule", table, chain, body, self._place(first)))
            end_of_line(cursor)

    def _rule(self, verb: str, first: int) -> None:
        cursor = self.cursor
        table = self._table_name()
        chain = cursor.name()
        handle = position = 0
        index: int | None = None
        if cursor.word in ("position", "handle"):
            word = cursor.take()
            number = cursor.number()
            if word == "handle" and verb in ("delete", "destroy", "replace"):
                handle = number
            else:
                position = number
        elif cursor.accept("index"):
            index = cursor.number()
        if verb in ("delete", "destroy"):
            if not handle:
                cursor.unexpected(expecting="handle")
            self._put(Command(verb, "rule", table, chain, handle=handle, place=self._place(first)))
            return
        body: Rule = rule(cursor, self.scope, table)
        if not body.statements:
            cursor.unexpected()
        self._put(
            Command(verb, "rule", table, chain, body, self._place(first), handle=handle, position=position, index=index)
        )

    def _set(self, verb: str, first: int, word: str = "set") -> None:
        table = self._table_name()
        if verb in ("add", "create"):
            if self.cursor.peek() != "{":
                self.cursor.take()
                self.cursor.unexpected(expecting="'{'")
            name = self.cursor.word
            spec, elements = set_block(self.cursor, self.scope, table, word)
            place = self._place(first)
            self._put(Command(verb, word, table, name, spec, place))
            if elements:
                self._put(Command("add", "element", table, name, elements, place))
            return
        handle = self._handle()
        name = "" if handle else self.cursor.name()
        self._put(Command(verb, word, table, name, handle=handle, place=self._place(first)))

    def _map(self, verb: str, first: int) -> None:
        self._set(verb, first, "map")

    def _element(self, verb: str, first: int) -> None:
        cursor = self.cursor
        table = self._table_name()
        name_at = cursor.at
        name = cursor.name()
        spec = self.scope.set_spec(table, name)
        if spec is None:
            cursor.fail_at("Could not process rule: No such file or directory", name_at, name_at)
        if verb in ("delete", "destroy"):
            spec = attrs.evolve(spec, data_kind="")
            elements = self._deleted(table, spec, name)
        else:
            elements = element_block(cursor, self.scope, table, spec)
        self._put(Command(verb, "element", table, name, elements, self._place(first)))

    def _deleted(self, table: TableName, spec, name: str):  # type: ignore[no-untyped-def]
        """Elements to delete may be given with their data, which does not matter."""
        cursor = self.cursor
        start = cursor.at
        skip_braces(cursor)
        has_data = ":" in cursor.words[start : cursor.at]
        cursor.at = start
        if has_data:
            original = self.scope.set_spec(table, name)
            assert original is not None
            return element_block(cursor, self.scope, table, original)
        return element_block(cursor, self.scope, table, spec)

    def _object(self, verb: str, first: int, kind: str) -> None:
        cursor = self.cursor
        table = self._table_name()
        handle = self._handle()
        name = "" if handle else cursor.name()
        body = self._object_body(kind, name) if verb in ("add", "create") else None
        self._put(Command(verb, kind, table, name, body, self._place(first), handle=handle))

    def _object_body(self, kind: str, name: str) -> ObjectSpec:
        cursor = self.cursor
        braces = cursor.accept("{")
        cursor.skip_separators() if braces else None
        comment = ""
        if braces and cursor.accept("comment"):
            comment = cursor.quoted()
            cursor.skip_separators()
        state = _STATES[kind](cursor)
        if braces:
            cursor.skip_separators()
            cursor.expect("}")
        return ObjectSpec(kind, name, state, comment)

    def _flush(self, verb: str, first: int) -> None:
        """``flush ruleset [FAMILY]`` (also ``list ruleset``)."""
        cursor = self.cursor
        family = cursor.take() if cursor.word in FAMILIES else ""
        table = TableName(family, "") if family else None
        self._put(Command(verb, "ruleset", table, place=self._place(first)))

    def _listing(self, verb: str, first: int) -> None:
        """``list NOUN [FAMILY] [TABLE] [NAME]``."""
        cursor = self.cursor
        noun = cursor.take()
        if noun not in _LISTED:
            cursor.at -= 1
            cursor.unexpected()
        if cursor.word in REFUSED_FAMILIES:
            self._unsupported(f"nft family {cursor.word}")
        family = cursor.take() if cursor.word in FAMILIES else ""
        table, name = "", ""
        if noun in _LISTED_WITH_NAME or noun == "table":
            table = cursor.name()
            name = cursor.name() if noun != "table" else ""
        elif cursor.word == "table":
            cursor.take()
            family = cursor.take() if cursor.word in FAMILIES else family or "ip"
            table = cursor.name()
        family = family or ("ip" if table else "")
        self._put(Command(verb, noun, TableName(family, table), name, place=self._place(first)))


_STATES: Mapping[str, Callable[[Cursor], Counter | Quota | Limit]] = {
    "counter": counter_values,
    "quota": quota_values,
    "limit": limit_values,
}
_LISTED_WITH_NAME = frozenset(("chain", "set", "map", "counter", "quota", "limit"))
_LISTED = _LISTED_WITH_NAME | frozenset(
    ("ruleset", "table", "tables", "chains", "sets", "maps", "counters", "quotas", "limits", "rules")
)
Reader = Callable[[Parser, str, int], None]


def _object_reader(kind: str) -> Reader:
    return lambda parser, verb, first: parser._object(verb, first, kind)


_NOUNS: dict[str, Reader] = {
    "table": Parser._table,
    "chain": Parser._chain,
    "rule": Parser._rule,
    "set": Parser._set,
    "map": Parser._map,
    "element": Parser._element,
    "ruleset": Parser._flush,
    **{kind: _object_reader(kind) for kind in OBJECT_KINDS},
}
