"""One Linux network namespace, sans-IO: packets and commands in, effects out. It has never heard of Kubernetes.

    ns = Netns()
    ns.run("ip address add 10.0.0.1/24 dev eth0")
    ns.run("iptables-restore", text)
    effects = ns.receive(packet, "eth0")

Everything that a packet meets stands in `ns.hooks`: one ordered list per family and hook.
"""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fakecluster.errors import CommandError
from fakecluster.kernel import ip_input, ip_output
from fakecluster.kernel.addresses import Addresses
from fakecluster.kernel.conntrack.table import Conntrack
from fakecluster.kernel.effects import Deliver, Drop, Effect, Log, SendError, Transmit
from fakecluster.kernel.flow_cache import FlowCache
from fakecluster.kernel.fragments import Fragments
from fakecluster.kernel.hooks import ACCEPT, STOLEN, Hook, HookContext, Hooks
from fakecluster.kernel.interfaces import Interface, InterfaceAddress
from fakecluster.kernel.nat import Nat
from fakecluster.kernel.packet import BadPacket, Skb, as_bytes
from fakecluster.kernel.routing import Route, Routes
from fakecluster.kernel.sockets import Socket, Sockets
from fakecluster.kernel.sysctls import Sysctls
from fakecluster.kernel.tools import TOOLS
from fakecluster.kernel.trail import picked
from fakecluster.sim import Choices, Clock, Seeded
from fakecluster.trace import Hop, Tracer, Verdict

if TYPE_CHECKING:
    from fakecluster.kernel.ipset import IpSets
    from fakecluster.kernel.ipvs import Ipvs
    from fakecluster.kernel.nftables import Nftables
    from fakecluster.kernel.xtables import Xtables

#: Packets that one entry may loop over lo before it is called a loop.
MAX_LOOPS = 64
DEFAULT_MTU, LOOPBACK_MTU = 1500, 65536
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


