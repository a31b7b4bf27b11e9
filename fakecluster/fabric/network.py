"""Network namespaces joined by segments: moves what one namespace transmits to the next, and keeps what was seen.

    namespace --Transmit--> queue --(clock, when the segment has a delay)--> namespace.receive

Packets on segments without delay wait in a queue in the order in which they were sent. `run` empties it; the clock,
when it is settled or stepped instead, moves one packet an event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import attrs

from fakecluster.errors import SettleError
from fakecluster.fabric.journeys import Journeys
from fakecluster.fabric.links import Port, Segment, Tap, fate
from fakecluster.fabric.namespaces import CopiedNamespaces, SleepingNamespaces, awake
from fakecluster.fabric.neighbours import Neighbours
from fakecluster.kernel.effects import Effect, Transmit
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import is_group
from fakecluster.sim import Choices, Clock
from fakecluster.trace import Hop, Trace, Verdict, summary

#: The network's target on the clock.
TARGET = "network"
#: Packets that one `run` may move before it is called a loop (two programs that echo each other).
RUN_LIMIT = 200_000
#: No number of a journey.
DECISIONS = -1
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


class InFlight(NamedTuple):
    """A packet on its way to a port; `journey` is the record that it belongs to.

    0: none. `DECISIONS`: none either, but hops tell whoever watches arrivals what decided (see `Netns.receive`).
    """

    port: Port
    packet: bytes
    journey: int = 0


class Network:
    """The namespaces, the segments between them, and the packets in flight."""

    def __init__(self, clock: Clock, choices: Choices) -> None:
        self.clock, self.choices = clock, choices
        self.namespaces: MutableMapping[str, Netns] = {}
        self.segments: dict[str, Segment] = {}
        #: (family, address) of a node that sleeps -> its namespace
        self.sleeping_addresses: dict[tuple[int, int], str] = {}
        self._neighbours = Neighbours()
        self._original: Network | None = None
        self._segment_of: dict[Port, str] = {}
        #: port -> the only other end of a link that carries everything at once, while `generation` is that of `_ends_at`
        self._other_ends: dict[Port, Port] = {}
        self._ends_at = -1
        #: packets that are to be moved now
        self.in_flight: deque[InFlight] = deque()
        self._awake = False
        self.journeys = Journeys()
        self._journey = 0
        #: ports whose packets are kept
        self.taps: dict[Port, Tap] = {}
        #: counts changes of links and ports, and of what packets' ways in any namespace depend on
        self.generation = 0
        #: told of every packet that arrives and what came of it (not copied by a fork)
        self.on_arrival: Callable[[InFlight, list[Effect]], None] | None = None
        #: asked for packets that leave a port: True takes one off its segment (not copied by a fork)
        self.diverted: dict[Port, Callable[[bytes], bool]] = {}
        clock.bind(TARGET, self._on_clock)

    # --- building

    def add(self, name: str) -> Netns:
        """A new, unconnected namespace. Raises ValueError when the name is taken."""
        if name in self.namespaces:
            raise ValueError(f"namespace {name} exists")
        netns = Netns(name, clock=self.clock, choices=self.choices)
        self._adopt(netns)
        return netns

    def _adopt(self, netns: Netns) -> None:
        self.namespaces[netns.name] = netns
        netns.on_effects = partial(self._take, netns)
        netns.flow_cache.on_change = self._changed

    def _changed(self) -> None:
        self.generation += 1

    def remove(self, name: str) -> None:
        """Delete a namespace; its ports leave their segments, and a veth's other end goes with it."""
        netns = self.namespaces.pop(name)
        self.generation += 1
        self.clock.unbind(netns.sockets.timer_target)
        for interface in list(netns.interfaces):
            port = Port(name, interface)
            segment = self._leave(port)
            if segment is not None and len(segment.ports) == 2 and segment.name.startswith("veth"):
                self._remove_interface(next(other for other in segment.ports if other != port))

    def _remove_interface(self, port: Port) -> None:
        self._leave(port)
        netns = self.namespaces.get(port.namespace)
        if netns is not None:
            netns.remove_interface(port.interface)

    def _leave(self, port: Port) -> Segment | None:
        """Unplug a port; returns the segment as it was."""
        name = self._segment_of.pop(port, None)
        if name is None:
            return None
        self.generation += 1
        segment = self.segments[name]
        left = tuple(other for other in segment.ports if other != port)
        if left:
            self.segments[name] = attrs.evolve(segment, ports=left)
        else:
            del self.segments[name]
        return segment

    def plug(self, segment: str, namespace: str, interface: str, *, mtu: int = 1500) -> None:
        """Give a namespace an interface on a segment, which is made when it does not exist."""
        netns = self.namespaces[namespace]
        netns.add_interface(interface, kind="veth", mtu=mtu, noarp=True)
        port = Port(namespace, interface)
        found = self.segments.get(segment, Segment(segment, ()))
        self.segments[segment] = attrs.evolve(found, ports=(*found.ports, port))
        self._segment_of[port] = segment
        self.generation += 1

    def veth(self, a: Port, b: Port, *, mtu: int = 1500) -> None:
        """Join two namespaces by a veth pair."""
        name = f"veth {a} {b}"
        self.plug(name, a.namespace, a.interface, mtu=mtu)
        self.plug(name, b.namespace, b.interface, mtu=mtu)

    def change(self, segment: str, **changes: Any) -> None:
        """Set a segment's `delay_s`, `loss`, `duplicate`, `reorder`, `corrupt` or `cut`."""
        self.segments[segment] = attrs.evolve(self.segments[segment], **changes)
        self.generation += 1

    def segment_of(self, port: Port) -> Segment | None:
        """What a port is plugged into."""
        return self.segments.get(self._segment_of.get(port, ""))

    def lay_down(self, namespace: str, node: str, addresses: Iterable[tuple[int, int]] = ()) -> None:
        """Let a namespace sleep until it is asked for, or a packet goes to one of its addresses (family, number).

        It is made with all others of its node, by whoever set `namespaces.wake`.
        """
        assert isinstance(self.namespaces, SleepingNamespaces)
        self.namespaces.sleeping[namespace] = node
        self.sleeping_addresses |= dict.fromkeys(addresses, namespace)

    def wakes(self, node: str) -> list[str]:
        """The namespaces of a node that is being woken, which nothing sleeps under any more."""
        assert isinstance(self.namespaces, SleepingNamespaces)
        names = self.namespaces.wakes(node)
        for key in [key for key, name in self.sleeping_addresses.items() if name in names]:
            del self.sleeping_addresses[key]
        return names

    # --- moving packets

    def inject(self, port: Port, packet: bytes) -> None:
        """A packet arrives at a port, as if its segment had carried it."""
        self._enqueue(InFlight(port, packet, self._journey))

    def inject_and_run(self, port: Port, packet: bytes, *, decisions: bool = False) -> None:
        """`inject` and `run` at once: nothing of it is left for the clock to do. Raises `SettleError` as `run` does.

        With `decisions` whoever watches arrivals is told what decided about the packet and what it causes.
        """
        self.in_flight.append(_new(InFlight, (port, packet, DECISIONS if decisions else self._journey)))
        self._run_at_once()

    def _run_at_once(self, netns: Netns | None = None, effects: Sequence[Effect] = ()) -> None:
        awake, self._awake = self._awake, True
        try:
            if netns is not None:
                self._take(netns, effects)
            self.run()
        finally:
            self._awake = awake
            if self.in_flight:
                self._wake()

    def run(self) -> int:
        """Move packets until none is in flight now; returns how many were moved. Raises `SettleError` for a loop."""
        waiting = self.in_flight
        for count in range(RUN_LIMIT):
            if not waiting:
                return count
            self._arrive(waiting.popleft())
        raise SettleError(f"packets still in flight after {RUN_LIMIT} were moved: {summary(waiting[0].packet)}")

    def _on_clock(self, payload: InFlight | None) -> None:
        if payload is not None:
            self._arrive(payload)
            return
        self._awake = False
        if self.in_flight:
            self._arrive(self.in_flight.popleft())
            self._wake()

    def _wake(self) -> None:
        if self.in_flight and not self._awake:
            self._awake = True
            self.clock.schedule(TARGET)

    def _enqueue(self, packet: InFlight, delay_s: float = 0.0) -> None:
        if delay_s:
            self.clock.schedule(TARGET, packet, delay_s=delay_s)
            return
        self.in_flight.append(packet)
        if not self._awake:
            self._wake()

    def _arrive(self, arriving: InFlight) -> None:
        port, packet, journey = arriving
        name, interface = port
        netns = self.namespaces.get(name)
        if netns is None or interface not in netns.interfaces:
            return  # unplugged while the packet was on its way
        if self.taps and port in self.taps:
            self.taps[port].append((self.clock.now_ns, "in", packet))
        outer, self._journey = self._journey, journey
        try:
            if journey:
                effects = netns.receive(packet, interface, trace=journey > 0, decisions=journey < 0)
            else:
                effects = netns.receive(packet, interface)
            if self.on_arrival is not None:
                self.on_arrival(arriving, effects)
            self._take(netns, effects)
        finally:
            self._journey = outer

    def _take(self, netns: Netns, effects: Sequence[Effect]) -> None:
        """What a namespace did: keep the record, carry on what was transmitted."""
        hops = self.journeys.hops.get(self._journey) if self._journey > 0 else None
        if hops is not None:
            walked = [hop for effect in effects if (hop := getattr(effect, "hop", None)) is not None]
            hops += sorted(walked, key=lambda hop: hop.walk)  # what a packet caused comes after it
        for effect in effects:
            if type(effect) is Transmit:
                self._carry(netns, effect, hops)

    def _carry(self, netns: Netns, sent: Transmit, hops: list[Hop] | None) -> None:
        iface, packet, next_hop, family, _, _, _ = sent
        port = _new(Port, (netns.name, iface))
        if self.taps and port in self.taps:
            self.taps[port].append((self.clock.now_ns, "out", packet))
        divert = self.diverted.get(port) if self.diverted else None
        if divert is not None and divert(packet):
            return
        other = self._other_ends.get(port) if self._ends_at == self.generation else None
        if other is None or self.sleeping_addresses:
            other = self.other_end(port)
        if other is not None:
            self.in_flight.append(_new(InFlight, (other, packet, self._journey)))
            if not self._awake:
                self._wake()
            return
        segment = self.segment_of(port)
        lost = f"{iface} is not connected"
        if segment is not None:
            targets = self.receivers(segment, port, family, next_hop)
            if targets and segment.is_well and not segment.delay_s:
                for target in targets:
                    self._enqueue(InFlight(target, packet, self._journey))
                return
            lost = "" if targets else "nobody answers for the next hop"
            copies = fate(segment, packet, self.choices).copies if targets else ()
            if targets and not copies:
                lost = "lost"
            for delay_s, copy in copies:
                for target in targets:
                    self._enqueue(InFlight(target, copy, self._journey), delay_s)
        if lost and hops is not None:
            place = segment.name if segment else iface
            verdict = Verdict("dropped", place, lost)
            hops.append(Hop(place, "", "", packet, b"", (), verdict, 0, self.clock.now_ns))

    def other_end(self, port: Port) -> Port | None:
        """Where everything that leaves a port arrives at once: the other end of a link without faults or delay."""
        if self.sleeping_addresses:
            return None
        if self._ends_at != self.generation:
            self._other_ends.clear()
            self._ends_at = self.generation
        found = self._other_ends.get(port)
        if found is None:
            segment = self.segment_of(port)
            if segment is None or not segment.is_well or segment.delay_s or len(segment.ports) != 2:
                return None
            others = segment.others(port)
            if not others:
                return None
            found = self._other_ends[port] = others[0]
        return found

    def receivers(self, segment: Segment, port: Port, family: int, next_hop: int) -> list[Port]:
        """Who takes a frame: the only other end, all for a group address, else whoever answers for the next hop."""
        sleeper = self.sleeping_addresses.get((family, next_hop)) if self.sleeping_addresses else None
        if sleeper is not None and self.namespaces[sleeper]:
            self._follow()
            segment = self.segments[segment.name]
        others = segment.others(port)
        if len(segment.ports) == 2 or is_group(family, next_hop):
            return others
        found = self._neighbours.find(self.namespaces, segment, others, family, next_hop)
        return [] if found is None else [found]

    @contextmanager
    def choosing(self, choices: Choices) -> Iterator[None]:
        """Let every namespace there is decide by other choices while this lasts."""
        before = self.choices
        self.choices = choices
        for netns in awake(self.namespaces):
            netns.choices = choices
        try:
            yield
        finally:
            self.choices = before
            for netns in awake(self.namespaces):
                netns.choices = before

    # --- records

    @contextmanager
    def recorded(self, netns: Netns | None = None, journey: int = 0) -> Iterator[int]:
        """Record every walk that is caused inside the block, also those of `netns`' own sockets.

        Gives the number of the journey (a new one, unless `journey` continues an old one), to be read with `trace`.
        """
        outer = self._journey
        number = self._journey = self.journeys.begin(journey)
        if netns is not None:
            netns.trace_local = True
        try:
            yield number
        finally:
            self._journey = outer
            if netns is not None:
                netns.trace_local = False

    def record(self, netns: Netns, effects: list[Effect]) -> None:
        """Take the effects of a packet that the caller gave to a namespace himself."""
        self._take(netns, effects)

    def record_and_run(self, netns: Netns, effects: list[Effect]) -> None:
        """`record` and `run` at once, as `inject_and_run`."""
        self._run_at_once(netns, effects)

    def trace(self, journey: int) -> Trace:
        """What has happened so far on a journey."""
        return Trace(tuple(self.journeys.hops.get(journey, ())))

    # --- copies

    def fork(self, clock: Clock, choices: Choices) -> Network:
        """An independent copy of every namespace and of what is in flight, on a forked clock."""
        copy = self._without_namespaces(clock, choices)
        copy.journeys = self.journeys.fork()
        copy.taps = {port: tap.copy() for port, tap in self.taps.items()}
        if isinstance(self.namespaces, SleepingNamespaces):
            copy.namespaces = self.namespaces.fork()
        for netns in awake(self.namespaces):
            copy._adopt(netns.fork(clock, choices))
        return copy

    def twin(self, clock: Clock, choices: Choices) -> Network:
        """A copy for a short while in which this network stands still: namespaces are copied when first touched."""
        copy = self._without_namespaces(clock, choices)
        copy.namespaces, copy._original = CopiedNamespaces(self.namespaces, copy._copied), self
        for target in self.clock.targets:
            if target.partition("@")[2] in self.namespaces:
                clock.bind(target, partial(copy._first_event, target))
        return copy

    def _without_namespaces(self, clock: Clock, choices: Choices) -> Network:
        copy = Network(clock, choices)
        copy.segments, copy._segment_of = self.segments.copy(), self._segment_of.copy()
        copy.in_flight, copy._awake = self.in_flight.copy(), self._awake
        copy.journeys.last = self.journeys.last
        copy.sleeping_addresses = self.sleeping_addresses.copy()
        return copy

    def _follow(self) -> None:
        """Take over what has been joined in the original since: nodes that woke there."""
        if self._original is not None:
            self._original._follow()
            self.generation += 1
            self.segments |= self._original.segments
            self._segment_of |= self._original._segment_of

    def _copied(self, original: Netns) -> Netns:
        if self.sleeping_addresses:
            self._follow()
        for target in [target for target in self.clock.targets if target.partition("@")[2] == original.name]:
            self.clock.unbind(target)
        netns = original.fork(self.clock, self.choices)
        netns.on_effects = partial(self._take, netns)
        return netns

    def _first_event(self, target: str, payload: Any) -> None:
        """A timer of a namespace that is not copied yet."""
        assert self.namespaces[target.partition("@")[2]]
        self.clock.hand(target, payload)
