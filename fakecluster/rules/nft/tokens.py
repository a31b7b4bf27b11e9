"""Text to words: the lexer, and the cursor that a parser moves along them.

Words are plain strings, found in one pass of one regular expression; where they stand in the text is worked out again
only for an error message. Comments and continued lines vanish here; ends of lines are words, as they end commands.
A folded cursor (`folding`) has whole lines among its words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn

import attrs

from fakecluster.rules.nft.errors import NftError, Span

_BLANK = r"(?:[ \t\r]|\\\n|\#[^\n]*)*"
_WORD = r"""(
    \n | [A-Za-z_][A-Za-z0-9_/.-]*(?=[ \n]) | \d+(?=[ \n]) | \d+\.\d+\.\d+\.\d+(?=[ \n]) | "[^"\n]*"
  | (?:[0-9a-fA-F]{1,4})?(?::[0-9a-fA-F]{0,4}){2,7}(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?(?:(?<=[0-9a-fA-F])\.\d{1,3}){0,3}
  | \d{1,3}(?:\.\d{1,3}){3}
  | 0x[0-9a-fA-F]+
  | (?:\d+(?:ms|[wdhms]))+(?![A-Za-z0-9_])
  | \d+
  | [A-Za-z_](?:[A-Za-z0-9_/.-]|\\.)*\*?
  | \*
  | [=!<>]= | << | >> | && | \|\|
  | .
  | $
)"""
_TOKEN = re.compile(_BLANK + _WORD, re.VERBOSE | re.ASCII)
#: What ends a command or a statement.
SEPARATORS = ("\n", ";")
_NAME = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_/.-]|\\.)*\*?", re.ASCII)


class Hesitation(Exception):
    """Something about a folded text is not plain: it must be read word by word."""


def is_folded(word: str) -> bool:
    """Whether a word is in truth a line, or a block of elements."""
    return (" " in word or word[:1] == "\t") and word[0] != '"'


def words(text: str) -> list[str]:
    """All words of a text; the last one is empty and means its end."""
    found = _TOKEN.findall(text)
    if not found or found[-1]:
        found.append("")
    elif len(found) > 1 and not found[-2]:  # blanks at the end
        found.pop()
    return found


def spans(text: str) -> list[Span]:
    """Where each of `words(text)` stands."""
    found = [Span(match.start(1), match.end(1)) for match in _TOKEN.finditer(text)]
    if not found or found[-1].start != found[-1].end:
        found.append(Span(len(text), len(text)))
    elif len(found) > 1 and found[-2].start == found[-2].end:
        found.pop()
    return found


@attrs.define(eq=False)
class Cursor:
    """A place in a list of words; `source` is the file's name for messages ("" for a command line).

    `folded` are the words of the text with whole lines among them. `notes` are kept for somebody who wants to know
    what a word was read as: (index of the word, kind of value, bits). `outer`: this text is a line, which stands there in
    a folded cursor.
    """

    text: str
    source: str = ""
    folded: list[str] | None = None
    words: list[str] = attrs.field(init=False)
    at: int = 0
    notes: list[tuple[int, str, int]] | None = None
    outer: tuple[Cursor, int] | None = None
    _places: list[Span] | None = None
    _unfolded: tuple[Cursor, list[int]] | None = None

    def __attrs_post_init__(self) -> None:
        self.words = words(self.text) if self.folded is None else self.folded

    def note(self, kind: str, bits: int = 0) -> None:
        """The word at the cursor is being read as a value of this kind."""
        if self.notes is not None:
            self.notes.append((self.at, kind, bits))

    def places(self) -> list[Span]:
        """Where each word stands; found when first asked for. Raises `Hesitation` when some are lines."""
        if self.folded is not None:
            raise Hesitation
        if self._places is None:
            self._places = spans(self.text)
        return self._places

    def unfolded(self, first: int, last: int) -> tuple[Cursor, int, int]:
        """The same words, each for itself: a cursor without lines, and where the words `first` to `last` are there."""
        if self.outer is not None:
            cursor, start, _end = self.outer[0].unfolded(self.outer[1], self.outer[1])
            return cursor, start + first, start + last
        if self.folded is None:
            return self, first, last
        if self._unfolded is None:
            starts, at = [], 0
            for word in self.folded:
                starts.append(at)
                at += 1 if not is_folded(word) else len(words(word)) - (word[0] == "{")
            self._unfolded = Cursor(self.text, self.source), starts
        cursor, starts = self._unfolded
        end = starts[last] + (len(words(self.folded[last])) - 2 if is_folded(self.folded[last]) else 0)
        return cursor, starts[first], end

    def replace(self, found: list[str], places: list[Span]) -> None:
        """Take other words, each with the place that errors should point at."""
        self.words, self._places = found, places

    @property
    def word(self) -> str:
        return self.words[self.at]

    def peek(self, ahead: int = 1) -> str:
        position = self.at + ahead
        return self.words[position] if position < len(self.words) else ""

    def take(self) -> str:
        word = self.words[self.at]
        if word:
            self.at += 1
        return word

    def accept(self, word: str) -> bool:
        if self.words[self.at] == word:
            self.at += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if self.words[self.at] != word:
            self.unexpected(expecting=shown(word))
        self.at += 1

    def skip_newlines(self) -> None:
        while self.words[self.at] == "\n":
            self.at += 1

    def skip_separators(self) -> None:
        while self.words[self.at] in SEPARATORS:
            self.at += 1

    def members(self) -> Iterator[None]:
        """``{ A, B, C }``, also over several lines and with a comma at the end: stops at each member, to be read there."""
        self.expect("{")
        self.skip_newlines()
        while True:
            yield
            self.skip_newlines()
            if not self.accept(","):
                break
            self.skip_newlines()
            if self.word == "}":
                break
        self.expect("}")

    def name(self) -> str:
        """An identifier; quoted ones are accepted too."""
        word = self.words[self.at]
        if _NAME.fullmatch(word):
            self.at += 1
            return word
        if len(word) > 2 and word[0] == '"':
            self.at += 1
            return word[1:-1]
        self.unexpected(expecting="string")

    def quoted(self) -> str:
        """A string with or without quotes."""
        word = self.words[self.at]
        if word and word not in SEPARATORS:
            self.at += 1
            return word[1:-1] if word[0] == '"' and len(word) > 1 else word
        self.unexpected(expecting="string")

    def number(self) -> int:
        word = self.words[self.at]
        if word.isascii() and word.isdigit():
            self.at += 1
            return int(word)
        if word.startswith("0x"):
            self.at += 1
            return int(word, 16)
        self.unexpected(expecting="number")

    def span(self, first: int, last: int | None = None) -> Span:
        """Where words `first` to `last` (by default: to the one before the cursor) stand in the text."""
        places = self.places()
        if last is None:
            last = max(first, self.at - 1)
        return Span(places[first].start, places[last].end)

    def here(self) -> Span:
        return self.span(self.at, self.at)

    def fail(self, reason: str, span: Span, other: Span | None = None) -> NoReturn:
        raise NftError(reason, span, self.text, source=self.source, other=other)

    def fail_at(
        self, reason: str, first: int, last: int | None = None, *, other: tuple[int, int] | None = None
    ) -> NoReturn:
        """Complain about the words `first` to `last`, which do not go with the words of `other`."""
        self.fail(reason, self.span(first, last), self.span(*other) if other else None)

    def unexpected(self, *, expecting: str = "") -> NoReturn:
        """nft's (bison's) words for a word that cannot stand here."""
        tail = f", expecting {expecting}" if expecting else ""
        self.fail(f"syntax error, unexpected {shown(self.word)}{tail}", self.here())


def shown(word: str) -> str:
    """How a syntax error calls a word."""
    if word == "\n":
        return "newline"
    if not word:
        return "end of file"
    if word == ";":
        return "semicolon"
    if word[0] == '"':
        return "quoted string"
    if word[0].isdigit():
        return "number" if word.isdigit() or word.startswith("0x") else "string"
    return (
        word
        if word[0].isalpha() and word in KEYWORDS
        else ("string" if word[0].isalpha() else _PUNCTUATION.get(word, f"'{word}'"))
    )


_PUNCTUATION = {"{": "'{'", "}": "'}'", ",": "comma", ":": "colon", ".": ".", "@": "@", "!": "!", "$": "$", "*": "*"}
KEYWORDS = frozenset(
    (
        "table", "chain", "rule", "set", "map", "element", "add", "create", "delete", "flush", "insert", "replace",
        "list",
        "accept", "drop", "jump", "goto", "return", "continue", "ip", "ip6", "inet", "tcp", "udp", "meta", "ct",
        "counter",
        "limit", "log", "reject", "dnat", "snat", "masquerade", "redirect", "type", "hook", "priority", "policy",
        "vmap",
        "comment", "to", "mark", "sport", "dport", "saddr", "daddr", "protocol", "length", "flags", "timeout", "size",
    )
)  # fmt: skip
