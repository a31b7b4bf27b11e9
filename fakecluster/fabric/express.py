"""Segments of open connections from where they arrive to the socket that takes them, without going from host to host.

    port ─► node (flow cache's entry) ─► node ... ─► Pod: socket        one look-up, one check, one account

A way is put together from what the flow caches of the namespaces know (`kernel.flow_cache`) and from the links between
them, after a packet went it step by step and nothing else came of it. It is for bare acknowledgments that tell an open
connection nothing new: no data, nothing outstanding. Everything else goes step by step.

It must not be noticed (tests compare with the long way): conntrack takes each segment in at every node, rules count it.
`Network.generation` counts changes of what ways rest on (rules, routes, addresses, sysctls, hooks, links) and ends them
all; the connection's state, entries' status and time are looked at each time; while there is a tap no way is used.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Any

from fakecluster.fabric.links import Port
from fakecluster.fabric.namespaces import CopiedNamespaces
from fakecluster.kernel.conntrack import tcp
from fakecluster.kernel.conntrack.tcp_segment import ESTAB
from fakecluster.kernel.conntrack.tcp_window import judge
from fakecluster.kernel.flow_cache.lanes import FRAGMENT, NOT_PSH, REWRITES, TIMESTAMP_ONLY
from fakecluster.kernel.hooks import Hook
from fakecluster.kernel.packet import ACK, TCP, Skb
from fakecluster.kernel.tcp_socket import TcpConnection

if TYPE_CHECKING:
    from fakecluster.fabric.network import Network
    from fakecluster.kernel.conntrack.entry import Conn
    from fakecluster.kernel.flow_cache.flow import Flow
    from fakecluster.kernel.netns import Netns

#: Hosts that a way may lead through.
MAX_STEPS = 16
#: Ways that are remembered; with more it starts anew rather than grow.
MAX_WAYS = 65_536

# first 16 bits, length, fragment bits, TTL, sequence, acknowledgment, offset and flags, window
_READ4 = Struct("!HHxxHB15xLLHH").unpack_from
# first 16 bits, length, hop limit, sequence, acknowledgment, offset and flags, window
_READ6 = Struct("!HxxHxB36xLLHH").unpack_from
_number = int.from_bytes


class Step:
    """A host on a way that forwards what comes in at `port`, by an entry of its flow cache whose connection is `ct`."""

    __slots__ = ("ct", "flow", "netns", "port")

    def __init__(self, netns: Netns, flow: Flow, ct: Conn, port: Port) -> None:
        self.netns, self.flow, self.ct, self.port = netns, flow, ct, port


class Way:
    """From `port` through `steps` to `connection` in the namespace at `end`.

    `packets` and `octets` have gone it and are not yet counted by rules (see `Express.settle`). `context` is the user's.
    """

    __slots__ = ("connection", "context", "end", "first", "mtu", "octets", "packets", "steps", "ttl_least")

    def __init__(self, first: int, steps: tuple[Step, ...], end: Port, connection: TcpConnection) -> None:
        self.first, self.steps, self.end, self.connection = first, steps, end, connection
        self.mtu = min(step.flow.mtu for step in steps)
        passed = 0
        self.ttl_least = 0
        for step in steps:
            self.ttl_least = max(self.ttl_least, step.flow.ttl_least + passed)
            passed += step.flow.ttl_step
        self.packets = self.octets = 0
        self.context: Any = None


class Express:
    """The ways that are known from one port. `ways` are by addresses and ports as they arrive."""

    def __init__(self, network: Network, port: Port) -> None:
        self.network, self.port = network, port
        self.ways: dict[bytes, Way] = {}
        self.generation = network.generation
        self._used: set[Way] = set()
        #: told of a way, and how many packets and octets went it since it was last told
        self.on_settled: Callable[[Way, int, int], None] | None = None

    def find(self, packet: bytes) -> Way | None:
        """The way of a packet's flow, if one is known."""
        if len(packet) < 40:
            return None
        way = self.ways.get(packet[12:24] if packet[0] >> 4 == 4 else packet[8:44])
        if way is not None and (self.generation != self.network.generation or self.network.taps):
            self.forget()
            return None
        return way

    def take(self, way: Way, packet: bytes, ack_shift: int = 0) -> bool:
        """Let a packet go its way; False, and nothing changed, when it must go step by step.

        `ack_shift` is added to its acknowledgment number, as if it had been sent so.
        """
        size = len(packet)
        if packet[0] == 0x45:
            first, total, fragment, ttl, seq, ack, bits, window = _READ4(packet)
            if total != size or fragment & FRAGMENT or _number(packet[:20]) % 0xFFFF:
                return False
            l4 = 20
        else:
            if size < 60:
                return False
            first, total, ttl, seq, ack, bits, window = _READ6(packet)
            first &= 0xFFF0
            if total + 40 != size:
                return False
            l4 = 40
        header, connection = bits >> 10 & 0x3C, way.connection
        if connection.unacknowledged or connection.state != "ESTABLISHED":
            return False
        if first != way.first or bits & NOT_PSH != ACK or header != size - l4 or header < 20:
            return False
        if header > 20 and (header != 32 or packet[l4 + 20 : l4 + 24] != TIMESTAMP_ONLY):
            return False
        if ttl < way.ttl_least or size > way.mtu:
            return False
        if (_number(packet[12 if l4 == 20 else 8 :]) + size - l4 + TCP) % 0xFFFF:
            return False
        if not _followed(way.steps, seq, ack + ack_shift & 0xFFFFFFFF, window, size):
            return False
        if not way.packets:
            self._used.add(way)
        way.packets += 1
        way.octets += size
        return True

    def settle(self) -> None:
        """Let rules, and `on_settled`, count what has gone their way."""
        for way in self._used:
            packets, octets = way.packets, way.octets
            way.packets = way.octets = 0
            if self.on_settled is not None:
                self.on_settled(way, packets, octets)
            for step in way.steps:
                for pair in step.flow.counters:
                    pair[0] += packets
                    pair[1] += octets
        self._used.clear()

    def arrivals(self, way: Way, packet: bytes) -> list[bytes]:
        """What arrives at every port on a way."""
        found = [packet]
        rewrite = REWRITES[packet[0] >> 4, TCP]
        for step in way.steps:
            packet = rewrite(step.flow, packet)
            found.append(packet)
        return found

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

    def learn(self, packet: bytes) -> Way | None:
        """Put together the way that a packet went just now, if it is one for this."""
        if self.network.taps or len(packet) < 40 or isinstance(self.network.namespaces, CopiedNamespaces):
            return None
        if self.generation != self.network.generation or len(self.ways) >= MAX_WAYS:
            self.forget()
        steps: list[Step] = []
        at = self.port
        family = packet[0] >> 4
        now = packet
        for _ in range(MAX_STEPS):
            netns = self.network.namespaces.get(at.namespace)
            if netns is None:
                return None
            flow = netns.flow_cache.known(now, at.interface)
            if flow is None or flow.arrival is not None:
                return self._to(netns, at, tuple(steps), packet, now)
            after = self._next(Port(at.namespace, flow.oif), family, flow.next_hop)
            if after is None or flow.ct is None:
                return None
            steps.append(Step(netns, flow, flow.ct, at))
            now, at = REWRITES[family, TCP](flow, now), after
        return None

    def _next(self, port: Port, family: int, next_hop: int) -> Port | None:
        """Where a link leads, when it leads to one port only and at once."""
        segment = self.network.segment_of(port)
        if segment is None or port in self.network.diverted or not segment.is_well or segment.delay_s:
            return None
        found = self.network.receivers(segment, port, family, next_hop)
        return found[0] if len(found) == 1 else None

    def _to(self, netns: Netns, at: Port, steps: tuple[Step, ...], packet: bytes, now: bytes) -> Way | None:
        """The way's end: a socket in a namespace where nothing stands between the wire and it."""
        if not steps or packet[9 if packet[0] >> 4 == 4 else 6] != TCP:
            return None
        skb = Skb(now, iif=at.interface)
        hooks = netns.hooks.entries[skb.family]
        device = netns.interfaces.get(at.interface)
        if hooks[Hook.PREROUTING] or hooks[Hook.INPUT] or device is None or device.master:
            return None
        connection = netns.sockets.owner(skb)
        if not isinstance(connection, TcpConnection) or not netns.addresses.is_local(skb.family, skb.dst):
            return None
        first = packet[0] << 8 | packet[1]
        way = Way(first if skb.family == 4 else first & 0xFFF0, steps, at, connection)
        self.ways[packet[12:24] if skb.family == 4 else packet[8:44]] = way
        return way


