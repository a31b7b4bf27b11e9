"""Matches on the packet and its surroundings: iprange, ttl, hl, dscp, tos, u32, string, comment, owner,
mac, pkttype, physdev, rpfilter, set, socket, cpu.

Sources: net/netfilter/xt_u32.c, xt_string.c, xt_owner.c, xt_mac.c, xt_physdev.c, ipt_rpfilter.c,
xt_set.c, xt_socket.c.
"""

from __future__ import annotations

from typing import Any

from fakecluster.kernel.conntrack import ESTABLISHED_REPLY, RELATED_REPLY, SRC_NAT_DONE
from fakecluster.kernel.hooks import Hook, HookContext
from fakecluster.kernel.packet import ICMP, ICMPV6, NO_USER, Skb
from fakecluster.kernel.xtables.code import Building, Test
from fakecluster.rules.iptables.match_content import StringMatch, U32Match, U32Test
from fakecluster.rules.iptables.match_header import DscpMatch, IprangeMatch, TosMatch, TtlMatch
from fakecluster.rules.iptables.match_packet import (
    CommentMatch,
    CpuMatch,
    MacMatch,
    OwnerMatch,
    PhysdevMatch,
    PkttypeMatch,
    RpfilterMatch,
    SetMatch,
    SocketMatch,
)

ETHER_HEADER_HOOKS = frozenset((Hook.PREROUTING, Hook.INPUT, Hook.FORWARD))


def comment(_value: CommentMatch, _building: Building) -> Test:
    return lambda _skb, _ctx: True


def iprange(value: IprangeMatch, _building: Building) -> Test:
    def test(skb: Skb, _ctx: HookContext) -> bool:
        if value.src and (value.src[0] <= skb.src <= value.src[1]) == value.not_src:
            return False
        return not value.dst or (value.dst[0] <= skb.dst <= value.dst[1]) != value.not_dst

    return test


def ttl(value: TtlMatch, _building: Building) -> Test:
    number, inverted = value.value, value.inverted
    if value.test == "eq":
        return lambda skb, _ctx: (skb.ttl == number) != inverted
    if value.test == "lt":
        return lambda skb, _ctx: skb.ttl < number
    return lambda skb, _ctx: skb.ttl > number


def dscp(value: DscpMatch, _building: Building) -> Test:
    return lambda skb, _ctx: (skb.tos >> 2 == value.value) != value.inverted


def tos(value: TosMatch, _building: Building) -> Test:
    return lambda skb, _ctx: (skb.tos & value.mask == value.value) != value.inverted


def owner(value: OwnerMatch, _building: Building) -> Test:
    def test(skb: Skb, _ctx: HookContext) -> bool:
        if skb.uid is None:  # no socket: what is asked must be asked inverted
            return (value.exists is not True) and not (value.uid and not value.not_uid)
        if value.exists is False:
            return False
        if skb.uid == NO_USER:
            return not value.uid or value.not_uid
        return not value.uid or (value.uid[0] <= skb.uid <= value.uid[1]) != value.not_uid

    return test


def mac(value: MacMatch, _building: Building) -> Test:
    def test(skb: Skb, ctx: HookContext) -> bool:
        if ctx.hook not in ETHER_HEADER_HOOKS or not skb.src_mac:
            return False
        return (skb.src_mac == value.mac) != value.inverted

    return test


def pkttype(value: PkttypeMatch, _building: Building) -> Test:
    return lambda skb, _ctx: (skb.pkttype == value.kind) != value.inverted


def physdev(value: PhysdevMatch, _building: Building) -> Test:
    def test(skb: Skb, _ctx: HookContext) -> bool:
        held = {
            "physdev-is-in": bool(skb.physin), "physdev-is-out": bool(skb.physout),
            "physdev-is-bridged": bool(skb.physin and skb.physout),
        }  # fmt: skip
        for name, wanted, inverted in value.tests:
            if name in held:
                result = held[name]
            else:
                port = skb.physin if name == "physdev-in" else skb.physout
                result = port.startswith(wanted[:-1]) if wanted.endswith("+") else port == wanted
                result = result and bool(port)
            if result == inverted:
                return False
        return True

    return test


def cpu(value: CpuMatch, _building: Building) -> Test:
    return lambda _skb, _ctx: (value.cpu == 0) != value.inverted


