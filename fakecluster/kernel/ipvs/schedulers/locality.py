"""Schedulers that keep one address's clients together: lblc, lblcr (ip_vs_lblc.c, ip_vs_lblcr.c).

They remember destinations per address asked for, by endpoint: what is not in the service at the moment is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fakecluster.kernel.ipvs.schedulers.leastconn import least_loaded
from fakecluster.kernel.ipvs.schedulers.scheduler import Request, Scheduler

if TYPE_CHECKING:
    from fakecluster.kernel.ipvs.service import Destination, Endpoint, Service

NS_PER_S = 1_000_000_000
#: How often entries are checked for disuse.
CHECK_PERIOD_NS = 1800 * NS_PER_S


@attrs.frozen
class Remembered:
    """What is known of one address: its destinations, newest first, since when, and when it was last asked for."""

    endpoints: tuple[Endpoint, ...]
    changed_ns: int
    used_ns: int


class _Locality(Scheduler):
    __slots__ = ("memory", "started_ns")

    setting = ""

    def __init__(self, service: Service, now_ns: int) -> None:
        super().__init__(service, now_ns)
        self.memory: dict[tuple[int, int], Remembered] = {}
        self.started_ns = now_ns

    def fork(self, service: Service) -> _Locality:
        copy = super().fork(service)
        assert isinstance(copy, _Locality)
        copy.memory = self.memory.copy()
        return copy

    def recall(self, request: Request) -> Remembered | None:
        """What is remembered of the address, unless a check has found it unused for too long."""
        key = (request.family, request.target)
        known = self.memory.get(key)
        if known is None:
            return None
        now = request.netns.clock.now_ns
        checked = self.started_ns + (now - self.started_ns) // CHECK_PERIOD_NS * CHECK_PERIOD_NS
        if checked > known.used_ns + self.expiration_ns(request):
            del self.memory[key]
            return None
        return known

    def expiration_ns(self, request: Request) -> int:
        return request.netns.sysctls.number(f"net.ipv4.vs.{self.setting}") * NS_PER_S

    def remember(self, request: Request, known: Remembered) -> None:
        self.memory[request.family, request.target] = known

    def is_overloaded(self, destination: Destination) -> bool:
        """More connections than its weight, while another one is at less than half of its own."""
        if destination.active <= destination.weight:
            return False
        return any(other.active * 2 < other.weight for other in self.service.destinations)


class LocalityLeastConnection(_Locality):
    """lblc: one destination per address, until it is overloaded."""

    __slots__ = ()

    setting = "lblc_expiration"

    def choose(self, request: Request) -> Destination | None:
        now, known = request.netns.clock.now_ns, self.recall(request)
        if known is not None:
            known = attrs.evolve(known, used_ns=now)
            self.remember(request, known)
            destination = self.service.by_endpoint.get(known.endpoints[0])
            if destination is not None and destination.weight > 0 and not self.is_overloaded(destination):
                return destination
        chosen = least_loaded(self.service.destinations)
        if chosen is not None:
            self.remember(request, Remembered((chosen.endpoint,), now, now))
        return chosen


class ReplicatedLocalityLeastConnection(_Locality):
    """lblcr: a set of destinations per address, which grows under load and shrinks with time."""

    __slots__ = ()

    setting = "lblcr_expiration"

    def choose(self, request: Request) -> Destination | None:
        now, known = request.netns.clock.now_ns, self.recall(request)
        if known is None:
            chosen = least_loaded(self.service.destinations)
            if chosen is not None:
                self.remember(request, Remembered((chosen.endpoint,), now, now))
            return chosen
        known = attrs.evolve(known, used_ns=now)
        members = [m for e in known.endpoints if (m := self.service.by_endpoint.get(e)) is not None]
        best = least_loaded(members)
        if len(known.endpoints) > 1 and now > known.changed_ns + self.expiration_ns(request):
            known = self._shrink(known, now)
        if best is None or self.is_overloaded(best):
            best = least_loaded(self.service.destinations)
            if best is not None and best.endpoint not in known.endpoints:
                known = Remembered((best.endpoint, *known.endpoints), now, now)
        self.remember(request, known)
        return best

    def _shrink(self, known: Remembered, now: int) -> Remembered:
        """Forget the most loaded member (ip_vs_dest_set_max); removed ones keep their place until it is their turn."""
        most: Destination | None = None
        for endpoint in known.endpoints:
            member = self.service.by_endpoint.get(endpoint)
            if member is None or member.weight <= 0:
                continue
            if most is None or most.overhead * member.weight < member.overhead * most.weight:
                most = member
        if most is None:
            return known
        kept = tuple(endpoint for endpoint in known.endpoints if endpoint != most.endpoint)
        return attrs.evolve(known, endpoints=kept, changed_ns=now)