def _followed(steps: tuple[Step, ...], seq: int, ack: int, window: int, size: int) -> bool:
    """Let conntrack of every host take the segment in; False, and nothing changed, when one would not."""
    if len(steps) > 1 and not all(_would_follow(step, seq, ack) for step in steps):
        return False
    for step in steps:
        flow, netns, ct = step.flow, step.netns, step.ct
        if ct.status != flow.status or ct.mark != flow.ct_mark or ct.expires_ns <= netns.clock.now_ns:
            return False
        if flow.neighbour is not None and flow.neighbour not in netns.neighbours:
            return False
    for step in steps:
        flow, ct = step.flow, step.ct
        if not tcp.follow(flow.timeouts, ct, flow.way, seq, ack, ack, seq, window, step.netns.clock.now_ns):
            return False  # it is the only one, else it would have been asked before
        if flow.accounted:
            ct.packets[flow.way] += 1
            ct.octets[flow.way] += size
    return True


def _would_follow(step: Step, seq: int, ack: int) -> bool:
    """Whether `tcp.follow` takes in an acknowledgment without data."""
    info, way = step.ct.proto_info, step.flow.way
    sender, receiver = info.seen[way], info.seen[1 - way]
    return info.state == ESTAB and bool(sender.td_maxwin) and judge(sender, receiver, seq, seq, ack) == "accept"