def rpfilter(value: RpfilterMatch, _building: Building) -> Test:
    def test(skb: Skb, ctx: HookContext) -> bool:
        return _way_back(value, skb, ctx) != value.invert

    return test


def _way_back(value: RpfilterMatch, skb: Skb, ctx: HookContext) -> bool:
    if skb.iif == "lo":
        return True
    routes = ctx.netns.routes
    if skb.family == 4 and skb.src >> 24 == 0 and (skb.dst == 0xFFFFFFFF or skb.dst >> 8 == 0xE00000):
        return True
    if skb.family == 6 and not skb.src:
        return True
    mark = skb.mark if value.validmark else 0
    source = skb.dst if routes.address_type(skb.family, skb.dst) in ("local", "unicast") else 0
    found = routes.lookup(skb.family, skb.src, src=source, mark=mark, tos=skb.tos & 0x1C)
    if found is None:
        return False
    if found.kind != "unicast" and not (found.kind == "local" and value.accept_local):
        return False
    return value.loose or found.oif == skb.iif


def set_(value: SetMatch, building: Building) -> Test:
    name, directions, inverted = value.name, value.directions, value.inverted
    rule = building.rule

    def test(skb: Skb, ctx: HookContext) -> bool:
        current = ctx.netns.xtables.renamed_sets.get((rule, name), name)
        return ctx.netns.ipsets.test(current, skb, directions, return_nomatch=value.return_nomatch) != inverted

    return test


def socket(value: SocketMatch, _building: Building) -> Test:
    def test(skb: Skb, ctx: HookContext) -> bool:
        sock: Any = skb.sock if skb.sock is not None else _find_socket(skb, ctx)
        if sock is None:
            return False
        wildcard = not value.nowildcard and not sock.address
        transparent = not value.transparent or sock.transparent
        if value.restore_mark and not wildcard and transparent:
            skb.mark = sock.mark
        return not wildcard and transparent

    return test


def _find_socket(skb: Skb, ctx: HookContext) -> object | None:
    """nf_sk_lookup_slow(): by the packet's own ends, or by what an ICMP error quotes."""
    sockets = ctx.netns.sockets
    if skb.proto in (ICMP, ICMPV6):
        from fakecluster.kernel.conntrack.icmp import inner_packet

        found = inner_packet(skb)
        if found is None:
            return None
        _proto, inner, _at = found
        return sockets.lookup(skb.family, inner.proto, inner.dst, inner.dport, inner.src, inner.sport, skb.iif)
    if not skb.has_ports:
        return None
    dst, dport = skb.dst, skb.dport
    ct = skb.ct
    if ct is not None and skb.ctinfo in (ESTABLISHED_REPLY, RELATED_REPLY) and ct.status & SRC_NAT_DONE:
        dst, dport = ct.orig.src, ct.orig.sport
    return sockets.lookup(skb.family, skb.proto, skb.src, skb.sport, dst, dport, skb.iif)


def u32(value: U32Match, _building: Building) -> Test:
    return lambda skb, _ctx: all(_u32_test(test, skb.data) for test in value.tests) != value.inverted


def _u32_test(test: U32Test, data: bytearray) -> bool:
    """u32_match_it(): offsets beyond the packet do not match."""
    start, position = 0, test.location[0][1]
    found = _word(data, start + position)
    if found is None:
        return False
    for operator, number in test.location[1:]:
        if operator == "&":
            found &= number
        elif operator == "<<":
            found = found << min(number, 32) & 0xFFFFFFFF
        elif operator == ">>":
            found >>= min(number, 32)
        else:
            start += found
            found = _word(data, start + number)
            if found is None:
                return False
    return any(low <= found <= high for low, high in test.values)


def _word(data: bytearray, at: int) -> int | None:
    return int.from_bytes(data[at : at + 4]) if at + 4 <= len(data) else None


def string(value: StringMatch, _building: Building) -> Test:
    pattern = value.pattern.lower() if value.ignore_case else value.pattern

    def test(skb: Skb, _ctx: HookContext) -> bool:
        data = bytes(skb.data[value.start : value.end])
        if value.ignore_case:
            data = data.lower()
        return (pattern in data) != value.inverted

    return test
