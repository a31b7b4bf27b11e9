"""Routes and policy rules of one namespace: where a packet goes (fib_frontend.c, fib_trie.c, ip-rule(8)).

Each table keeps one dictionary per prefix length, so that a look-up costs the number of distinct lengths, not the
number of routes. Rules 0 (local), 32766 (main) and 32767 (default) stand as in every namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from ipaddress import ip_address

import attrs

from fakecluster.kernel.interfaces import Interface

LOCAL_TABLE, MAIN_TABLE, DEFAULT_TABLE = 255, 254, 253
TABLE_NAMES = {"local": LOCAL_TABLE, "main": MAIN_TABLE, "default": DEFAULT_TABLE}
UNICAST_KINDS = frozenset(("unicast", "local", "broadcast", "multicast", "anycast"))
ERROR_KINDS = frozenset(("blackhole", "unreachable", "prohibit"))
BITS = {4: 32, 6: 128}
LOOPBACK4 = 127 << 24


@attrs.frozen
class Route:
    """One route, or the answer of a look-up: `destination`/`prefix` say what it is for, `gateway` 0 means on-link."""

    family: int
    destination: int
    prefix: int
    kind: str = "unicast"
    oif: str = ""
    gateway: int = 0
    prefsrc: int = 0
    metric: int = 0
    scope: str = "global"
    table: int = MAIN_TABLE
    protocol: str = "boot"
    mtu: int = 0
    onlink: bool = False

    def next_hop(self, destination: int) -> int:
        return self.gateway or destination


@attrs.frozen
class PolicyRule:
    """One line of `ip rule`: which packets look into which table (0 for `action` other than lookup)."""

    family: int
    priority: int
    table: int
    source: tuple[int, int] = (0, 0)  # network, prefix length
    destination: tuple[int, int] = (0, 0)
    mark: int = 0
    mark_mask: int = 0
    iif: str = ""
    oif: str = ""
    tos: int = 0
    action: str = "lookup"  # or blackhole, unreachable, prohibit

    def matches(self, dst: int, src: int, mark: int, iif: str, oif: str, tos: int) -> bool:
        bits = BITS[self.family]
        return (
            (not self.mark_mask or mark & self.mark_mask == self.mark)
            and (not self.iif or self.iif == iif)
            and (not self.oif or self.oif == oif)
            and (not self.tos or self.tos == tos)
            and (not self.source[1] or src >> bits - self.source[1] == self.source[0] >> bits - self.source[1])
            and (
                not self.destination[1]
                or dst >> bits - self.destination[1] == self.destination[0] >> bits - self.destination[1]
            )
        )


def _default_rules(family: int) -> list[PolicyRule]:
    rules = [PolicyRule(family, 0, LOCAL_TABLE), PolicyRule(family, 32766, MAIN_TABLE)]
    return [*rules, PolicyRule(family, 32767, DEFAULT_TABLE)] if family == 4 else rules


class RouteTable:
    """Longest prefix first; among equals the smallest metric, then the first added."""

    __slots__ = ("_by_prefix", "_lengths", "bits")

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self._by_prefix: dict[int, dict[int, tuple[Route, ...]]] = {}
        self._lengths: tuple[int, ...] = ()

    def __iter__(self) -> Iterator[Route]:
        for length in self._lengths:
            for routes in self._by_prefix[length].values():
                yield from routes

    def __contains__(self, route: object) -> bool:
        if not isinstance(route, Route):
            return False
        return route in self._by_prefix.get(route.prefix, {}).get(route.destination >> self.bits - route.prefix, ())

    def at(self, destination: int, prefix: int) -> tuple[Route, ...]:
        """The routes for just this destination."""
        return tuple(
            route
            for route in self._by_prefix.get(prefix, {}).get(destination >> self.bits - prefix, ())
            if route.destination == destination
        )

    def add(self, route: Route) -> None:
        level = self._by_prefix.setdefault(route.prefix, {})
        key = route.destination >> self.bits - route.prefix
        routes = (*level.get(key, ()), route)
        level[key] = tuple(sorted(routes, key=lambda r: r.metric))
        self._lengths = tuple(sorted(self._by_prefix, reverse=True))

    def remove(self, route: Route) -> None:
        level = self._by_prefix[route.prefix]
        key = route.destination >> self.bits - route.prefix
        routes = tuple(other for other in level[key] if other != route)
        if routes:
            level[key] = routes
        else:
            del level[key]
            if not level:
                del self._by_prefix[route.prefix]
                self._lengths = tuple(sorted(self._by_prefix, reverse=True))

    def lookup(self, dst: int, oif: str = "") -> Route | None:
        for length in self._lengths:
            routes = self._by_prefix[length].get(dst >> self.bits - length)
            if routes:
                for route in routes:
                    if not oif or route.oif == oif or route.kind in ERROR_KINDS:
                        return route
        return None

    def fork(self) -> RouteTable:
        copy = RouteTable(self.bits)
        copy._by_prefix = {length: level.copy() for length, level in self._by_prefix.items()}
        copy._lengths = self._lengths
        return copy


class Routes:
    """All tables and rules; `interfaces` is the namespace's dictionary.

    `generation` counts every change, `on_change` is told of it.
    """

    def __init__(self, interfaces: dict[str, Interface]) -> None:
        self.interfaces = interfaces
        self.tables: dict[int, dict[int, RouteTable]] = {4: {}, 6: {}}
        self.rules: dict[int, list[PolicyRule]] = {family: _default_rules(family) for family in (4, 6)}
        self.generation = 0
        self.on_change: Callable[[], None] | None = None
        self.custom_rules = {4: False, 6: False}
        self.custom_local = False  # whether an IPv4 route of type local was ever added by hand
        self._cache: dict[tuple[int, int, int, int, str, str, int], Route | None] = {}
        self._types: dict[int, str] = {}

    def table(self, family: int, number: int) -> RouteTable:
        tables = self.tables[family]
        found = tables.get(number)
        if found is None:
            found = tables[number] = RouteTable(BITS[family])
        return found

    def add(self, route: Route, *, exclusive: bool = True) -> None:
        """Add a route. Raises ValueError("File exists") when an equal one stands, or (`exclusive`) one of its metric."""
        table = self.table(route.family, route.table)
        for other in table.at(route.destination, route.prefix):
            if other.metric == route.metric and (exclusive or other == route):
                raise ValueError("File exists")
        table.add(route)
        self.custom_local = self.custom_local or (route.family == 4 and route.kind == "local")
        self.changed()

    def add_all(self, routes: Iterable[Route]) -> None:
        """Add routes that are known to be new."""
        for route in routes:
            self.table(route.family, route.table).add(route)
        self.changed()

    def remove(self, route: Route) -> None:
        """Remove an equal route. Raises ValueError("No such process") when there is none."""
        table = self.tables[route.family].get(route.table)
        for other in table or ():
            if (other.destination, other.prefix) == (route.destination, route.prefix) and _fits(route, other):
                assert table is not None
                table.remove(other)
                self.changed()
                return
        raise ValueError("No such process")

    def forget_device(self, name: str) -> None:
        """Remove the routes by a device that is gone."""
        for tables in self.tables.values():
            for table in tables.values():
                for route in [route for route in table if route.oif == name]:
                    table.remove(route)
        self.changed()

    def add_rule(self, rule: PolicyRule) -> None:
        self.rules[rule.family].append(rule)
        self.rules[rule.family].sort(key=lambda r: r.priority)
        self._rules_changed(rule.family)

    def remove_rule(self, rule: PolicyRule) -> None:
        """Remove the first equal rule. Raises ValueError("No such file or directory")."""
        if rule not in self.rules[rule.family]:
            raise ValueError("No such file or directory")
        self.rules[rule.family].remove(rule)
        self._rules_changed(rule.family)

    def _rules_changed(self, family: int) -> None:
        self.custom_rules[family] = self.rules[family] != _default_rules(family)
        self.changed()

    def changed(self) -> None:
        """Forget remembered look-ups (routes, rules, addresses or interfaces have changed)."""
        self.generation += 1
        self._cache.clear()
        self._types.clear()
        if self.on_change is not None:
            self.on_change()

    def lookup(
        self, family: int, dst: int, *, src: int = 0, mark: int = 0, iif: str = "", oif: str = "", tos: int = 0
    ) -> Route | None:
        """The route for a packet, of any kind; None when no rule leads to one (ENETUNREACH)."""
        if not self.custom_rules[family]:
            src = mark = tos = 0
            iif = ""
        elif not iif:
            iif = "lo"  # what the host itself sends, or asks
        key = (family, dst, src, mark, iif, oif, tos)
        cache = self._cache
        if key in cache:
            return cache[key]
        if len(cache) > 65536:  # a flood of destinations: forget rather than grow
            cache.clear()
        found = cache[key] = self._lookup(*key)
        return found

    def _lookup(self, family: int, dst: int, src: int, mark: int, iif: str, oif: str, tos: int) -> Route | None:
        tables = self.tables[family]
        for rule in self.rules[family]:
            if not rule.matches(dst, src, mark, iif, oif, tos):
                continue
            if rule.action == "unreachable":
                return None  # of rules that is ENETUNREACH, of routes EHOSTUNREACH
            if rule.action != "lookup":
                return Route(family, 0, 0, kind=rule.action)
            table = tables.get(rule.table)
            route = table.lookup(dst, oif if rule.table != LOCAL_TABLE else "") if table is not None else None
            if route is not None and route.kind != "throw":
                return route
        return None

    def address_type(self, family: int, address: int, *, iface: str = "") -> str:
        """What an address is to this host (inet_addr_type): local, broadcast, multicast, unicast or an error kind.

        With `iface` only addresses of that device count as local or broadcast.
        """
        if family == 4:
            if address == 0xFFFFFFFF or address >> 24 == 0:
                return "broadcast"
            if address >> 28 == 0xE:
                return "multicast"
        elif address >> 120 == 0xFF:
            return "multicast"
        if not iface and family == 4:
            known = self._types.get(address)
            if known is None:
                if len(self._types) > 65536:  # as in `lookup`
                    self._types.clear()
                known = self._types[address] = self._own_type(4, address, "") or "unicast"
            return known
        kind = self._own_type(family, address, iface)
        if kind:
            return kind
        if family == 6:
            main = self.lookup(6, address)
            return main.kind if main is not None and main.kind in ERROR_KINDS else "unicast"
        return "unicast"

    def _own_type(self, family: int, address: int, iface: str) -> str:
        """What the local table says of an address; "" when nothing."""
        table = self.tables[family].get(LOCAL_TABLE)
        route = table.lookup(address) if table is not None else None
        return route.kind if route is not None and (not iface or route.oif == iface) else ""

    def fork(self, interfaces: dict[str, Interface]) -> Routes:
        copy = Routes.__new__(Routes)
        copy.interfaces, copy.on_change, copy._cache, copy._types = interfaces, None, {}, {}
        copy.tables = {f: {n: table.fork() for n, table in tables.items()} for f, tables in self.tables.items()}
        copy.rules = {family: rules.copy() for family, rules in self.rules.items()}
        copy.custom_rules, copy.custom_local = self.custom_rules.copy(), self.custom_local
        copy.generation = self.generation
        return copy


def _fits(wanted: Route, found: Route) -> bool:
    """Whether `ip route del` with `wanted` may remove `found`: what was given must be equal."""
    return (
        (wanted.kind == found.kind)
        and (not wanted.oif or wanted.oif == found.oif)
        and (not wanted.gateway or wanted.gateway == found.gateway)
        and (not wanted.metric or wanted.metric == found.metric)
    )


@lru_cache(maxsize=4096)
def address_text(family: int, address: int) -> str:
    """An integer address as people write it."""
    return str(ip_address(address.to_bytes(4 if family == 4 else 16)))
