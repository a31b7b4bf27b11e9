"""The addresses of all interfaces, the routes that they bring, and the choice of a source (devinet.c, addrconf.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from fakecluster.kernel.interfaces import Interface, InterfaceAddress
from fakecluster.kernel.packet import is_link_local
from fakecluster.kernel.routing import BITS, LOCAL_TABLE, MAIN_TABLE, Route, Routes


class Addresses:
    """The addresses of all interfaces, and the local, broadcast and connected routes that they bring.

    `on_removed(iface, address)` is told of every address that goes.
    """

    def __init__(self, interfaces: dict[str, Interface], routes: Routes) -> None:
        self.interfaces, self.routes = interfaces, routes
        self.on_removed: Callable[[str, InterfaceAddress], None] | None = None

    def add(self, iface: str, address: InterfaceAddress) -> None:
        """Raises ValueError("File exists") when the interface has the address already."""
        device = self.interfaces[iface]
        local = connected_routes(device, address)[0]
        if local in self.routes.table(local.family, local.table) and any(
            (a.family, a.address, a.prefix) == (address.family, address.address, address.prefix)
            for a in device.addresses
        ):
            raise ValueError("File exists")
        shares = address.family == 4 and address.prefix < BITS[4]  # nothing else is in the subnet of a /32
        if shares and any(a.family == 4 and _same_subnet(a, address) for a in device.addresses):
            address = attrs.evolve(address, secondary=True)
        device.addresses.append(address)
        for route in connected_routes(device, address):
            if address.secondary and route.kind != "local":
                continue
            if route not in self.routes.table(route.family, route.table):
                self.routes.table(route.family, route.table).add(route)
        self.routes.changed()

    def remove(self, iface: str, address: int, prefix: int, family: int) -> None:
        """Raises ValueError("Cannot assign requested address"). Secondaries of a removed primary go with it."""
        device = self.interfaces[iface]
        found = [a for a in device.addresses if (a.family, a.address, a.prefix) == (family, address, prefix)]
        if not found:
            raise ValueError("Cannot assign requested address")
        first = found[0]
        gone = [a for a in device.addresses if a is first or _goes_with(a, first)]
        device.addresses = [a for a in device.addresses if a not in gone]
        self._drop_routes(device, gone)
        if self.on_removed is not None:
            for each in gone:
                self.on_removed(iface, each)

    def flush(self, iface: str) -> None:
        """Remove every address of an interface."""
        while addresses := self.interfaces[iface].addresses:
            first = addresses[0]
            self.remove(iface, first.address, first.prefix, first.family)

    def _drop_routes(self, device: Interface, gone: list[InterfaceAddress]) -> None:
        kept = {route for a in device.addresses for route in connected_routes(device, a)}
        for address in gone:
            for route in connected_routes(device, address):
                table = self.routes.table(route.family, route.table)
                if route not in kept and route in table:
                    table.remove(route)
        local = {a.address for d in self.interfaces.values() for a in d.addresses}
        for family, tables in self.routes.tables.items():
            for number, table in tables.items():
                for route in list(table):
                    if number != LOCAL_TABLE and family == 4 and route.prefsrc and route.prefsrc not in local:
                        table.remove(route)
        self.routes.changed()

    def on(self, iface: str, family: int) -> list[InterfaceAddress]:
        device = self.interfaces.get(iface)
        return [a for a in device.addresses if a.family == family] if device else []

    def primary(self, iface: str, family: int) -> int:
        """The first address of an interface (IPv6: the first global one if any); 0 when it has none."""
        found = self.on(iface, family)
        if family == 6:
            found = sorted(found, key=lambda a: a.scope != "global")
        return found[0].address if found else 0

    def is_local(self, family: int, address: int) -> bool:
        return self.routes.address_type(family, address) == "local"

    def is_assigned(self, family: int, address: int) -> bool:
        """Whether a device has the address; a local route alone does not make it so (ipv6_chk_addr)."""
        return any(
            held.address == address
            for device in self.interfaces.values()
            for held in device.addresses
            if held.family == family
        )

    def select(self, iface: str, family: int, towards: int) -> int:
        """The source for packets out of `iface` to the on-link address `towards` (inet_select_addr): 0 when none fits.

        IPv6 may take an address of another interface (ipv6_dev_get_saddr).
        """
        if family == 6:
            return _select6(iface, self.interfaces.values(), towards)
        candidates = [a for a in self.on(iface, family) if not a.secondary and a.scope != "host"]
        for address in candidates:
            if address.covers(towards):
                return address.address
        if candidates:
            return candidates[0].address
        for device in self.interfaces.values():
            for address in device.addresses:
                if address.family == 4 and not address.secondary and address.scope == "global":
                    return address.address
        return 0


def _select6(iface: str, devices: Iterable[Interface], towards: int) -> int:
    """RFC 6724 rules 1, 2, 5 and 8: the same address, matching scope, the outgoing interface, the longest prefix."""
    link_local = is_link_local(towards)

    def rank(candidate: tuple[InterfaceAddress, bool]) -> tuple[bool, bool, bool, int]:
        address, outgoing = candidate
        common = min(128 - (address.address ^ towards).bit_length(), address.prefix)
        return address.address == towards, (address.scope == "link") == link_local, outgoing, common

    candidates = [
        (address, device.name == iface)
        for device in devices
        for address in device.addresses
        if address.family == 6 and address.scope != "host" and (device.name == iface or not link_local)
    ]
    return max(candidates, key=rank)[0].address if candidates else 0


def _goes_with(address: InterfaceAddress, primary: InterfaceAddress) -> bool:
    """Whether an address is a secondary of `primary` and is removed together with it."""
    return not primary.secondary and address.secondary and _same_subnet(address, primary)


def _same_subnet(one: InterfaceAddress, other: InterfaceAddress) -> bool:
    return one.prefix == other.prefix and one.network == other.network


def connected_routes(device: Interface, address: InterfaceAddress) -> list[Route]:
    """The routes that an address brings: local, the subnet's broadcast, and the subnet itself (fib_add_ifaddr)."""
    family, bits, value = address.family, BITS[address.family], address.address
    scope = "host"
    routes = [Route(family, value, bits, "local", device.name, 0, value, 0, scope, LOCAL_TABLE, "kernel")]
    network = Route(
        family, address.network, address.prefix, "unicast", device.name, 0, value if family == 4 else 0,
        0 if family == 4 else 256, "link", MAIN_TABLE, "kernel",
    )  # fmt: skip
    if family == 6:
        return routes if address.prefix == bits else [*routes, network]
    if device.is_loopback and value >> 24 == 127:
        return [*routes, attrs.evolve(network, kind="local", scope="host", table=LOCAL_TABLE)]
    if address.prefix < 31:
        last = address.network | (1 << bits - address.prefix) - 1
        routes.append(Route(4, last, 32, "broadcast", device.name, 0, value, 0, "link", LOCAL_TABLE, "kernel"))
    if address.prefix < 32:
        routes.append(network)
    return routes
