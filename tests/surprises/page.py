"""What a scenario shows stands on the page of surprises, word for word; `make docs` writes it there.

    shows(trace)     in a test: the page has just this text below the entry that names the test

Of a scenario that is run for several modes or versions, the first one is shown.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakecluster.trace import Trace, walks, way_of

if TYPE_CHECKING:
    from fakecluster.handles import Outcomes, PacketTrace

PAGE = Path(__file__).resolve().parents[2] / "docs" / "surprises" / "README.md"
#: Lines of a long text that are shown: how it begins, and how it ends.
FIRST_LINES, LAST_LINES = 14, 7
#: Where the texts go instead while the page is written.
collected: dict[str, str] | None = None


def shows(what: object) -> None:
    """Say that a reader of the page sees this of the scenario that calls. Raises AssertionError when it is not so."""
    frame = sys._getframe(1)
    name = frame.f_code.co_name
    if any(frame.f_locals[key] != value for key, value in first_parameters(frame.f_globals[name]).items()):
        return
    text = shortened(str(what))
    if collected is not None:
        collected[name] = text
        return
    assert block(name, text) in PAGE.read_text(), f"docs/surprises/README.md shows another text of {name}: make docs"


def way(outcomes: Outcomes, end: str) -> Trace:
    """The way of the first packet in a branch that ends so."""
    branch = next(one for one in outcomes.branches if one.outcome == end)
    assert branch.trace is not None
    return Trace(way_of(branch.trace.hops))


def way_of_last(trace: PacketTrace) -> Trace:
    """The way of the last packet that the client itself sent."""
    own = [walk for walk in walks(trace.trace.hops) if walk[0].namespace == trace.trace.hops[0].namespace]
    return Trace(own[-1])


def shortened(text: str) -> str:
    lines = [line.rstrip() for line in text.splitlines()]
    left = len(lines) - FIRST_LINES - LAST_LINES
    if left <= 1:
        return "\n".join(lines)
    return "\n".join((*lines[:FIRST_LINES], f"      [... {left} lines ...]", *lines[-LAST_LINES:]))


def block(name: str, text: str) -> str:
    return f"<!-- {name} -->\n```text\n{text}\n```\n"


def first_parameters(function: Any) -> dict[str, Any]:
    """The first values that a test is parametrized with."""
    found: dict[str, Any] = {}
    for mark in getattr(function, "pytestmark", ()):
        if mark.name == "parametrize":
            names, values = mark.args[0], mark.args[1][0]
            if isinstance(names, str):
                found[names] = values
            else:
                found |= dict(zip(names, values, strict=True))
    return found


def written(page: str, texts: dict[str, str]) -> str:
    """The page with these texts, each at the end of the first entry that names its test."""
    page = re.sub(r"\n<!-- test_\w+ -->\n```text\n.*?\n```\n", "", page, flags=re.S)
    entries = re.split(r"(?=^##)", page, flags=re.M)
    left = dict(texts)
    for place, entry in enumerate(entries):
        names = [name for name in re.findall(r"::(test_\w+)`", entry) if name in left]
        blocks = "".join("\n" + block(name, left.pop(name)) for name in names)
        if blocks:
            entries[place] = entry.rstrip("\n") + "\n" + blocks + "\n"
    assert not left, f"no entry names {', '.join(left)}"
    return "".join(entries).rstrip("\n") + "\n"


def collect() -> dict[str, str]:
    """Run every scenario once, and give what each shows."""
    global collected
    from importlib import import_module

    collected = {}
    try:
        for file in sorted(Path(__file__).parent.glob("test_*.py")):
            module = import_module(f"surprises.{file.stem}")
            for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M):
                if file.stem != "test_catalogue":
                    function = getattr(module, name)
                    function(**first_parameters(function))
        return collected
    finally:
        collected = None


def main() -> None:
    PAGE.write_text(written(PAGE.read_text(), collect()))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from surprises import page as imported

    imported.main()
