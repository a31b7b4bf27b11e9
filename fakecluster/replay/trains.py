"""Runs of acknowledgments in a capture, replayed at once: what one after another would have done, at a fraction of it.

A run are packets that follow each other in the capture, all of them plain acknowledgments of flows whose ways are known,
while nothing is due on the clock: nothing else happens between them, so that each flow's can be taken in together
(`kernel.conntrack.tcp_trains`). Everything else goes packet by packet, in its turn. Needs NumPy (the extra `trains`);
without it every packet goes in its turn, to the same end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from fakecluster.fabric.captures import Captured
from fakecluster.replay.flows import IDLE_NS, Flow
from fakecluster.replay.timeline import LONGEST_GAP_NS

if TYPE_CHECKING:
    from fakecluster.fabric.pieces import Numbers, Piece
    from fakecluster.fabric.records import Records
    from fakecluster.fabric.ways import Way
    from fakecluster.kernel.conntrack.tcp_trains import Train
    from fakecluster.replay.replaying import Replayer

#: Packets, and bytes of them, that are looked at together: the more, the longer the trains.
WINDOW, WINDOW_OCTETS = 262_144, 32 << 20
#: Packets that are read together when they go in their turn.
AT_ONCE = 1024
#: Shorter windows and runs are not worth the look, nor are runs with fewer packets a flow.
LEAST_WINDOW, LEAST_RUN, LEAST_PER_FLOW = 4096, 256, 2
#: For how many packets there are no trains when fewer than a tenth of a window's went by any.
PAUSE = 500_000
#: How often what is left of a run is tried again without the packets that must go in their turn.
TRIES = 16


def windows(packets: Iterable[Captured], size: int = WINDOW) -> Iterator[list[Captured]]:
    """Packets in lists of up to `size`; an error comes after what was read before it."""
    window: list[Captured] = []
    octets = 0
    try:
        for captured in packets:
            window.append(captured)
            octets += captured[2]
            if len(window) >= size or octets >= WINDOW_OCTETS:
                yield window
                window, octets = [], 0
    except Exception:
        yield window
        raise
    yield window


class Trains:
    """What takes the windows of a replay. Where next to nothing went by train it does without for a while."""

    def __init__(self, replayer: Replayer) -> None:
        self.replayer = replayer
        self._available = find_spec("numpy") is not None
        self._pause = 0

    @property
    def ahead(self) -> int:
        """How many bytes of the capture are wanted at once next."""
        return 0 if self._pause or not self._available else WINDOW_OCTETS

    def take(self, packets: list[Captured] | Records) -> None:
        """Replay packets that follow each other."""
        count = len(packets)
        if count >= LEAST_WINDOW and self._available and not self._pause:
            from fakecluster.fabric.pieces import Listed, Recorded

            window = Window(self.replayer, Listed(packets) if isinstance(packets, list) else Recorded(packets))
            window.take()
            if 10 * window.gone < count:
                self._pause = PAUSE
            return
        self._pause = max(0, self._pause - count)
        if isinstance(packets, list):
            self.replayer.take_in_turn(packets)
            return
        for begin in range(0, count, AT_ONCE):
            self.replayer.take_in_turn(packets.captured(begin, begin + AT_ONCE))


class Passenger(NamedTuple):
    """A flow's train in a run: its way, and the virtual time of its last packet."""

    flow: int
    way: Way
    train: Train
    end_ns: int


