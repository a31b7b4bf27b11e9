"""The page of surprises and the scenarios agree."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from .test_endpoints import ALL_MODES, KERNEL_MODES

HERE = Path(__file__).resolve().parent
PAGE = (HERE.parents[1] / "docs" / "surprises" / "README.md").read_text()
ENTRIES = dict(re.findall(r"^### (.*)\n((?:.+\n)+)", PAGE, re.M))  # heading -> what stands before the paragraph
#: Those that everybody has met, by their threads.
THREADS = (
    "24322", "19029", "48370", "126130", "139628", "141371", "121371", "20475", "110302", "103000", "72236", "81775",
    "126378", "38456", "43576", "86280", "33554", "92559",
)  # fmt: skip


def test_every_scenario_is_explained_and_every_explanation_has_a_scenario() -> None:
    files = [file for file in HERE.glob("test_*.py") if file.name != "test_catalogue.py"]
    scenarios = {
        f"{file.name}::{name}" for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    assert set(re.findall(r"`(test_\w+\.py::test_\w+)`", PAGE)) == scenarios
    assert PAGE.count("\n### ") >= 25
    printed = set(re.findall(r"^<!-- (test_\w+) -->\n```text\n", PAGE, re.M))
    assert {name.split("::")[1] for name in scenarios} == printed


@pytest.mark.parametrize("thread", THREADS)
def test_the_best_known_threads_are_in_it(thread: str) -> None:
    assert any(re.search(rf"#{thread}\b", head) for head in ENTRIES.values())


@pytest.mark.parametrize("heading", ENTRIES)
def test_an_entry_is_run_in_every_mode_that_it_names(heading: str) -> None:
    head = ENTRIES[heading]
    modes, *_ = head.split(" · ")
    named = set(re.findall(r"\b(iptables|nftables|ipvs|userspace)\b", modes))
    if not modes.startswith("Any mode"):
        named |= set({"Kern": KERNEL_MODES, "All ": ALL_MODES, "Both": ()}.get(modes[:4], ()))
        assert named or modes.startswith("Both policy languages"), modes
    run: set[str] = set()
    for file, name in re.findall(r"`(test_\w+)\.py::(test_\w+)`", head):
        run |= _modes(getattr(import_module(f"{__package__}.{file}"), name), (HERE / f"{file}.py").read_text())
    assert named <= run, f"{heading}: named {sorted(named)}, run in {sorted(run)}"


def _modes(function: object, source: str) -> set[str]:
    """The modes that a scenario is parametrized with, else those that it writes itself, else the ordinary one."""
    for mark in getattr(function, "pytestmark", ()):
        names, values = mark.args[0], mark.args[1]
        if names == "proxy":
            return set(values)
        if "proxy" in names:
            return {value[names.index("proxy")] for value in values}
    body = source.split(f"def {getattr(function, '__name__', '')}(")[1].split("\n\n\n")[0]
    return set(re.findall(r'proxy="(\w+)"', body)) or {"iptables"}
