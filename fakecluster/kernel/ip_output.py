"""A packet's way out: OUTPUT for what this host made, POSTROUTING, fragmentation, the neighbour (ip_output.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fakecluster.kernel import icmp
from fakecluster.kernel.conntrack.entry import ORIGINAL, RELATED, RELATED_REPLY, direction
from fakecluster.kernel.effects import Arp, Looped, SendError, Transmit
from fakecluster.kernel.fragments import cut
from fakecluster.kernel.hooks import OUTPUT, POSTROUTING
from fakecluster.kernel.packet import Skb, is_group, is_link_local
from fakecluster.kernel.routing import Route

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

ROUTE_ERRORS = {"unreachable": "EHOSTUNREACH", "prohibit": "EACCES", "blackhole": "EINVAL"}


def route_output(
    netns: Netns, family: int, dst: int, *, src: int = 0, mark: int = 0, oif: str = "", tos: int = 0
) -> Route:
    """The route of a packet that this host sends (ip_route_output_key). Raises `SendError`."""
    route = netns.routes.lookup(family, dst, src=src, mark=mark, oif=oif, tos=tos)
    if route is None:
        raise SendError("ENETUNREACH")
    if route.kind in ROUTE_ERRORS:
        raise SendError(ROUTE_ERRORS[route.kind])
    outside = route.kind not in ("local",) and route.oif != "lo"
    if family == 4 and outside and src >> 24 == 127 and not netns.sysctls.interface("route_localnet", route.oif):
        raise SendError("EINVAL")
    return route


def source_for(netns: Netns, route: Route, dst: int) -> int:
    """The source address that the kernel chooses for a route."""
    if route.kind == "local":
        return dst if route.family == 6 or dst >> 24 != 127 else route.prefsrc or dst
    return route.prefsrc or netns.addresses.select(route.oif, route.family, route.next_hop(dst))


def raw_packet(packet: bytes) -> bytes:
    """What a raw socket was given, with the length that it has (raw_send_hdrinc)."""
    if len(packet) < 20 or packet[0] >> 4 != 4 or packet[2:4] == len(packet).to_bytes(2):
        return packet
    return packet[:2] + len(packet).to_bytes(2) + packet[4:]


def send_raw(netns: Netns, skb: Skb) -> None:
    """raw_sendmsg(): the socket is not bound, so the header's source is nothing to the routing. Raises `SendError`."""
    route = route_output(netns, skb.family, skb.dst, mark=skb.mark, tos=skb.tos & 0x1C)
    finish_raw_header(netns, skb, route)
    local_out(netns, skb, route)


def finish_raw_header(netns: Netns, skb: Skb, route: Route) -> None:
    """raw_send_hdrinc(): the kernel fills in a missing source and the checksum."""
    if skb.family == 4:
        if not skb.src:
            skb.set_src(source_for(netns, route, skb.dst))
        skb.refresh_ip_checksum()


def local_out(netns: Netns, skb: Skb, route: Route) -> None:
    """__ip_local_out() and on. Raises `SendError` when the packet is dropped in OUTPUT or POSTROUTING."""
    skb.route = route
    skb.oif = "lo" if route.kind == "local" else route.oif
    attach(skb)
    if not netns.run_hooks(OUTPUT, skb):
        if skb.taken:
            return
        raise _refused(netns)
    output(netns, skb)


def send_generated(netns: Netns, skb: Skb, routed_from: int) -> None:
    """Route and send what this host's own stack made; answers within a link go back there. Raises `SendError`."""
    answers_link = is_link_local(skb.dst) and skb.reply_to is not None
    oif = skb.reply_to.iif if answers_link else ""  # other links have their own
    tos = skb.tos & 0x1C
    route = route_output(netns, skb.family, skb.dst, src=routed_from, mark=skb.mark, oif=oif, tos=tos)
    local_out(netns, skb, route)


def _refused(netns: Netns) -> SendError:
    """What the sender is told of a packet that a hook dropped."""
    name, netns.errno = netns.errno or "EPERM", ""
    return SendError(name)


class Exit(NamedTuple):
    """How a socket's segments to an address leave, of which `straight_mtu` bytes meet nothing but a device.

    `local_out` would transmit these as they are.
    """

    route: Route
    next_hop: int
    mtu: int
    straight_mtu: int


def exit_for(netns: Netns, family: int, dst: int, src: int, mark: int) -> Exit:
    """The exit of what a socket sends with plain type of service (sk_dst_check). Raises `SendError`."""
    exits, key = netns.flow_cache.exits, (family, dst, src, mark)
    found = exits.get(key)
    if found is None:
        found = _exit(netns, family, dst, route_output(netns, family, dst, src=src, mark=mark))
        netns.flow_cache.remember_exit(key, found)
    return found


