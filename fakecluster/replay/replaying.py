"""Replaying: a capture's packets arrive at one interface at their recorded times, and the model takes it from there.

    capture ─► prepare (restore, readdress, fit acknowledgments) ─► a:eth0 ─► the node, its Pods, other nodes
                                                                    a:eth0 ─► answers, taken off the wire and compared

What the capture shows arriving is injected; what it shows leaving is expected of the model. The capture plays whoever
sent its packets: answers to these addresses do not travel on.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

from fakecluster.fabric.captures import Captured
from fakecluster.fabric.links import Port
from fakecluster.fabric.network import InFlight
from fakecluster.fabric.ways import Way
from fakecluster.kernel.effects import Effect
from fakecluster.kernel.packet import ACK, PSH, SYN, TCP, BadPacket, Skb
from fakecluster.replay.fates import Fate, Follower
from fakecluster.replay.flows import IDLE_NS, Flow, FlowKey, FlowTable
from fakecluster.replay.headers import Headers, read
from fakecluster.replay.lanes import FIRST_IPV6, Lanes, Played
from fakecluster.replay.matching import SENT, Balance, Difference
from fakecluster.replay.parts import WHOLE, Part
from fakecluster.replay.preparing import AddressMap, ack_of, restored, with_ack_shifted
from fakecluster.replay.report import Replay
from fakecluster.replay.sources import Packets
from fakecluster.replay.timeline import Timeline
from fakecluster.replay.trains import Trains, windows
from fakecluster.replay.writing import AnnotatedWriter
from fakecluster.sim import Keyed, Seeded

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

#: Source addresses whose side is remembered.
SIDES_KEPT = 65_536
#: After how many objects garbage is looked for among them while a capture is replayed (some 10 MB), and after how many
#: times that among those that were left: flows leave no cycles, whoever looks finds only what programs make.
COLLECTED_AFTER, LOOKED_AGAIN_AFTER = 50_000, 20
#: How often, in packets, what is over is looked for.
SWEEP = 16_384
UNREADABLE = Fate("unreadable", "")


class Replayer:
    """One cluster that packets are replayed into, at one port. Enter it, then `take` packets in order.

    `part` says which flows it replays; of the others it only sees that time passes.
    """

    def __init__(
        self, cluster: Cluster, port: Port, *, addresses: AddressMap, isolate: bool = False, mend: bool = False,
        part: Part = WHOLE,
    ) -> None:  # fmt: skip
        self.cluster, self.port, self.addresses, self.isolate, self.mend = cluster, port, addresses, isolate, mend
        self.part = part
        self.network, self.clock = cluster.network, cluster.clock
        self.netns = cluster.network.namespaces[port.namespace]
        self.report = Replay(str(port))
        self.timeline = Timeline(self.clock, self.report.warn)
        self.choices = Keyed(getattr(cluster.choices, "seed", 0))
        self.flows = FlowTable(self.report.finish_flow)
        self.balance = Balance()
        self.follower = Follower()
        self.lanes = Lanes(self)
        self.writer: AnnotatedWriter | None = None
        #: addresses that the capture speaks for
        self._played: dict[tuple[int, int], Played] = {}
        self._since_sweep = 0
        self._sides: dict[tuple[int, int], bool] = {}

    @contextmanager
    def attached(self) -> Iterator[Replayer]:
        """The network tells of arrivals and gives up answers while this lasts. Raises ValueError for a second replay."""
        network = self.network
        if network.on_arrival is not None or self.port in network.diverted:
            raise ValueError("this cluster is being replayed into already")
        network.on_arrival = self.follower if self.writer is None else self._arriving
        network.diverted[self.port] = self._leaving
        try:
            with network.choosing(self.choices) if isinstance(self.cluster.choices, Seeded) else nullcontext():
                yield self
        finally:
            self.lanes.express.settle()
            network.on_arrival = None
            del network.diverted[self.port]

    # --- a capture

    def take_all(self, packets: Iterable[Captured]) -> None:
        """Replay packets in order."""
        ahead = packets.may_be_read_ahead if isinstance(packets, Packets) else isinstance(packets, list)
        if not ahead:
            self.take_in_turn(packets)
            return
        trains = Trains(self)
        records = packets.records(lambda: trains.ahead) if isinstance(packets, Packets) else None
        for piece in windows(packets) if records is None else records:
            trains.take(piece)
            del piece  # before the next one is read

    def take_in_turn(self, packets: Iterable[Captured]) -> None:
        """Replay packets one after another; those of flows whose way is known do not go step by step."""
        report, timeline, network, clock = self.report, self.timeline, self.network, self.clock
        express, expects, go_to = self.lanes.express, self.lanes.expects, timeline.go_to
        ways, take_express = express.ways, express.take
        for captured in packets:
            report.packets += 1
            packet = captured[1]
            ends = packet[12:24] if packet[:1] < FIRST_IPV6 else packet[8:44]
            way = ways.get(ends)
            if way is None or captured[4] == "out":
                timeline.read(captured[0])
                if not expects(captured, ends):
                    self._take(captured)
                continue
            if captured[2] > len(packet):
                packet = self._restored(captured)
            go_to(captured[0])
            flow, _, _, played, _ = way.context
            if express.generation != network.generation or network.taps:
                express.forget()
            elif (
                not flow.closing
                and clock.now_ns - flow.last_ns <= IDLE_NS
                and (
                    self._take_fitted(way, packet, flow)
                    if flow.fitting
                    else take_express(way, packet, flow.ack_shift or 0)
                )
            ):
                flow.last_ns = played.last_ns = clock.now_ns
                continue
            self._take(captured)

    def _take_fitted(self, way: Way, packet: bytes, flow: Flow) -> bool:
        """Let a packet, whose acknowledgment is to be fitted, go its way; False, and nothing changed, when it must not."""
        before = flow.ack_shift
        if self.lanes.express.take(way, packet, flow.fit(ACK, ack_of(packet))):
            return True
        flow.ack_shift = before
        return False

    @staticmethod
    def _restored(captured: Captured) -> bytes:
        """What was cut off is put back; where that cannot be the packet stays as it is."""
        try:
            return restored(captured)
        except BadPacket:
            return captured.packet

    # --- one packet

    def take(self, captured: Captured) -> Fate | None:
        """Replay one packet of the capture; its end, or None when it was not injected."""
        self.report.packets += 1
        self.timeline.read(captured.time_ns)
        return self._take(captured)

    def _take(self, captured: Captured) -> Fate | None:
        report = self.report
        self._since_sweep += 1
        if self._since_sweep >= SWEEP:
            self._sweep()
        if not captured.packet:
            report.other += 1
            return None
        try:
            headers = read(restored(captured) if len(captured.packet) < captured.length else captured.packet)
        except BadPacket as bad:
            return self._unreadable(bad)
        key = headers.key
        leaving = self._is_leaving(captured, key)
        if self.part is not WHOLE and not self.part.has(key.dst if leaving else key.src):
            return None
        if self.addresses or self.mend:
            headers = self._prepared(headers.packet)
        if leaving:
            self.lanes.expect(captured, headers)
            return None
        self.timeline.catch_up()
        return self._inject(headers, captured.packet)

    def _sweep(self) -> None:
        """Let go of what is over."""
        self._since_sweep, now_ns = 0, self.clock.now_ns
        self.lanes.express.drop(lambda way: way.context.flow.is_over(now_ns))
        self.flows.sweep(now_ns)
        self.balance.sweep(self.timeline.now_ns)
        self._played = {key: one for key, one in self._played.items() if now_ns - one.last_ns <= IDLE_NS}

    def _prepared(self, packet: bytes) -> Headers:
        skb = Skb(packet)
        self.prepare(skb)
        return read(bytes(skb.data))

    def prepare(self, skb: Skb) -> None:
        """Readdress a packet and mend its checksums, as was asked for."""
        if self.addresses:
            self.addresses.apply(skb)
        if self.mend:
            skb.refresh_ip_checksum()
            if not skb.is_fragment:
                skb.refresh_l4_checksum()

    def _unreadable(self, bad: BadPacket) -> Fate | None:
        self.timeline.catch_up()
        if not self.part.has(0):
            return None
        self.report.warn(f"unreadable: {bad}")
        self.report.injected += 1
        self.report.fates[UNREADABLE] += 1
        return UNREADABLE

    def _inject(self, headers: Headers, seen: bytes) -> Fate:
        packet, key, code, _, at, _ = headers
        family, proto, src, _, _, _ = key
        report, choices, now_ns, flags = self.report, self.choices, self.clock.now_ns, code if proto == TCP else 0
        flow = self.flows.of(key, report.packets, now_ns)
        source = family, src
        played = self._played.get(source)
        if played is None:
            played = self._played[source] = Played(now_ns)
        played.last_ns = now_ns
        if at:  # acknowledged is what the model sent, not what was sent when it was captured
            shift = flow.fit(flags, int.from_bytes(packet[at + 8 : at + 12]))
            if shift:
                packet = with_ack_shifted(headers, shift)
            flow.close_by(flags)
        flow.last_ns = now_ns
        flow.packets += 1
        flow.octets += len(packet)
        self.follower.follow(packet)
        choices.turn_to(flow.first, flow.asked)
        explains = self.writer is not None and bool(flow.packets == 1 or flags & SYN)
        self.network.inject_and_run(self.port, packet, decisions=explains)
        flow.asked = choices.asked
        choices.turn_back()
        fate = self.follower.fate
        flow.fates[fate] = flow.fates.get(fate, 0) + 1
        report.fates[fate] += 1
        report.injected += 1
        if flags & ~PSH == ACK and fate[0] == "delivered":
            self.lanes.add(packet, seen, flow, fate, played)
        return fate

    def _arriving(self, arriving: InFlight, effects: list[Effect]) -> None:
        """A packet came somewhere: the one that is followed, or what it caused."""
        self.follower(arriving, effects)
        if self.writer is not None:
            self.writer.arrived(arriving, effects)

    # --- sides

    def _is_leaving(self, captured: Captured, flow: FlowKey) -> bool:
        """Whether the port's own host sent this packet: by the capture, else by where its source address is."""
        if captured.direction:
            return captured.direction == "out"
        key = (flow.family, flow.src)
        found = self._sides.get(key)
        if found is None:
            if len(self._sides) >= SIDES_KEPT:
                self._sides.clear()
            found = self._sides[key] = self._is_behind(*key)
        return found

    def _is_behind(self, family: int, address: int) -> bool:
        if self.netns.addresses.is_local(family, address):
            return True
        route = self.netns.routes.lookup(family, address)
        return route is not None and route.kind == "unicast" and route.oif != self.port.interface

    # --- what the model sends

    def _leaving(self, packet: bytes) -> bool:
        """A packet leaves the port: True takes it off the wire, as the capture plays whom it is for."""
        try:
            headers = read(packet)
        except BadPacket:
            return False
        _, key, code, payload, at, _ = headers
        if not self.isolate and not self._is_played(key):
            return False
        self.report.sent += 1
        self.balance.add(SENT, self.balance.ledger(key), code, payload, self.report.packets, self.clock.now_ns)
        flow = self.flows.live.get(key.answer())
        if flow is not None:
            flow.answers += 1
            if at:
                flow.model_sent(code, int.from_bytes(packet[at + 4 : at + 8]), payload)
        if self.writer is not None:
            self.writer.sent(packet)
        return True

    def _is_played(self, key: FlowKey) -> bool:
        played = self._played.get((key.family, key.dst))
        return played is not None and self.clock.now_ns - played.last_ns <= IDLE_NS

    # --- the end

    def finish(self) -> Replay:
        """The capture is over: the report, with what was recorded and not sent when the capture shows both ways."""
        self.flows.finish()
        if self.report.recorded:
            self.report.settle(self.balance)
        self.report.in_order()
        return self.report


