"""ICMP and ICMPv6 messages that a host makes itself: errors about packets, echo replies (icmp.c of both families)."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from fakecluster.kernel import ip_options
from fakecluster.kernel.checksums import checksum
from fakecluster.kernel.packet import ICMP, ICMPV6, NO_USER, Skb

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

_HEADER4, _HEADER6 = Struct("!6H2I").pack, Struct("!IHBB").pack
#: An IPv4 error quotes so much that it fits into 576 bytes; an IPv6 one so much that it fits into 1280.
MAX_ERROR4, MAX_ERROR6 = 576, 1280
#: Node-made errors carry this type of service (IPTOS_PREC_INTERNETCONTROL).
ERROR_TOS = 0xC0
TIMESTAMP, TIMESTAMP_REPLY, TIMESTAMP_SIZE = 13, 14, 20
ICMP_ERRORS = frozenset((3, 4, 5, 11, 12))

DEST_UNREACH, TIME_EXCEEDED, PARAMETER_PROBLEM = 3, 11, 12
NET_UNREACH, HOST_UNREACH, PROT_UNREACH, PORT_UNREACH, FRAG_NEEDED = 0, 1, 2, 3, 4
NET_ANO, HOST_ANO, PKT_FILTERED = 9, 10, 13
V6_UNREACH, V6_TOO_BIG, V6_TIME_EXCEEDED, V6_PARAMETER = 1, 2, 3, 4
V6_NO_ROUTE, V6_ADM_PROHIBITED, V6_NOT_NEIGHBOUR, V6_ADDR_UNREACH, V6_PORT_UNREACH = 0, 1, 2, 3, 4
V6_POLICY_FAIL, V6_REJECT_ROUTE = 5, 6


def send_error(netns: Netns, skb: Skb, kind: int, code: int, info: int = 0) -> None:
    """Answer a packet with an error (icmp_send, icmpv6_send), unless the rules of RFC 1122 and 4443 forbid it."""
    if skb.family == 4:
        _send_error4(netns, skb, kind, code, info)
    else:
        _send_error6(netns, skb, kind, code, info)


def _send_error4(netns: Netns, skb: Skb, kind: int, code: int, info: int) -> None:
    if skb.pkttype != "unicast" or skb.frag_offset or not skb.src:
        return
    if skb.proto == ICMP and (len(skb.data) <= skb.l4 or skb.data[skb.l4] in ICMP_ERRORS or skb.data[skb.l4] > 18):
        return
    if skb.route is not None and skb.route.kind in ("broadcast", "multicast"):
        return
    # before routing nobody knows yet whom the packet is for, and it has the way back (nf_reject_fill_skb_dst)
    is_local = netns.addresses.is_local
    to_host = is_local(4, skb.src if skb.route is None else skb.dst)
    source = skb.dst if to_host else error_source(netns, skb)
    if not source or (to_host and not is_local(4, skb.dst)):
        return
    options = ip_options.echoed(netns, skb, source)
    quoted = bytes(skb.data[: MAX_ERROR4 - 28 - len(options)])
    body = bytearray((kind, code, 0, 0)) + info.to_bytes(4) + quoted
    body[2:4] = checksum(body).to_bytes(2)
    tos = (skb.tos & 0x1E) | ERROR_TOS
    header = ipv4_header(source, skb.src, ICMP, len(body), tos=tos, ttl=ttl_of(netns, 4), options=options)
    answer = Skb(header + body)
    _send(netns, skb, answer, source if to_host else 0)


def error_source(netns: Netns, skb: Skb) -> int:
    """The source of an error about a forwarded packet: what the route to its sender says, or the way it came in."""
    if skb.iif and skb.iif != "lo" and netns.sysctls.number("net.ipv4.icmp_errors_use_inbound_ifaddr"):
        found = netns.addresses.select(skb.iif, 4, skb.src)
        if found:
            return found
    route = netns.routes.lookup(skb.family, skb.src, mark=0)
    if route is None:
        return 0
    return route.prefsrc or netns.addresses.select(route.oif, skb.family, route.next_hop(skb.src))


def _send_error6(netns: Netns, skb: Skb, kind: int, code: int, info: int) -> None:
    if not skb.src or skb.src >> 120 == 0xFF or skb.pkttype == "otherhost":
        return
    too_big = kind == V6_TOO_BIG or (kind == V6_PARAMETER and code == 2)
    if (skb.dst >> 120 == 0xFF or skb.pkttype != "unicast") and not too_big:
        return
    if skb.proto == ICMPV6 and not skb.frag_offset and (len(skb.data) <= skb.l4 or skb.data[skb.l4] < 128):
        return
    routed_from = source = skb.dst if netns.addresses.is_assigned(6, skb.dst) else 0
    if not source:
        route = netns.routes.lookup(6, skb.src)
        if route is None or route.kind not in ("unicast", "local"):
            return
        inbound = skb.iif if skb.iif != "lo" else ""
        source = route.prefsrc or netns.addresses.select(inbound or route.oif, 6, skb.src)
    if not source:
        return
    quoted = bytes(skb.data[: MAX_ERROR6 - 48])
    answer = icmpv6_packet(source, skb.src, kind, code, info.to_bytes(4) + quoted, hop_limit=ttl_of(netns, 6))
    _send(netns, skb, answer, routed_from)


def icmpv6_packet(
    source: int, target: int, kind: int, code: int, rest: bytes, *, hop_limit: int, traffic_class: int = 0
) -> Skb:
    body = bytes((kind, code, 0, 0)) + rest
    header = ipv6_header(source, target, ICMPV6, len(body), hop_limit=hop_limit, traffic_class=traffic_class)
    answer = Skb(header + body)
    answer.refresh_l4_checksum()
    return answer


def _send(netns: Netns, about: Skb, answer: Skb, routed_from: int) -> None:
    """Send an answer; routes are asked with the source `routed_from` (0: it follows from the route)."""
    answer.generated, answer.uid = True, NO_USER
    answer.mark = about.mark if netns.sysctls.number("net.ipv4.fwmark_reflect") else 0
    attach_related(netns, about, answer)
    netns.send_generated(answer, routed_from=routed_from)


def attach_related(netns: Netns, about: Skb, answer: Skb) -> None:
    """An error made here belongs to the flow that it is about (nf_ct_attach)."""
    answer.reply_to = about


def echo_reply(netns: Netns, skb: Skb) -> None:
    """Answer an echo request (icmp_echo, icmpv6_echo_reply): same payload and type of service, addresses turned round."""
    if skb.family == 4:
        local = netns.addresses.is_local(4, skb.dst)
        source = skb.dst if local else netns.addresses.primary(skb.iif, 4)
        body = bytearray(skb.data[skb.l4 :])
        body[0] = 0
        body[2:4] = b"\0\0"
        body[2:4] = checksum(body).to_bytes(2) if any(body) else b"\0\0"  # the kernel adds up from ~0
        options = ip_options.echoed(netns, skb, source)
        header = ipv4_header(source, skb.src, ICMP, len(body), tos=skb.tos, ttl=ttl_of(netns, 4), options=options)
        answer = Skb(header + body)
    else:
        source = skb.dst if netns.addresses.is_local(6, skb.dst) else netns.addresses.primary(skb.iif, 6)
        rest = bytes(skb.data[skb.l4 + 4 :])
        answer = icmpv6_packet(source, skb.src, 129, 0, rest, hop_limit=ttl_of(netns, 6), traffic_class=skb.tos)
    answer.generated, answer.uid = True, NO_USER
    netns.send_generated(answer)


def timestamp_reply(netns: Netns, skb: Skb) -> None:
    """Answer a timestamp request (icmp_timestamp): received and sent now, in milliseconds since midnight UT."""
    now = ip_options.milliseconds_of_day(netns).to_bytes(4)
    body = bytearray(skb.data[skb.l4 : skb.l4 + 12]) + now + now
    if len(body) < TIMESTAMP_SIZE:
        return
    body[0], body[2:4] = TIMESTAMP_REPLY, b"\0\0"
    body[2:4] = checksum(body).to_bytes(2)
    source = skb.dst if netns.addresses.is_local(4, skb.dst) else netns.addresses.primary(skb.iif, 4)
    options = ip_options.echoed(netns, skb, source)
    header = ipv4_header(source, skb.src, ICMP, len(body), tos=skb.tos, ttl=ttl_of(netns, 4), options=options)
    answer = Skb(header + body)
    answer.generated, answer.uid = True, NO_USER
    netns.send_generated(answer)


def ttl_of(netns: Netns, family: int) -> int:
    return netns.sysctls.number("net.ipv4.ip_default_ttl" if family == 4 else "net.ipv6.conf.all.hop_limit")


def ipv4_header(
    src: int, dst: int, proto: int, length: int, *, tos: int = 0, ttl: int = 64, ident: int = 0, df: bool = False,
    options: bytes = b"",
) -> bytes:  # fmt: skip
    """A header for `length` bytes of payload, checksum included."""
    size = 20 + len(options)
    first, total, flags, lifetime = 0x4000 | size << 6 | tos, size + length, 0x4000 if df else 0, ttl << 8 | proto
    words = first + total + ident + flags + lifetime + src + dst
    if options:
        words += int.from_bytes(options)
    header = _HEADER4(first, total, ident, flags, lifetime, 0xFFFF - (words % 0xFFFF or 0xFFFF), src, dst)
    return header + options if options else header


def ipv6_header(
    src: int, dst: int, proto: int, length: int, *, traffic_class: int = 0, hop_limit: int = 64
) -> bytes:
    first = 6 << 28 | traffic_class << 20
    return _HEADER6(first, length, proto, hop_limit) + src.to_bytes(16) + dst.to_bytes(16)
