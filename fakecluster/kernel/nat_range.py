"""What a flow may be mapped to, and how headers and quoted headers are rewritten (nf_nat_proto.c)."""

from __future__ import annotations

from typing import NamedTuple

from fakecluster.kernel.conntrack.entry import (
    Tuple,
)  # fmt: skip
from fakecluster.kernel.packet import ICMP, ICMPV6, PORT_PROTOCOLS, TCP, UDP, Skb


class NatRange(NamedTuple):
    """What a flow may be mapped to: addresses and ports (inclusive), None where they are not to change."""

    min_addr: int | None = None
    max_addr: int | None = None
    min_port: int | None = None
    max_port: int | None = None
    random: bool = False
    fully_random: bool = False
    persistent: bool = False
    base_port: int | None = None
    netmap: bool = False

    @property
    def randomised(self) -> bool:
        return self.random or self.fully_random


def gre_is_known(skb: Skb, *, source: bool) -> bool:
    """gre_manip_pkt(): eight bytes of header, and towards a new destination a version that the kernel knows."""
    return len(skb.data) >= skb.l4 + 8 and (source or skb.data[skb.l4 + 1] & 7 <= 1)


def rewrite(skb: Skb, target: Tuple, *, source: bool) -> None:
    """Set one end of a packet to what the tuple says (nf_nat_manip_pkt)."""
    proto = skb.proto
    if skb.family == 4 and proto in (TCP, UDP) and not skb.frag_offset and len(skb.data) >= skb.l4 + 4:
        if source:
            skb.set_end4(target.src, target.sport, source=True)
        else:
            skb.set_end4(target.dst, target.dport, source=False)
        return
    if source:
        if skb.src != target.src:
            skb.set_src(target.src)
        if skb.proto in PORT_PROTOCOLS and skb.has_ports and skb.sport != target.sport:
            skb.set_sport(target.sport)
    else:
        if skb.dst != target.dst:
            skb.set_dst(target.dst)
        if skb.proto in PORT_PROTOCOLS and skb.has_ports and skb.dport != target.dport:
            skb.set_dport(target.dport)
    if skb.proto in (ICMP, ICMPV6) and not skb.frag_offset and len(skb.data) >= skb.l4 + 8:
        skb.set_icmp_id(target.sport)


def rewrite_quoted(skb: Skb, found: tuple[int, Tuple, int], target: Tuple, *, source: bool) -> None:
    """Change the packet that an ICMP error quotes; the quoted checksums follow as far as they are there."""
    _, _, at = found
    quoted = Skb.__new__(Skb)
    tail = bytes(skb.data[at:])
    room = (tail[2] << 8 | tail[3]) if skb.family == 4 else 40 + (tail[4] << 8 | tail[5])
    quoted.data = bytearray(tail.ljust(room, b"\0"))
    quoted.parse()
    if source:
        quoted.set_src(target.src)
    else:
        quoted.set_dst(target.dst)
    if quoted.proto in PORT_PROTOCOLS:
        if source:
            quoted.set_sport(target.sport)
        else:
            quoted.set_dport(target.dport)
    elif quoted.proto in (ICMP, ICMPV6):
        quoted.set_icmp_id(target.sport)
    skb.data[at:] = quoted.data[: len(tail)]


def netmap(nat_range: NatRange, address: int) -> NatRange:
    """NETMAP: the network part from the range, the host part from the address."""
    low, high = nat_range.min_addr or 0, nat_range.max_addr or 0
    mask = low ^ high
    mapped = low & ~mask | address & mask
    return nat_range._replace(min_addr=mapped, max_addr=mapped, netmap=False)


def _in_range(candidate: Tuple, nat_range: NatRange) -> bool:
    low, high = nat_range.min_addr, nat_range.max_addr
    if low is not None and not low <= candidate.src <= (high if high is not None else low):
        return False
    return nat_range.min_port is None or _port_in_range(candidate, nat_range, True)


def _port_in_range(candidate: Tuple, nat_range: NatRange, source: bool) -> bool:
    if candidate.proto in (ICMP, ICMPV6):
        port = candidate.sport
    elif candidate.proto in PORT_PROTOCOLS:
        port = candidate.sport if source else candidate.dport
    else:
        return True
    assert nat_range.min_port is not None
    return nat_range.min_port <= port <= (nat_range.max_port or nat_range.min_port)


def _port_bounds(found: Tuple, nat_range: NatRange, source: bool) -> tuple[int, int] | None:
    """(lowest port or id, how many) to choose from; None where the protocol has nothing to choose."""
    if found.proto in (ICMP, ICMPV6):
        if nat_range.min_port is None:
            return 0, 65536
    elif found.proto not in PORT_PROTOCOLS:
        return None
    if nat_range.min_port is not None:
        low, high = nat_range.min_port, nat_range.max_port or nat_range.min_port
        low, high = min(low, high), max(low, high)
        return low, high - low + 1
    if not source:
        return None
    if found.sport < 512:
        return 1, 511
    if found.sport < 1024:
        return 600, 424
    return 1024, 64512
