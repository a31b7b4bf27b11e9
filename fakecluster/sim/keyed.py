"""Chance that belongs to a key, such as a flow: what is decided for one does not depend on what others were decided."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from fakecluster.sim.choices import Choice, choice, index_at

#: Decisions that are remembered.
TAKEN_KEPT = 1024
#: The key when nobody's turn it is.
NOBODY = -1
#: Answers are drawn from numbers of this many bits, so that the bias of a remainder is far below 2^-64.
BITS = 128
MASK = (1 << BITS) - 1
# odd, with bits all over: SplitMix64's constants, side by side and swapped
_STEP = 0x9E3779B97F4A7C15F39CC0605CEDC835
_FIRST, _SECOND = 0xBF58476D1CE4E5B994D049BB133111EB, 0x94D049BB133111EBBF58476D1CE4E5B9


class Keyed:
    """A source of choices (see `choices.Choices`): the n-th answer for a key is a function of seed, key and n.

    `turn_to` says whose turn it is. Two runs that meet the same keys in another order, or each only some of them, answer
    alike for each.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._taken: deque[Choice] = deque(maxlen=TAKEN_KEPT)
        self._seed = mixed(seed)
        self._key = NOBODY
        #: how many answers the present key has had, and how many nobody in particular
        self.asked = self._asked_by_nobody = 0

    @property
    def taken(self) -> Sequence[Choice]:
        return self._taken

    def turn_to(self, key: int, asked: int = 0) -> None:
        """The next answers are for `key`, of which `asked` were given before."""
        if self._key == NOBODY:
            self._asked_by_nobody = self.asked
        self._key, self.asked = key, asked

    def turn_back(self) -> None:
        """The next answers are for nobody in particular (what timers ask), and go on where these were."""
        if self._key != NOBODY:
            self._key, self.asked = NOBODY, self._asked_by_nobody

    def pick(self, weights: Sequence[int], why: str) -> int:
        index = index_at(weights, self.draw(sum(weights), why))
        self._taken.append(choice(index, tuple(weights), why))
        return index

    def draw(self, below: int, why: str) -> int:
        self.asked += 1
        return mixed(self._seed ^ (self._key << 64 | self.asked)) % below

    def skip(self, below: int, why: str) -> None:
        self.asked += 1

    def fork(self) -> Keyed:
        copy = Keyed(self.seed)
        copy._taken.extend(self._taken)
        copy._key, copy.asked, copy._asked_by_nobody = self._key, self.asked, self._asked_by_nobody
        return copy

    def __repr__(self) -> str:
        return f"Keyed({self.seed})"


def mixed(number: int) -> int:
    """A number of `BITS` bits of which each depends on all of the given one's (as SplitMix64 does, with twice the width)."""
    number = (number + _STEP) * _FIRST & MASK
    number = (number ^ number >> 63) * _SECOND & MASK
    number = (number ^ number >> 59) * _FIRST & MASK
    return number ^ number >> 65
