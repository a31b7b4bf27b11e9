"""How IPVS sends a packet on (ip_vs_xmit.c): translated, as it is to the server's link address, or in a tunnel.

A packet for another host runs through OUTPUT as one of this host's own; one for this host just goes on.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import attrs

from fakecluster.kernel import icmp
from fakecluster.kernel.effects import SendError
from fakecluster.kernel.hooks import ACCEPT, INPUT, STOLEN, HookContext
from fakecluster.kernel.ip_output import local_out, source_for
from fakecluster.kernel.ipvs.connection import Connection
from fakecluster.kernel.ipvs.service import MASQUERADE, TUNNEL
from fakecluster.kernel.ipvs.tracking import track, untrack
from fakecluster.kernel.packet import ICMP, ICMPV6, IPIP, Skb
from fakecluster.kernel.routing import Route, address_text
from fakecluster.rules.ipvsadm_endpoint import endpoint_text

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

IPV6_IN_IP = 41
UNUSABLE = frozenset(("unreachable", "prohibit", "blackhole"))


def send(netns: Netns, skb: Skb, ctx: HookContext, connection: Connection) -> int:
    """Send a client's packet to the entry's destination; returns the hook's verdict."""
    if connection.method == MASQUERADE:
        return _masquerade(netns, skb, ctx, connection)
    if connection.method == TUNNEL:
        return _tunnel(netns, skb, ctx, connection)
    return _direct(netns, skb, ctx, connection)


def discard(netns: Netns, skb: Skb, ctx: HookContext, reason: str) -> int:
    """Drop a packet without a word to whoever sent it."""
    netns.drop(skb, ctx.hook.name, f"ipvs: {reason}")
    return taken(skb)


def send_port_unreachable(netns: Netns, skb: Skb) -> None:
    """Tell the sender of a packet that nobody takes it."""
    if skb.family == 4:
        icmp.send_error(netns, skb, icmp.DEST_UNREACH, icmp.PORT_UNREACH)
    else:
        icmp.send_error(netns, skb, icmp.V6_UNREACH, icmp.V6_PORT_UNREACH)


def taken(skb: Skb) -> int:
    """The packet is dealt with: the walk that brought it here ends."""
    skb.taken, skb.tracer = True, None
    return STOLEN


def way_to(
    netns: Netns, skb: Skb, ctx: HookContext, connection: Connection, *, local_allowed: bool = True, extra: int = 0
) -> Route | None:
    """The route to the destination; None when the packet was dropped instead (__ip_vs_get_out_rt).

    `extra` are the bytes that a tunnel adds.
    """
    family = connection.destination.family
    route = netns.routes.lookup(family, connection.address)
    if route is None or route.kind in UNUSABLE:
        unreachable = (icmp.DEST_UNREACH, icmp.HOST_UNREACH) if skb.family == 4 else (icmp.V6_UNREACH, 3)
        icmp.send_error(netns, skb, *unreachable)
        discard(netns, skb, ctx, "no route to the destination")
        return None
    if route.kind == "local":
        if local_allowed and _may_enter(skb, ctx, connection):
            return route
        discard(netns, skb, ctx, "the destination is this host, which this packet must not reach")
        return None
    if _is_loopback(skb.family, skb.src):
        discard(netns, skb, ctx, "a loopback address must not leave the host")
        return None
    if skb.ttl <= 1:
        exceeded = (icmp.TIME_EXCEEDED, 0) if skb.family == 4 else (icmp.V6_TIME_EXCEEDED, 0)
        icmp.send_error(netns, skb, *exceeded)
        discard(netns, skb, ctx, "TTL exceeded")
        return None
    skb.set_ttl(skb.ttl - 1)
    return route if _fits(netns, skb, ctx, route, extra) else None


def _may_enter(skb: Skb, ctx: HookContext, connection: Connection) -> bool:
    was_local = skb.route is None or skb.route.kind == "local"
    if connection.method != MASQUERADE:
        return was_local
    return not (ctx.hook == INPUT and skb.family == 4 and connection.address >> 24 == 127)


def _is_loopback(family: int, address: int) -> bool:
    return address >> 24 == 127 if family == 4 else address == 1


