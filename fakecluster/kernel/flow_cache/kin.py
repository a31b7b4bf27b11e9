"""Connections that differ in the client's port only: what the walk of one's packet has shown holds for the others'.

    SYN ─► `opening`          SYN-ACK ─► `answered`          first acknowledgment, each way ─► `joined`, `join`

Rules see the same of their packets, unless one of them looks at that port (see `Trail.kin`): the same interface, type of
service and addresses, the same port of the service, an entry of the same translation, status and mark. That is the key;
what is known under it are the entries of one of them, from which the others' are made.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

import attrs

from fakecluster.kernel.conntrack import tcp_handshake
from fakecluster.kernel.conntrack.entry import ASSURED, ORIGINAL, REPLY, SEEN_REPLY, Conn, Tuple
from fakecluster.kernel.effects import Effect
from fakecluster.kernel.flow_cache.decisions import decisions_of, told
from fakecluster.kernel.flow_cache.flow import Flow, sum_change
from fakecluster.kernel.flow_cache.lanes import LANES, Key, flow_key
from fakecluster.kernel.flow_cache.leaving import ends_behind, sent, tuple_of
from fakecluster.kernel.packet import ACK, SYN, TCP
from fakecluster.kernel.plain_segment import Segment, after_syn, checksum_is_right
from fakecluster.trace import Decisions

if TYPE_CHECKING:
    from fakecluster.kernel.flow_cache.cache import FlowCache
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.packet import Skb
    from fakecluster.kernel.trail import Trail

#: Interface, first 16 bits, direction, status, mark, masquerading interface, zone; then of the entry's tuples all but the
#: family, the protocol and the port of the client.
KinKey = tuple[str, int, int, int, int, str, int, int, int, int, int, int, int]
#: Entries of open connections, and of what answered a SYN, with what decided there if that was wanted.
Kin = dict[KinKey, Flow]
Answers = dict[KinKey, tuple[Flow, Decisions | None]]
SYN_ACK = SYN | ACK
#: Entries for answers that are made before it is asked whether they serve. To make one costs half of what it saves.
THRIFT = 4096
_fields = attrgetter(*[field.name for field in attrs.fields(Flow)])
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


class Thrift:
    """Whether it is worth the while to learn for kin: not when few connections have any.

    Then nothing is learned but from the second SYN-ACK of a kind, which shows when that changes. `learned` and `served`
    count the entries of SYN-ACKs and the packets that went by them; `met` are keys of the first ones.
    """

    __slots__ = ("learned", "met", "passed_over", "served")

    def __init__(self) -> None:
        self.learned = self.served = 0
        self.met: set[KinKey] = set()
        self.passed_over = b""

    @property
    def is_on(self) -> bool:
        """Whether there is little hope."""
        return self.learned > THRIFT + 2 * self.served

    def look(self, key: KinKey, packet: bytes) -> None:
        """A SYN-ACK goes the long way for want of an entry."""
        if key not in self.met and self.is_on:
            self.met.add(key)
            self.passed_over = packet


def kin_key(iface: str, first: int, way: int, status: int, ct: Conn) -> KinKey:
    """What a packet shares with those of its connection's kin; `status` is what rules see."""
    orig, reply = ct.orig, ct.reply
    return (
        iface, first, way, status, ct.mark, ct.masq_oif, ct.zone_orig or ct.zone_reply,
        orig[2], orig[3], orig[5], reply[2], reply[3], reply[4],
    )  # fmt: skip


def flow_like(flow: Flow, ct: Conn, ends: bytes) -> Flow:
    """The entry of the same direction of kin, whose packets come in with these ends."""
    alike = Flow(*_fields(flow))
    alike.ct, alike.ends = ct, ends_behind(ct.tuple_of(1 - flow.way))
    alike.l4_change = sum_change(ends, alike.ends)
    return alike


