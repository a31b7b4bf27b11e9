"""A packet's way in: reception, the routing decision, forwarding, local delivery (ip_input.c, route.c, ip_forward.c).

receive -> PREROUTING -> route -+-> INPUT -> local delivery
                                +-> FORWARD -> POSTROUTING -> transmit
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel import icmp, ip_options, ip_output
from fakecluster.kernel.checksums import checksum
from fakecluster.kernel.conntrack.entry import DST_NAT, SRC_NAT, direction
from fakecluster.kernel.hooks import ACCEPT, FORWARD, INPUT, PREROUTING
from fakecluster.kernel.packet import ICMPV6, Skb, is_link_local
from fakecluster.kernel.routing import ERROR_KINDS, Route

if TYPE_CHECKING:
    from fakecluster.kernel.flow_cache.cache import InputKey
    from fakecluster.kernel.netns import Netns

ALL_HOSTS = {4: 0xE0000001, 6: 0xFF02 << 112 | 1}
BROADCAST = b"\xff" * 6


def packet_type(skb: Skb, device_mac: bytes) -> str:
    """What the frame's destination says: unicast (to us), broadcast, multicast or otherhost (eth_type_trans)."""
    target = skb.dst_mac
    if not target or target == device_mac:
        return "unicast"
    if target == BROADCAST:
        return "broadcast"
    return "multicast" if target[0] & 1 else "otherhost"


def header_is_sound(skb: Skb) -> bool:
    """ip_rcv(): the IPv4 header checksum must be right."""
    if skb.family == 6 or skb.iif == "lo":
        return True
    if skb.data[0] == 0x45:
        return not int.from_bytes(skb.data[:20]) % 0xFFFF
    return checksum(skb.data[: (skb.data[0] & 15) * 4]) == 0


def receive(netns: Netns, skb: Skb) -> None:
    """From the device on: a packet that came in by `skb.iif`."""
    device = netns.interfaces[skb.iif]
    skb.pkttype = packet_type(skb, device.mac) if skb.dst_mac and not device.is_loopback else "unicast"
    if skb.pkttype == "otherhost":
        netns.drop(skb, "device", "the frame is for another host")
    elif not header_is_sound(skb):
        netns.drop(skb, "ip_rcv", "bad IPv4 header checksum")
    elif skb.family == 6 and _bad_address6(skb, device.is_loopback):
        netns.drop(skb, "ip_rcv", "an address that must not be on the wire")
    elif netns.run_hooks(PREROUTING, skb):
        route_input(netns, skb)


def _bad_address6(skb: Skb, loopback: bool) -> bool:
    """ipv6_rcv(): loopback addresses from outside, multicast sources."""
    if skb.src >> 120 == 0xFF:
        return True
    return not loopback and (skb.src == 1 or skb.dst == 1)


def route_input(netns: Netns, skb: Skb) -> None:
    """ip_route_input_noref(): by what was decided before for such a packet, else by looking closely."""
    if skb.sock is not None and skb.iif != "lo" and _transparent(netns, skb):
        return
    has_options = skb.family == 4 and skb.data[0] != 0x45
    if skb.iif == "lo" and skb.route is not None and skb.route.kind == "local" and not has_options:
        deliver(netns, skb)  # what looped back has its route already (skb_valid_dst), wherever it now goes to
        return
    key = (skb.iif, skb.src, skb.dst, skb.mark, bytes(skb.data[:2]))
    known = netns.flow_cache.input_routes.get(key) if skb.tracer is None or skb.tracer.brief else None
    if known is None:
        _route_slowly(netns, skb, key)
        return
    skb.route = known
    if skb.family == 4 and skb.data[0] != 0x45 and not options_are_sound(netns, skb, known):
        return
    if known.kind == "local":
        deliver(netns, skb)
    elif skb.pkttype == "unicast":
        forward(netns, skb, known)
    else:
        netns.drop(skb, "forwarding", "not addressed to us on the link")


def _route_slowly(netns: Netns, skb: Skb, key: InputKey) -> None:
    """ip_route_input_slow(): local, forwarded, or neither."""
    problem = martian(netns, skb) if skb.family == 4 and skb.iif != "lo" else ""
    if problem:
        netns.drop(skb, "routing", problem)
        return
    if skb.dst >> (28 if skb.family == 4 else 120) == (0xE if skb.family == 4 else 0xFF):
        _multicast(netns, skb)
        return
    if skb.family == 4 and (skb.dst == 0xFFFFFFFF or (not skb.dst and not skb.src)):
        skb.route = Route(4, skb.dst, 32, "broadcast", skb.iif)
        problem = source_problem(netns, skb) if skb.src >> 24 else ""
        if problem:
            netns.drop(skb, "routing", problem)
        else:
            deliver(netns, skb)
        return
    link = skb.iif if skb.family == 6 and is_link_local(skb.dst) else ""
    tos = skb.tos & 0x1C
    route = netns.routes.lookup(skb.family, skb.dst, src=skb.src, mark=skb.mark, iif=skb.iif, oif=link, tos=tos)
    skb.route = route
    if route is None or route.kind in ERROR_KINDS:
        _no_route(netns, skb, route)
    elif route.kind in ("local", "broadcast"):
        _local(netns, skb, route, key)
    else:
        _forward_if_allowed(netns, skb, route, key)


