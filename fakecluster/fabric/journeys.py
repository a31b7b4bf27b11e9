"""The records of packets' journeys, by number, for traces to be made of."""

from __future__ import annotations

from fakecluster.trace import Hop

#: Journeys that are kept to be looked at; older ones are forgotten.
JOURNEYS_KEPT = 64


class Journeys:
    """What happened on each journey so far: `hops` by its number. `last` is the newest number."""

    def __init__(self) -> None:
        self.hops: dict[int, list[Hop]] = {}
        self.last = 0

    def begin(self, number: int = 0) -> int:
        """Keep the record of a journey, a new one or (its `number` given) an old one; returns its number."""
        if not number:
            self.last += 1
        number = number or self.last
        self.hops.setdefault(number, [])
        while len(self.hops) > JOURNEYS_KEPT:
            del self.hops[next(iter(self.hops))]
        return number

    def fork(self) -> Journeys:
        copy = Journeys()
        copy.hops = {number: hops.copy() for number, hops in self.hops.items()}
        copy.last = self.last
        return copy