def answered(
    cache: FlowCache, segment: Segment, packet: bytes, iface: str, dst_mac: bytes, wanted: bool
) -> list[Effect] | None:  # fmt: skip
    """What comes of a SYN-ACK, and why if that is `wanted`; None, and nothing changed, when it must go the long way."""
    netns = cache.netns
    found = _connection(netns, segment)
    if found is None or found[1] != REPLY or found[0].status & SEEN_REPLY:
        return None
    ct, size = found[0], len(packet)
    key = kin_key(iface, segment.first, REPLY, ct.status | SEEN_REPLY, ct)
    known = cache.answers.get(key)
    if known is None or (wanted and known[1] is None):
        cache.thrift.look(key, packet)
        return None
    flow, decisions = known
    if segment.ttl < flow.ttl_least or size > flow.mtu:
        return None
    if (dst_mac and dst_mac != flow.dst_mac) or (flow.neighbour and flow.neighbour not in netns.neighbours):
        return None
    if flow.verified and not checksum_is_right(packet, segment.family):
        return None
    if not tcp_handshake.answer(flow.timeouts, ct, segment.ack, *after_syn(segment, packet), netns.clock.now_ns):
        return None
    if flow.accounted:
        ct.packets[REPLY] += 1
        ct.octets[REPLY] += size
    cache.thrift.served += 1
    leaving = sent(flow, packet, segment.family, ends_behind(ct.orig))
    if wanted and decisions is not None:
        leaving = leaving._replace(hop=told(decisions, packet, leaving.packet))
    return [leaving]


def joined(
    cache: FlowCache, segment: Segment, packet: bytes, iface: str, dst_mac: bytes, wanted: bool
) -> list[Effect] | None:  # fmt: skip
    """What comes of an acknowledgment whose flow gets its entry now; None, and nothing changed, without known kin.

    Why is not known: None, too, if that is `wanted`.
    """
    netns, flows = cache.netns, cache.flows
    if wanted or cache.is_full or cache.thrift.is_on:
        return None
    key = flow_key(packet, iface)
    found = _connection(netns, segment)
    if found is None or key in flows:
        return None
    ct, way = found
    last = tcp_handshake.awaits_last(ct, way)
    status = ct.status | ASSURED if last else ct.status
    like = cache.kin.get(kin_key(iface, segment.first, way, status, ct))
    if like is None:
        return None
    flows[key] = flow_like(like, ct, key[3])
    before = tcp_handshake.open_up(ct, segment.ack) if last else None
    effects = LANES[TCP](netns, flows, packet, iface, dst_mac)
    if effects is not None:
        ct.add_shortcut(key)
        return effects
    del flows[key]
    if before is not None:
        tcp_handshake.close_again(ct, before)
    return None


def join(cache: FlowCache, key: Key) -> Flow | None:
    """Give packets of an open connection, of which none came in this direction yet, their entry; None without known kin."""
    if cache.is_full or cache.thrift.is_on:
        return None
    iface, _, first, ends = key
    found = _live(cache.netns, tuple_of(ends))
    if found is None:
        return None
    ct, way = found
    like = cache.kin.get(kin_key(iface, first, way, ct.status, ct))
    if like is None:
        return None
    flow = cache.flows[key] = flow_like(like, ct, ends)
    ct.add_shortcut(key)
    return flow


def learn_kin(cache: FlowCache, trail: Trail, skb: Skb, flow: Flow) -> None:
    """Keep the entry of a packet for its connection's kin, if the port of the client was not looked at."""
    if skb.proto != TCP or flow.ct is None or flow.arrival is not None or not trail.kin[flow.way]:
        return
    if cache.thrift.is_on and not trail.answers:
        return
    cache.make_room()
    first = trail.packet[0] << 8 | trail.packet[1]
    key = kin_key(trail.iface, first if skb.family == 4 else first & 0xFFF0, flow.way, trail.status, flow.ct)
    if trail.answers:
        cache.thrift.learned += 1
        cache.answers[key] = flow, decisions_of(skb)
    else:
        cache.kin[key] = flow


def _connection(netns: Netns, segment: Segment) -> tuple[Conn, int] | None:
    """The live entry of a segment, and its direction."""
    family, _first, _ttl, src, dst, sport, dport, _seq, _ack, _bits, _window = segment
    return _live(netns, _new(Tuple, (family, TCP, src, dst, sport, dport)))


def _live(netns: Netns, key: Tuple) -> tuple[Conn, int] | None:
    """The live entry of packets of a tuple, and their direction."""
    ct = netns.conntrack.by_tuple.get((0, key))
    if ct is None or ct.expires_ns <= netns.clock.now_ns:
        return None
    return ct, REPLY if ct.reply == key else ORIGINAL
