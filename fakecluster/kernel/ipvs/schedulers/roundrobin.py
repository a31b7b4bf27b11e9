"""Round robin, plain and weighted (ip_vs_rr.c, ip_vs_wrr.c)."""

from __future__ import annotations

from itertools import chain
from math import gcd
from typing import TYPE_CHECKING

from fakecluster.kernel.ipvs.schedulers.scheduler import Request, Scheduler

if TYPE_CHECKING:
    from fakecluster.kernel.ipvs.service import Destination, Service

#: Before the head of the list.
START = -1


class RoundRobin(Scheduler):
    """rr: the next usable destination after the last one used."""

    __slots__ = ("last",)

    def __init__(self, service: Service, now_ns: int) -> None:
        super().__init__(service, now_ns)
        self.last = START

    def choose(self, request: Request) -> Destination | None:
        destinations, last = self.service.destinations, self.last
        for index in chain(range(last + 1, len(destinations)), range(last + 1)):
            if destinations[index].usable:
                self.last = index
                return destinations[index]
        return None

    def added(self) -> None:
        if self.last != START:
            self.last += 1

    def removed(self, index: int) -> None:
        if self.last >= index:
            self.last -= 1


class WeightedRoundRobin(Scheduler):
    """wrr: rounds with a falling threshold; in each, those whose weight reaches it take their turn."""

    __slots__ = ("last", "max_weight", "step", "threshold")

    def __init__(self, service: Service, now_ns: int) -> None:
        super().__init__(service, now_ns)
        self._measure()
        self.last, self.threshold = START, self.max_weight

    def _measure(self) -> None:
        weights = [destination.weight for destination in self.service.destinations]
        self.step = gcd(*weights) or 1
        # less by step - 1, so that the last round of a cycle asks for a weight of 1
        self.max_weight = max(weights, default=0) - (self.step - 1)

    def choose(self, request: Request) -> Destination | None:
        """Walk round by round; give up when a whole sweep for a weight of 1 found none."""
        if not self.max_weight:
            return None
        destinations, begun = self.service.destinations, self.last
        final = wrapped = closing = False
        while True:
            # the closing sweep ends where the search began: those after it were asked for a weight of 1 before
            for index in range(self.last + 1, begun + 1 if closing else len(destinations)):
                candidate = destinations[index]
                if candidate.weight >= self.threshold and not candidate.overloaded:
                    self.last = index
                    return candidate
            if closing:
                self.last = begun
                return None
            self.last = START
            self.threshold -= self.step
            if self.threshold <= 0:
                self.threshold = self.max_weight
                if final or begun == START:
                    return None
                wrapped = True
            final = self.threshold <= self.step
            closing = final and wrapped and begun != START

    def _restart(self) -> None:
        self.last = START
        self._measure()
        if self.threshold > self.max_weight or not self.threshold:
            self.threshold = self.max_weight
        elif self.step > 1:
            self.threshold = self.threshold // self.step * self.step + 1

    def added(self) -> None:
        self._restart()

    def removed(self, index: int) -> None:
        self._restart()

    def changed(self) -> None:
        self._restart()
