"""Letting Hypothesis decide what chance would: a failure is then one replayable example."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from fakecluster.sim.choices import Choice, Choices, spread


class Drawn:
    """A source of choices (see `sim.choices.Choices`) that asks Hypothesis; it shrinks towards the first possibility."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self.taken: list[Choice] = []
        self._drawn = 0

    def pick(self, weights: Sequence[int], why: str) -> int:
        possible = [index for index, weight in enumerate(weights) if weight]
        index = self._data.draw(st.sampled_from(possible), label=why) if len(possible) > 1 else possible[0]
        self.taken.append(Choice(index, tuple(weights), why))
        return index

    def draw(self, below: int, why: str) -> int:
        """Numbers that no outcome depends on are not Hypothesis' business: they are those of `Scripted`."""
        self._drawn += 1
        return spread(self._drawn, below)

    def skip(self, below: int, why: str) -> None:
        self.draw(below, why)

    def fork(self) -> Drawn:
        copy = Drawn(self._data)
        copy.taken, copy._drawn = self.taken.copy(), self._drawn
        return copy

    def __repr__(self) -> str:
        return f"Scripted({[choice.index for choice in self.taken]})"


@st.composite
def choices(draw: st.DrawFn) -> Choices:
    """Sources of choices for `Cluster(choices=...)`: load balancing, loss and the like become part of the example."""
    return Drawn(draw(st.data()))
