"""ICMP and ICMPv6 as conntrack follows them: queries are flows, errors belong to the flow they speak of
(nf_conntrack_proto_icmp.c, nf_conntrack_proto_icmpv6.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel.conntrack.entry import (
    ICMP_OPENERS,
    ICMPV6_OPENERS,
    RELATED,
    RELATED_REPLY,
    UNTRACKED,
    Conn,
    Tuple,
    tuple_at,
)  # fmt: skip
from fakecluster.kernel.hooks import PREROUTING, HookContext
from fakecluster.kernel.packet import ICMP, BadPacket, Skb

if TYPE_CHECKING:
    from fakecluster.kernel.conntrack.table import Conntrack

ERRORS4 = frozenset((3, 4, 5, 11, 12))
MAX_TYPE4 = 18
#: Neighbour discovery and multicast listener messages are never tracked.
UNTRACKED6 = frozenset(range(130, 138))


def check(table: Conntrack, skb: Skb, ctx: HookContext, zone_orig: int, zone_reply: int) -> str:
    """Before the look-up: "" to go on, "accept" when the packet's fate in conntrack is decided (maybe INVALID)."""
    if skb.frag_offset:
        return ""
    if len(skb.data) < skb.l4 + 8:
        return "accept"
    verify = ctx.hook == PREROUTING and table.sysctls.number("net.netfilter.nf_conntrack_checksum")
    if verify and skb.iif != "lo" and not skb.is_fragment and not skb.l4_checksum_ok():
        return "accept"
    kind = skb.data[skb.l4]
    if skb.proto == ICMP:
        if kind > MAX_TYPE4:
            return "accept"
        is_error = kind in ERRORS4
    else:
        if kind in UNTRACKED6:
            skb.ctinfo = UNTRACKED
            return "accept"
        is_error = kind < 128
    if not is_error:
        return ""
    _relate(table, skb, zone_orig, zone_reply)
    return "accept"


def inner_packet(skb: Skb) -> tuple[int, Tuple, int] | None:
    """(offset of the quoted L4 header, its tuple, offset of the quoted IP header), or None when it cannot be read."""
    at = skb.l4 + 8
    data = skb.data
    try:
        quoted = Skb(_padded(data[at:], skb.family))
    except BadPacket:
        return None
    if quoted.family != skb.family or quoted.frag_offset:
        return None
    inner = tuple_at(data[at:], quoted.l4, quoted.family, quoted.proto, quoted.src, quoted.dst)
    return (at + quoted.l4, inner, at) if inner is not None else None


def _padded(quoted: bytearray, family: int) -> bytearray:
    """A quotation cut short, stretched to the length that its header claims, so that it can be parsed."""
    if family == 4 and len(quoted) >= 20:
        total = quoted[2] << 8 | quoted[3]
    elif family == 6 and len(quoted) >= 40:
        total = 40 + (quoted[4] << 8 | quoted[5])
    else:
        return quoted
    return quoted + bytes(max(0, total - len(quoted)))


def _relate(table: Conntrack, skb: Skb, zone_orig: int, zone_reply: int) -> None:
    found = inner_packet(skb)
    if found is None:
        return
    _, inner, _ = found
    wanted = inner.inverted()
    if wanted is None:
        return
    ct = table.find(zone_orig, wanted)
    if ct is None and zone_reply != zone_orig:
        ct = table.find(zone_reply, wanted)
    if ct is None:
        return
    reply = ct.orig != wanted
    if wanted.dst != skb.dst:
        return  # the error does not go to whom it quotes
    skb.ct = ct
    skb.ctinfo = RELATED_REPLY if reply else RELATED


def track(table: Conntrack, ct: Conn, skb: Skb) -> str:
    """A query or its answer: only a request opens a flow."""
    openers = ICMP_OPENERS if skb.proto == ICMP else ICMPV6_OPENERS
    if not ct.confirmed and skb.data[skb.l4] not in openers:
        return "invalid"
    table.refresh(ct, table.timeout_ns("icmp_timeout" if skb.proto == ICMP else "icmpv6_timeout"), skb)
    return "accept"
