"""``define``, ``redefine``, ``undefine`` and ``include``: words replaced by words before anything else is read."""

from __future__ import annotations

from collections.abc import Mapping

from fakecluster.errors import Unsupported
from fakecluster.rules.nft.errors import NftError, Span
from fakecluster.rules.nft.tokens import SEPARATORS, Cursor, words

#: Words that definitions may grow a text to: a guard against definitions that double each other.
MAX_WORDS = 5_000_000
#: Files within files (nft's own MAX_INCLUDE_DEPTH).
MAX_INCLUDE_DEPTH = 16
_DEFINING = ("define", "redefine", "undefine", "include")


def expand(cursor: Cursor, files: Mapping[str, str]) -> None:
    """Carry out the definitions and inclusions of a text, in place."""
    if "$" not in cursor.words and not any(word in cursor.words for word in _DEFINING):
        return
    places = cursor.places()
    found: list[tuple[str, Span]] = []
    variables: dict[str, list[str]] = {}
    _expand(cursor, list(zip(cursor.words, places, strict=True)), variables, files, found, 0)
    cursor.replace([word for word, _ in found], [span for _, span in found])


Placed = list[tuple[str, Span]]


def _expand(
    cursor: Cursor, source: Placed, variables: dict[str, list[str]], files: Mapping[str, str], out: Placed, depth: int
) -> None:
    at, line_starts = 0, True
    while at < len(source):
        word, span = source[at]
        if line_starts and word in _DEFINING:
            end = _end_of_definition(source, at)
            line = source[at:end]
            if word == "include":
                _include(cursor, line, variables, files, out, depth)
            else:
                _define(cursor, line, variables)
            at = end
            continue
        if word == "$" and at + 1 < len(source):
            name, place = source[at + 1]
            if name not in variables:
                raise NftError(
                    f"unknown identifier '{name}'", Span(span.start, place.end), cursor.text, source=cursor.source
                )
            out += [(part, Span(span.start, place.end)) for part in variables[name]]
            at += 2
            if len(out) > MAX_WORDS:
                raise Unsupported(f"definitions that grow a file beyond {MAX_WORDS} words", token=name)
            continue
        out.append((word, span))
        line_starts = word in SEPARATORS or word == "{"
        at += 1


def _end_of_definition(source: Placed, at: int) -> int:
    depth = 0
    while at < len(source):
        word = source[at][0]
        depth += (word == "{") - (word == "}")
        if not word or (word in SEPARATORS and depth <= 0):
            return at
        at += 1
    return at


def _define(cursor: Cursor, line: Placed, variables: dict[str, list[str]]) -> None:
    verb = line[0][0]
    if len(line) < 2 or (verb != "undefine" and (len(line) < 4 or line[2][0] != "=")):
        raise NftError("syntax error, unexpected newline", line[-1][1], cursor.text, source=cursor.source)
    name = line[1][0]
    if verb == "undefine":
        if variables.pop(name, None) is None:
            raise NftError(f"undefined symbol '{name}'", line[1][1], cursor.text, source=cursor.source)
        return
    if verb == "define" and name in variables:
        raise NftError(f"redefinition of symbol '{name}'", line[1][1], cursor.text, source=cursor.source)
    value: Placed = []
    _expand(cursor, line[3:], variables, {}, value, MAX_INCLUDE_DEPTH)
    variables[name] = [word for word, _span in value]


def _include(
    cursor: Cursor, line: Placed, variables: dict[str, list[str]], files: Mapping[str, str], out: Placed, depth: int
) -> None:
    name = line[1][0].strip('"') if len(line) > 1 else ""
    if depth >= MAX_INCLUDE_DEPTH:
        raise NftError(
            f"Include nested too deeply, max {MAX_INCLUDE_DEPTH} levels", line[0][1], cursor.text, source=cursor.source
        )
    if name not in files:
        reason = f'Could not open file "{name}": No such file or directory'
        raise NftError(reason, Span(line[0][1].start, line[-1][1].end), cursor.text, source=cursor.source)
    span = Span(line[0][1].start, line[-1][1].end)
    inner = [(word, span) for word in words(files[name]) if word]
    _expand(cursor, inner, variables, files, out, depth + 1)
