"""A campaign's file: one line of JSON for every seed that is done, so that it can be stopped and resumed."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs

from fakecluster.campaigns.outcome import Outcome, Seed
from fakecluster.campaigns.work import Work


def key_of(seed: Seed) -> str:
    """What tells seeds apart. Raises TypeError for one that is no JSON data."""
    return json.dumps(seed, sort_keys=True)


class Journal:
    """Outcomes by seed, on disk when there is a path. Raises ValueError for a file of another campaign.

    A last line that was cut off (the process was killed while it wrote) is dropped.
    """

    def __init__(self, path: Path | None, work: Work) -> None:
        self._path = path
        self.done: dict[str, Outcome] = {}
        self._head = {"campaign": work.name, "examples": work.examples}
        self._file: Any = None
        if path is not None and path.exists() and path.stat().st_size:
            self._read(path)

    def _read(self, path: Path) -> None:
        text = path.read_text()
        *lines, _cut_off = text.split("\n")
        head, *done = [_line(path, number, line) for number, line in enumerate(lines, 1)] or [text]
        if head != self._head:
            raise ValueError(f"{path} belongs to another campaign: {json.dumps(head)} (this one is {json.dumps(self._head)})")
        for one in done:
            outcome = Outcome(**one)
            self.done[key_of(outcome.seed)] = outcome
        path.write_text("".join(f"{line}\n" for line in lines))

    def __enter__(self) -> Journal:
        if self._path is not None:
            is_new = not self._path.exists() or not self._path.stat().st_size
            self._file = self._path.open("a")
            if is_new:
                self._write(self._head)
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, outcome: Outcome) -> None:
        self.done[key_of(outcome.seed)] = outcome
        if self._file is not None:
            self._write(attrs.asdict(outcome))

    def _write(self, data: dict[str, Any]) -> None:
        self._file.write(json.dumps(data) + "\n")
        self._file.flush()


def _line(path: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise ValueError(f"{path}, line {number}: no line of a campaign's file: {problem}") from None
