"""Flows of a replay whose ways are known: what is to be counted, shown and compared when packets go them.

A lane is added by the packet that went step by step; the packets after it are only looked up by their addresses and
ports. What the capture shows leaving has lanes too: nothing is to be done with it but to expect it.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from fakecluster.fabric.captures import Captured
from fakecluster.fabric.express import Express
from fakecluster.fabric.ways import Way
from fakecluster.kernel.packet import FRAGMENT, TCP, Skb
from fakecluster.replay.fates import Fate
from fakecluster.replay.flows import Flow
from fakecluster.replay.headers import Headers
from fakecluster.replay.matching import EXPECTED, SENT, Ledger
from fakecluster.replay.passages import Passage

if TYPE_CHECKING:
    from fakecluster.fabric.pieces import Numbers
    from fakecluster.replay.replaying import Replayer
    from fakecluster.replay.writing import AnnotatedWriter

#: Flows of recorded packets that are remembered; with more it starts anew rather than grow.
RECORDED_KEPT = 65_536
# length, fragment bits, protocol, offset and flags
_READ4 = Struct("!xxHxxHxB22xH").unpack_from
# length, next header, offset and flags
_READ6 = Struct("!4xHB45xH").unpack_from
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


class Played:
    """A source address that the capture speaks for, and when it last did."""

    __slots__ = ("last_ns",)

    def __init__(self, last_ns: int) -> None:
        self.last_ns = last_ns


class Lane(NamedTuple):
    """What a replay knows of a flow whose way is known: its answers are counted in `ledger`.

    `passage` is what its packets are written with, None when they are not.
    """

    flow: Flow
    ledger: Ledger
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
        #: direction as the capture says it -> addresses and ports -> where its packets are counted
        self._recorded: dict[str, dict[bytes, Ledger]] = {"": {}, "in": {}, "out": {}}

    def show(self, writer: AnnotatedWriter | None) -> None:
        """Write what goes known ways, too."""
        self.writer, self.express.shows = writer, writer is not None

    # --- adding

    def add(self, packet: bytes, seen: bytes, flow: Flow, fate: Fate, played: Played) -> None:
        """A packet of the flow, which the capture has as `seen`, was delivered just now."""
        way = self.express.learn(packet, seen, checked=not self.replayer.mend)
        if way is not None:
            passage = self.writer.passage(way) if self.writer is not None else None
            way.context = _new(Lane, (flow, self.balance.ledger(flow.key.answer()), fate, played, passage))

    # --- packets that leave

    def expect(self, captured: Captured, headers: Headers) -> None:
        """A recorded packet was found to be one that leaves: expect it of the model, and remember its flow."""
        ledger = self.balance.ledger(headers.key)
        self.report.recorded += 1
        self.balance.add(EXPECTED, ledger, headers.code, headers.payload, self.report.packets, self.timeline.now_ns)
        if headers.plain:
            recorded = self._recorded[captured.direction]
            if len(recorded) >= RECORDED_KEPT:
                recorded.clear()
            recorded[ends_of(captured.packet)] = ledger

    def expects(self, captured: Captured, ends: bytes) -> bool:
        """Expect a recorded packet of a known flow; False, and nothing changed, when it must be looked at closely."""
        ledger = self._recorded[captured[4]].get(ends)
        if ledger is None:
            return False
        packet, size = captured[1], captured[2]  # of what was cut off, only the length counts
        had = len(packet)
        if had < 40:
            return False
        if packet[0] == 0x45:
            total, fragment, proto, bits = _READ4(packet)
            payload = size - 20 - (bits >> 10 & 0x3C)
            if fragment & FRAGMENT:
                return False
        else:
            if had < 60 or packet[0] >> 4 != 6:
                return False
            total, proto, bits = _READ6(packet)
            total += 40
            payload = size - 40 - (bits >> 10 & 0x3C)
        if total != size or proto != TCP or payload < 0:
            return False
        report = self.report
        report.recorded += 1
        self.balance.add(EXPECTED, ledger, bits & 0xFF, payload, report.packets, self.timeline.now_ns)
        return True

    # --- what ways tell

    def passed(self, way: Way, packet: bytes, now_ns: int) -> None:
        """A packet goes a way: as if it had arrived at every port on it."""
        lane: Lane = way.context
        assert self.writer is not None
        assert lane.passage is not None
        if self.replayer.addresses or self.replayer.mend:
            skb = Skb(packet)
            self.replayer.prepare(skb)
            packet = bytes(skb.data)
        self.writer.passed(lane.passage, packet, now_ns, lane.flow.ack_shift or 0)

    def passed_all(self, ways: Sequence[Way], which: Numbers, packets: Sequence[bytes], times_ns: Numbers) -> None:
        """As `passed`, one after another; `which` says by packet which of the ways it goes."""
        assert self.writer is not None
        if self.replayer.addresses or self.replayer.mend:
            for place, packet, now_ns in zip(which.tolist(), packets, times_ns.tolist(), strict=True):
                self.passed(ways[place], packet, now_ns)
            return
        passages = [way.context.passage for way in ways]
        self.writer.passed_all(passages, [way.context.flow.ack_shift or 0 for way in ways], which, packets, times_ns)

    def delivering(self, way: Way) -> None:
        """The socket at its end gets a packet: chance is the flow's."""
        flow = way.context.flow
        self.choices.turn_to(flow.first, flow.asked)

    def delivered(self, way: Way) -> None:
        """The socket is done."""
        way.context.flow.asked = self.choices.asked
        self.choices.turn_back()

    def answered(self, way: Way, flags: int, sequence: int, size: int, packet: bytes) -> None:
        """An answer came back to the port, and is taken off."""
        lane, writer = way.context, self.writer
        if size:
            lane.flow.model_sent(flags, sequence, size)
        self.balance.add(SENT, lane.ledger, flags, size, self.report.packets, self.clock.now_ns)
        if writer is not None and way.back is not None:
            passage = way.back.context
            if passage is None:
                passage = way.back.context = writer.passage_back(way.back)
            writer.passed(passage, packet, self.clock.now_ns)

    def settled(self, way: Way, packets: int, octets: int, answers: int) -> None:
        """So much went a known way, and came back."""
        flow, fate = way.context.flow, way.context.fate
        flow.packets += packets
        flow.octets += octets
        flow.fates[fate] += packets
        self.report.fates[fate] += packets
        self.report.injected += packets
        flow.answers += answers
        self.report.sent += answers


def ends_of(packet: bytes) -> bytes:
    """Addresses and ports of a packet without options, as they stand in it."""
    return packet[12:24] if packet[:1] < FIRST_IPV6 else packet[8:44]


FIRST_IPV6 = b"\x60"
