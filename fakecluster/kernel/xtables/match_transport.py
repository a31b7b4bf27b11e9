"""Matches on transport headers, as compiled tests. iptables-nft turns plain tcp and udp matches into native
comparisons, which fail on a header that is not there (and read the payload of a later fragment as if it were one);
the xt modules drop a packet with a truncated header and match no later fragment.

Sources: net/netfilter/xt_tcpudp.c, xt_sctp.c, xt_multiport.c, xt_tcpmss.c, xt_length.c, nft.c (add_nft_tcpudp).
"""

from __future__ import annotations

from fakecluster.kernel.hooks import HookContext
from fakecluster.kernel.packet import Skb
from fakecluster.kernel.xtables.code import Building, HotDrop, Test
from fakecluster.rules.iptables.match_message import FragMatch, IcmpMatch, RangeMatch
from fakecluster.rules.iptables.match_transport import (
    EVERY_PORT,
    SCTP_CHUNKS,
    MultiportMatch,
    PortsMatch,
    SctpMatch,
    TcpMatch,
)

#: bytes of header that the xt modules want to see
TCP_HEADER, UDP_HEADER, SCTP_HEADER, DCCP_HEADER, ICMP_HEADER = 20, 8, 12, 12, 8
FRAGMENT_HEADER = 44


def header(skb: Skb, size: int) -> bool:
    """Whether the transport header is there: False in later fragments; a truncated one drops the packet."""
    if skb.frag_offset:
        return False
    if len(skb.data) < skb.l4 + size:
        raise HotDrop
    return True


def _native_port(offset: int, low: int, high: int, *, inverted: bool) -> Test:
    def test(skb: Skb, _ctx: HookContext) -> bool:
        at = skb.l4 + offset
        data = skb.data
        if len(data) < at + 2:
            return False
        return (low <= (data[at] << 8 | data[at + 1]) <= high) != inverted

    def exact(skb: Skb, _ctx: HookContext) -> bool:
        at = skb.l4 + offset
        data = skb.data
        return len(data) >= at + 2 and data[at] << 8 | data[at + 1] == low

    return exact if low == high and not inverted else test


def _native_flags(mask: int, value: int, *, inverted: bool) -> Test:
    def test(skb: Skb, _ctx: HookContext) -> bool:
        at = skb.l4 + 13
        if len(skb.data) < at + 1:
            return False
        return (skb.data[at] & mask == value) != inverted

    return test


def _native_ports(value: PortsMatch) -> list[Test]:
    tests = []
    if value.sport != EVERY_PORT or value.not_sport:
        tests.append(_native_port(0, *value.sport, inverted=value.not_sport))
    if value.dport != EVERY_PORT or value.not_dport:
        tests.append(_native_port(2, *value.dport, inverted=value.not_dport))
    return tests


def _in_range(port: int, span: tuple[int, int], inverted: bool) -> bool:
    return (span[0] <= port <= span[1]) != inverted


def _ports_hold(skb: Skb, value: PortsMatch) -> bool:
    data, at = skb.data, skb.l4
    return _in_range(data[at] << 8 | data[at + 1], value.sport, value.not_sport) and _in_range(
        data[at + 2] << 8 | data[at + 3], value.dport, value.not_dport
    )