def _fits(netns: Netns, skb: Skb, ctx: HookContext, route: Route, extra: int) -> bool:
    """Packets that must not be fragmented are refused here; the others are cut further on."""
    mtu = netns.mtu_of(route) - extra
    if extra and not netns.ipvs.setting("pmtu_disc"):
        return True
    if len(skb.data) <= mtu or (skb.family == 4 and not skb.data[6] & 0x40) or skb.proto in (ICMP, ICMPV6):
        return True
    if skb.family == 4:
        icmp.send_error(netns, skb, icmp.DEST_UNREACH, icmp.FRAG_NEEDED, mtu)
    else:
        icmp.send_error(netns, skb, icmp.V6_TOO_BIG, 0, mtu)
    discard(netns, skb, ctx, f"larger than the MTU {mtu}, and must not be fragmented")
    return False


def send_or_continue(netns: Netns, skb: Skb, route: Route) -> int:
    """To another host through OUTPUT; to this one by going on (ip_vs_nat_send_or_cont)."""
    skb.ipvs_property = True
    if route.kind == "local":
        return ACCEPT
    with suppress(SendError):  # nobody is told: the first walk of the packet succeeded
        local_out(netns, skb, route)
    return taken(skb)


def _masquerade(netns: Netns, skb: Skb, ctx: HookContext, connection: Connection) -> int:
    route = way_to(netns, skb, ctx, connection)
    if route is None:
        return STOLEN
    if skb.tracer is not None:
        _trace_target(skb, connection)
    skb.set_dst(connection.address)
    if skb.has_ports and skb.dport != connection.port:
        skb.set_dport(connection.port)
    track(skb, connection, request=True)
    return send_or_continue(netns, skb, route)


def _trace_target(skb: Skb, connection: Connection) -> None:
    tracer, family = skb.tracer, skb.family
    assert tracer is not None
    tracer.rewrite("dst", address_text(family, skb.dst), address_text(family, connection.address), "ipvs")
    if skb.has_ports:
        tracer.rewrite("dport", skb.dport, connection.port, "ipvs")


def _direct(netns: Netns, skb: Skb, ctx: HookContext, connection: Connection) -> int:
    """Direct routing: the addresses stay, the frame goes to the real server."""
    route = way_to(netns, skb, ctx, connection)
    if route is None:
        return STOLEN
    untrack(skb, connection)
    if route.kind != "local" and not route.gateway:
        route = attrs.evolve(route, gateway=connection.address)
    return send_or_continue(netns, skb, route)


def _tunnel(netns: Netns, skb: Skb, ctx: HookContext, connection: Connection) -> int:
    """IP in IP: the packet as it is, inside one to the real server."""
    outer_size = 20 if connection.destination.family == 4 else 40
    route = way_to(netns, skb, ctx, connection, extra=outer_size)
    if route is None:
        return STOLEN
    if route.kind == "local":
        untrack(skb, connection)
        return send_or_continue(netns, skb, route)
    source = source_for(netns, route, connection.address)
    payload, inner = bytes(skb.data), IPIP if skb.family == 4 else IPV6_IN_IP
    if connection.destination.family == 4:
        keep_whole = skb.family == 4 and bool(skb.data[6] & 0x40) and bool(netns.ipvs.setting("pmtu_disc"))
        header = icmp.ipv4_header(
            source, connection.address, inner, len(payload), tos=skb.tos, ttl=skb.ttl, df=keep_whole
        )
    else:
        header = icmp.ipv6_header(
            source, connection.address, inner, len(payload), traffic_class=skb.tos, hop_limit=skb.ttl
        )
    outer = Skb(bytes(header) + payload, iif=skb.iif, mark=skb.mark, tracer=skb.tracer)
    if skb.tracer is not None:
        skb.tracer.note("ipvs", f"in a tunnel to {address_text(connection.destination.family, connection.address)}")
    send_or_continue(netns, outer, route)
    return taken(skb)


def describe(connection: Connection) -> str:
    """An entry in one line, for traces."""
    family = connection.family
    ends = (
        endpoint_text(family, *connection.client),
        endpoint_text(family, *connection.virtual),
        endpoint_text(connection.destination.family, connection.address, connection.port),
    )
    return " -> ".join(ends)
