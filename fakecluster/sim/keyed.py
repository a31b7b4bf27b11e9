"""Chance that belongs to a key, such as a flow: what is decided for one does not depend on what others were decided."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from hashlib import blake2b

from fakecluster.sim.choices import Choice, index_at

#: Decisions that are remembered.
TAKEN_KEPT = 1024


class Keyed:
    """A source of choices (see `choices.Choices`): the n-th answer for a key is a function of seed, key and n.

    `turn_to` says whose turn it is. Two runs that meet the same keys in another order, or each only some of them, answer
    alike for each.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._taken: deque[Choice] = deque(maxlen=TAKEN_KEPT)
        self._key, self._asked = "", 0

    @property
    def taken(self) -> Sequence[Choice]:
        return self._taken

    def turn_to(self, key: str, asked: int = 0) -> None:
        """The next answers are for `key`, of which `asked` were given before."""
        self._key, self._asked = key, asked

    @property
    def asked(self) -> int:
        """How many answers the present key has had."""
        return self._asked

    def pick(self, weights: Sequence[int], why: str) -> int:
        index = index_at(weights, self._number(sum(weights)))
        self._taken.append(Choice(index, tuple(weights), why))
        return index

    def draw(self, below: int, why: str) -> int:
        return self._number(below)

    def _number(self, below: int) -> int:
        self._asked += 1
        digest = blake2b(f"{self.seed}|{self._key}|{self._asked}".encode(), digest_size=16).digest()
        return int.from_bytes(digest) % below  # 128 bits: the bias is far below 2^-64

    def fork(self) -> Keyed:
        copy = Keyed(self.seed)
        copy._taken.extend(self._taken)
        copy.turn_to(self._key, self._asked)
        return copy

    def __repr__(self) -> str:
        return f"Keyed({self.seed})"
