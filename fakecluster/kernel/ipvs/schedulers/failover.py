"""Schedulers that fill one destination before the next: fo and ovf (ip_vs_fo.c, ip_vs_ovf.c); and twos (ip_vs_twos.c),
which compares two chosen at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel.ipvs.schedulers.scheduler import Request, Scheduler

if TYPE_CHECKING:
    from fakecluster.kernel.ipvs.service import Destination


class Failover(Scheduler):
    """fo: the heaviest usable destination."""

    __slots__ = ()

    def choose(self, request: Request) -> Destination | None:
        usable = [destination for destination in self.service.destinations if destination.usable]
        return max(usable, key=lambda destination: destination.weight, default=None)


class Overflow(Scheduler):
    """ovf: the heaviest destination whose active connections do not exceed its weight."""

    __slots__ = ()

    def choose(self, request: Request) -> Destination | None:
        usable = [
            destination
            for destination in self.service.destinations
            if destination.usable and destination.active <= destination.weight
        ]
        return max(usable, key=lambda destination: destination.weight, default=None)


class PowerOfTwos(Scheduler):
    """twos: of two drawn by weight (maybe the same one twice), the less loaded."""

    __slots__ = ()

    def choose(self, request: Request) -> Destination | None:
        usable = [destination for destination in self.service.destinations if destination.usable]
        if not usable:
            return None
        shares = [destination.weight for destination in usable]
        shares[0] += 1  # the kernel draws from 0 to the sum inclusive; 0 falls to the first
        pick = request.netns.choices.pick
        first, second = (usable[pick(shares, f"twos, {word} candidate")] for word in ("first", "second"))
        return second if second.weight * first.overhead > first.weight * second.overhead else first
