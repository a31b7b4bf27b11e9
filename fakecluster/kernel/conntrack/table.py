"""The connection table of one namespace, and the hook functions that feed it (nf_conntrack_core.c).

An entry is found under (zone, tuple) of either direction. Time-outs are checked when an entry is met, so that no timer
runs per flow; what has expired is gone the moment someone looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from fakecluster.kernel.conntrack import icmp, sctp, tcp
from fakecluster.kernel.conntrack.entry import (
    ASSURED,
    CONFIRMED,
    DYING,
    ESTABLISHED,
    ESTABLISHED_REPLY,
    EXPECTED,
    FIXED_TIMEOUT,
    NEW,
    ORIGINAL,
    RELATED,
    REPLY,
    SEEN_REPLY,
    UNTRACKED,
    Conn,
    Tuple,
    direction,
    packet_tuple,
)  # fmt: skip
from fakecluster.kernel.hooks import ACCEPT, DROP, INPUT, OUTPUT, POSTROUTING, PREROUTING, Hook, HookContext, Priority
from fakecluster.kernel.packet import GRE, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE, Skb
from fakecluster.kernel.sysctls import Sysctls
from fakecluster.kernel.trail import tracked
from fakecluster.sim import Clock

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

NS_PER_S = 1_000_000_000
#: How many times one packet may find that its entry has just died and look again.
MAX_REPEATS = 3


class UdpInfo:
    """The protocol part of a UDP entry: when it counts as a stream."""

    __slots__ = ("stream_ns",)

    def __init__(self, stream_ns: int) -> None:
        self.stream_ns = stream_ns

    def fork(self) -> UdpInfo:
        return UdpInfo(self.stream_ns)


class Conntrack:
    """All tracked flows. Nothing is tracked until someone needs it (`need`): a ct match, a NAT target, a CT target."""

    def __init__(self, netns: Netns) -> None:
        self.netns = netns
        self.clock: Clock = netns.clock
        self.sysctls: Sysctls = netns.sysctls
        self.by_tuple: dict[tuple[int, Tuple], Conn] = {}
        self.by_source: dict[tuple[int, int, int, int, int], list[Conn]] = {}
        self.needed: dict[int, set[str]] = {4: set(), 6: set()}
        self._next_id = 0
        self._timeouts: dict[str, int] = {}
        self._tcp_timeouts: tcp.TcpTimeouts | None = None
        self._sysctl_generation = -1

    # --- who needs tracking

    def need(self, family: int, owner: str) -> None:
        """Switch tracking (and defragmentation) on for a family, until the last owner releases it."""
        if not self.needed[family]:
            self._register(family)
        self.needed[family].add(owner)

    def release(self, family: int, owner: str) -> None:
        had = bool(self.needed[family])
        self.needed[family].discard(owner)
        if had and not self.needed[family]:
            self._unregister(family)

    def _register(self, family: int) -> None:
        hooks = self.netns.hooks
        self.netns.fragments.need(family, "conntrack")
        for hook in (PREROUTING, OUTPUT):
            hooks.register(family, hook, Priority.CONNTRACK, "conntrack", self.hook_in, steady=True)
        for hook in (INPUT, POSTROUTING):
            confirm = self.hook_confirm
            hooks.register(family, hook, Priority.CONNTRACK_CONFIRM, "conntrack confirm", confirm, steady=True)

    def _unregister(self, family: int) -> None:
        self.netns.fragments.release(family, "conntrack")
        for hook in Hook:
            for name in ("conntrack", "conntrack confirm"):
                self.netns.hooks.unregister(family, hook, name)

    # --- the table

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Conn]:
        """Every live entry, once, oldest first."""
        now = self.clock.now_ns
        for key, ct in list(self.by_tuple.items()):
            if key == (ct.zone_orig, ct.orig) and not ct.status & DYING:
                if ct.expires_ns > now:
                    yield ct
                else:
                    self.kill(ct)

    def find(self, zone: int, key: Tuple) -> Conn | None:
        """The live entry that a packet with this tuple belongs to."""
        ct = self.by_tuple.get((zone, key))
        if ct is not None and ct.expires_ns <= self.clock.now_ns:
            self.kill(ct)
            return None
        return ct

    def taken(self, reply: Tuple, ignored: Conn) -> bool:
        """Whether another entry has this tuple already (nf_conntrack_tuple_taken)."""
        ct = self.find(ignored.zone_reply, reply)
        return ct is not None and ct is not ignored

    def insert(self, ct: Conn) -> bool:
        """Put a first packet's entry into the table; False when either direction is taken."""
        now = self.clock.now_ns
        original, reply = ct.keys()
        if self.find(*original) is not None or self.find(*reply) is not None:
            return False
        self._next_id += 1
        ct.id = self._next_id
        ct.expires_ns += now
        ct.status |= CONFIRMED
        self.by_tuple[original] = self.by_tuple[reply] = ct
        return True

    def kill(self, ct: Conn) -> None:
        """Remove an entry; packets in flight that hold it keep it."""
        for key in (ct.zone_orig, ct.orig), (ct.zone_reply, ct.reply):
            if self.by_tuple.get(key) is ct:
                del self.by_tuple[key]
        ct.status |= DYING
        if ct.shortcuts:
            self.netns.flow_cache.forget(ct)
        source = self.by_source.get(source_key(ct))
        if source is not None and ct in source:
            source.remove(ct)
            if not source:
                del self.by_source[source_key(ct)]

    def flush(self) -> int:
        """Remove everything; returns how many entries there were."""
        entries = list(self)
        for ct in entries:
            self.kill(ct)
        return len(entries)

    def refresh(self, ct: Conn, timeout_ns: int, skb: Skb) -> None:
        """Give an entry another `timeout_ns` to live and count the packet (nf_ct_refresh_acct)."""
        self.count(ct, skb)
        if ct.status & FIXED_TIMEOUT:
            return
        ct.expires_ns = self.clock.now_ns + timeout_ns if ct.status & CONFIRMED else timeout_ns

    def count(self, ct: Conn, skb: Skb) -> None:
        """Count the packet, when that is wanted (nf_ct_acct_add)."""
        if self.sysctls.number("net.netfilter.nf_conntrack_acct"):
            way = direction(skb.ctinfo)
            ct.packets[way] += 1
            ct.octets[way] += len(skb.data)

    def timeout_ns(self, name: str) -> int:
        """The sysctl net.netfilter.nf_conntrack_{name}, in nanoseconds."""
        if self._sysctl_generation != self.sysctls.generation:
            self._sysctl_generation = self.sysctls.generation
            self._timeouts.clear()
            self._tcp_timeouts = None
        found = self._timeouts.get(name)
        if found is None:
            found = self._timeouts[name] = self.sysctls.number(f"net.netfilter.nf_conntrack_{name}") * NS_PER_S
        return found

    def tcp_timeouts(self) -> tcp.TcpTimeouts:
        """All of TCP's, read once after every change of a sysctl."""
        found = self._tcp_timeouts
        if found is None or self._sysctl_generation != self.sysctls.generation:
            found = self._tcp_timeouts = tcp.TcpTimeouts.of(self)
        return found

    def udp_timeouts(self) -> tuple[int, int]:
        """Of a flow that is not answered yet or not for long, and of a stream; in nanoseconds."""
        return self.timeout_ns("udp_timeout"), self.timeout_ns("udp_timeout_stream")

    def new_template(self, *, zone: int = 0, direction: str = "both") -> Conn:
        """What the CT target and `ct zone set` attach before tracking: the zone of packets to come."""
        nothing = Tuple(0, 0, 0, 0, 0, 0)
        template = Conn(
            nothing,
            nothing,
            zone_orig=zone if direction in ("both", "original") else 0,
            zone_reply=zone if direction in ("both", "reply") else 0,
        )
        template.template = True
        return template

    # --- the hooks

    def hook_in(self, skb: Skb, ctx: HookContext) -> int:
        """Find or make the entry of a packet, and drive its state (nf_conntrack_in)."""
        if skb.ct is not None or skb.ctinfo == UNTRACKED:
            return ACCEPT  # looped back, or told not to track
        for _ in range(MAX_REPEATS):
            verdict = self._track(skb, ctx)
            if verdict != "repeat":
                break
            skb.ct, skb.ctinfo = None, 0
        if verdict == "drop":
            return DROP
        tracked(skb)
        if skb.tracer is not None and not skb.tracer.brief:
            skb.tracer.note("conntrack", describe(skb))
        return ACCEPT

    def _track(self, skb: Skb, ctx: HookContext) -> str:
        zones = skb.zone_tmpl
        zone_orig, zone_reply = (zones.zone_orig, zones.zone_reply) if zones is not None else (0, 0)
        if skb.proto in (ICMP, ICMPV6):
            verdict = icmp.check(self, skb, ctx, zone_orig, zone_reply)
            if verdict or skb.ct is not None:
                return verdict or "accept"
        key = packet_tuple(skb)
        if key is None:
            return "accept"
        ct = self.find(zone_orig, key)
        way = ORIGINAL
        if ct is not None and ct.reply == key:  # a flow that is its own answer counts as answered: hashed in later
            way = REPLY
        if ct is None and zone_reply != zone_orig:
            found = self.find(zone_reply, key)
            if found is not None and found.reply == key:
                ct, way = found, REPLY
        if ct is None:
            ct = self._open(skb, key, zone_orig, zone_reply)
            if ct is None:
                return "accept" if self.has_room() else "drop"
        skb.ct = ct
        skb.ctinfo = _ctinfo(ct, way)
        verdict = self._drive(ct, skb, way, ctx)
        if verdict == "invalid":
            skb.ct, skb.ctinfo = None, 0
        elif verdict == "accept" and skb.ctinfo == ESTABLISHED_REPLY:
            ct.status |= SEEN_REPLY
        return verdict

    def _open(self, skb: Skb, key: Tuple, zone_orig: int, zone_reply: int) -> Conn | None:
        inverted = key.inverted()
        if inverted is None or not self.has_room():
            return None
        return Conn(key, inverted, zone_orig=zone_orig, zone_reply=zone_reply)

    @property
    def is_full(self) -> bool:
        """Whether there are as many entries as there may be."""
        limit = self.sysctls.number("net.netfilter.nf_conntrack_max")
        return limit != 0 and len(self.by_tuple) >= 2 * limit

    def has_room(self) -> bool:
        """Whether one more entry fits; a full table gives up its oldest unassured one first.

        The kernel (early_drop) finds one only within eight buckets of a hash with a secret seed.
        """
        if not self.is_full:
            return True
        candidates = (ct for ct in self if not ct.status & ASSURED)
        victim = next(candidates, None)
        if victim is None:
            return False
        self.kill(victim)
        return True

    def _drive(self, ct: Conn, skb: Skb, way: int, ctx: HookContext) -> str:
        proto = skb.proto
        if proto == TCP:
            if not transport_checksum_ok(self, skb, ctx):
                return "invalid"
            return tcp.track(self, ct, skb, way)
        if proto in (UDP, UDPLITE):
            return self._udp(ct, skb, ctx)
        if proto == SCTP:
            return sctp.track(self, ct, skb, way)
        if proto in (ICMP, ICMPV6):
            return icmp.track(self, ct, skb)
        if proto == GRE:
            return self._gre(ct, skb)
        self.refresh(ct, self.timeout_ns("generic_timeout"), skb)
        return "accept"

    def _udp(self, ct: Conn, skb: Skb, ctx: HookContext) -> str:
        """nf_conntrack_udp_packet(): a stream is what still speaks both ways two seconds after it began."""
        length = skb.data[skb.l4 + 4] << 8 | skb.data[skb.l4 + 5] if len(skb.data) >= skb.l4 + 8 else 0
        if length < 8 or skb.l4 + length > len(skb.data) or not transport_checksum_ok(self, skb, ctx):
            return "invalid"
        now = self.clock.now_ns
        if not ct.confirmed:
            ct.proto_info = UdpInfo(now + 2 * NS_PER_S)
        if not ct.status & SEEN_REPLY:
            self.refresh(ct, self.timeout_ns("udp_timeout"), skb)
        elif now > ct.proto_info.stream_ns:
            self.refresh(ct, self.timeout_ns("udp_timeout_stream"), skb)
            ct.status |= ASSURED
        else:
            self.refresh(ct, self.timeout_ns("udp_timeout"), skb)
        return "accept"

    def _gre(self, ct: Conn, skb: Skb) -> str:
        """nf_conntrack_gre_packet()"""
        if ct.status & SEEN_REPLY:
            self.refresh(ct, self.timeout_ns("gre_timeout_stream"), skb)
            ct.status |= ASSURED
        else:
            self.refresh(ct, self.timeout_ns("gre_timeout"), skb)
        return "accept"

    def hook_confirm(self, skb: Skb, ctx: HookContext) -> int:
        """A packet that came this far makes its entry real (nf_conntrack_confirm); a clash drops it."""
        ct: Conn | None = skb.ct
        if ct is None or ct.status & (CONFIRMED | DYING) or direction(skb.ctinfo) != ORIGINAL:
            return ACCEPT
        if skb.ctinfo == RELATED:
            return ACCEPT
        if not self.insert(ct):
            if skb.tracer is not None:
                skb.tracer.note("conntrack", "another entry has the same tuple: dropped")
            return DROP
        return ACCEPT

    def fork(self, netns: Netns) -> Conntrack:
        copy = Conntrack(netns)
        twins: dict[int, Conn] = {}
        for key, ct in self.by_tuple.items():
            twin = twins.get(id(ct))
            if twin is None:
                twin = twins[id(ct)] = ct.fork()
            copy.by_tuple[key] = twin
        for source, entries in self.by_source.items():
            copy.by_source[source] = [twins[id(ct)] for ct in entries if id(ct) in twins]
        copy.needed = {family: owners.copy() for family, owners in self.needed.items()}
        for family, owners in copy.needed.items():
            if owners:
                netns.hooks.later(partial(copy._register, family))
        copy._next_id = self._next_id
        return copy