def _transparent(netns: Netns, skb: Skb) -> bool:
    """A packet that TPROXY gave to a socket is delivered only where a policy route makes it local."""
    route = netns.routes.lookup(skb.family, skb.dst, src=skb.src, mark=skb.mark, iif=skb.iif, tos=skb.tos & 0x1C)
    if route is not None and route.kind == "local":
        skb.route = route
        deliver(netns, skb)
        return True
    return False


def martian(netns: Netns, skb: Skb) -> str:
    """Why an IPv4 packet may not come in by its addresses; "" when it may."""
    src, dst = skb.src, skb.dst
    if src >> 28 == 0xE or src == 0xFFFFFFFF:
        return "martian source: multicast or broadcast"
    if dst == 0xFFFFFFFF or (not src and not dst):
        return ""
    if src >> 24 == 0 and not (dst >> 28 == 0xE and not src):
        return "martian source: 0.0.0.0/8"
    if dst >> 24 == 0:
        return "martian destination: 0.0.0.0/8"
    if not netns.sysctls.interface("route_localnet", skb.iif):
        if dst >> 24 == 127:
            return "martian destination: loopback (route_localnet is 0)"
        if src >> 24 == 127:
            return "martian source: loopback (route_localnet is 0)"
    return ""


def source_problem(netns: Netns, skb: Skb) -> str:
    """fib_validate_source(): spoofed own addresses and reverse-path filtering; "" when the source is fine."""
    if skb.iif == "lo":
        return ""
    accept_local = netns.sysctls.interface("accept_local", skb.iif)
    mode = netns.sysctls.interface("rp_filter", skb.iif)
    if not mode and not netns.routes.custom_rules[4] and not netns.routes.custom_local:
        if not accept_local and netns.addresses.is_local(4, skb.src):
            return "martian source: one of our own addresses"
        return ""
    mark = skb.mark if netns.sysctls.interface("src_valid_mark", skb.iif) else 0
    back = netns.routes.lookup(4, skb.src, src=skb.dst, mark=mark, tos=skb.tos & 0x1C)
    if back is None or back.kind in ERROR_KINDS:
        return "rp_filter: no way back to the source" if mode else ""
    if back.kind != "unicast" and not (back.kind == "local" and accept_local):
        return "martian source: not a unicast address"
    if mode == 1 and back.oif != skb.iif:
        return f"rp_filter: the way back leads to {back.oif}"
    return ""


def _local(netns: Netns, skb: Skb, route: Route, key: InputKey) -> None:
    problem = source_problem(netns, skb) if skb.family == 4 else ""
    if problem:
        netns.drop(skb, "routing", problem)
        return
    if route.kind == "local":
        netns.flow_cache.remember_route(key, route)
    if options_are_sound(netns, skb, route):
        deliver(netns, skb)


def options_are_sound(netns: Netns, skb: Skb, route: Route) -> bool:
    """ip_rcv_options(): read and fill the IPv4 options; a packet with broken ones ends here."""
    if skb.family == 6 or skb.data[0] & 15 == 5:
        return True
    try:
        problem = ip_options.receive(netns, skb, route)
    except ip_options.BadOption as bad:
        icmp.send_error(netns, skb, icmp.PARAMETER_PROBLEM, 0, bad.pointer << 24)
        problem = str(bad)
    if problem:
        netns.drop(skb, "ip_rcv", problem)
    return not problem


def _multicast(netns: Netns, skb: Skb) -> None:
    if (
        skb.dst == ALL_HOSTS[skb.family]
        or skb.dst in netns.sockets.groups
        or (skb.family == 6 and skb.dst >> 32 << 32 == SOLICITED)
    ):
        skb.route = Route(skb.family, skb.dst, 32, "multicast", skb.iif)
        deliver(netns, skb)
    else:
        netns.drop(skb, "routing", "multicast group that nobody joined")


SOLICITED = 0xFF02_0000_0000_0000_0000_0001_FF00_0000 >> 32 << 32


def forwarding(netns: Netns, family: int, iface: str) -> bool:
    """Whether packets that came in by `iface` may be forwarded: in IPv6 only `all` counts."""
    name = f"net.ipv4.conf.{iface}.forwarding" if family == 4 else "net.ipv6.conf.all.forwarding"
    return bool(netns.sysctls.number(name))


def _no_route(netns: Netns, skb: Skb, route: Route | None) -> None:
    """ip_error(), ip6_pkt_discard(): an ICMP error, for unreachable and prohibit routes and where none leads there."""
    kind = route.kind if route is not None else "no route"
    if kind != "blackhole" and forwarding(netns, skb.family, skb.iif):
        if skb.family == 4:
            codes = {"no route": icmp.NET_UNREACH, "unreachable": icmp.HOST_UNREACH, "prohibit": icmp.PKT_FILTERED}
            icmp.send_error(netns, skb, icmp.DEST_UNREACH, codes[kind])
        else:
            code = icmp.V6_ADM_PROHIBITED if kind == "prohibit" else icmp.V6_NO_ROUTE
            icmp.send_error(netns, skb, icmp.V6_UNREACH, code)
    netns.drop(skb, "routing", kind)


