"""Every Python example of the documentation runs, page by page, in the order in which it is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: design.md shows what is aimed at; its examples are tests of their own (test_design.py)
PAGES = sorted(page for page in (ROOT / "docs").glob("*.md") if page.name != "design.md")
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)


def blocks(page: Path) -> list[tuple[int, str]]:
    """(line, code) of each example."""
    text = page.read_text()
    return [(text.count("\n", 0, found.start(1)), found[1]) for found in _BLOCK.finditer(text)]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_the_examples_of_a_page_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    namespace = {"__name__": page.stem}
    for line, code in blocks(page):
        exec(compile("\n" * line + code, str(page), "exec"), namespace)


def test_there_are_examples() -> None:
    assert {page.name for page in PAGES if blocks(page)} >= {"tutorial.md", "testing.md"}
