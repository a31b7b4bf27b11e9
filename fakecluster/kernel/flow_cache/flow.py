"""One direction of a flow as it is forwarded or delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.kernel.conntrack.entry import Conn, direction
from fakecluster.kernel.effects import Deliver, Transmit
from fakecluster.kernel.packet import TCP, is_group
from fakecluster.kernel.routing import Route

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.packet import Skb
    from fakecluster.kernel.trail import Trail

#: The largest IPv4 datagram; an IPv6 one without a jumbo option is not longer.
MAX_DATAGRAM = 65_575


@attrs.frozen
class Arrival:
    """What the stack knows of a packet when it gives it to a socket, besides its bytes and its connection."""

    iif: str
    mark: int
    ctinfo: int
    priority: int
    route: Route


@attrs.define(eq=False)
class Flow:
    """What the cache knows of it; `flow_of` learns it from the walk of a packet.

    `ct` is its connection (None: untracked), of which `way` is the direction; `status` and `ct_mark` are those that the
    rules saw, `timeouts` the protocol's. `verified`: transport checksums are checked; `accounted`: the connection
    counts. `counters` are the rules'.

    `oif`, `next_hop`, `mark`: how it leaves; `mtu` is the largest packet that may; `neighbour` must be known (None:
    the device needs none). With `arrival` it does not leave, but comes to this host's sockets. `ends` are the addresses
    and ports at its end; the changes are what checksums lose by that (0: nothing is rewritten, 0xFFFF: rewritten to the
    same sum). A TTL below `ttl_least` is too small.
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
    arrival: Arrival | None


def flow_of(netns: Netns, trail: Trail, skb: Skb, end: Transmit | Deliver) -> Flow:
    """The flow of a packet that went the way of `trail` and came to `end`."""
    before, after, ct, sysctls = trail.packet, end.packet, trail.ct, netns.sysctls
    start, stop, ttl_at = (12, 24, 8) if skb.family == 4 else (8, 44, 7)
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
        oif=end.iface,
        next_hop=end.next_hop if isinstance(end, Transmit) else 0,
        mark=end.mark,
        mtu=netns.mtu_of(skb.route) if isinstance(end, Transmit) else MAX_DATAGRAM,
        neighbour=neighbour_of(netns, end) if isinstance(end, Transmit) else None,
        ends=after[start:stop],
        ip_change=ip_change(before, after),
        l4_change=sum_change(before[start:stop], after[start:stop]),
        ttl_step=before[ttl_at] - after[ttl_at],
        ttl_least=2 if before[ttl_at] != after[ttl_at] else 0,
        arrival=None if isinstance(end, Transmit) else Arrival(skb.iif, skb.mark, skb.ctinfo, skb.priority, skb.route),
    )


def ip_change(before: bytes, after: bytes) -> int:
    """What the sum of an IPv4 header gains by another TTL and other addresses (see `sum_change`)."""
    return sum_change(before[8:10] + before[12:20], after[8:10] + after[12:20])


def neighbour_of(netns: Netns, sent: Transmit) -> tuple[int, int] | None:
    """What must be in the neighbour table for the packet to leave."""
    if netns.interfaces[sent.iface].noarp or is_group(sent.family, sent.next_hop):
        return None
    return sent.family, sent.next_hop


def sum_change(before: bytes, after: bytes) -> int:
    """What a one's complement sum gains: 1 to 0xFFFF, 0 when nothing changes (see checksums.checksum_change)."""
    return 0 if before == after else (int.from_bytes(after) - int.from_bytes(before)) % 0xFFFF or 0xFFFF