def _ctinfo(ct: Conn, way: int) -> int:
    if way == REPLY:
        return ESTABLISHED_REPLY
    if ct.status & SEEN_REPLY:
        return ESTABLISHED
    return RELATED if ct.status & EXPECTED else NEW


def source_key(ct: Conn) -> tuple[int, int, int, int, int]:
    """Under what NAT finds earlier mappings of the same sender (nf_nat_bysource)."""
    return ct.zone_orig, ct.orig.family, ct.orig.proto, ct.orig.src, ct.orig.sport


#: where a UDP header has its checksum
UDP_CHECKSUM = 6


def transport_checksum_ok(table: Conntrack, skb: Skb, ctx: HookContext) -> bool:
    """TCP and UDP checksums are verified once, in PREROUTING (nf_conntrack_checksum)."""
    if ctx.hook != PREROUTING or skb.is_fragment or skb.iif == "lo":
        return True
    if not table.sysctls.number("net.netfilter.nf_conntrack_checksum"):
        return True
    at = skb.l4 + UDP_CHECKSUM
    if skb.proto == UDP and len(skb.data) >= at + 2 and not (skb.data[at] or skb.data[at + 1]):
        return True  # none, as it seems; only sockets insist on one in IPv6
    return skb.l4_checksum_ok()


def describe(skb: Skb) -> str:
    """What conntrack says of a packet, for traces."""
    from fakecluster.kernel.conntrack.entry import state_name
    from fakecluster.kernel.conntrack.text import entry_text

    name = state_name(skb)
    return f"{name} {entry_text(skb.ct)}" if skb.ct is not None else name