@contextmanager
def _collecting_rarely() -> Iterator[None]:
    """Nearly everything that a packet leaves behind is a live flow: do not look for garbage after every few of them."""
    young, middle, old = gc.get_threshold()
    gc.set_threshold(max(young, COLLECTED_AFTER), max(middle, LOOKED_AGAIN_AFTER), old)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)


def run(
    packets: Iterable[Captured], first: Replayer, others: Iterable[Replayer] = (), writer: AnnotatedWriter | None = None
) -> None:
    """Replay packets into one cluster, and the same into others, whose ends are compared with the first's."""
    others = tuple(others)
    first.writer = writer
    first.lanes.show(writer)
    with ExitStack() as stack:
        stack.enter_context(_collecting_rarely())
        for one in (first, *others):
            stack.enter_context(one.attached())
        if not others:
            first.take_all(packets)
            return
        for captured in packets:
            fate = first.take(captured)
            for other in others:
                theirs = other.take(captured)
                if theirs != fate and not _same(fate, theirs):
                    first.report.differ(Difference(first.report.packets, "another end", str(fate), str(theirs)))


def _same(one: Fate | None, other: Fate | None) -> bool:
    """Two ends are the same when the same kind of host got the packet on the same port, or it ended in the same place.

    Which of several endpoints got it is chance, and differs between two clusters.
    """
    if one is None or other is None or one.what != "delivered" or other.what != "delivered":
        return one is other or (one is not None and other is not None and one[:2] == other[:2])
    return _kind_and_port(one) == _kind_and_port(other)


def _kind_and_port(fate: Fate) -> tuple[str, str]:
    return fate.namespace.partition("/")[0], fate.where.partition(" ")[2]
