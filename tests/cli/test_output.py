"""How answers leave the program: ways, files, colours."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from rich.rule import Rule

from fakecluster.cli.options import UsageError
from fakecluster.cli.output import Answer, give

ANSWER = Answer("a title", lambda console: console.print("[bold red]dropped[/]"), lambda: {"end": "dropped"},
                {"svg": lambda: "<svg/>"})  # fmt: skip


def test_text_in_a_pipe_has_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    give(ANSWER, "", None)
    assert capsys.readouterr().out == "dropped\n"


WIDE = Answer("", lambda console: console.print(Rule("x", characters="-", align="left")), lambda: None)


@pytest.mark.parametrize(("columns", "width"), [("", 160), ("40", 40)])
def test_pipes_and_files_are_as_wide_as_columns_says(
    columns: str, width: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    give(WIDE, "", None)
    give(WIDE, "", tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == capsys.readouterr().out == f"x {'-' * (width - 2)}\n"


def test_titles_of_pages_are_escaped(tmp_path: Path) -> None:
    give(attrs.evolve(ANSWER, title="<b>"), "", tmp_path / "a.html")
    assert "<title>&lt;b&gt;</title>" in (tmp_path / "a.html").read_text()


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.json", '{\n  "end": "dropped"\n}\n'), ("a.svg", "<svg/>"), ("a.txt", "dropped\n"), ("a", "dropped\n")],
)
def test_a_files_ending_says_how(tmp_path: Path, name: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    give(ANSWER, "", tmp_path / name)
    assert (tmp_path / name).read_text() == words
    assert capsys.readouterr().out == ""


def test_the_option_wins_over_the_ending_and_a_dash_is_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    give(ANSWER, "json", tmp_path / "a.txt")
    assert json.loads((tmp_path / "a.txt").read_text()) == {"end": "dropped"}
    give(ANSWER, "json", Path("-"))
    assert json.loads(capsys.readouterr().out) == {"end": "dropped"}


def test_html_keeps_the_colours_of_the_text(tmp_path: Path) -> None:
    give(ANSWER, "", tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    assert "<title>a title</title>" in text
    assert 'style="color: #800000; text-decoration-color: #800000; font-weight: bold">dropped</span>' in text


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file or directory"):
        give(ANSWER, "", tmp_path / "nowhere" / "a.json")
    with pytest.raises(UsageError, match="this command gives text, json, html, svg"):
        give(ANSWER, "", tmp_path / "a.csv")
