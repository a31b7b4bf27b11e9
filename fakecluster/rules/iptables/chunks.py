"""Runs of plain lines that a restore has read before: taken in at once when the next restore says them again.

kube-proxy writes its fixed chains as a whole at every sync, thousands of lines of which one or two are new. A chunk is
some dozens of such lines with the rules that they made; where a line differs, lines are read one by one up to the next
chunk. Chunks that spread over many chains are forgotten: those are Services' own, which are written when they change.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from fakecluster.rules.iptables.rule import Rule

#: Lines of a chunk, and how few are still worth one.
LENGTH, SHORTEST = 64, 8
#: Chains that a chunk's lines belong to at most.
CHAINS = 4
#: Chunks that are kept: the fixed chains of a node with some 60,000 service ports.
KEPT = 1024


@attrs.frozen
class Chunk:
    """Lines one after the other, and the rules that they append: (chain, rule) in order, and by chain."""

    lines: list[str]
    taken: tuple[tuple[str, Rule], ...]
    rules: tuple[tuple[str, list[Rule]], ...]
    jumps: frozenset[str]

    def numbered(self, first: int) -> Iterator[tuple[int, str, Rule]]:
        """(line number, chain, rule), for complaints."""
        return ((first + offset, chain, rule) for offset, (chain, rule) in enumerate(self.taken))


class Chunks:
    """The chunks of one family's tables, by their first line; and the lines that will be the next one."""

    def __init__(self) -> None:
        self._known: dict[str, Chunk] = {}
        self._lines: list[str] = []
        self._taken: list[tuple[str, Rule]] = []
        self._is_shared = False  # with forks, until one side learns more

    def at(self, lines: list[str], place: int) -> Chunk | None:
        """The chunk whose lines stand here."""
        found = self._known.get(lines[place])
        if found is None or lines[place : place + len(found.lines)] != found.lines:
            return None
        return found

    def note(self, line: str, chain: str, rule: Rule) -> None:
        """A plain line was read and its rule appended."""
        self._lines.append(line)
        self._taken.append((chain, rule))
        if len(self._lines) == LENGTH:
            self.close()

    def close(self) -> None:
        """What follows is no longer of the same run."""
        lines, taken = self._lines, self._taken
        if not lines:
            return
        self._lines, self._taken = [], []
        chains = dict.fromkeys(chain for chain, _ in taken)
        if len(lines) < SHORTEST or len(chains) > CHAINS:
            return
        if len(self._known) >= KEPT:
            self._known, self._is_shared = {}, False
        elif self._is_shared:
            self._known, self._is_shared = self._known.copy(), False
        rules = tuple((chain, [rule for place, rule in taken if place == chain]) for chain in chains)
        jumps = frozenset(rule.target for _, rule in taken if rule.target)
        self._known[lines[0]] = Chunk(lines, tuple(taken), rules, jumps)

    def fork(self) -> Chunks:
        copy = Chunks()
        copy._known, copy._is_shared, self._is_shared = self._known, True, True
        return copy
