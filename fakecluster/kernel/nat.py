"""Network address translation (nf_nat_core.c, nf_nat_proto.c, nf_nat_masquerade.c, nf_nat_redirect.c).

A nat chain is asked once per flow and direction of translation, on its first packet; what it decides is written into
the entry's reply tuple, and every packet of the flow is then rewritten to match. A flow that no chain maps gets a null
binding, which may still change its source port when that is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel.conntrack.entry import (
    CONFIRMED,
    DST_NAT,
    DST_NAT_DONE,
    NAT_DONE_MASK,
    NAT_MASK,
    NEW,
    RELATED,
    RELATED_REPLY,
    REPLY,
    SRC_NAT,
    SRC_NAT_DONE,
    Conn,
    Tuple,
    direction,
)  # fmt: skip
from fakecluster.kernel.conntrack.icmp import inner_packet
from fakecluster.kernel.conntrack.table import source_key
from fakecluster.kernel.hooks import (
    ACCEPT,
    DROP,
    INPUT,
    OUTPUT,
    POSTROUTING,
    PREROUTING,
    Hook,
    HookContext,
    HookEntry,
    HookFunction,
    Priority,
    hook_order,
)
from fakecluster.kernel.ip_output import reroute
from fakecluster.kernel.nat_range import (
    NatRange,
    _in_range,
    _port_bounds,
    _port_in_range,
    gre_is_known,
    netmap,
    rewrite,
    rewrite_quoted,
)
from fakecluster.kernel.packet import GRE, ICMP, ICMPV6, Skb
from fakecluster.kernel.routing import address_text
from fakecluster.kernel.trail import mapped

if TYPE_CHECKING:
    from fakecluster.kernel.interfaces import InterfaceAddress
    from fakecluster.kernel.netns import Netns

#: Ports tried in a row before another start is drawn, and when to give up (nf_nat_l4proto_unique_tuple).
MAX_ATTEMPTS, MIN_ATTEMPTS = 128, 16
LOOPBACK = {4: 0x7F000001, 6: 1}
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


class Nat:
    """The nat hooks of a namespace and the chains that they ask, per family and hook in priority order."""

    def __init__(self, netns: Netns) -> None:
        self.netns = netns
        self.chains: dict[tuple[int, Hook], list[HookEntry]] = {}
        self._sequence = 0
        self._spread: dict[tuple[int, ...], int] = {}

    def register_chain(self, family: int, hook: Hook, priority: int, name: str, function: HookFunction) -> None:
        """Ask `function` for the first packet of each flow on a hook (tracking is the caller's to `need`)."""
        self.netns.hooks.entries  # noqa: B018  # a fork's first: the chains that it has from its original
        self._sequence -= 1
        entries = [entry for entry in self.chains.get((family, hook), []) if entry.name != name]
        self.chains[family, hook] = sorted(
            [*entries, HookEntry(priority, self._sequence, name, function)], key=hook_order
        )
        self._install(family)

    def _install(self, family: int) -> None:
        """Stand in the hooks from the first chain on; later ones leave its place there alone (nf_nat_register_fn)."""
        hooks = self.netns.hooks
        if hooks.is_registered(family, PREROUTING, "nat"):
            return
        for hook, priority in HOOKS:
            hooks.register(family, hook, priority, "nat", self.hook, steady=True)

    def unregister_chain(self, family: int, hook: Hook, name: str) -> None:
        self.netns.hooks.entries  # noqa: B018  # as above
        entries = self.chains.get((family, hook), [])
        self.chains[family, hook] = [entry for entry in entries if entry.name != name]
        if not any(self.chains.get((family, each)) for each in Hook):
            for each, _ in HOOKS:
                self.netns.hooks.unregister(family, each, "nat")

    # --- packets

    def hook(self, skb: Skb, ctx: HookContext) -> int:
        """nf_nat_ipv4_pre_routing / _out / _local_fn / _local_in and their IPv6 twins."""
        ct: Conn | None = skb.ct
        if ct is None:
            return ACCEPT
        if skb.ctinfo in (RELATED, RELATED_REPLY) and skb.proto in (ICMP, ICMPV6):
            dst = skb.dst
            if not self._translate_error(skb, ct, ctx.hook):
                return DROP
            if ctx.hook == OUTPUT and skb.dst != dst and not reroute(self.netns, skb):
                return DROP
            return ACCEPT
        before = (skb.src, skb.sport, skb.dst, skb.dport) if skb.tracer is not None else None
        dst, dport = skb.dst, skb.dport
        verdict = self._flow(skb, ct, ctx)
        if verdict != ACCEPT:
            return verdict
        if before is not None:
            _trace(skb, before, ctx.hook)
        if ctx.hook is OUTPUT and (skb.dst, skb.dport) != (dst, dport) and (skb.dst != dst or skb.oif == "lo"):
            return ACCEPT if reroute(self.netns, skb) else DROP
        return ACCEPT

    def _flow(self, skb: Skb, ct: Conn, ctx: HookContext) -> int:
        manip_source = ctx.hook in SOURCE_HOOKS
        done = SRC_NAT_DONE if manip_source else DST_NAT_DONE
        if skb.ctinfo in (NEW, RELATED, RELATED_REPLY):
            if not ct.status & done:
                if skb.trail is not None and not skb.trail.opening:
                    skb.trail = None  # asked for the first packet only
                for entry in self.chains.get((ctx.family, ctx.hook), ()):
                    verdict = entry.function(skb, ctx)
                    if verdict != ACCEPT:
                        return verdict
                    if ct.status & done:
                        break
                else:
                    if self._null_binding(skb, ct, manip_source) == DROP:
                        return DROP
            elif ct.masq_oif and self._oif_changed(skb, ct, ctx):
                return self._drop_flow(ct)
        elif ct.masq_oif and self._oif_changed(skb, ct, ctx):
            return self._drop_flow(ct)
        return self.translate(skb, ct, ctx.hook)

    def _oif_changed(self, skb: Skb, ct: Conn, ctx: HookContext) -> bool:
        """A masqueraded flow that now leaves by another interface starts anew (nf_nat_oif_changed)."""
        return bool(
            ct.masq_oif and ctx.hook == POSTROUTING and direction(skb.ctinfo) != REPLY and ct.masq_oif != skb.oif
        )

    def _drop_flow(self, ct: Conn) -> int:
        self.netns.conntrack.kill(ct)
        return DROP

    def translate(self, skb: Skb, ct: Conn, hook: Hook) -> int:
        """Rewrite a packet of a mapped flow (nf_nat_packet)."""
        source = hook in SOURCE_HOOKS
        way = direction(skb.ctinfo)
        bit = SRC_NAT if source else DST_NAT
        if way == REPLY:
            bit ^= NAT_MASK
        if ct.status & bit:
            target = ct.tuple_of(1 - way).inverted()
            assert target is not None
            if skb.proto == GRE and not gre_is_known(skb, source=source):
                return DROP
            rewrite(skb, target, source=source)
        return ACCEPT

    # --- deciding

    def setup(self, skb: Skb, nat_range: NatRange, manip: str) -> int:
        """Map a flow's "src" or "dst" into a range (nf_nat_setup_info); DROP when it has no answer."""
        ct: Conn | None = skb.ct
        if ct is None:
            return ACCEPT
        source = manip == "src"
        done = SRC_NAT_DONE if source else DST_NAT_DONE
        if ct.confirmed or ct.status & done:
            return ACCEPT
        mapped(skb, manip, nat_range)
        return self.map_end(ct, nat_range, source=source)

    def map_end(self, ct: Conn, nat_range: NatRange, *, source: bool) -> int:
        """Map an end of a connection that is new and not mapped there.

        That a chosen tuple is taken after all shows when the entry is confirmed.
        """
        current = ct.reply.inverted()
        if current is None:
            return DROP
        if nat_range.netmap and nat_range.min_addr is not None:
            nat_range = netmap(nat_range, current.src if source else current.dst)
        wanted = self._unique(current, nat_range, ct, source)
        if wanted != current:
            reply = wanted.inverted()
            assert reply is not None
            ct.reply = reply
            ct.status |= SRC_NAT if source else DST_NAT
        if source:
            self.bind_source(ct)
        else:
            ct.status |= DST_NAT_DONE
        return ACCEPT

    def masquerade(self, skb: Skb, ctx: HookContext, nat_range: NatRange) -> int:
        """SNAT to the egress interface's address towards the next hop (nf_nat_masquerade_ipv4/6)."""
        ct: Conn | None = skb.ct
        if ct is None or not skb.src:
            return ACCEPT
        netns = self.netns
        towards = skb.route.next_hop(skb.dst) if skb.route is not None and skb.family == 4 else skb.dst
        address = netns.addresses.select(skb.oif, skb.family, towards)
        if not address:
            return DROP
        ct.masq_oif = skb.oif
        return self.setup(skb, nat_range._replace(min_addr=address, max_addr=address), "src")

    def forget_masquerade(self, iface: str, address: InterfaceAddress) -> None:
        """The flows that hide behind an address which goes away end with it (inet_cmp)."""
        for ct in list(self.netns.conntrack):
            if ct.masq_oif == iface and (ct.reply.family, ct.reply.dst) == (address.family, address.address):
                self.netns.conntrack.kill(ct)

    def redirect(self, skb: Skb, ctx: HookContext, nat_range: NatRange) -> int:
        """DNAT to this machine: loopback for its own packets, else the incoming interface's primary address."""
        local = ctx.hook == OUTPUT
        address = LOOPBACK[skb.family] if local else self.netns.addresses.primary(skb.iif, skb.family)
        if not address:
            return DROP
        return self.setup(skb, nat_range._replace(min_addr=address, max_addr=address), "dst")

    def _null_binding(self, skb: Skb, ct: Conn, source: bool) -> int:
        """Map to what is there (nf_nat_alloc_null_binding): only another port, where the present one is taken."""
        conntrack = self.netns.conntrack
        if ct.status & CONFIRMED or conntrack.taken(ct.reply, ct):
            address = ct.reply.dst if source else ct.reply.src
            skb.trail = None
            return self.setup(skb, NatRange(address, address), "src" if source else "dst")
        mapped(skb, "src" if source else "dst", None)
        if source:
            self.bind_source(ct)
        else:
            ct.status |= DST_NAT_DONE
        return ACCEPT

    def bind_source(self, ct: Conn) -> None:
        """A new flow's source has got its mapping: other flows of the sender may find it."""
        self.netns.conntrack.by_source.setdefault(source_key(ct), []).append(ct)
        ct.status |= SRC_NAT_DONE

    def _unique(self, current: Tuple, nat_range: NatRange, ct: Conn, source: bool) -> Tuple:
        """get_unique_tuple(): keep the tuple, reuse the sender's earlier mapping, else find a free one."""
        if source and not nat_range.randomised:
            if _in_range(current, nat_range):
                if not self._used(current, ct):
                    return current
            else:
                earlier = self._earlier_mapping(current, nat_range, ct)
                if earlier is not None and not self._used(earlier, ct):
                    return earlier
        found = self._best_address(current, nat_range, ct, source)
        if not nat_range.randomised:
            if nat_range.min_port is not None:
                single = nat_range.min_port == nat_range.max_port
                fits = nat_range.base_port is None and _port_in_range(found, nat_range, source)
                if fits and (single or not self._used(found, ct)):
                    return found
            elif not self._used(found, ct):
                return found
        return self._free_port(found, nat_range, ct, source)

    def _used(self, candidate: Tuple, ct: Conn) -> bool:
        reply = candidate.inverted()
        return reply is not None and self.netns.conntrack.taken(reply, ct)

    def _earlier_mapping(self, current: Tuple, nat_range: NatRange, ct: Conn) -> Tuple | None:
        key = (ct.zone_orig, current.family, current.proto, current.src, current.sport)
        now = self.netns.clock.now_ns
        for other in self.netns.conntrack.by_source.get(key, ()):
            mapped = other.reply.inverted()
            if mapped is None or (other.confirmed and other.expires_ns <= now):
                continue
            result = mapped._replace(dst=current.dst, dport=current.dport)
            if _in_range(result, nat_range):
                return result
        return None

    def _best_address(self, current: Tuple, nat_range: NatRange, ct: Conn, source: bool) -> Tuple:
        low, high = nat_range.min_addr, nat_range.max_addr
        if low is None:
            return current
        address = low
        if high is not None and high != low:
            key = (current.src, 0 if nat_range.persistent else current.dst, ct.zone, low, high)
            offset = self._spread.get(key)
            if offset is None:  # the kernel hashes with a random seed: any, but always the same
                names = f"address of {address_text(current.family, current.src)}'s mapping"
                offset = self._spread[key] = self.netns.choices.pick([1] * (high - low + 1), names)
            address = low + offset
        family, proto, src, dst, sport, dport = current
        if source:
            return _new(Tuple, (family, proto, address, dst, sport, dport))
        return _new(Tuple, (family, proto, src, address, sport, dport))

    def _free_port(self, found: Tuple, nat_range: NatRange, ct: Conn, source: bool) -> Tuple:
        bounds = _port_bounds(found, nat_range, source)
        if bounds is None:
            return found
        low, size = bounds
        family, proto, src, dst, sport, dport = found
        by_source = source or proto in (ICMP, ICMPV6)
        port = sport if by_source else dport
        if nat_range.base_port is not None:
            offset = port - nat_range.base_port
        elif nat_range.randomised or source:
            offset = self._draw(nat_range, low, size)
        else:
            offset = 0
        attempts = min(size, MAX_ATTEMPTS)
        while True:
            for _ in range(attempts):
                port = low + offset % size
                ends = (port, dport) if by_source else (sport, port)
                found = _new(Tuple, (family, proto, src, dst, *ends))
                if not self._used(found, ct):
                    return found
                offset += 1
            if attempts >= size or attempts < MIN_ATTEMPTS:
                return found
            attempts //= 2
            offset = self._draw(nat_range, low, size)

    def _draw(self, nat_range: NatRange, low: int, size: int) -> int:
        return self.netns.choices.draw(65536, f"port in {low}-{low + size - 1}")

    # --- ICMP errors

    def _translate_error(self, skb: Skb, ct: Conn, hook: Hook) -> bool:
        """Rewrite an ICMP error about a mapped flow, inside and out (nf_nat_icmp_reply_translation)."""
        source = hook in SOURCE_HOOKS
        way = direction(skb.ctinfo)
        if not skb.is_fragment and not skb.l4_checksum_ok():
            return False
        redirect = 5 if skb.proto == ICMP else 137
        half_mapped = ct.status & NAT_DONE_MASK != NAT_DONE_MASK
        if skb.data[skb.l4] == redirect and (half_mapped or ct.status & NAT_MASK):
            return False
        bit = SRC_NAT if source else DST_NAT
        if way == REPLY:
            bit ^= NAT_MASK
        if not ct.status & bit:
            return True
        found = inner_packet(skb)
        if found is None:
            return True
        before = (skb.src, 0, skb.dst, 0)
        rewrite_quoted(skb, found, ct.tuple_of(1 - way), source=not source)
        target = ct.tuple_of(1 - way).inverted()
        assert target is not None
        if source:
            skb.set_src(target.src)
        else:
            skb.set_dst(target.dst)
        skb.refresh_l4_checksum()
        if skb.tracer is not None:
            _trace(skb, before, hook)
        return True

    def fork(self, netns: Netns) -> Nat:
        """The chains are registered anew by their owners; the seed of address spreading is kept."""
        copy = Nat(netns)
        copy._spread = self._spread.copy()
        return copy


SOURCE_HOOKS = frozenset((POSTROUTING, INPUT))
HOOKS = (
    (PREROUTING, Priority.NAT_DST),
    (OUTPUT, Priority.NAT_DST),
    (POSTROUTING, Priority.NAT_SRC),
    (INPUT, Priority.NAT_SRC),
)


def _trace(skb: Skb, before: tuple[int, int, int, int], hook: Hook) -> None:
    assert skb.tracer is not None
    after = skb.src, skb.sport, skb.dst, skb.dport
    why = "snat" if hook in SOURCE_HOOKS else "dnat"
    skb.tracer.translated(skb.family, before, after, why, has_ports=skb.has_ports)
