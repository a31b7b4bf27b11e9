"""The addrtype match: what an address is to this host.

IPv4 asks the routes for one kind, IPv6 first looks at the address itself: there UNICAST holds for own addresses too, and
LOCAL, ANYCAST and UNREACHABLE are asked of the routes in addition (net/netfilter/xt_addrtype.c).
"""

from __future__ import annotations

from fakecluster.kernel.hooks import HookContext
from fakecluster.kernel.packet import Skb
from fakecluster.kernel.routing import ERROR_KINDS, LOCAL_TABLE, Routes
from fakecluster.kernel.xtables.code import Building, Test
from fakecluster.kernel.xtables.headers import in_name, out_name
from fakecluster.rules.iptables.match_header import AddrtypeMatch

_ASKED_OF_ROUTES = frozenset(("LOCAL", "ANYCAST", "UNREACHABLE"))
_MAPPED = 0xFFFF  # ::ffff:0:0/96


def addrtype(value: AddrtypeMatch, _building: Building) -> Test:
    def test(skb: Skb, ctx: HookContext) -> bool:
        iface = ""
        if value.limit:
            iface = in_name(skb, ctx) if value.limit == "in" else out_name(skb, ctx)
        routes, is_one = ctx.netns.routes, _is_one6 if skb.family == 6 else _is_one4
        if value.src is not None and is_one(routes, skb.src, value.src, iface) == value.not_src:
            return False
        return value.dst is None or is_one(routes, skb.dst, value.dst, iface) != value.not_dst

    return test


def _is_one4(routes: Routes, address: int, kinds: frozenset[str], iface: str) -> bool:
    return routes.address_type(4, address, iface=iface).upper() in kinds


def _is_one6(routes: Routes, address: int, kinds: frozenset[str], iface: str) -> bool:
    """match_type6(): every kind of address that is named must be the address's, and one of those of routes."""
    is_multicast = address >> 120 == 0xFF
    if "MULTICAST" in kinds and not is_multicast:
        return False
    if "UNICAST" in kinds and (is_multicast or not address or address >> 32 == _MAPPED):
        return False
    if "UNSPEC" in kinds and address:
        return False
    asked = kinds & _ASKED_OF_ROUTES
    return not asked or _route_kind6(routes, address, iface) in asked


def _route_kind6(routes: Routes, address: int, iface: str) -> str:
    """match_lookup_rt6(): with `iface`, the address must be that interface's, or the route lead there."""
    if iface:
        own = routes.table(6, LOCAL_TABLE).at(address, 128)
        if any(route.kind == "local" and route.oif == iface for route in own):
            return "LOCAL"
    route = routes.lookup(6, address, oif=iface)
    if route is None or route.kind in ERROR_KINDS or (iface and route.oif != iface):
        return "UNREACHABLE"
    return route.kind.upper()
