"""Reads iptables-restore text into tables: one table at a time, each put in place at its COMMIT or not at all.

Source: xtables-restore.c. Everything of a table is read before any of it is applied, so a word that iptables does
not know is reported before a chain that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from fakecluster.errors import Unsupported
from fakecluster.rules.iptables.change import POLICIES, Change
from fakecluster.rules.iptables.command import Command, OtherFamily, check_declared_name
from fakecluster.rules.iptables.extensions import VERDICTS
from fakecluster.rules.iptables.problem import BAD_POLICY, NOT_BUILT_IN, RuleProblem
from fakecluster.rules.iptables.reading import read
from fakecluster.rules.iptables.ruleset import BUILT_IN
from fakecluster.rules.iptables.shapes import glance
from fakecluster.rules.iptables.tables import Tables
from fakecluster.rules.iptables.words import split
from fakecluster.rules.loading import uncollected

#: iptables-restore reads lines into a buffer of this size; what is longer would be read as another line.
LINE_LIMIT = 10239
#: Lines whose reading is remembered: those of a node with a thousand Services.
LINES_KEPT = 16384
_COUNTERS = re.compile(r"\[(\d{1,20}):(\d{1,20})\]")


class _Restore:
    """One run: the table being read, the change being made, the first thing that the tables did not allow."""

    def __init__(self, tables: Tables, *, flush: bool, counters: bool, only: str, test: bool) -> None:
        self.tables, self.flush, self.counters, self.only, self.test = tables, flush, counters, only, test
        self.change: Change | None = None
        self.late: RuleProblem | None = None
        self.skipping = False

    def run(self, text: str) -> None:
        lines, number = text.split("\n"), 0
        self.tables.chunks.close()  # of a restore that failed
        while number < len(lines):
            try:
                taken = self._chunk(lines, number)
                if not taken:
                    taken = 1
                    self._read(number + 1, lines[number])
            except RuleProblem as problem:
                at = number
                if problem.kind == "commit" and self.tables.backend == "legacy":
                    problem = RuleProblem(problem.reason, token=problem.token, kind="commit")
                    while at < len(lines) - 1 and lines[at] != "COMMIT":
                        at += 1
                raise problem.at(at + 1) from None
            except Unsupported as gap:
                raise Unsupported(gap.what, line=number + 1, token=gap.token) from None
            number += taken
        self.tables.chunks.close()
        if self.change is not None:
            raise RuleProblem(f"COMMIT expected at line {number + (0 if text.endswith(chr(10)) else 1)}", kind="plain")

    def _chunk(self, lines: list[str], place: int) -> int:
        """How many lines from here on were taken in at once, as they had been read before."""
        if self.change is None or self.late is not None or self.skipping:
            return 0
        chunk = self.tables.chunks.at(lines, place)
        if chunk is None or not self.change.take(place + 1, chunk):
            return 0
        self.tables.chunks.close()
        return len(chunk.lines)

    def _read(self, number: int, line: str) -> None:
        chunks = self.tables.chunks
        if line[:3] != "-A " or self.change is None or (found := glance(line, self.tables.family)) is None:
            chunks.close()
            self._line(number, line)
        elif self.late is None and not self.skipping:
            self.late = self.change.append(number, found[0], found[1])
            if self.late is not None and _early(self.late):
                raise self.late
            chunks.note(line, found[0], found[1])

    def _try(self, number: int, action: Callable[[Change], None]) -> None:
        """Apply to the change; the first refusal by the tables waits for COMMIT."""
        if self.late is None and self.change is not None and not self.skipping:
            try:
                action(self.change)
            except RuleProblem as problem:
                if _early(problem):
                    raise
                self.late = problem if problem.kind == "parameter" else problem.at(number)

    def _line(self, number: int, line: str) -> None:
        if len(line) > LINE_LIMIT:
            raise RuleProblem(f"line {number} failed", kind="plain", token=line[:40])
        if not line or line[0] == "#":
            return
        if self.change is not None and line == "COMMIT":
            self._commit(number)
        elif line[0] == "*" and self.change is None:
            self._table(number, line)
        elif self.change is None:
            raise RuleProblem(f"line {number} failed", kind="plain", token=line.split()[0] if line.split() else line)
        elif line[0] == ":":
            self._chain(number, line)
        else:
            self._command(number, line)

    def _table(self, number: int, line: str) -> None:
        words = line[1:].split()
        program = "iptables-restore" if self.tables.family == 4 else "ip6tables-restore"
        if not words:
            raise RuleProblem(f"{program}: line {number} table name invalid")
        if words[0] not in BUILT_IN:
            raise RuleProblem(f"{program}: line {number} table name '{words[0]}' invalid", token=words[0])
        if self.tables.backend == "legacy" and words[0] not in self.tables.tables and not self.test:
            self.tables.begin(words[0]).commit()  # the kernel makes it as soon as it is asked for
        self.change, self.late = self.tables.begin(words[0]), None
        self.skipping = bool(self.only) and words[0] != self.only
        if self.flush and not self.skipping:
            self.change.transaction.clear()

    def _chain(self, number: int, line: str) -> None:
        assert self.change is not None
        words = line[1:].split()
        program = "iptables-restore" if self.tables.family == 4 else "ip6tables-restore"
        if not words:
            raise RuleProblem(f"{program}: line {number} chain name invalid")
        legacy = self.tables.backend == "legacy"
        check_declared_name(words[0], self.tables.backend)
        if legacy and words[0] not in BUILT_IN[self.change.name] and self.late is None and not self.skipping:
            if self.flush and (words[0] in VERDICTS or self.change.transaction.exists(words[0])):
                raise RuleProblem(f"error creating chain '{words[0]}':File exists", token=words[0])
            self.change.transaction.make(words[0], must_be_new=False)
        if len(words) < 2:
            raise RuleProblem(f"{program}: line {number} policy invalid", token=words[0])
        if legacy and (fault := _bad_policy(self.change.name, words[0], words[1])):
            place = f"Can't set policy `{words[1]}' on `{words[0]}' line {number}"
            raise RuleProblem(f"{place}: {fault}", kind="version", token=words[1])
        if words[0] not in BUILT_IN[self.change.name]:
            if not legacy:
                self._try(number, lambda change: change.transaction.make(words[0], must_be_new=False))
            return
        held = _COUNTERS.match(words[2]) if len(words) > 2 else None
        if self.counters and held is None:
            raise RuleProblem(f"invalid policy counters for chain '{words[0]}'", token=words[0])
        counters = (int(held[1]), int(held[2])) if held and self.counters else None
        self._try(number, lambda change: _base_chain(change, words[0], words[1], counters, number))

    def _command(self, number: int, line: str) -> None:
        held = None
        if line[0] == "[":
            held = _COUNTERS.match(line)
            if held is None:
                raise RuleProblem(f"Bad line {number}: need {':' if ':' not in line else ']'}", token=line[:20])
            line = line[held.end() :]
        try:
            if held is not None and self.counters:
                words = ["--set-counters", held[1], held[2], *split(line)]
                command = read(words, self.tables.family, restoring=True)
            else:
                command = _read_line(line, self.tables.family)
        except OtherFamily:
            return
        self._try(number, lambda change: _run(change, command, number))

    def _commit(self, number: int) -> None:
        change, self.change = self.change, None
        assert change is not None
        if self.test and self.tables.backend == "nft":
            return  # the tables are not even asked
        if self.late is not None:
            raise self.late
        if not self.skipping and not self.test:
            change.commit()


@lru_cache(maxsize=LINES_KEPT)
def _read_line(line: str, family: int) -> Command:
    """What a line says; kube-proxies load the same ones on every node and at every sync."""
    return read(split(line), family, restoring=True)


def _bad_policy(table: str, chain: str, policy: str) -> str:
    """Why iptables-legacy cannot set it; "" when it can, or need not ("-")."""
    if policy == "-":
        return ""
    if chain not in BUILT_IN[table]:
        return NOT_BUILT_IN
    return "" if policy in POLICIES else BAD_POLICY


def _early(problem: RuleProblem) -> bool:
    """The refusal is about the line's words, not about the tables."""
    return problem.kind == "parameter" and not problem.reason.startswith("Chain '")


