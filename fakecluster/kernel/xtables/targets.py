"""Targets as compiled actions.

Sources: net/netfilter/xt_nat.c, xt_MASQUERADE.c, xt_mark.c, xt_connmark.c, xt_CT.c, xt_TPROXY.c, xt_TCPMSS.c,
xt_HL.c, xt_DSCP.c, ipt_REJECT.c, xt_set.c.
"""

from __future__ import annotations

from typing import Any

from fakecluster.kernel.conntrack import UNTRACKED
from fakecluster.kernel.hooks import ACCEPT, DROP, Hook, HookContext
from fakecluster.kernel.nat_range import NatRange
from fakecluster.kernel.packet import Skb
from fakecluster.kernel.reject import reject as send_reject
from fakecluster.kernel.xtables.code import CONTINUE, Act, Building
from fakecluster.kernel.xtables.mss import clamp
from fakecluster.rules.iptables.numbers import bits, mask_of
from fakecluster.rules.iptables.target_mark import (
    ClassifyTarget,
    ConnmarkTarget,
    CtTarget,
    EmptyTarget,
    MarkTarget,
    SetTarget,
    TproxyTarget,
)
from fakecluster.rules.iptables.target_nat import NatTarget, NetmapTarget
from fakecluster.rules.iptables.target_packet import (
    LogTarget,
    NflogTarget,
    NfqueueTarget,
    RejectTarget,
    TcpmssTarget,
    TosTarget,
    TtlTarget,
)

U32 = 0xFFFFFFFF
DESTINATION_HOOKS = frozenset((Hook.PREROUTING, Hook.OUTPUT))


def nat_range(value: NatTarget) -> NatRange:
    """The range of a NAT target in the kernel's terms."""
    low, high = value.addresses or (None, None)
    first, last = value.ports or (None, None)
    return NatRange(
        low, high, first, last, random=value.random, fully_random=value.random_fully, persistent=value.persistent,
        base_port=value.base_port,
    )  # fmt: skip


def dnat(value: NatTarget, _building: Building) -> Act:
    wanted = nat_range(value)
    return lambda skb, ctx: ctx.netns.nat.setup(skb, wanted, "dst")


def snat(value: NatTarget, _building: Building) -> Act:
    wanted = nat_range(value)
    return lambda skb, ctx: ctx.netns.nat.setup(skb, wanted, "src")


def masquerade(value: NatTarget, _building: Building) -> Act:
    wanted = nat_range(value)
    return lambda skb, ctx: ctx.netns.nat.masquerade(skb, ctx, wanted)


def redirect(value: NatTarget, _building: Building) -> Act:
    wanted = nat_range(value)
    return lambda skb, ctx: ctx.netns.nat.redirect(skb, ctx, wanted)


def netmap(value: NetmapTarget, _building: Building) -> Act:
    host = value.mask ^ mask_of(bits(value.family), value.family)
    wanted = NatRange(value.network, value.network | host, netmap=True)
    return lambda skb, ctx: ctx.netns.nat.setup(skb, wanted, "dst" if ctx.hook in DESTINATION_HOOKS else "src")


def mark(value: MarkTarget, _building: Building) -> Act:
    keep, flip = ~value.mask & U32, value.value

    def act(skb: Skb, _ctx: HookContext) -> int:
        skb.mark = skb.mark & keep ^ flip
        return CONTINUE

    return act


def connmark(value: ConnmarkTarget, _building: Building) -> Act:
    def shifted(mark: int) -> int:
        return mark >> value.shift if value.to_right else mark << value.shift & U32

    def act(skb: Skb, _ctx: HookContext) -> int:
        ct = skb.ct
        if ct is None:
            return CONTINUE
        if value.mode == "set":
            ct.mark = shifted(ct.mark & ~value.ct_mask & U32 ^ value.value)
        elif value.mode == "save":
            ct.mark = ct.mark & ~value.ct_mask & U32 ^ shifted(skb.mark & value.nf_mask)
        else:
            skb.mark = skb.mark & ~value.nf_mask & U32 ^ shifted(ct.mark & value.ct_mask)
        return CONTINUE

    return act


