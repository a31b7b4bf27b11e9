"""Chance as a value: every random decision is asked for here, with a reason, and can be replayed or enumerated.

Two kinds of question. `pick` decides something that matters to where a packet goes (the statistic match, numgen, an
IPVS table); exact enumeration forks at each. `draw` fills in a number whose value is not part of the answer (a source
port after masquerade, a sequence number); enumeration takes one value and does not fork.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Protocol, TypeVar

import attrs

from fakecluster.errors import OutcomesError

T = TypeVar("T")

#: Leaves that one enumeration may have; above it the answer would be a book, not a test.
OUTCOMES_LIMIT = 4096


@attrs.frozen
class Choice:
    """One decision taken: `index` out of `weights` (integers; probability = weight / sum), and why it was asked."""

    index: int
    weights: tuple[int, ...]
    why: str

    @property
    def probability(self) -> Fraction:
        return Fraction(self.weights[self.index], sum(self.weights))


#: `Choice` with its arguments by position. Rules ask the same again and again: the same answer is kept once.
choice = lru_cache(maxsize=4096)(Choice)


class Choices(Protocol):
    """Where the model gets its chance from."""

    @property
    def taken(self) -> Sequence[Choice]:
        """The `pick`s so far, in order (`Keyed` keeps the last of them)."""
        ...

    def pick(self, weights: Sequence[int], why: str) -> int:
        """Choose an index with probability weight/sum; zero-weight entries are never chosen."""
        ...

    def draw(self, below: int, why: str) -> int:
        """An arbitrary integer in [0, below) whose value no outcome depends on."""
        ...

    def skip(self, below: int, why: str) -> None:
        """As `draw`, when nobody looks at the number."""
        ...

    def fork(self) -> Choices:
        """An independent source that continues alike."""
        ...


class Seeded:
    """Pseudo-random choices from a seed: the same seed gives the same run."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.taken: list[Choice] = []
        self._random = random.Random(seed)

    def pick(self, weights: Sequence[int], why: str) -> int:
        index = index_at(weights, self.draw(sum(weights), why))
        self.taken.append(choice(index, tuple(weights), why))
        return index

    def draw(self, below: int, why: str) -> int:
        if below <= 0:
            raise ValueError(f"no integer in [0, {below}) ({why})")
        bits, take = below.bit_length(), self._random.getrandbits
        number = take(bits)
        while number >= below:
            number = take(bits)
        return number

    def skip(self, below: int, why: str) -> None:
        self.draw(below, why)

    def fork(self) -> Seeded:
        copy = Seeded(self.seed)
        copy.taken = self.taken.copy()
        copy._random.setstate(self._random.getstate())
        return copy

    def __repr__(self) -> str:
        return f"Seeded({self.seed})"


class Scripted:
    """Choices read from a script of indices; past its end the first possible index is taken."""

    def __init__(self, script: Sequence[int] = ()) -> None:
        self.script = tuple(script)
        self.taken: list[Choice] = []
        self._drawn = 0

    def pick(self, weights: Sequence[int], why: str) -> int:
        position = len(self.taken)
        if position < len(self.script):
            index = self.script[position]
            if not 0 <= index < len(weights) or weights[index] == 0:
                raise ValueError(f"scripted choice {index} is impossible among weights {tuple(weights)} ({why})")
        else:
            index = next(i for i, weight in enumerate(weights) if weight)
        self.taken.append(choice(index, tuple(weights), why))
        return index

    def draw(self, below: int, why: str) -> int:
        self._drawn += 1
        return spread(self._drawn, below)

    def skip(self, below: int, why: str) -> None:
        self.draw(below, why)

    def fork(self) -> Scripted:
        copy = Scripted(self.script)
        copy.taken, copy._drawn = self.taken.copy(), self._drawn
        return copy

    def __repr__(self) -> str:
        return f"Scripted({list(self.script)})"


def source_of(seed: int, choices: Choices | None) -> Choices:
    """The given source of choices, or else one of this seed. Raises ValueError for what is neither, and for both."""
    if not isinstance(seed, int):
        raise ValueError(f"seed={seed!r}: expected a whole number")
    if choices is None:
        return Seeded(seed)
    if not hasattr(choices, "pick"):
        raise ValueError(f"choices={choices!r}: expected a source of choices, as Scripted([0, 1]); a number is a seed")
    if seed:
        raise ValueError(f"seed={seed} and choices={choices!r}: only one of them can decide")
    return choices


def spread(number: int, below: int) -> int:
    """The number-th of a fixed sequence of integers in [0, below) that do not repeat soon (wide enough for UIDs)."""
    return (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 + 0x7F4A7C15) % below


def enumerate_outcomes(
    run: Callable[[Choices], T], *, limit: int = OUTCOMES_LIMIT
) -> Iterator[tuple[Fraction, T, tuple[Choice, ...]]]:
    """Call `run` once for every sequence of choices it can make; yields (exact probability, result, choices).

    `run` must start from the same state each time (give it a fork). Raises `OutcomesError` after `limit` leaves.
    """
    script: list[int] | None = []
    taken: tuple[Choice, ...] = ()
    leaves = 0
    while script is not None:
        leaves += 1
        if leaves > limit:
            raise OutcomesError(f"more than {limit} outcomes; the last choice was {taken[-1].why!r}")
        choices = Scripted(script)
        result = run(choices)
        taken = tuple(choices.taken)
        probability = Fraction(1)
        for choice in taken:
            probability *= choice.probability
        yield probability, result, taken
        script = _next_script(taken)


def _next_script(taken: Sequence[Choice]) -> list[int] | None:
    for depth in range(len(taken) - 1, -1, -1):
        weights = taken[depth].weights
        following = (i for i in range(taken[depth].index + 1, len(weights)) if weights[i])
        index = next(following, None)
        if index is not None:
            return [choice.index for choice in taken[:depth]] + [index]
    return None


def index_at(weights: Sequence[int], point: int) -> int:
    for index, weight in enumerate(weights):
        if point < weight:
            return index
        point -= weight
    raise ValueError(f"cannot pick from weights {tuple(weights)}")