class Netns:
    """A namespace with a loopback interface; see the module's docstring.

    `clock` and `choices` are shared with whoever simulates more than one namespace. `on_effects` receives the effects
    that no caller waits for (a timer sent a packet again, a program wrote to a socket).
    """

    def __init__(self, name: str = "node", *, clock: Clock | None = None, choices: Choices | None = None) -> None:
        self.name = name
        self.clock = clock if clock is not None else Clock()
        self.choices = choices if choices is not None else Seeded(0)
        self.hooks = Hooks()
        self.sysctls = Sysctls()
        self.interfaces: dict[str, Interface] = {"lo": Interface("lo", 1, bytes(6), LOOPBACK_MTU, "loopback")}
        self.routes = Routes(self.interfaces)
        self.addresses = Addresses(self.interfaces, self.routes)
        self.neighbours: dict[tuple[int, int], bytes] = {}
        self.addresses.add("lo", InterfaceAddress(4, 0x7F000001, 8, "host"))
        self.addresses.add("lo", InterfaceAddress(6, 1, 128, "host"))
        self.on_effects: Callable[[list[Effect]], None] | None = None
        self.trace_local = False  # whether walks that nobody asked for (a socket's, a timer's) are recorded
        self._reset()

    def _reset(self) -> None:
        self.effects: list[Effect] = []
        self.backlog: deque[Skb] = deque()
        self._depth = self._walks = 0
        self.addresses.on_removed = self._forget_masquerade
        self.errno = ""  # what a local sender is told when its packet is dropped now, if not EPERM
        self._tracing = self._brief = False
        self.flow_cache = FlowCache(self)
        #: answers that the packet on its way has been given already (see flow_cache.opening)
        self.given: deque[int] = deque()
        self.hooks.on_change = self.sysctls.on_change = self.routes.on_change = self.flow_cache.changed
        for device in self.interfaces.values():
            device.on_change = self.flow_cache.changed
        self._contexts: dict[tuple[int, Hook], HookContext] = {}

    # --- the parts, made when first used, so that a Pod's namespace costs nothing

    @cached_property
    def fragments(self) -> Fragments:
        return Fragments(self)

    @cached_property
    def conntrack(self) -> Conntrack:
        return Conntrack(self)

    @cached_property
    def nat(self) -> Nat:
        return Nat(self)

    @cached_property
    def sockets(self) -> Sockets:
        return Sockets(self)

    @cached_property
    def xtables(self) -> Xtables:
        from fakecluster.kernel.xtables import Xtables

        return Xtables(self)

    @cached_property
    def ipsets(self) -> IpSets:
        from fakecluster.kernel.ipset import IpSets

        return IpSets(self)

    @cached_property
    def nftables(self) -> Nftables:
        from fakecluster.kernel.nftables import Nftables

        return Nftables(self)

    @cached_property
    def ipvs(self) -> Ipvs:
        from fakecluster.kernel.ipvs import Ipvs

        return Ipvs(self)

    # --- commands

    def run(self, command: str | Sequence[str], stdin: str = "") -> str:
        """Run a command as in a shell on this node and return what it prints.

        Raises `CommandError` with the tool's own words when it fails; nothing is changed then.
        """
        argv = tuple(shlex.split(command)) if isinstance(command, str) else tuple(command)
        tool = TOOLS.get(argv[0].rpartition("/")[2]) if argv else None
        if tool is None:
            name = argv[0] if argv else ""
            raise CommandError(argv, 127, f"sh: 1: {name}: not found\n")
        try:
            return tool(self, argv, stdin)
        finally:
            self.flow_cache.changed()

    def add_interface(
        self, name: str, *, kind: str = "ether", mac: bytes = b"", mtu: int = DEFAULT_MTU, noarp: bool = False
    ) -> Interface:
        """Add a device, up. Raises ValueError("File exists") when the name is taken."""
        if name in self.interfaces:
            raise ValueError("File exists")
        index = max(device.index for device in self.interfaces.values()) + 1
        device = self.interfaces[name] = Interface(name, index, mac, mtu, kind, noarp=noarp)
        device.on_change = self.flow_cache.changed
        self.routes.changed()
        return device

    def remove_interface(self, name: str) -> None:
        """Remove a device with its addresses and routes. Raises ValueError("Cannot find device ...")."""
        if name not in self.interfaces:
            raise ValueError(f'Cannot find device "{name}"')
        self.addresses.flush(name)
        del self.interfaces[name]
        self.routes.forget_device(name)

    def _forget_masquerade(self, iface: str, address: InterfaceAddress) -> None:
        if "nat" in self.__dict__:
            self.nat.forget_masquerade(iface, address)

    # --- packets in

    def receive(
        self, packet: Any, iface: str, *, src_mac: bytes = b"", dst_mac: bytes = b"", trace: bool = False,
        decisions: bool = False,
    ) -> list[Effect]:  # fmt: skip
        """A packet (L3 bytes, an `Skb`, or a Scapy packet) arrives on `iface`; returns everything that came of it.

        With `trace` all that it met is recorded, with `decisions` only which rules decided and what was rewritten (no
        hop where nothing could). Raises KeyError for an interface that does not exist.
        """
        learning = type(packet) is bytes and not (trace or self._depth or self.effects)
        if learning and (effects := self.flow_cache.receive(packet, iface, dst_mac, decisions=decisions)) is not None:
            return effects
        skb = None
        self.enter(trace or decisions, brief=not trace)
        try:
            device = self.interfaces[iface]
            try:
                if type(packet) is bytes:
                    skb = Skb(packet)
                else:
                    skb = packet if isinstance(packet, Skb) else Skb(as_bytes(packet))
            except BadPacket as bad:
                self.effects.append(Drop("ip_rcv", str(bad), as_bytes(packet)))
                return self.leave()
            skb.iif, skb.src_mac, skb.dst_mac = iface, src_mac, dst_mac
            if device.master:
                skb.iif, skb.physin = device.master, iface
            if learning:
                skb.trail = self.flow_cache.begin(packet, iface)
            if decisions and self.flow_cache.is_plain(skb.family):
                self._tracing = trace
            if self._tracing:
                self.begin_walk(skb)
            ip_input.receive(self, skb)
        except SendError:
            pass
        effects = self.leave()
        if skb is not None and skb.trail is not None:
            self.flow_cache.learn(skb, effects)
        return effects

    def send_local(self, packet: Any, *, uid: int = 0, mark: int = 0, trace: bool = False) -> list[Effect]:
        """A process sends a finished packet through a raw socket: routed, then OUTPUT.

        Raises `SendError` (with `.effects`) when the kernel refuses it.
        """
        self.enter(trace)
        error: SendError | None = None
        try:
            skb = packet if isinstance(packet, Skb) else Skb(ip_output.raw_packet(as_bytes(packet)))
            skb.uid, skb.mark = uid, mark
            self.begin_walk(skb)
            ip_output.send_raw(self, skb)
        except SendError as refused:
            error = refused
        finally:
            effects = self.leave()
        if error is not None:
            error.effects = effects
            raise error
        return effects

    def send_generated(self, skb: Skb, *, routed_from: int | None = None) -> None:
        """A packet of this host's own making (an ICMP error, a RST): routed and sent; failures end here.

        `routed_from` is what routes are asked with, when not its source.
        """
        self.begin_walk(skb)
        with suppress(SendError):
            ip_output.send_generated(self, skb, skb.src if routed_from is None else routed_from)

    def send_segment(self, sock: Socket, packet: bytes, src: int, dst: int) -> None:
        """A socket's packet, of plain type of service: effects go to `on_effects` when nobody waits for them.

        Raises `SendError`.
        """
        family = 4 if packet[0] >> 4 == 4 else 6
        way_out = ip_output.exit_for(self, family, dst, src, sock.mark)
        traced = self._tracing if self._depth else self.trace_local
        if not traced and len(packet) <= way_out.straight_mtu:
            sent = way_out.route.oif, packet, way_out.next_hop, family, sock.mark, False, None
            self.effects.append(_new(Transmit, sent))
            if not self._depth:
                self.enter(trace=False)
                self.hand_over()
            return
        self.enter(self.trace_local)
        try:
            skb = Skb(packet, mark=sock.mark)
            skb.sock, skb.uid = sock, sock.uid
            self.begin_walk(skb)
            ip_output.local_out(self, skb, way_out.route)
        finally:
            self.hand_over()

    def hand_over(self) -> None:
        """Leave; at the outermost level give the effects to `on_effects` (without one they wait for `take_effects`)."""
        effects = self.leave()
        if self._depth == 0 and effects:
            if self.on_effects is not None:
                self.on_effects(effects)
            else:
                self.effects = effects + self.effects

    def take_effects(self) -> list[Effect]:
        """The effects that nobody has taken yet."""
        effects, self.effects = self.effects, []
        return effects

    # --- the walk of one packet

    def enter(self, trace: bool, *, brief: bool = False) -> None:
        """A walk, or one within another, begins: every `enter` has its `leave`. See `Tracer` for `brief`."""
        if self._depth == 0:
            self._tracing, self._brief = trace, brief
        self._depth += 1

    def leave(self) -> list[Effect]:
        """Run what looped back; at the outermost level return the effects."""
        if self._depth > 1:
            self._depth -= 1
            return []
        loops = 0
        while self.backlog:
            skb = self.backlog.popleft()
            loops += 1
            if loops > MAX_LOOPS:
                self.drop(skb, "lo", f"more than {MAX_LOOPS} packets looped")
                self.backlog.clear()
                break
            try:
                self.begin_walk(skb)
                ip_input.receive(self, skb)
            except SendError:
                pass
        self._depth -= 1
        effects, self.effects = self.effects, []
        return effects

    def begin_walk(self, skb: Skb) -> None:
        if self._tracing:
            self._walks += 1
            skb.tracer = Tracer(self._walks, brief=self._brief)
            skb.tracer.begin(bytes(skb.data), skb.iif)

    def end_walk(self, skb: Skb, what: str, where: str, reason: str = "", *, packet_out: bytes = b"") -> Hop | None:
        """Close the record of a packet's walk with its verdict; None when it is not traced."""
        tracer = skb.tracer
        if tracer is None:
            return None
        return tracer.hop(self.name, skb.oif, packet_out, Verdict(what, where, reason), self.clock.now_ns)

    def run_hooks(self, hook: Hook, skb: Skb) -> bool:
        """Take a packet through one hook; False when it ends there."""
        entries = self.hooks.entries[skb.family][hook]
        if not entries:
            return True
        ctx = self._contexts.get((skb.family, hook))
        if ctx is None:
            ctx = self._contexts[skb.family, hook] = HookContext(self, hook, skb.family)
        if skb.tracer is not None:
            skb.tracer.hook = hook.name
        if skb.trail is not None and (skb.family, hook) in self.hooks.unsteady:
            skb.trail = None
        for entry in entries:
            verdict = entry.function(skb, ctx)
            if verdict != ACCEPT:
                if verdict != STOLEN:
                    self.drop(skb, hook.name, entry.name)
                elif skb.tracer is not None:
                    hop = self.end_walk(skb, "consumed", hook.name, entry.name)
                    self.effects.append(Drop(hook.name, f"held by {entry.name}", bytes(skb.data), hop))
                return False
        return True

    def drop(self, skb: Skb, where: str, reason: str) -> None:
        hop = self.end_walk(skb, "dropped", where, reason)
        self.effects.append(Drop(where, reason, bytes(skb.data), hop))

    def deliver(self, skb: Skb) -> None:
        """INPUT is behind: give the packet to the transport layer."""
        packet = bytes(skb.data)
        sink = self.sockets.owner(skb)
        where = sink.name if sink is not None else "the host"
        hop = self.end_walk(skb, "delivered", where, packet_out=packet) if skb.tracer is not None else None
        self.effects.append(_new(Deliver, (packet, skb.iif, skb.mark, skb.generated, sink, hop)))
        self.sockets.receive(skb, sink)

    def log(self, skb: Skb, ctx: HookContext, group: int | None, prefix: str) -> None:
        """NFLOG, LOG: the packet as it is now."""
        self.effects.append(Log(group, prefix, ctx.hook.name, skb.iif, skb.oif, skb.mark, bytes(skb.data)))

    def pick(self, skb: Skb, weights: tuple[int, ...], why: str) -> int:
        """Let chance decide what a rule asks for a packet (see sim.choices)."""
        answer = self.given.popleft() if self.given else self.choices.pick(weights, why)
        if skb.trail is not None:
            picked(skb, weights, why, answer)
        return answer

    def mtu_of(self, route: Route) -> int:
        if route.kind == "local":
            return self.interfaces["lo"].mtu
        return route.mtu or self.interfaces[route.oif].mtu

    def take_iptables(self, other: Netns) -> None:
        """Have the same iptables rules as another namespace, shared with it until one of them changes its own."""
        self.xtables.give_way()
        own = self.__dict__["xtables"] = other.xtables.fork(self)
        own.forget_counters()
        self._reset()

    def fork(self, clock: Clock, choices: Choices) -> Netns:
        """An independent copy: small tables are copied, rules are shared."""
        copy = Netns.__new__(Netns)
        copy.name, copy.clock, copy.choices = self.name, clock, choices
        copy.hooks, copy.sysctls = Hooks(), self.sysctls.fork()
        copy.interfaces = {name: device.fork() for name, device in self.interfaces.items()}
        copy.routes = self.routes.fork(copy.interfaces)
        copy.addresses = Addresses(copy.interfaces, copy.routes)
        copy.neighbours = self.neighbours.copy()
        copy.on_effects = None
        copy.trace_local = False
        copy._reset()
        for part in PARTS:
            if part in self.__dict__:
                copy.__dict__[part] = self.__dict__[part].fork(copy)
        return copy

    def __repr__(self) -> str:
        return f"<Netns {self.name}>"


#: The lazily made parts, in the order in which a fork copies them.
PARTS = ("fragments", "conntrack", "nat", "sockets", "ipsets", "xtables", "nftables", "ipvs")