class Window:
    """Packets of a capture, from which trains are made where they can be."""

    def __init__(self, replayer: Replayer, piece: Piece) -> None:
        from fakecluster.fabric.trains import Columns

        self.replayer, self.piece = replayer, piece
        self.express, self.timeline, self.clock = replayer.lanes.express, replayer.timeline, replayer.clock
        self.times_ns = piece.times_ns
        self.columns = Columns.of(piece)
        #: flows that had no way, of which a packet went step by step since
        self._tried: set[int] = set()
        #: packets that went by train
        self.gone = 0

    def take(self) -> None:
        """Replay the packets."""
        at = 0
        for begin, end in self._runs():
            self._in_turn(at, begin)
            self._run(begin, end)
            at = end
        self._in_turn(at, len(self.piece))

    def _in_turn(self, begin: int, end: int) -> None:
        for at in range(begin, end, AT_ONCE):
            self.replayer.take_in_turn(self.piece.captured(at, min(at + AT_ONCE, end)))

    def _runs(self) -> list[tuple[int, int]]:
        """Where one plain acknowledgment comes after another, and time goes on quietly."""
        import numpy as np

        plain = np.zeros(len(self.piece) + 1, bool)
        plain[self.columns.place] = True
        since = np.diff(self.times_ns)
        plain[1:-1] &= (since >= 0) & (since <= LONGEST_GAP_NS)
        edges = np.flatnonzero(np.diff(plain, prepend=False)).reshape(-1, 2)
        return [(begin, end) for begin, end in edges.tolist() if end - begin >= LEAST_RUN]

    # --- a run

    def _run(self, begin: int, end: int, tries: int = TRIES) -> None:
        """Replay packets that are plain acknowledgments: in pieces, between which something is due on the clock."""
        while begin < end:
            quiet = self._quiet_until(begin, end)
            if quiet - begin >= LEAST_RUN:
                self._board(begin, quiet, tries)
            else:
                quiet = min(quiet + 1, end)
                self._in_turn(begin, quiet)
            begin = quiet

    def _quiet_until(self, begin: int, end: int) -> int:
        """The first packet of a run before which something else happens."""
        read_ns, express, network = self.timeline.read_ns, self.express, self.replayer.network
        if read_ns is None or express.generation != network.generation or network.taps:
            return begin
        if not 0 <= int(self.times_ns[begin]) - read_ns <= LONGEST_GAP_NS or self._arrival_ns(begin) < self.clock.now_ns:
            return begin
        due_ns = self.clock.next_noticed_ns(self._arrival_ns(end - 1))
        return end if due_ns is None else bisect_left(range(end), due_ns, begin, key=self._arrival_ns)

    def _arrival_ns(self, place: int) -> int:
        """The virtual time of a packet to come."""
        timeline = self.timeline
        assert timeline.read_ns is not None
        return timeline.now_ns + int(self.times_ns[place]) - timeline.read_ns

    def _arrivals_ns(self, begin: int, end: int) -> Numbers:
        """The virtual times of packets to come."""
        return self.times_ns[begin:end] + (self._arrival_ns(begin) - int(self.times_ns[begin]))

    def _board(self, begin: int, end: int, tries: int) -> None:
        """Make trains of a run in which nothing else happens, and let them go."""
        rows = self.columns.rows(begin, end)
        if not tries or end - begin < LEAST_PER_FLOW * self.columns.flows_among(rows):
            self._in_turn(begin, end)
            return
        passengers, stray, unknown = [], [], []
        flows, tried, ways = self.columns.flows, self._tried, self.express.ways
        for number, first, begin_ns, end_ns, train in self.columns.trains(rows, self._arrivals_ns(begin, end)):
            bits, ends = flows[number]
            way = ways.get(ends)
            if way is not None:
                boarding = self._boarding(way, bits, train, begin_ns, end_ns)
                if boarding is not None:
                    passengers.append(Passenger(number, way, boarding, end_ns))
                    continue
            elif number not in tried:
                tried.add(number)
                unknown.append(begin + first)
                continue
            stray.append(number)
        if unknown or stray:
            self._around(begin, end, self.columns.places_of(stray, rows) + unknown, tries - 1)
        else:
            self._depart(begin, end, passengers)

    def _boarding(self, way: Way, first: int, train: Train, begin_ns: int, end_ns: int) -> Train | None:
        """A flow's train as it goes, if nothing but what trains do would come of its packets."""
        flow: Flow = way.context.flow
        if flow.closing or flow.fitting or begin_ns - flow.last_ns > IDLE_NS or end_ns - begin_ns > IDLE_NS:
            return None
        if flow.ack_shift:
            train = train.shifted(flow.ack_shift)
        return train if self.express.would_take_train(way, first, train, begin_ns, end_ns) else None

    def _around(self, begin: int, end: int, places: list[int], tries: int) -> None:
        """Replay a run, of which packets at some places must go in their turn."""
        at = waiting = begin
        for place in sorted(places):
            if place - at >= LEAST_RUN:
                self._in_turn(waiting, at)
                self._run(at, place, tries)
                waiting = place
            at = place + 1
        self._in_turn(waiting, at)
        self._run(at, end, tries)

    def _depart(self, begin: int, end: int, passengers: list[Passenger]) -> None:
        """Replay a run by its trains."""
        if self.express.shows:
            self._show(begin, end, passengers)
        for _, way, train, end_ns in passengers:
            self.express.take_train(way, train, end_ns)
            lane = way.context
            lane.flow.last_ns = end_ns
            lane.played.last_ns = max(lane.played.last_ns, end_ns)
        self.replayer.report.packets += end - begin
        self.gone += end - begin
        self.timeline.go_to(int(self.times_ns[end - 1]))

    def _show(self, begin: int, end: int, passengers: list[Passenger]) -> None:
        """Let the watcher of ways see every packet of a run."""
        import numpy as np

        flows = self.columns.flow[self.columns.rows(begin, end)]
        place = np.empty(int(flows.max()) + 1, np.int64)
        place[[one.flow for one in passengers]] = range(len(passengers))
        packets = self.piece.packets(begin, end)
        self.express.watcher.passed_all([one.way for one in passengers], place[flows], packets, self._arrivals_ns(begin, end))
