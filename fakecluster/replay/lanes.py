"""Flows of a replay whose ways are known: what is to be counted, shown and compared when packets go them.

A lane is added by the packet that went step by step; the packets after it are only looked up by their addresses and
ports. What the capture shows leaving has lanes too: nothing is to be done with it but to expect it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fakecluster.fabric.captures import Captured
from fakecluster.fabric.express import Express
from fakecluster.fabric.ways import Way
from fakecluster.kernel.packet import TCP, Skb
from fakecluster.replay.fates import Fate
from fakecluster.replay.flows import Flow, FlowKey
from fakecluster.replay.passages import Passage

if TYPE_CHECKING:
    from fakecluster.replay.replaying import Replayer
    from fakecluster.replay.writing import AnnotatedWriter

#: Flows of recorded packets that are remembered; with more it starts anew rather than grow.
RECORDED_KEPT = 65_536


class Played:
    """A source address that the capture speaks for, and when it last did."""

    __slots__ = ("last_ns",)

    def __init__(self, last_ns: int) -> None:
        self.last_ns = last_ns


class Lane(NamedTuple):
    """What a replay knows of a flow whose way is known: `answer` is the key of its answers.

    `passage` is what its packets are written with, None when they are not.
    """

    flow: Flow
    answer: FlowKey
    fate: Fate
    played: Played
    passage: Passage | None


class Lanes:
    """The lanes of a replay; see the module's docstring, and `fabric.express.Watcher` for what it is told."""

    def __init__(self, replayer: Replayer) -> None:
        self.replayer = replayer
        self.report, self.choices, self.clock, self.balance = (
            replayer.report, replayer.choices, replayer.clock, replayer.balance,
        )  # fmt: skip
        self.timeline = replayer.timeline
        self.express = Express(replayer.network, replayer.port, self)
        self.writer: AnnotatedWriter | None = None
        #: addresses and ports -> direction as the capture says it, key
        self._recorded: dict[bytes, tuple[str, FlowKey]] = {}

    def show(self, writer: AnnotatedWriter | None) -> None:
        """Write what goes known ways, too."""
        self.writer, self.express.shows = writer, writer is not None

    # --- adding

    def add(self, packet: bytes, seen: bytes, flow: Flow, fate: Fate, played: Played) -> None:
        """A packet of the flow, which the capture has as `seen`, was delivered just now."""
        way = self.express.learn(packet, seen, checked=not self.replayer.mend)
        if way is not None:
            passage = self.writer.passage(way) if self.writer is not None else None
            way.context = Lane(flow, flow.key.answer(), fate, played, passage)

    def add_recorded(self, captured: Captured, skb: Skb) -> None:
        """A packet was found to be one that leaves."""
        if skb.proto == TCP:
            if len(self._recorded) >= RECORDED_KEPT:
                self._recorded.clear()
            self._recorded[ends_of(captured.packet)] = captured.direction, FlowKey.of(skb)

    # --- packets

    def expects(self, captured: Captured, ends: bytes) -> bool:
        """Expect a recorded packet of a known flow; False, and nothing changed, when it must be looked at closely."""
        found = self._recorded.get(ends)
        if found is None or found[0] != captured[4]:
            return False
        packet = captured[1]
        had, size = len(packet), captured[2]  # of what was cut off, only the length counts
        if had < 40:
            return False
        if packet[0] == 0x45:
            plain = packet[9] == TCP and packet[2] << 8 | packet[3] == size and not (packet[6] & 0x3F or packet[7])
            l4 = 20
        else:
            plain = packet[0] >> 4 == 6 and packet[6] == TCP and (packet[4] << 8 | packet[5]) + 40 == size and had >= 60
            l4 = 40
        payload = size - l4 - (packet[l4 + 12] >> 4) * 4
        if not plain or payload < 0:
            return False
        self.report.recorded += 1
        self.balance.expect(found[1], packet[l4 + 13], payload, self.report.packets, self.timeline.now_ns)
        return True

    # --- what ways tell

    def passed(self, way: Way, packet: bytes) -> None:
        """A packet goes a way: as if it had arrived at every port on it."""
        lane: Lane = way.context
        assert self.writer is not None
        assert lane.passage is not None
        if self.replayer.addresses or self.replayer.mend:
            skb = Skb(packet)
            self.replayer.prepare(skb)
            packet = bytes(skb.data)
        self.writer.passed(lane.passage, packet, lane.flow.ack_shift or 0)

    def delivering(self, way: Way) -> None:
        """The socket at its end gets a packet: chance is the flow's."""
        flow = way.context.flow
        self.choices.turn_to(flow.first, flow.asked)

    def delivered(self, way: Way) -> None:
        """The socket is done."""
        way.context.flow.asked = self.choices.asked
        self.choices.turn_to()

    def answered(self, way: Way, flags: int, sequence: int, size: int, packet: bytes) -> None:
        """An answer came back to the port, and is taken off."""
        lane, report, writer = way.context, self.report, self.writer
        report.sent += 1
        lane.flow.answers += 1
        lane.flow.model_sent(flags, sequence, size)
        self.balance.got(lane.answer, flags, size, report.packets, self.clock.now_ns)
        if writer is not None and way.back is not None:
            passage = way.back.context
            if passage is None:
                passage = way.back.context = writer.passage_back(way.back)
            writer.passed(passage, packet)

    def settled(self, way: Way, packets: int, octets: int) -> None:
        """So much went a known way."""
        flow, fate = way.context.flow, way.context.fate
        flow.packets += packets
        flow.octets += octets
        flow.fates[fate] += packets
        self.report.fates[fate] += packets
        self.report.injected += packets


def ends_of(packet: bytes) -> bytes:
    """Addresses and ports of a packet without options, as they stand in it."""
    return packet[12:24] if packet[:1] < FIRST_IPV6 else packet[8:44]


FIRST_IPV6 = b"\x60"
