"""Errors as nft prints them: where, what, the line, and carets under the words at fault."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from fakecluster.errors import RuleSyntaxError


@attrs.frozen
class Span:
    """Characters `start` up to and without `end` of the text."""

    start: int
    end: int


class NftError(RuleSyntaxError):
    """A complaint about a text; `str()` of it is nft's stderr.

    Carets stand under `span`; tildes under `other`, what it does not go together with.
    """

    def __init__(self, reason: str, span: Span, text: str, *, source: str = "", other: Span | None = None) -> None:
        self.span, self.text, self.other = span, text, other
        self.file = source
        line, _column = position(text, span.start)
        super().__init__(reason, line=line, token=text[span.start : span.end], source=source)

    def __str__(self) -> str:
        return render(self.reason, self.span, self.text, self.file, self.other)


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of a place in the text."""
    line = text.count("\n", 0, offset) + 1
    return line, offset - (text.rfind("\n", 0, offset) + 1) + 1


def render(reason: str, span: Span, text: str, source: str, other: Span | None = None) -> str:
    """The message with its quoted line; for text from a command line (`source` empty) without line numbers."""
    line, column = position(text, span.start)
    last_line, last_column = position(text, max(span.start, span.end - 1))
    quoted = text.split("\n")[line - 1] if text else ""
    if last_line != line:
        last_column = len(quoted)
    where = f"{source}:{line}:{column}-{last_column}: " if source else ""
    marks = {column - 1 + offset: "^" for offset in range(max(1, last_column - column + 1))}
    if other is not None and position(text, other.start)[0] == line:
        begins = span.start - column + 1
        marks = dict.fromkeys(range(other.start - begins, other.end - begins), "~") | marks
    under = [marks.get(at) or ("\t" if quoted[at : at + 1] == "\t" else " ") for at in range(max(marks) + 1)]
    return f"{where}Error: {reason}\n{quoted}\n{''.join(under)}\n"


def render_all(errors: Iterable[NftError]) -> str:
    """The stderr of a run with these complaints."""
    return "".join(str(error) for error in errors)
