"""Virtual services and their destinations, as the kernel keeps them (ip_vs.h, ip_vs_ctl.c).

A fork shares them with its origin until one of the two changes them: `owner` is the namespace that may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel.ipvs.counters import Counters
from fakecluster.rules.ipvsadm import Server, ServiceId, ServiceOptions

if TYPE_CHECKING:
    from fakecluster.kernel.ipvs.schedulers.scheduler import Scheduler

#: How a packet reaches its destination.
MASQUERADE, TUNNEL, ROUTE = "masquerade", "tunnel", "route"
#: Under what a service is found: (family, protocol, address, port), or (family, mark).
ServiceKey = tuple[int, ...]
#: (family, address, port) of a destination.
Endpoint = tuple[int, int, int]
#: One active connection weighs as much as so many inactive ones.
ACTIVE_WEIGHT = 256
#: A removed destination without connections is forgotten after so long (IP_VS_DEST_TRASH_PERIOD).
TRASH_PERIOD_NS = 120 * 1_000_000_000


class Destination:
    """A real server of one service: its settings, its connections, its counters.

    `available` is False once it was removed; while connections remain it is kept and found again when it is added back.
    `last_weight` is the last one that an edit did not set to 0.
    """

    __slots__ = (
        "active", "address", "available", "counters", "family", "idle_since_ns", "inactive", "last_weight", "lower",
        "method", "overloaded", "owner", "persistent", "port", "references", "service", "tunnel", "upper", "weight",
    )  # fmt: skip

    def __init__(self, service: Service, server: Server) -> None:
        self.service, self.owner = service, service.owner
        self.family, self.address, self.port = server.family, server.address, server.port
        self.active = self.inactive = self.persistent = self.references = 0
        self.available, self.overloaded = True, False
        self.idle_since_ns: int | None = None
        self.upper = 0
        self.counters = Counters(service.counters.period)
        self.apply(server, added=True)

    def apply(self, server: Server, *, added: bool = False) -> None:
        """Take over what a command says; `added` when it (re)joins its service (__ip_vs_update_dest)."""
        self.method, self.tunnel = server.method, server.tunnel
        self.weight = server.weight
        if added or server.weight:
            self.last_weight = server.weight
        if not server.upper or server.upper > self.upper:
            self.overloaded = False
        self.upper, self.lower = server.upper, server.lower

    @property
    def endpoint(self) -> Endpoint:
        return (self.family, self.address, self.port)

    @property
    def overhead(self) -> int:
        """The load by which least-connection schedulers compare."""
        return self.active * ACTIVE_WEIGHT + self.inactive

    @property
    def usable(self) -> bool:
        """Whether a scheduler may choose it."""
        return self.weight > 0 and not self.overloaded

    def fork(self, service: Service, owner: object) -> Destination:
        copy = Destination.__new__(Destination)
        for name in Destination.__slots__:
            setattr(copy, name, getattr(self, name))
        copy.service, copy.owner, copy.counters = service, owner, self.counters.fork()
        return copy

    def __repr__(self) -> str:
        return f"<Destination {self.endpoint} weight={self.weight} {self.active}+{self.inactive}>"


class Service:
    """A virtual service. `destinations` is in the kernel's order: the newest first.

    `listed` are its lines when it was last listed, behind what they show.
    """

    __slots__ = (
        "by_endpoint", "counters", "destinations", "id", "key", "listed", "options", "owner", "scheduler", "serial",
    )  # fmt: skip

    def __init__(self, service: ServiceId, options: ServiceOptions, owner: object, serial: int, period: int) -> None:
        self.id, self.options, self.owner, self.serial = service, options, owner, serial
        self.key = service_key(service)
        self.destinations: list[Destination] = []
        self.by_endpoint: dict[Endpoint, Destination] = {}
        self.counters = Counters(period)
        self.listed: tuple[object, str] | None = None
        self.scheduler: Scheduler

    def link(self, destination: Destination) -> None:
        self.destinations.insert(0, destination)
        self.by_endpoint[destination.endpoint] = destination
        destination.available = True

    def unlink(self, destination: Destination) -> int:
        """Take a destination out; returns where in the list it stood."""
        index = self.destinations.index(destination)
        del self.destinations[index]
        del self.by_endpoint[destination.endpoint]
        destination.available = False
        return index

    def fork(self, owner: object) -> Service:
        copy = Service.__new__(Service)
        copy.id, copy.options, copy.owner, copy.serial, copy.key = self.id, self.options, owner, self.serial, self.key
        copy.destinations = [destination.fork(copy, owner) for destination in self.destinations]
        copy.by_endpoint = {destination.endpoint: destination for destination in copy.destinations}
        copy.counters, copy.listed = self.counters.fork(), None
        copy.scheduler = self.scheduler.fork(copy)
        return copy

    def __repr__(self) -> str:
        return f"<Service {self.id} {self.options.scheduler} {len(self.destinations)} destinations>"


def service_key(service: ServiceId) -> ServiceKey:
    if service.mark:
        return (service.family, service.mark)
    return (service.family, service.protocol, service.address, service.port)


class Trash:
    """Removed destinations: kept while connections are left, and a while longer, so that they can come back."""

    def __init__(self) -> None:
        self.held: dict[tuple[ServiceKey, Endpoint], Destination] = {}
        self._sorted_ns = 0

    def put(self, destination: Destination, now_ns: int) -> None:
        if not destination.references:
            destination.idle_since_ns = now_ns
        if self._sorted_ns + TRASH_PERIOD_NS <= now_ns:
            self._sorted_ns = now_ns
            self.held = {key: each for key, each in self.held.items() if not _is_forgotten(each, now_ns)}
        self.held[destination.service.key, destination.endpoint] = destination

    def take(self, key: ServiceKey, endpoint: Endpoint, now_ns: int) -> Destination | None:
        """The destination that was removed from there, if it is not forgotten; it is no longer kept."""
        found = self.held.pop((key, endpoint), None)
        if found is None or _is_forgotten(found, now_ns):
            return None
        found.idle_since_ns = None
        return found

    def fork(self, owner: object) -> Trash:
        copy = Trash()
        copy.held = {key: destination.fork(destination.service, owner) for key, destination in self.held.items()}
        copy._sorted_ns = self._sorted_ns
        return copy


def _is_forgotten(destination: Destination, now_ns: int) -> bool:
    since = destination.idle_since_ns
    return since is not None and not destination.references and now_ns - since >= TRASH_PERIOD_NS
