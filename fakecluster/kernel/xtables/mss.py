"""TCPMSS: lowers the MSS option of a SYN, or adds one (net/netfilter/xt_TCPMSS.c)."""

from __future__ import annotations

from fakecluster.kernel.hooks import DROP, FORWARD, POSTROUTING, HookContext
from fakecluster.kernel.packet import Skb
from fakecluster.kernel.xtables.code import CONTINUE

TCP_HEADER, MSS_OPTION, MSS_OPTION_LENGTH, LONGEST_HEADER = 20, 2, 4, 60
#: The MSS that a host assumes when none is given: what is added is never more.
DEFAULT_MSS = {4: 536, 6: 1220}
HEADERS = {4: 40, 6: 60}


def clamp(skb: Skb, ctx: HookContext, mss: int | None) -> int:
    """tcpmss_mangle_packet(); `mss` None means by the path MTU."""
    if skb.frag_offset:
        return CONTINUE
    room = len(skb.data) - skb.l4
    header = (skb.data[skb.l4 + 12] >> 4) * 4 if room >= TCP_HEADER else 0
    if header < TCP_HEADER or room < header:
        return DROP
    if mss is None:
        mss = _path_mss(skb, ctx)
        if mss is None:
            return DROP
    data, at, end = skb.data, skb.l4 + TCP_HEADER, skb.l4 + header
    while at <= end - MSS_OPTION_LENGTH:
        if data[at] == MSS_OPTION and data[at + 1] == MSS_OPTION_LENGTH:
            if data[at + 2] << 8 | data[at + 3] > mss:
                _put(skb, at + 2, mss)
            return CONTINUE
        at += 1 if data[at] < 2 or not data[at + 1] else data[at + 1]
    if room > header or header >= LONGEST_HEADER:
        return CONTINUE
    _insert(skb, min(mss, DEFAULT_MSS[skb.family]))
    return CONTINUE


def _path_mss(skb: Skb, ctx: HookContext) -> int | None:
    """The smaller MTU of the way there and the way back, less the headers."""
    netns = ctx.netns
    there = skb.route
    back = netns.routes.lookup(skb.family, skb.src) if ctx.hook in (FORWARD, POSTROUTING) else None
    mtus = [netns.mtu_of(route) for route in (there, back) if route is not None and route.oif]
    smallest = min(mtus, default=0) - HEADERS[skb.family]
    return smallest if smallest > 0 else None


def _put(skb: Skb, at: int, mss: int) -> None:
    """Write the MSS and carry the difference into the checksum, which stays wrong if it was."""
    check = skb.l4 + 16
    odd = (at - skb.l4) % 2
    before = skb.data[at] << 8 | skb.data[at + 1]
    skb.data[at : at + 2] = mss.to_bytes(2)
    if odd:
        before, mss = (before & 255) << 8 | before >> 8, (mss & 255) << 8 | mss >> 8
    _fold(skb, check, ~before & 0xFFFF, mss)


def _fold(skb: Skb, check: int, *terms: int) -> None:
    total = (~(skb.data[check] << 8 | skb.data[check + 1]) & 0xFFFF) + sum(terms)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    skb.data[check : check + 2] = (~total & 0xFFFF).to_bytes(2)


def _insert(skb: Skb, mss: int) -> None:
    """Add the option behind the fixed header: data offset, both lengths and checksums follow."""
    at, data = skb.l4 + TCP_HEADER, skb.data
    offset = data[skb.l4 + 12] << 8 | data[skb.l4 + 13]
    option = bytes((MSS_OPTION, MSS_OPTION_LENGTH)) + mss.to_bytes(2)
    data[at:at] = option
    data[skb.l4 + 12] += 0x10
    grown = data[skb.l4 + 12] << 8 | data[skb.l4 + 13]
    words = (option[0] << 8 | option[1]) + mss
    _fold(skb, skb.l4 + 16, ~offset & 0xFFFF, grown, words, MSS_OPTION_LENGTH)
    if skb.family == 4:
        data[2:4] = len(data).to_bytes(2)
        skb.refresh_ip_checksum()
    else:
        data[4:6] = (len(data) - 40).to_bytes(2)
