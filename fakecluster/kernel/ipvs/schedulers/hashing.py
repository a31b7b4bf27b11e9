"""Schedulers that hash an address: dh, sh (ip_vs_dh.c, ip_vs_sh.c). Their tables refer to places in the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel.ipvs.schedulers.scheduler import Request, Scheduler

if TYPE_CHECKING:
    from fakecluster.kernel.ipvs.service import Destination, Service

TABLE_BITS = 8
TABLE_SIZE = 1 << TABLE_BITS
#: GOLDEN_RATIO_32 of the kernel's multiplicative hash.
GOLDEN_RATIO = 0x61C88647
U32 = 0xFFFFFFFF
#: The flags of a service (ipvsadm -b): their meaning is the scheduler's.
FALLBACK, WITH_PORT = 1, 2


def fold(family: int, address: int) -> int:
    """An address in 32 bits: IPv6 by XOR of its words."""
    if family == 4:
        return address
    return (address >> 96 ^ address >> 64 ^ address >> 32 ^ address) & U32


def hash32(value: int) -> int:
    """hash_32() to eight bits."""
    return (value * GOLDEN_RATIO & U32) >> 32 - TABLE_BITS


class DestinationHashing(Scheduler):
    """dh: by the address that the client asked for; weights only switch a destination on or off."""

    __slots__ = ()

    def choose(self, request: Request) -> Destination | None:
        destinations = self.service.destinations
        if not destinations:
            return None
        chosen = destinations[hash32(fold(request.family, request.target)) % len(destinations)]
        return chosen if chosen.usable else None


class TableHashing(Scheduler):
    """By the client's address, and its port with the flag ...-port, in a table of places in the list (sh and mh)."""

    __slots__ = ("table",)

    def __init__(self, service: Service, now_ns: int) -> None:
        super().__init__(service, now_ns)
        self.table: tuple[int, ...] | None = None  # filled when first asked

    def choose(self, request: Request) -> Destination | None:
        table = self.table if self.table is not None else self._fill()
        if not table:
            return None
        flags = self.service.options.flags
        source = fold(request.family, request.source) + (request.source_port if flags & WITH_PORT else 0)
        bucket = self._bucket(source)
        destinations = self.service.destinations
        chosen = destinations[table[bucket]]
        if chosen.usable:
            return chosen
        if flags & FALLBACK:
            for offset in range(len(table)):
                other = destinations[table[self._other_bucket(source, bucket, offset)]]
                if other.usable:
                    return other
        return None

    def _bucket(self, source: int) -> int:
        """Where a client's address (and port) belongs."""
        raise NotImplementedError

    def _other_bucket(self, source: int, bucket: int, offset: int) -> int:
        """The next place to look at when what `bucket` names is not usable."""
        raise NotImplementedError

    def _fill(self) -> tuple[int, ...]:
        """Make the table; empty when nobody has a weight."""
        raise NotImplementedError

    def added(self) -> None:
        self.table = None

    def removed(self, index: int) -> None:
        self.table = None

    def changed(self) -> None:
        self.table = None


class SourceHashing(TableHashing):
    """sh: neighbouring buckets stand in for each other."""

    __slots__ = ()

    def _bucket(self, source: int) -> int:
        return hash32(source & U32)

    def _other_bucket(self, source: int, bucket: int, offset: int) -> int:
        return ((offset + bucket) % TABLE_SIZE + bucket) % TABLE_SIZE

    def _fill(self) -> tuple[int, ...]:
        """Each destination takes as many buckets in a row as its weight says (one for 0), again and again."""
        table: list[int] = []
        weights = [max(destination.weight, 1) for destination in self.service.destinations]
        while weights and len(table) < TABLE_SIZE:
            for index, weight in enumerate(weights):
                table.extend([index] * min(weight, TABLE_SIZE - len(table)))
        self.table = tuple(table)
        return self.table