def _all_native(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda skb, ctx: all(test(skb, ctx) for test in tests)


EVERY_SEGMENT, EVERY_DATAGRAM = TcpMatch(), PortsMatch()


def tcp(value: TcpMatch, building: Building) -> Test:
    if building.backend == "nft" and not value.option and value != EVERY_SEGMENT:
        tests = _native_ports(value)
        if value.flags[0] or value.not_flags:
            tests.append(_native_flags(*value.flags, inverted=value.not_flags))
        return _all_native(tests)
    mask, wanted = value.flags

    def test(skb: Skb, _ctx: HookContext) -> bool:
        if skb.frag_offset == 8:
            raise HotDrop  # a fragment that would rewrite the flags
        if not header(skb, TCP_HEADER) or not _ports_hold(skb, value):
            return False
        if (mask or value.not_flags) and (skb.data[skb.l4 + 13] & mask == wanted) == value.not_flags:
            return False
        return not value.option or has_option(skb, value.option) != value.not_option

    return test


def has_option(skb: Skb, option: int) -> bool:
    """tcp_find_option(): the option number occurs."""
    at, end = _options(skb)
    while at < end:
        kind = skb.data[at]
        if kind == option:
            return True
        at += 1 if kind < 2 or at + 1 >= end else skb.data[at + 1] or 1
    return False


def _options(skb: Skb) -> tuple[int, int]:
    """Where the TCP options begin and end."""
    length = (skb.data[skb.l4 + 12] >> 4) * 4
    if length < TCP_HEADER or len(skb.data) < skb.l4 + length:
        raise HotDrop
    return skb.l4 + TCP_HEADER, skb.l4 + length


def udp(value: PortsMatch, building: Building) -> Test:
    if building.backend == "nft" and value != EVERY_DATAGRAM:
        return _all_native(_native_ports(value))
    return lambda skb, _ctx: header(skb, UDP_HEADER) and _ports_hold(skb, value)


def dccp(value: PortsMatch, _building: Building) -> Test:
    return lambda skb, _ctx: header(skb, DCCP_HEADER) and _ports_hold(skb, value)


def sctp(value: SctpMatch, _building: Building) -> Test:
    wanted = frozenset(SCTP_CHUNKS[name] for name, _set, _clear in value.chunks)

    def test(skb: Skb, _ctx: HookContext) -> bool:
        if not header(skb, SCTP_HEADER) or not _ports_hold(skb, value):
            return False
        return not value.scope or _chunks_hold(skb, value.scope, wanted) != value.not_chunks

    return test


def _chunks_hold(skb: Skb, scope: str, wanted: frozenset[int]) -> bool:
    """match_packet() of xt_sctp.c."""
    data, at, missing = skb.data, skb.l4 + SCTP_HEADER, set(wanted)
    while True:
        if len(data) < at + 4 or not data[at + 2] << 8 | data[at + 3]:
            raise HotDrop
        kind = data[at]
        if kind in wanted:
            if scope == "any":
                return True
            missing.discard(kind)
        elif scope == "only":
            return False
        at += (data[at + 2] << 8 | data[at + 3]) + 3 & ~3
        if at >= len(data):
            break
    return not missing if scope == "all" else scope == "only"


def multiport(value: MultiportMatch, _building: Building) -> Test:
    ranges, inverted = value.ranges, value.inverted
    offsets = {"sports": (0,), "dports": (2,), "ports": (0, 2)}[value.side]

    def test(skb: Skb, _ctx: HookContext) -> bool:
        if not header(skb, 4):
            return False
        data, at = skb.data, skb.l4
        ports = [data[at + offset] << 8 | data[at + offset + 1] for offset in offsets]
        return any(low <= port <= high for port in ports for low, high in ranges) != inverted

    return test


def icmp(value: IcmpMatch, _building: Building) -> Test:
    low, high = value.codes

    def test(skb: Skb, _ctx: HookContext) -> bool:
        if not header(skb, ICMP_HEADER):
            return False
        kind, code = skb.data[skb.l4], skb.data[skb.l4 + 1]
        held = value.is_any or (kind == value.type and low <= code <= high)
        return held != value.inverted

    return test


def tcpmss(value: RangeMatch, _building: Building) -> Test:
    def test(skb: Skb, _ctx: HookContext) -> bool:
        if skb.frag_offset or len(skb.data) < skb.l4 + TCP_HEADER:
            raise HotDrop
        at, end = _options(skb)
        while at < end:
            kind = skb.data[at]
            if kind == 2 and end - at >= 4 and skb.data[at + 1] == 4:
                mss = skb.data[at + 2] << 8 | skb.data[at + 3]
                return (value.low <= mss <= value.high) != value.inverted
            at += 1 if kind < 2 or at + 1 >= end else skb.data[at + 1] or 1
        return value.inverted

    return test


def length(value: RangeMatch, _building: Building) -> Test:
    return lambda skb, _ctx: (value.low <= len(skb.data) <= value.high) != value.inverted


def esp(value: RangeMatch, _building: Building) -> Test:
    def test(skb: Skb, _ctx: HookContext) -> bool:
        if not header(skb, 8):
            return False
        spi = int.from_bytes(skb.data[skb.l4 : skb.l4 + 4])
        return (value.low <= spi <= value.high) != value.inverted

    return test


def frag(value: FragMatch, _building: Building) -> Test:
    def test(skb: Skb, _ctx: HookContext) -> bool:
        at = _fragment_header(skb)
        if at is None:
            return False
        bits = skb.data[at + 2] << 8 | skb.data[at + 3]
        number = int.from_bytes(skb.data[at + 4 : at + 8])
        results = {
            "fragres": not (skb.data[at + 1] or bits & 6), "fragfirst": not bits & 0xFFF8, "fragmore": bool(bits & 1),
            "fraglast": not bits & 1,
        }  # fmt: skip
        if (value.ids[0] <= number <= value.ids[1]) == value.not_ids:
            return False
        return all(results[name] for name in value.tests)

    return test


def _fragment_header(skb: Skb) -> int | None:
    """Where the IPv6 fragment header stands."""
    data, kind, at = skb.data, skb.data[6], 40
    while at + 8 <= len(data) and kind in (0, 43, 60, 135, FRAGMENT_HEADER):
        if kind == FRAGMENT_HEADER:
            return at
        kind, at = data[at], at + 8 + data[at + 1] * 8
    return None