def _forward_if_allowed(netns: Netns, skb: Skb, route: Route, key: InputKey) -> None:
    if not forwarding(netns, skb.family, skb.iif):
        netns.drop(skb, "routing", "forwarding is off")
        return
    problem = source_problem(netns, skb) if skb.family == 4 else ""
    if problem:
        netns.drop(skb, "routing", problem)
        return
    netns.flow_cache.remember_route(key, route)
    if not options_are_sound(netns, skb, route):
        return
    if skb.pkttype != "unicast":
        netns.drop(skb, "forwarding", "not addressed to us on the link")
        return
    if skb.tracer is not None:
        skb.tracer.note("route", f"forward to {route.oif}")
    forward(netns, skb, route)


def is_bridged(netns: Netns, skb: Skb, route: Route) -> bool:
    """Whether NAT turned a frame from one port of a bridge back to another port of it.

    br_netfilter then hands the frame to the new port without routing it: the TTL stays (br_nf_pre_routing_finish).
    """
    ct = skb.ct
    if not skb.physin or route.oif != skb.iif or ct is None:
        return False
    changed = SRC_NAT if direction(skb.ctinfo) else DST_NAT
    family_word = "iptables" if skb.family == 4 else "ip6tables"
    return bool(ct.status & changed) and netns.sysctls.number(f"net.bridge.bridge-nf-call-{family_word}") == 1


def forward(netns: Netns, skb: Skb, route: Route) -> None:
    """ip_forward(), ip6_forward()."""
    if skb.physin and is_bridged(netns, skb, route):
        skb.oif = route.oif
        if netns.run_hooks(FORWARD, skb):
            ip_output.output(netns, skb)
        return
    before = skb.ttl
    if before <= 1:
        if skb.family == 4:
            icmp.send_error(netns, skb, icmp.TIME_EXCEEDED, 0)
        else:
            icmp.send_error(netns, skb, icmp.V6_TIME_EXCEEDED, 0)
        netns.drop(skb, "forwarding", "TTL exceeded")
        return
    if skb.family == 6 and route.oif != skb.iif and not _may_leave(netns, skb):
        return
    mtu = netns.mtu_of(route)
    if (skb.frag_max_size or len(skb.data) > mtu) and too_big(skb, mtu):
        if skb.family == 4:
            icmp.send_error(netns, skb, icmp.DEST_UNREACH, icmp.FRAG_NEEDED, mtu)
        else:
            icmp.send_error(netns, skb, icmp.V6_TOO_BIG, 0, mtu)
        netns.drop(skb, "forwarding", f"larger than the MTU {mtu}, and must not be fragmented")
        return
    skb.set_ttl(before - 1)
    skb.oif = route.oif
    if skb.tracer is not None:
        skb.tracer.rewrite("ttl", before, before - 1, "forwarding")
    if netns.run_hooks(FORWARD, skb):
        if skb.family == 4 and skb.data[0] != 0x45:
            ip_options.forward(netns, skb)
        ip_output.output(netns, skb)


def _may_leave(netns: Netns, skb: Skb) -> bool:
    """ip6_forward(): no address and link-local ones mean nothing on another link."""
    if skb.src and not is_link_local(skb.src):
        return True
    if skb.src:
        icmp.send_error(netns, skb, icmp.V6_UNREACH, icmp.V6_NOT_NEIGHBOUR)
    netns.drop(skb, "forwarding", "the source is of another link")
    return False


def too_big(skb: Skb, mtu: int) -> bool:
    """ip_exceeds_mtu(), ip6_pkt_too_big(): IPv4 may be fragmented unless DF is set."""
    if skb.frag_max_size:
        return skb.frag_max_size > mtu and (skb.family == 6 or bool(skb.data[6] & 0x40))
    if len(skb.data) <= mtu:
        return False
    return skb.family == 6 or bool(skb.data[6] & 0x40)


def deliver(netns: Netns, skb: Skb) -> None:
    """ip_local_deliver(), ip6_input(): INPUT, then the transport, which gets complete datagrams only.

    IPv4 puts fragments together before INPUT, IPv6 behind it: there INPUT sees each of them.
    """
    if skb.family == 4 and not _is_whole(netns, skb):
        return
    skb.oif = ""
    if netns.run_hooks(INPUT, skb) and _is_whole(netns, skb):
        netns.deliver(skb)


def _is_whole(netns: Netns, skb: Skb) -> bool:
    """Whether this is a datagram, or has just become one."""
    if not skb.is_fragment or netns.fragments.gather(skb, "local") == ACCEPT:
        return True
    netns.drop(skb, "local delivery", "fragment held until the datagram is complete")
    return False


def is_neighbour_discovery(skb: Skb) -> bool:
    return skb.proto == ICMPV6 and len(skb.data) > skb.l4 and 133 <= skb.data[skb.l4] <= 137


__all__ = ["ACCEPT", "deliver", "forward", "receive", "route_input"]
