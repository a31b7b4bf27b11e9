"""One direction of a flow as it is forwarded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.kernel.conntrack.entry import Conn, direction
from fakecluster.kernel.packet import TCP, is_group

if TYPE_CHECKING:
    from fakecluster.kernel.effects import Transmit
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.packet import Skb
    from fakecluster.kernel.trail import Trail


@attrs.define(eq=False)
class Flow:
    """What the cache knows of it; `flow_of` learns it from the walk of a packet.

    `ct` is its connection (None: untracked), of which `way` is the direction; `status` and `ct_mark` are those that the
    rules saw, `timeouts` the protocol's. `verified`: transport checksums are checked; `accounted`: the connection
    counts. `counters` are the rules'.

    `oif`, `next_hop`, `mark`: how it leaves; `mtu` is the largest packet that may; `neighbour` must be known (None:
    the device needs none). `ends` are the addresses and ports as they leave; the changes are what checksums lose by
    that (0: nothing is rewritten, 0xFFFF: rewritten to the same sum). A TTL below `ttl_least` is too small.
    """

    ct: Conn | None
    way: int
    status: int
    ct_mark: int
    timeouts: Any
    verified: bool
    accounted: bool
    counters: list[list[int]]
    dst_mac: bytes
    oif: str
    next_hop: int
    mark: int
    mtu: int
    neighbour: tuple[int, int] | None
    ends: bytes
    ip_change: int
    l4_change: int
    ttl_step: int
    ttl_least: int


def flow_of(netns: Netns, trail: Trail, skb: Skb, sent: Transmit) -> Flow:
    """The flow of a packet that went the way of `trail` and left as `sent`."""
    before, after, ct, sysctls = trail.packet, sent.packet, trail.ct, netns.sysctls
    device = netns.interfaces[sent.iface]
    needless = device.noarp or is_group(skb.family, sent.next_hop)
    start, end, ttl_at = (12, 24, 8) if skb.family == 4 else (8, 44, 7)
    timeouts = None
    if ct is not None:
        timeouts = netns.conntrack.tcp_timeouts() if skb.proto == TCP else netns.conntrack.udp_timeouts()
    return Flow(
        ct=ct,
        way=direction(skb.ctinfo),
        status=trail.status,
        ct_mark=trail.ct_mark,
        timeouts=timeouts,
        verified=ct is not None and sysctls.number("net.netfilter.nf_conntrack_checksum") != 0,
        accounted=ct is not None and sysctls.number("net.netfilter.nf_conntrack_acct") != 0,
        counters=trail.counters,
        dst_mac=netns.interfaces[skb.iif].mac,
        oif=sent.iface,
        next_hop=sent.next_hop,
        mark=sent.mark,
        mtu=netns.mtu_of(skb.route),
        neighbour=None if needless else (skb.family, sent.next_hop),
        ends=after[start:end],
        ip_change=_sum_change(before[8:10] + before[12:20], after[8:10] + after[12:20]),
        l4_change=_sum_change(before[start:end], after[start:end]),
        ttl_step=before[ttl_at] - after[ttl_at],
        ttl_least=2 if before[ttl_at] != after[ttl_at] else 0,
    )


def _sum_change(before: bytes, after: bytes) -> int:
    """What a one's complement sum gains: 1 to 0xFFFF, 0 when nothing changes (see packet.checksum_change)."""
    return 0 if before == after else (int.from_bytes(after) - int.from_bytes(before)) % 0xFFFF or 0xFFFF
