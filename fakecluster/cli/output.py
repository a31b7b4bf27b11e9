"""How answers leave the program: as text, JSON or a page, to the terminal or to a file.

Every command makes an `Answer`; `give` writes it. Colours are rich's: none in pipes and files, NO_COLOR is heeded. Pipes
and files are `FILE_WIDTH` columns wide, unless COLUMNS says otherwise.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from html import escape
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer
from rich.console import Console

from fakecluster.cli.options import UsageError

#: Columns of a text that goes to no terminal, when COLUMNS does not say how many there are.
FILE_WIDTH = 160
TEXT, JSON, HTML = "text", "json", "html"
_BY_SUFFIX = {
    ".json": JSON,
    ".html": HTML,
    ".htm": HTML,
    ".svg": "svg",
    ".mmd": "mermaid",
    ".csv": "csv",
}


def output_option(*more: str) -> Any:
    """The option --output of a command that can be printed in `more` ways than text, JSON and HTML."""
    ways = (TEXT, JSON, HTML, *more)
    words = ", ".join(ways[:-1]) + f" or {ways[-1]}"

    def check(value: str) -> str:
        if value and value not in ways:
            raise typer.BadParameter(f"{value!r}: expected {words}")
        return value

    return typer.Option("--output", help=f"{words}.", callback=check, is_eager=True, autocompletion=lambda: list(ways))


def file_option(*more: str) -> Any:
    """The option -o of a command that can be printed in `more` ways: what cannot be written is said before the work."""

    def check(context: typer.Context, file: Path | None) -> Path | None:
        if file is None or str(file) == "-":
            return file
        way = context.params.get("output") or _BY_SUFFIX.get(file.suffix, TEXT)
        if way not in (TEXT, JSON, HTML, *more):
            raise UsageError(_no_such_way(way, more))
        if not file.parent.is_dir():
            raise UsageError(f"-o {file}: No such file or directory")
        return file

    words = "Write to this file (its ending says how); - is standard output."
    return typer.Option("-o", "--output-file", help=words, callback=check)


def _no_such_way(way: str, others: Iterable[str]) -> str:
    return f"--output {way}: this command gives {', '.join(dict.fromkeys((TEXT, JSON, HTML, *others)))}"


Output = Annotated[str, output_option()]
OutputFile = Annotated[Path | None, file_option()]


@attrs.frozen
class Answer:
    """What a command found out: `show` prints it, `data` is it as plain values, `others` are further ways by name.

    Without a page of its own, HTML is the text with its colours.
    """

    title: str
    show: Callable[[Console], None]
    data: Callable[[], Any]
    others: Mapping[str, Callable[[], str]] = attrs.field(factory=dict)


def counted(count: int, noun: str) -> str:
    """`1 flow`, `2 flows`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def give(answer: Answer, output: str, file: Path | None) -> None:
    """Write an answer. Raises `UsageError` for a file that cannot be written or says nothing of how."""
    to_file = file is not None and str(file) != "-"
    way = output or (_BY_SUFFIX.get(file.suffix, TEXT) if file is not None else TEXT)
    console = Console(highlight=False)
    if way == TEXT and not to_file and TEXT not in answer.others and console.is_terminal:
        answer.show(console)
        return
    text = _text(answer, way)
    if not to_file or file is None:
        sys.stdout.write(text)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as failed:
        raise UsageError(f"-o {file}: {failed.strerror}") from None


def _text(answer: Answer, way: str) -> str:
    if way in answer.others:
        return answer.others[way]()
    if way == JSON:
        return json.dumps(answer.data(), indent=2) + "\n"
    if way not in (TEXT, HTML):
        raise UsageError(_no_such_way(way, answer.others))
    console = Console(
        highlight=False, record=way == HTML, file=StringIO(), width=None if os.environ.get("COLUMNS") else FILE_WIDTH,
        force_terminal=way == HTML, soft_wrap=way == TEXT,
    )  # fmt: skip
    answer.show(console)
    if way == TEXT:
        return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]
    return _PAGE.format(title=escape(answer.title), body=console.export_html(inline_styles=True, code_format="{code}"))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ margin: 24px; background: #ffffff; color: #1f2328 }}
pre {{ font: 12px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-x: auto }}
</style></head><body><pre>{body}</pre></body></html>
"""
