"""Matches on connections: conntrack, state, connmark, mark, connbytes, connlimit, helper.

Sources: net/netfilter/xt_conntrack.c, xt_connmark.c, xt_connbytes.c, xt_connlimit.c, nf_conncount.c, xt_helper.c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.kernel.conntrack import (
    DST_NAT,
    ORIGINAL,
    SRC_NAT,
    Conn,
    Tuple,
    direction,
    packet_tuple,
    state_name,
)
from fakecluster.kernel.conntrack.entry import STATE_NAMES
from fakecluster.kernel.hooks import HookContext
from fakecluster.kernel.packet import Skb
from fakecluster.kernel.xtables.code import Building, HotDrop, Test
from fakecluster.rules.iptables.match_flow import (
    ConnbytesMatch,
    ConnlimitMatch,
    ConntrackMatch,
    HelperMatch,
    MarkMatch,
)

STATUS_BITS = {"NONE": 0, "EXPECTED": 1, "SEEN_REPLY": 2, "ASSURED": 4, "CONFIRMED": 8}
NS_PER_S = 1_000_000_000
#: CONNCOUNT_GC_MAX_NODES: the search for a connection ends when more than so many dead ones were met
CLEARED_AT_ONCE = 8
#: the end of the tuple that each option of the conntrack match speaks about
_ADDRESSES: dict[str, Callable[[Conn], int]] = {
    "ctorigsrc": lambda ct: ct.orig.src,
    "ctorigdst": lambda ct: ct.orig.dst,
    "ctreplsrc": lambda ct: ct.reply.src,
    "ctrepldst": lambda ct: ct.reply.dst,
}
_PORTS: dict[str, Callable[[Conn], int]] = {
    "ctorigsrcport": lambda ct: ct.orig.sport,
    "ctorigdstport": lambda ct: ct.orig.dport,
    "ctreplsrcport": lambda ct: ct.reply.sport,
    "ctrepldstport": lambda ct: ct.reply.dport,
}
FlowTest = Callable[[Conn, Skb, HookContext], bool]


def _flow_test(name: str, value: Any) -> FlowTest:
    """One test of the conntrack match on a packet that has an entry."""
    if name in _ADDRESSES:
        address, mask = value
        read = _ADDRESSES[name]
        return lambda ct, _skb, _ctx: not (read(ct) ^ address) & mask
    if name in _PORTS:
        low, high = value
        port = _PORTS[name]
        return lambda ct, _skb, _ctx: low <= port(ct) <= high
    if name == "ctproto":
        return lambda ct, _skb, _ctx: bool(ct.orig.proto == value)
    if name == "ctstatus":
        bits = sum(STATUS_BITS[word] for word in value)
        return lambda ct, _skb, _ctx: bool(ct.status & bits)
    if name == "ctdir":
        return lambda _ct, skb, _ctx: (direction(skb.ctinfo) == ORIGINAL) == (value == "ORIGINAL")
    low, high = value
    return lambda ct, _skb, ctx: low <= _seconds_left(ct, ctx) <= high


def _seconds_left(ct: Conn, ctx: HookContext) -> int:
    """nf_ct_expires(): an entry that is not confirmed yet counts as expired."""
    return max(ct.expires_ns - ctx.netns.clock.now_ns, 0) // NS_PER_S if ct.confirmed else 0


def conntrack(value: ConntrackMatch, _building: Building) -> Test:
    """conntrack and state. A packet without an entry only matches by its state, whatever else is asked."""
    tests = [(_flow_test(name, test.value), test.inverted) for name, test in value.tests if name != "ctstate"]
    state = next((test for name, test in value.tests if name == "ctstate"), None)
    wanted: Any = state.value if state else frozenset()
    snat, dnat = "SNAT" in wanted, "DNAT" in wanted
    inverted = state.inverted if state else False

    def state_test(skb: Skb, _ctx: HookContext) -> bool:
        ct = skb.ct
        if ct is None:
            return (state_name(skb) in wanted) != inverted
        held = STATE_NAMES[skb.ctinfo] in wanted
        if not held and (snat or dnat):
            held = (snat and ct.status & SRC_NAT) or (dnat and ct.status & DST_NAT)
        return bool(held) != inverted

    if not tests:
        return state_test

    def test(skb: Skb, ctx: HookContext) -> bool:
        if state is not None and not state_test(skb, ctx):
            return False
        ct = skb.ct
        if ct is None:
            return state is not None
        return all(each(ct, skb, ctx) != turned for each, turned in tests)

    return test


def mark(value: MarkMatch, _building: Building) -> Test:
    wanted, mask, inverted = value.value, value.mask, value.inverted
    return lambda skb, _ctx: (skb.mark & mask == wanted) != inverted


def connmark(value: MarkMatch, _building: Building) -> Test:
    wanted, mask, inverted = value.value, value.mask, value.inverted
    return lambda skb, _ctx: skb.ct is not None and (skb.ct.mark & mask == wanted) != inverted


def connbytes(value: ConnbytesMatch, _building: Building) -> Test:
    def test(skb: Skb, _ctx: HookContext) -> bool:
        ct = skb.ct
        if ct is None:
            return False
        packets, octets = _selected(ct.packets, value.direction), _selected(ct.octets, value.direction)
        if value.mode == "avgpkt":
            seen = octets // packets if packets else 0
        else:
            seen = packets if value.mode == "packets" else octets
        return (value.low <= seen <= value.high) != value.inverted

    return test


def _selected(pair: list[int], which: str) -> int:
    return sum(pair) if which == "both" else pair[which == "reply"]


def connlimit(value: ConnlimitMatch, building: Building) -> Test:
    rule = building.rule

    def test(skb: Skb, ctx: HookContext) -> bool:
        own: Tuple | None = skb.ct.orig if skb.ct is not None else packet_tuple(skb)
        if own is None:
            raise HotDrop
        zone = skb.ct.zone if skb.ct is not None else 0
        known: Connections = ctx.netns.xtables.states.held.setdefault((rule, "connlimit"), Connections())
        address = skb.dst if value.by_destination else skb.src
        count = known.count((address & value.mask, zone), own, ctx)
        return (count > value.limit) == value.above

    return test


class Connections:
    """The connections that a connlimit rule has seen, by masked address and zone."""

    def __init__(self) -> None:
        self.tuples: dict[tuple[int, int], list[Tuple]] = {}

    def fork(self) -> Connections:
        twin = Connections()
        twin.tuples = {key: list(held) for key, held in self.tuples.items()}
        return twin

    def count(self, key: tuple[int, int], own: Tuple, ctx: HookContext) -> int:
        """How many connections `key` has, this one included (__nf_conncount_add).

        The list is cleared of the dead as it is searched: those behind this connection, once found, still count.
        """
        held = self.tuples.setdefault(key, [])
        zone, dead = key[1], 0
        for each in held.copy():
            if dead > CLEARED_AT_ONCE:
                break
            if each == own and ctx.netns.conntrack.find(zone, each) is not None:
                return len(held)
            if not _alive(each, zone, ctx):
                held.remove(each)
                dead += 1
        held.append(own)
        return len(held)


def _alive(each: Tuple, zone: int, ctx: HookContext) -> bool:
    found = ctx.netns.conntrack.find(zone, each)
    return found is not None and found.state not in ("TIME_WAIT", "CLOSE")


def helper(value: HelperMatch, _building: Building) -> Test:
    """No conntrack helper is modelled, so no connection has one."""
    return lambda _skb, _ctx: value.inverted
