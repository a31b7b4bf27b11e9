"""Questions to the routing table and to the sockets. Source: nft_fib_ipv4.c, nft_fib_ipv6.c, nft_rt.c, nft_socket.c."""

from __future__ import annotations

from fakecluster.errors import Unsupported
from fakecluster.kernel.hooks import INPUT, PREROUTING
from fakecluster.kernel.nftables.program import Getter, Packet, Value
from fakecluster.kernel.packet import TCP, UDP
from fakecluster.rules.nft.expressions import Fib, Rt, Socket
from fakecluster.rules.nft.symbols import FIB_TYPE

#: IP and TCP headers without options; the MSS where no MTU tells a better one, and the largest MTU that tells one.
HEADERS, DEFAULT_MSS, MAX_MTU = {4: 40, 6: 60}, 536, 0xFFFF


def fib(expression: Fib) -> Getter:
    """A function that answers ``fib FLAGS oif|oifname|type``."""
    if expression.result == "type":
        return _address_type(expression)
    return _interface(expression)


def _device(packet: Packet, flags: tuple[str, ...]) -> str:
    if "iif" in flags:
        return packet.skb.iif
    return packet.skb.oif if "oif" in flags else ""


def _address_type(expression: Fib) -> Getter:
    daddr, flags = "daddr" in expression.flags, expression.flags

    def read(packet: Packet) -> Value:
        skb = packet.skb
        address = skb.dst if daddr else skb.src
        kind = packet.ruleset.netns.routes.address_type(skb.family, address, iface=_device(packet, flags))
        return FIB_TYPE.get(kind, 0)

    return read


def _interface(expression: Fib) -> Getter:
    daddr, flags, result = "daddr" in expression.flags, expression.flags, expression.result

    def read(packet: Packet) -> Value:
        name = _route_device(packet, daddr, flags)
        if result == "exists":
            return int(bool(name))
        return name if result == "oifname" or name else 0

    return read


def _route_device(packet: Packet, daddr: bool, flags: tuple[str, ...]) -> str:
    """The interface that leads to the address ("" when none does)."""
    skb, netns = packet.skb, packet.ruleset.netns
    if packet.ctx.hook in (PREROUTING, INPUT) and skb.iif == "lo":
        return skb.iif
    towards, other = (skb.dst, skb.src) if daddr else (skb.src, skb.dst)
    mark = skb.mark if "mark" in flags else 0
    device = _device(packet, flags)
    route = netns.routes.lookup(skb.family, towards, src=other, mark=mark, tos=skb.tos & 0x1C)
    if route is None or route.kind != "unicast":
        return ""
    if device and route.oif != device:
        return ""
    return str(route.oif)


def rt(expression: Rt) -> Getter:
    """A function that answers ``rt nexthop`` and ``rt mtu`` for a packet that has been routed."""
    if expression.key not in ("nexthop", "mtu"):
        raise Unsupported(f"rt {expression.key}", token=expression.key)
    family = 6 if expression.family == "ip6" else 4

    def nexthop(packet: Packet) -> Value:
        skb = packet.skb
        if skb.route is None or skb.family != family:
            return None
        return skb.route.next_hop(skb.dst)

    def segment(packet: Packet) -> Value:
        """get_tcpmss(): of any protocol, by the smaller MTU of the way there and the way back."""
        skb, netns = packet.skb, packet.ruleset.netns
        if skb.route is None:
            return None
        back = netns.routes.lookup(skb.family, skb.src)
        mtus = [netns.mtu_of(route) for route in (skb.route, back) if route is not None and route.oif]
        mtu, headers = min(mtus, default=0), HEADERS[skb.family]
        return mtu - headers if headers < mtu <= MAX_MTU else DEFAULT_MSS

    return nexthop if expression.key == "nexthop" else segment


def socket(expression: Socket) -> Getter:
    """A function that answers ``socket transparent|mark|wildcard``; None when no socket would take the packet."""
    key = expression.key

    def read(packet: Packet) -> Value:
        skb = packet.skb
        if skb.proto not in (TCP, UDP) or not skb.has_ports:
            return None
        found = packet.ruleset.netns.sockets.lookup(
            skb.family, skb.proto, skb.src, skb.sport, skb.dst, skb.dport, skb.iif
        )
        if found is None:
            return None
        if key == "mark":
            return found.mark
        if key == "transparent":
            return int(found.transparent)
        return int(not found.address)

    return read
