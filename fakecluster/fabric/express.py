"""Segments of open connections from where they arrive to the socket that takes them, without going from host to host.

    port ─► node (flow cache's entry) ─► node ... ─► Pod: socket        one look-up, one check, one account
    port ◄─ node ◄─────────────────────────── node ... ◄─ its answers

A way is put together from what the flow caches of the namespaces know (`kernel.flow_cache`) and from the links between
them, after a packet went it step by step. It is for acknowledgments and data in the middle of an open connection.
Everything else goes step by step.

It must not be noticed (tests compare with the long way): conntrack takes each segment in at every node, rules count it,
the socket and its program do with it what they do. `Network.generation` counts changes of what ways rest on (rules,
routes, addresses, sysctls, hooks, links) and ends them all; the connection's state, entries' status and time are looked
at each time; while there is a tap no way is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Protocol

from fakecluster.fabric.links import Port
from fakecluster.fabric.namespaces import CopiedNamespaces
from fakecluster.fabric.ways import Back, Step, Way, count, follow_train, followed, would_follow_train
from fakecluster.kernel import icmp
from fakecluster.kernel.checksums import folded
from fakecluster.kernel.effects import SendError
from fakecluster.kernel.flow_cache.kin import join
from fakecluster.kernel.flow_cache.lanes import NOT_PSH, TIMESTAMP_ONLY
from fakecluster.kernel.hooks import INPUT, PREROUTING
from fakecluster.kernel.ip_output import exit_for
from fakecluster.kernel.packet import ACK, FRAGMENT, TCP
from fakecluster.kernel.tcp_segments import MASK
from fakecluster.kernel.tcp_socket import MAX_WINDOW

if TYPE_CHECKING:
    from fakecluster.fabric.network import Network
    from fakecluster.fabric.pieces import Numbers
    from fakecluster.kernel.conntrack.tcp_trains import Train
    from fakecluster.kernel.netns import Netns

#: Hosts that a way may lead through.
MAX_STEPS = 16
#: Ways that are remembered; with more it starts anew rather than grow.
MAX_WAYS = 65_536
#: The first 16 bits (version, traffic class) of what sockets send, by family.
FIRST = {4: 0x4500, 6: 0x6000}
PORTS = Struct("!HH").pack
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor

# first 16 bits, length, fragment bits, TTL, protocol, sequence, acknowledgment, offset and flags, window
_READ4 = Struct("!HHxxHBB14xLLHH").unpack_from
# first 16 bits, length, next header, hop limit, sequence, acknowledgment, offset and flags, window
_READ6 = Struct("!HxxHBB36xLLHH").unpack_from
# addresses and ports as they stand in a packet
_ENDS4, _PORTS_AT = Struct("!LLHH").unpack, Struct("!HH").unpack_from
_number = int.from_bytes


class Watcher(Protocol):
    """Who is told of what goes known ways."""

    def passed(self, way: Way, packet: bytes, now_ns: int) -> None:
        """A packet goes the way at a time; nothing has come of it yet. (Only told with `Express.shows`.)"""
        ...

    def passed_all(self, ways: Sequence[Way], which: Numbers, packets: Sequence[bytes], times_ns: Numbers) -> None:
        """As `passed`, one after another; `which` says by packet which of the ways it goes."""
        ...

    def delivering(self, way: Way) -> None:
        """The socket at its end is about to get something new."""
        ...

    def delivered(self, way: Way) -> None:
        """The socket, and everything that came of it, is done."""
        ...

    def answered(self, way: Way, flags: int, sequence: int, size: int, packet: bytes) -> None:
        """A TCP segment with `size` bytes of data came back to the port and is taken off there.

        With `Express.shows`, `packet` is what the connection sent.
        """
        ...

    def settled(self, way: Way, packets: int, octets: int, answers: int) -> None:
        """So much went the way, and so many packets came back, since this was last said."""
        ...


class Express:
    """The ways that are known from one port. `ways` are by addresses and ports as they arrive.

    Answers of sockets to what goes a way are taken off at the port. With `shows` the watcher gets packets to show.
    """

    def __init__(self, network: Network, port: Port, watcher: Watcher) -> None:
        self.network, self.port, self.watcher, self.clock = network, port, watcher, network.clock
        self.ways: dict[bytes, Way] = {}
        self.shows = False
        self.generation = network.generation
        self._used: set[Way] = set()
        self._taking: Way

    def take(self, way: Way, packet: bytes, ack_shift: int = 0) -> bool:
        """Let a packet go its way; False, and nothing changed, when it must go step by step.

        `ack_shift` is added to its acknowledgment number, as if it had been sent so. Both families' headers are read
        here: what a packet costs is this function and `followed`, and little besides.
        """
        size = len(packet)
        if size < 40:
            return False
        if packet[0] == 0x45:
            first, total, fragment, ttl, proto, seq, ack, bits, window = _READ4(packet)
            if total != size or fragment & FRAGMENT:
                return False
            l4, pseudo = 20, 12
        else:
            if size < 60:
                return False
            first, total, proto, ttl, seq, ack, bits, window = _READ6(packet)
            first &= 0xFFF0
            if total + 40 != size:
                return False
            l4, pseudo = 40, 8
        load, header, connection = size - l4, bits >> 10 & 0x3C, way.connection
        payload = load - header
        if proto != TCP or first != way.first or bits & NOT_PSH != ACK or ttl < way.ttl_least or size > way.mtu:
            return False
        if header != 20 and (header != 32 or payload < 0 or packet[l4 + 20 : l4 + 24] != TIMESTAMP_ONLY):
            return False
        if connection.state != "ESTABLISHED":
            return False
        if way.checked:
            if l4 == 20 and _number(packet[:20]) % 0xFFFF:
                return False
            total = _number(packet[pseudo:])
            if size > 200:
                total = folded(total, size)
            if ((total << 8 if size & 1 else total) + load + TCP) % 0xFFFF:
                return False
        ack = ack + ack_shift & MASK
        if not followed(way.steps, seq, ack, seq + payload & MASK, window, size, self.clock.now_ns):
            return False
        if not way.packets:
            self._used.add(way)
        way.packets += 1
        way.octets += size
        if self.shows:
            self.watcher.passed(way, packet, self.clock.now_ns)
        if payload:
            self._deliver(way, bits & 0xFF, seq, ack, packet[size - payload :])
        elif connection.unacknowledged:
            connection.acknowledged(ack)
        return True

    def would_take_train(self, way: Way, first: int, train: Train, begin_ns: int, end_ns: int) -> bool:
        """Whether acknowledgments can go their way one after another between two times, and nothing comes of them.

        `first` are their first 16 bits.
        """
        connection = way.connection
        if first != way.first or train.ttl < way.ttl_least:
            return False
        if connection.state != "ESTABLISHED" or connection.unacknowledged:
            return False
        return would_follow_train(way.steps, train, begin_ns, end_ns)

    def take_train(self, way: Way, train: Train, end_ns: int) -> None:
        """Let a train go its way, as `would_take_train` allows it, whose last packet comes at `end_ns`."""
        follow_train(way.steps, train, end_ns)
        if not way.packets:
            self._used.add(way)
        way.packets += train.packets
        way.octets += train.octets

    def _deliver(self, way: Way, flags: int, seq: int, ack: int, payload: bytes) -> None:
        """The connection gets what it has not seen yet; its answers go back at once where that is known."""
        connection = way.connection
        netns = connection.netns
        self._taking, connection.outlet = way, self._answer
        self.watcher.delivering(way)
        netns.enter(trace=False)
        try:
            connection.take_in(flags, seq, ack, payload)
        finally:
            connection.outlet = None
            effects = netns.leave()
        if effects:
            self.network.record_and_run(netns, effects)
        self.watcher.delivered(way)

    def _answer(self, flags: int, sequence: int, data: bytes) -> bool:
        """The connection sends a segment: let it go back; False, and nothing changed, when it must go step by step."""
        way, network = self._taking, self.network
        connection, back, load = way.connection, way.back, len(data)
        if flags & NOT_PSH != ACK or connection.netns.effects or network.in_flight or self.generation != network.generation:
            return False  # nothing is overtaken
        if back is None:
            back = way.back = self._learn_back(way)
            if back is None:
                return False
        size = back.headers + load
        if size > back.mtu or (self.shows and len(back.steps) > 1):
            return False  # shown answers take turns from host to host
        end = sequence + load & MASK
        if not followed(back.steps, sequence, connection.rcv_nxt, end, MAX_WINDOW, size, self.clock.now_ns):
            return False
        packet = b""
        if self.shows:
            packet = connection.packet(flags, sequence, data)
        else:
            connection.skip_ident()
        if not back.packets:
            self._used.add(way)
        back.packets += 1
        back.octets += size
        self.watcher.answered(way, flags, sequence, load, packet)
        return True

    def settle(self) -> None:
        """Let rules, and `on_settled`, count what has gone their way."""
        for way in self._used:
            back = way.back
            self.watcher.settled(way, way.packets, way.octets, back.packets if back is not None else 0)
            count(way)
            if back is not None:
                count(back)
        self._used.clear()

    def forget(self) -> None:
        """Forget every way."""
        self.settle()
        self.ways.clear()
        self.generation = self.network.generation

    def drop(self, over: Callable[[Way], bool]) -> None:
        """Forget the ways that nothing goes any more."""
        self.settle()
        for key in [key for key, way in self.ways.items() if over(way)]:
            del self.ways[key]

    # --- learning

    def learn(self, packet: bytes, seen: bytes, *, checked: bool = True) -> Way | None:
        """Put together the way that a packet went just now, if it is one for this.

        `take` will get its flow's packets as `seen` was, before it was readdressed (the same bytes, if it was not);
        without `checked` their checksums mean nothing, as they are mended first.
        """
        network = self.network
        if network.taps or len(packet) < 40 or type(network.namespaces) is CopiedNamespaces:
            return None
        if self.generation != network.generation or len(self.ways) >= MAX_WAYS:
            self.forget()
        first = packet[0] << 8 | packet[1]
        if packet[0] >> 4 == 4:
            family, proto, ends = 4, packet[9], packet[12:24]
        else:
            family, proto, first, ends = 6, packet[6], first & 0xFFF0, packet[8:44]
        if proto != TCP:
            return None
        steps: list[Step] = []
        at = self.port
        for _ in range(MAX_STEPS):
            netns = network.namespaces.get(at.namespace)
            if netns is None:
                return None
            flow = netns.flow_cache.flows.get((at.interface, TCP, first, ends))
            if flow is None or flow.arrival is not None:
                return self._to(netns, at, tuple(steps), ends, seen, checked)
            after = self._next(_new(Port, (at.namespace, flow.oif)), family, flow.next_hop)
            if after is None or flow.ct is None:
                return None
            steps.append(Step(netns, flow, flow.ct, at))
            ends, at = flow.ends, after
        return None

    def _next(self, port: Port, family: int, next_hop: int) -> Port | None:
        """Where a link leads, when it leads to one port only and at once."""
        network = self.network
        if port in network.diverted:
            return None
        if (other := network.other_end(port)) is not None:
            return other
        segment = network.segment_of(port)
        if segment is None or not segment.is_well or segment.delay_s:
            return None
        found = network.receivers(segment, port, family, next_hop)
        return found[0] if len(found) == 1 else None

    def _to(
        self, netns: Netns, at: Port, steps: tuple[Step, ...], ends: bytes, seen: bytes, checked: bool
    ) -> Way | None:  # fmt: skip
        """The way's end: a socket in a namespace where nothing stands between the wire and it.

        `ends` are the addresses and ports as they come there.
        """
        if not steps:
            return None
        if len(ends) == 12:
            family, (src, dst, sport, dport) = 4, _ENDS4(ends)
        else:
            family, src, dst = 6, _number(ends[:16]), _number(ends[16:32])
            sport, dport = _PORTS_AT(ends, 32)
        hooks = netns.hooks.entries[family]
        device = netns.interfaces.get(at.interface)
        if hooks[PREROUTING] or hooks[INPUT] or device is None or device.master:
            return None
        connection = netns.sockets.connections.get((family, dst, dport, src, sport))
        if connection is None or not netns.addresses.is_local(family, dst):
            return None
        first, key = seen[0] << 8 | seen[1], seen[12:24] if family == 4 else seen[8:44]
        way = Way(first if family == 4 else first & 0xFFF0, steps, at, connection, checked=checked)
        self.ways[key] = way
        return way

    def _learn_back(self, way: Way) -> Back | None:
        """The way of the connection's answers to the port, when every host on it knows their flow."""
        connection, network = way.connection, self.network
        netns, family = connection.netns, connection.family
        dst, dport = connection.remote
        try:
            way_out = exit_for(netns, family, dst, connection.address, connection.mark)
        except SendError:
            return None
        if not way_out.straight_mtu or connection.mark:
            return None
        after = self._next(_new(Port, (netns.name, way_out.route.oif)), family, way_out.next_hop)
        octets = 4 if family == 4 else 16
        ends = connection.address.to_bytes(octets) + dst.to_bytes(octets) + PORTS(connection.port, dport)
        ttl = icmp.ttl_of(netns, family)
        steps: list[Step] = []
        while after is not None and len(steps) < MAX_STEPS:
            host = network.namespaces[after.namespace]
            key = after.interface, TCP, FIRST[family], ends
            flow = host.flow_cache.flows.get(key) or join(host.flow_cache, key)
            if flow is None or flow.arrival is not None or flow.ct is None or ttl < flow.ttl_least:
                return None
            steps.append(Step(host, flow, flow.ct, after))
            out = _new(Port, (after.namespace, flow.oif))
            if out == self.port:
                return Back(tuple(steps), way_out.straight_mtu, 40 if family == 4 else 60)
            ends, ttl, after = flow.ends, ttl - flow.ttl_step, self._next(out, family, flow.next_hop)
        return None
