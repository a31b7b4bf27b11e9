"""What a rule asks of the packet's conntrack entry. Source: nft_ct.c."""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.errors import Unsupported
from fakecluster.kernel.conntrack.entry import (
    ESTABLISHED,
    ESTABLISHED_REPLY,
    NEW,
    RELATED,
    RELATED_REPLY,
    UNTRACKED,
    Conn,
    direction,
)  # fmt: skip
from fakecluster.kernel.nftables.program import Getter, Packet, Value
from fakecluster.kernel.packet import Skb
from fakecluster.rules.nft.expressions import Ct

_INVALID_BIT, _UNTRACKED_BIT = 1, 64
_STATE_BITS = {ESTABLISHED: 2, ESTABLISHED_REPLY: 2, RELATED: 4, RELATED_REPLY: 4, NEW: 8}
_NFPROTO = {4: 2, 6: 10}


def state_bits(skb: Skb) -> int:
    """``ct state`` as a bit."""
    if skb.ct is None:
        return _UNTRACKED_BIT if skb.ctinfo == UNTRACKED else _INVALID_BIT
    return _STATE_BITS[skb.ctinfo]


Reader = Callable[[Packet, Conn, int], Value]


def _expiration_ms(packet: Packet, conn: Conn, _way: int) -> int:
    left = conn.expires_ns - packet.now_ns if conn.confirmed else 0
    return max(0, left) // 1_000_000


_PLAIN: dict[str, Reader] = {
    "direction": lambda packet, conn, way: direction(packet.skb.ctinfo),
    "status": lambda packet, conn, way: conn.status & 0xFFFF,
    "mark": lambda packet, conn, way: conn.mark,
    "expiration": _expiration_ms,
    "l3proto": lambda packet, conn, way: _NFPROTO[conn.orig.family],
    "protocol": lambda packet, conn, way: conn.orig.proto,
    "zone": lambda packet, conn, way: conn.zone_reply if way else conn.zone_orig,
    "id": lambda packet, conn, way: conn.id,
    "label": lambda packet, conn, way: conn.labels,
    "bytes": lambda packet, conn, way: conn.octets[way] if way >= 0 else sum(conn.octets),
    "packets": lambda packet, conn, way: conn.packets[way] if way >= 0 else sum(conn.packets),
    "proto-src": lambda packet, conn, way: _source_port(conn, way),
    "proto-dst": lambda packet, conn, way: conn.tuple_of(way).dport,
    "ip saddr": lambda packet, conn, way: conn.tuple_of(way).src if conn.orig.family == 4 else None,
    "ip daddr": lambda packet, conn, way: conn.tuple_of(way).dst if conn.orig.family == 4 else None,
    "ip6 saddr": lambda packet, conn, way: conn.tuple_of(way).src if conn.orig.family == 6 else None,
    "ip6 daddr": lambda packet, conn, way: conn.tuple_of(way).dst if conn.orig.family == 6 else None,
}
_WAYS = {"": -1, "original": 0, "reply": 1}


def _source_port(conn: Conn, way: int) -> int:
    return conn.tuple_of(way).sport


def ct(expression: Ct) -> Getter:
    """A function that reads ``ct KEY``; None (the rule breaks) for packets without an entry."""
    if expression.key == "state":
        return lambda packet: state_bits(packet.skb)
    read = _PLAIN.get(expression.key)
    if read is None:
        raise Unsupported(f"ct {expression.key}", token=expression.key)
    way = _WAYS[expression.direction]
    if expression.key == "zone" and way < 0:
        way = 0

    def value(packet: Packet) -> Value:
        conn = packet.skb.ct
        return None if conn is None else read(packet, conn, way)

    return value


MODELLED = ("state", *_PLAIN)