def _run(change: Change, command: Command, line: int) -> None:
    if command.letter in "LSVh":
        raise Unsupported(f"iptables-restore: -{command.letter}", line=line)
    change.run(command, line)


def _base_chain(change: Change, name: str, policy: str, counters: tuple[int, int] | None, line: int) -> None:
    """`:INPUT DROP [0:0]`: the chain exists, with this policy (- leaves the policy alone) and counters."""
    change.transaction.start_counting(name)
    if policy != "-":
        if policy not in POLICIES:
            raise RuleProblem(BAD_POLICY, token=policy, kind="state", line=line)
        change.transaction.set_policy(name, policy)
        if counters is not None:
            change.transaction.count_policy(name, counters)


def restore(
    tables: Tables, text: str, *, flush: bool = True, counters: bool = False, only: str = "", test: bool = False
) -> None:
    """Do what `iptables-restore` does with `text` (`flush=False`: --noflush, `only`: --table, `test`: --test).

    Raises `RuleProblem` with iptables' words and the line; the table at fault keeps its old content.
    """
    with uncollected():
        _Restore(tables, flush=flush, counters=counters, only=only, test=test).run(text)


def parse(text: str, *, family: int = 4, backend: str = "nft") -> Tables:
    """The tables that a text makes from nothing."""
    tables = Tables(family, backend=backend)
    restore(tables, text, counters=True)
    return tables