def _exit(netns: Netns, family: int, dst: int, route: Route) -> Exit:
    hooks, mtu = netns.hooks.entries[family], netns.mtu_of(route)
    straight = not (hooks[OUTPUT] or hooks[POSTROUTING]) and route.kind == "unicast" and route.oif != "lo"
    if straight:
        device = netns.interfaces[route.oif]
        straight = device.up and device.noarp and device.kind != "dummy"
    return Exit(route, route.next_hop(dst), mtu, mtu if straight else 0)


def attach(skb: Skb) -> None:
    """An answer made here shares the connection of what it answers (nf_ct_attach)."""
    about: Skb | None = skb.reply_to
    if about is not None and about.ct is not None and skb.ct is None:
        skb.ct = about.ct
        skb.ctinfo = RELATED_REPLY if direction(about.ctinfo) == ORIGINAL else RELATED


def reroute(netns: Netns, skb: Skb) -> bool:
    """ip_route_me_harder(): another route after OUTPUT changed addresses, mark or TOS; False when there is none."""
    src = skb.src
    if netns.routes.address_type(skb.family, src) not in ("local", "unicast"):
        src = 0
    try:
        route = route_output(netns, skb.family, skb.dst, src=src, mark=skb.mark, tos=skb.tos & 0x1C)
    except SendError as error:
        netns.errno = error.name
        return False
    if skb.tracer is not None and route.oif != (skb.route.oif if skb.route else ""):
        skb.tracer.note("route", f"routed again, now to {route.oif}")
    skb.route = route
    return True


def output(netns: Netns, skb: Skb) -> None:
    """ip_output(): POSTROUTING with the route's device, then the neighbour. Raises `SendError` for local packets."""
    route: Route = skb.route
    skb.oif = "lo" if route.kind == "local" else route.oif
    if not netns.run_hooks(POSTROUTING, skb):
        if skb.iif == "" or skb.generated:
            raise _refused(netns)
        return
    finish(netns, skb)


def finish(netns: Netns, skb: Skb) -> None:
    """ip_finish_output(): fragment where needed, then hand to the device."""
    route: Route = skb.route
    mtu = netns.mtu_of(route)
    if len(skb.data) <= mtu and not (skb.frag_max_size and skb.frag_max_size < len(skb.data)):
        transmit(netns, skb, bytes(skb.data))
        return
    must_not = skb.family == 4 and skb.data[6] & 0x40 and not skb.frag_max_size
    if must_not:
        icmp.send_error(netns, skb, icmp.DEST_UNREACH, icmp.FRAG_NEEDED, mtu)
        netns.drop(skb, "output", f"larger than the MTU {mtu}, and must not be fragmented")
        return
    for piece in cut(skb, mtu, ident=netns.choices.draw(1 << 32, "IPv6 fragment identification")):
        transmit(netns, skb, piece)


def transmit(netns: Netns, skb: Skb, packet: bytes) -> None:
    """To the device: lo comes right back, everything else needs a neighbour."""
    route: Route = skb.route
    if skb.oif == "lo":
        loop_back(netns, skb)
        return
    device = netns.interfaces[skb.oif]
    if not device.up:
        netns.drop(skb, "output", f"{skb.oif} is down")
        return
    next_hop = route.next_hop(skb.dst)
    if device.kind == "dummy":
        netns.drop(skb, "output", f"{skb.oif} is a dummy: it swallows what is sent")
        return
    needs_neighbour = not device.noarp and route.kind != "broadcast"
    if needs_neighbour and not has_neighbour(netns, skb.family, next_hop):
        hop = netns.end_walk(skb, "dropped", skb.oif, "no neighbour answers", packet_out=packet)
        netns.effects.append(Arp(skb.oif, next_hop, skb.family, hop))
        return
    hop = netns.end_walk(skb, "transmitted", skb.oif, packet_out=packet) if skb.tracer is not None else None
    netns.effects.append(Transmit(skb.oif, packet, next_hop, skb.family, skb.mark, skb.generated, hop))


def has_neighbour(netns: Netns, family: int, address: int) -> bool:
    """Whether a frame can be addressed: the neighbour is known, or it goes to a group, which needs none."""
    return (family, address) in netns.neighbours or is_group(family, address)


def loop_back(netns: Netns, skb: Skb) -> None:
    """loopback_xmit(): the same packet, its mark and its connection, comes in by lo."""
    packet = bytes(skb.data)
    hop = netns.end_walk(skb, "transmitted", "lo", packet_out=packet)
    netns.effects.append(Looped(packet, hop))
    again = skb.copy()
    again.iif, again.oif, again.physin, again.physout = "lo", "", "", ""
    again.reply_to = None
    netns.backlog.append(again)
