"""Schedulers that compare load: lc, wlc, sed, nq (ip_vs_lc.c, ip_vs_wlc.c, ip_vs_sed.c, ip_vs_nq.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from fakecluster.kernel.ipvs.schedulers.scheduler import Request, Scheduler

if TYPE_CHECKING:
    from fakecluster.kernel.ipvs.service import Destination


def least_loaded(
    destinations: Iterable[Destination], load: Callable[[Destination], int] | None = None
) -> Destination | None:
    """The usable destination with the smallest load per weight; the first of equals."""
    least: Destination | None = None
    least_load = 0
    for candidate in destinations:
        if candidate.overloaded or candidate.weight <= 0:
            continue
        candidate_load = candidate.overhead if load is None else load(candidate)
        if least is None or least_load * candidate.weight > candidate_load * least.weight:
            least, least_load = candidate, candidate_load
    return least


def expected_delay(destination: Destination) -> int:
    """What sed and nq compare: inactive connections do not count, the new one does."""
    return destination.active + 1


class LeastConnection(Scheduler):
    """lc: the fewest connections, whatever the weight."""

    __slots__ = ()

    def choose(self, request: Request) -> Destination | None:
        usable = [destination for destination in self.service.destinations if destination.usable]
        return min(usable, key=lambda destination: destination.overhead, default=None)


class WeightedLeastConnection(Scheduler):
    """wlc: the fewest connections per weight."""

    __slots__ = ()

    def choose(self, request: Request) -> Destination | None:
        return least_loaded(self.service.destinations)


class ShortestExpectedDelay(Scheduler):
    """sed: as if the new connection were there already."""

    __slots__ = ()

    def choose(self, request: Request) -> Destination | None:
        return least_loaded(self.service.destinations, expected_delay)


class NeverQueue(Scheduler):
    """nq: the first idle destination; if all are busy, as sed."""

    __slots__ = ()

    def choose(self, request: Request) -> Destination | None:
        for destination in self.service.destinations:
            if not destination.active and destination.usable:
                return destination
        return least_loaded(self.service.destinations, expected_delay)