def ct(value: CtTarget, _building: Building) -> Act:
    if value.notrack:
        return no_track
    way = {"": "both", "orig": "original", "reply": "reply"}[value.zone_direction]

    def act(skb: Skb, ctx: HookContext) -> int:
        if skb.ct is None and skb.ctinfo != UNTRACKED and skb.zone_tmpl is None:
            zone = skb.mark & 0xFFFF if value.zone_from_mark else value.zone
            skb.zone_tmpl = ctx.netns.conntrack.new_template(zone=zone, direction=way)
        return CONTINUE

    return act


def no_track(skb: Skb, _ctx: HookContext) -> int:
    if skb.ct is None and skb.zone_tmpl is None:
        skb.ctinfo = UNTRACKED
    return CONTINUE


def notrack(_value: EmptyTarget, _building: Building) -> Act:
    return no_track


def nothing(_value: EmptyTarget, _building: Building) -> Act:
    """TRACE and CHECKSUM: no effect that a packet could show."""
    return lambda _skb, _ctx: CONTINUE


def classify(value: ClassifyTarget, _building: Building) -> Act:
    priority = value.major << 16 | value.minor

    def act(skb: Skb, _ctx: HookContext) -> int:
        skb.priority = priority
        return CONTINUE

    return act


def tproxy(value: TproxyTarget, _building: Building) -> Act:
    def act(skb: Skb, ctx: HookContext) -> int:
        if not skb.has_ports:
            return DROP
        netns = ctx.netns
        sock: Any = netns.sockets.lookup(skb.family, skb.proto, skb.src, skb.sport, skb.dst, skb.dport, skb.iif)
        if sock is None or getattr(sock, "peer", None) is None:
            address = value.address or netns.addresses.primary(skb.iif, skb.family) or skb.dst
            port = value.port or skb.dport
            sock = netns.sockets.lookup(skb.family, skb.proto, skb.src, skb.sport, address, port, skb.iif)
        if sock is None or not sock.transparent:
            return DROP
        skb.mark = skb.mark & ~value.mask & U32 ^ value.mark
        skb.sock = sock
        return ACCEPT

    return act


def set_(value: SetTarget, building: Building) -> Act:
    rule = building.rule

    def act(skb: Skb, ctx: HookContext) -> int:
        names, sets = ctx.netns.xtables.renamed_sets, ctx.netns.ipsets
        if value.add:
            name = names.get((rule, value.add[0]), value.add[0])
            sets.add_packet(name, skb, value.add[1], exist=value.exist, timeout=value.timeout)
        if value.delete:
            name = names.get((rule, value.delete[0]), value.delete[0])
            sets.delete_packet(name, skb, value.delete[1])
        return CONTINUE

    return act


def reject(value: RejectTarget, _building: Building) -> Act:
    def act(skb: Skb, ctx: HookContext) -> int:
        send_reject(skb, ctx, value.kind)
        return DROP

    return act


def log(value: LogTarget, _building: Building) -> Act:
    def act(skb: Skb, ctx: HookContext) -> int:
        ctx.netns.log(skb, ctx, None, value.prefix)
        return CONTINUE

    return act


def nflog(value: NflogTarget, _building: Building) -> Act:
    def act(skb: Skb, ctx: HookContext) -> int:
        ctx.netns.log(skb, ctx, value.group, value.prefix)
        return CONTINUE

    return act


def nfqueue(value: NfqueueTarget, _building: Building) -> Act:
    """Nobody listens on any queue: the packet is dropped, or goes on behind this hook with --queue-bypass."""
    return lambda _skb, _ctx: ACCEPT if value.bypass else DROP


def tcpmss(value: TcpmssTarget, _building: Building) -> Act:
    return lambda skb, ctx: clamp(skb, ctx, value.mss)


def ttl(value: TtlTarget, _building: Building) -> Act:
    def act(skb: Skb, _ctx: HookContext) -> int:
        steps = {"set": value.value, "inc": min(skb.ttl + value.value, 255), "dec": max(skb.ttl - value.value, 0)}
        if steps[value.operation] != skb.ttl:
            skb.set_ttl(steps[value.operation])
        return CONTINUE

    return act


def tos(value: TosTarget, _building: Building) -> Act:
    def act(skb: Skb, _ctx: HookContext) -> int:
        changed = skb.tos & ~value.mask & 255 ^ value.value
        if changed != skb.tos:
            skb.set_tos(changed)
        return CONTINUE

    return act
