"""The numbers that a server hands out to Services: cluster IPs and node ports.

A range is split in two bands. Requests for "any" look in the upper, dynamic band first, so that the lower, static band
stays free for those who ask for a certain number; only a full upper band makes them look below (KEP-3070, KEP-3668).
The search starts at an arbitrary place of the band and takes the next free number, around its end.

    cluster IPs: band offset = min(max(16, size / 16), 256); node ports: min(max(16, size / 32), 128)
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import attrs

from fakecluster.sim import Choices

IPV4, IPV6 = "IPv4", "IPv6"
NODE_PORTS = (30000, 32767)


class AllocationError(Exception):
    """A number cannot be had; the text is the allocator's."""


def static_band(size: int, step: int, most: int) -> int:
    """How many numbers of a range of `size` are kept for those who ask for a certain one; a tiny range keeps none."""
    least = 16
    return 0 if size <= least else min(max(least, size // step), most)


class NumberRange:
    """Integers from `first` to `last`, each free or taken."""

    def __init__(self, first: int, last: int, static: int) -> None:
        self.first, self.last = first, last
        self._dynamic = first + static
        self.taken: set[int] = set()
        self._below = 0  # how many of the static band are taken
        self._owned = True  # False while a fork shares `taken`

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    def take(self, number: int) -> bool:
        """Take a number of the range; False when it is taken."""
        if number in self.taken:
            return False
        self._own()
        self.taken.add(number)
        self._below += number < self._dynamic
        return True

    def take_any(self, choices: Choices, why: str) -> int | None:
        """Take some free number, of the dynamic band if it has one; None when the range is full."""
        if len(self.taken) - self._below < self.last - self._dynamic + 1:
            number = self._free(self._dynamic, self.last, choices, why)
        elif self._below < self._dynamic - self.first:
            number = self._free(self.first, self._dynamic - 1, choices, why)
        else:
            return None
        self.take(number)
        return number

    def _free(self, first: int, last: int, choices: Choices, why: str) -> int:
        number = first + choices.draw(last - first + 1, why)
        while number in self.taken:
            number = number + 1 if number < last else first
        return number

    def give_back(self, number: int) -> None:
        """Make a number free again; harmless when it is."""
        if number in self.taken:
            self._own()
            self.taken.remove(number)
            self._below -= number < self._dynamic

    def _own(self) -> None:
        if not self._owned:
            self.taken, self._owned = self.taken.copy(), True

    def fork(self) -> NumberRange:
        """The same numbers taken; they are copied by whichever side changes them first."""
        self._owned = False
        copy = object.__new__(NumberRange)
        copy.__dict__.update(self.__dict__)
        return copy


@attrs.frozen
class AddressRange:
    """The addresses of one service CIDR of one family; network and broadcast addresses are never handed out."""

    network: IPv4Network | IPv6Network
    numbers: NumberRange

    @classmethod
    def of(cls, cidr: str) -> AddressRange:
        """The range of `cidr`, everything free."""
        network = ip_network(cidr)
        first = int(network.network_address) + 1
        last = int(network.broadcast_address) - (network.version == 4)
        return cls(network, NumberRange(first, last, static_band(network.num_addresses, 16, 256)))

    @property
    def family(self) -> str:
        return IPV4 if self.network.version == 4 else IPV6

    def text(self, number: int) -> str:
        """The address of a number."""
        return str(type(self.network.network_address)(number))

    def fork(self) -> AddressRange:
        return AddressRange(self.network, self.numbers.fork())


class ServiceAllocators:
    """Everything that Services get allocated by one server; small and forkable.

    `families` are those of the cluster, the default one first.
    """

    def __init__(self, addresses: dict[str, list[AddressRange]], ports: NumberRange) -> None:
        self.addresses, self.ports = addresses, ports

    @property
    def families(self) -> tuple[str, ...]:
        return tuple(self.addresses)

    def fork(self) -> ServiceAllocators:
        """An independent copy with the same numbers taken."""
        addresses = {family: [one.fork() for one in ranges] for family, ranges in self.addresses.items()}
        return ServiceAllocators(addresses, self.ports.fork())

    def has_cidr(self, cidr: str) -> bool:
        """Whether the addresses of this CIDR are handed out."""
        network = ip_network(cidr)
        return any(one.network == network for ranges in self.addresses.values() for one in ranges)

    def add_cidr(self, cidr: str) -> None:
        """Hand out the addresses of another CIDR too (a ServiceCIDR object became ready)."""
        found = AddressRange.of(cidr)
        self.addresses.setdefault(found.family, []).append(found)

    def remove_cidr(self, cidr: str) -> None:
        """Hand out no more addresses of a CIDR."""
        network = ip_network(cidr)
        for ranges in self.addresses.values():
            ranges[:] = [one for one in ranges if one.network != network]

    def take_address(self, address: str) -> None:
        """Take a certain cluster IP; raises `AllocationError`."""
        found, number = self._range_of(address)
        if found is None:
            raise AllocationError("the provided network does not match the current range")
        if not found.numbers.take(number):
            raise AllocationError("provided IP is already allocated")

    def take_any_address(self, family: str, choices: Choices) -> str:
        """Take some free cluster IP of a family; raises `AllocationError` when there is none."""
        for one in self.addresses[family]:
            number = one.numbers.take_any(choices, "cluster IP")
            if number is not None:
                return one.text(number)
        raise AllocationError("range is full")

    def has_address(self, address: str) -> None:
        """Raise `AllocationError` as `take_address` would, without taking it."""
        found, number = self._range_of(address)
        if found is None:
            raise AllocationError("the provided network does not match the current range")
        if number in found.numbers.taken:
            raise AllocationError("provided IP is already allocated")

    def give_back_address(self, address: str) -> None:
        """Make a cluster IP free again."""
        found, number = self._range_of(address)
        if found is not None:
            found.numbers.give_back(number)

    def _range_of(self, address: str) -> tuple[AddressRange | None, int]:
        parsed = ip_address(address)
        number = int(parsed)
        for one in self.addresses.get(IPV4 if parsed.version == 4 else IPV6, ()):
            if number in one.numbers:
                return one, number
        return None, number


def new_allocators(service_cidrs: Sequence[str]) -> ServiceAllocators:
    """The allocators of a cluster with these service CIDRs (the first one's family is the default)."""
    addresses: dict[str, list[AddressRange]] = {}
    for cidr in service_cidrs:
        found = AddressRange.of(cidr)
        addresses.setdefault(found.family, []).append(found)
    first, last = NODE_PORTS
    return ServiceAllocators(addresses, NumberRange(first, last, static_band(last - first + 1, 32, 128)))


class PortOperation:
    """The node ports of one write: taken at once, or only looked at in a dry run.

    A dry run does not search: "any" is the first port of the range that this write has not got yet
    (portallocator/operation.go).
    """

    def __init__(self, ports: NumberRange, choices: Choices, *, dry_run: bool) -> None:
        self._ports, self._choices, self._dry_run = ports, choices, dry_run
        self.allocated: list[int] = []

    def take(self, port: int) -> None:
        """Take a certain port; raises `AllocationError`."""
        ports = self._ports
        if port not in ports:
            span = f"{ports.first}-{ports.last}"
            raise AllocationError(f"provided port is not in the valid range. The range of valid ports is {span}")
        free = (port not in ports.taken and port not in self.allocated) if self._dry_run else ports.take(port)
        if not free:
            raise AllocationError("provided port is already allocated")
        self.allocated.append(port)

    def take_any(self) -> int:
        """Take some free port; raises `AllocationError` when there is none."""
        if self._dry_run:
            port: int | None = max([self._ports.first - 1, *self.allocated]) + 1
        else:
            port = self._ports.take_any(self._choices, "node port")
        if port is None:
            raise AllocationError("range is full")
        self.allocated.append(port)
        return port

    def give_back(self) -> None:
        """Undo: everything this write took is free again."""
        if not self._dry_run:
            for port in self.allocated:
                self._ports.give_back(port)
