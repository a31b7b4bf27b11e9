"""Ways through several hosts, put together from their flow caches, and how conntrack takes in a segment on all of them.

Way: port ─► step ─► step ─► socket          Back: socket ─► step ─► step ─► port
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakecluster.kernel.conntrack import tcp_trains
from fakecluster.kernel.conntrack.tcp import follow
from fakecluster.kernel.conntrack.tcp_state import ESTAB
from fakecluster.kernel.conntrack.tcp_window import judge

if TYPE_CHECKING:
    from fakecluster.fabric.links import Port
    from fakecluster.kernel.conntrack.entry import Conn
    from fakecluster.kernel.conntrack.tcp import TcpTimeouts
    from fakecluster.kernel.conntrack.tcp_state import TcpInfo
    from fakecluster.kernel.conntrack.tcp_trains import Train
    from fakecluster.kernel.flow_cache.flow import Flow
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.tcp_socket import TcpConnection


class Step:
    """A host on a way that forwards what comes in at `port`, by an entry of its flow cache whose connection is `ct`.

    The other fields are what is asked of these for every segment.
    """

    __slots__ = (
        "accounted", "ct", "direction", "flow", "info", "mark", "neighbour", "netns", "port", "status", "timeouts",
    )  # fmt: skip

    def __init__(self, netns: Netns, flow: Flow, ct: Conn, port: Port) -> None:
        self.netns, self.flow, self.ct, self.port = netns, flow, ct, port
        self.status, self.mark, self.neighbour, self.direction = flow.status, flow.ct_mark, flow.neighbour, flow.way
        self.accounted = flow.accounted
        self.info: TcpInfo = ct.proto_info
        self.timeouts: TcpTimeouts = flow.timeouts


class Back:
    """From a connection's socket through `steps` to where its answers are taken off. `mtu` is the least on the way.

    `headers` is the size of an answer without data. `context` is the user's.
    """

    __slots__ = ("context", "headers", "mtu", "octets", "packets", "steps")

    def __init__(self, steps: tuple[Step, ...], mtu: int, headers: int) -> None:
        self.steps, self.headers = steps, headers
        self.mtu = min(mtu, *(step.flow.mtu for step in steps))
        self.packets = self.octets = 0
        self.context: Any = None


class Way:
    """From a port through `steps` to `connection` in the namespace at `end`, and `back` when it is known.

    `packets` and `octets` have gone it and are not yet counted by rules (see `Express.settle`). `context` is the user's.
    Checksums count if they are `checked`.
    """

    __slots__ = (
        "back", "checked", "connection", "context", "end", "first", "mtu", "octets", "packets", "steps", "ttl_least",
    )  # fmt: skip

    def __init__(
        self, first: int, steps: tuple[Step, ...], end: Port, connection: TcpConnection, *, checked: bool
    ) -> None:  # fmt: skip
        self.first, self.steps, self.end, self.connection = first, steps, end, connection
        self.checked = checked
        mtu, ttl_least, passed = steps[0].flow.mtu, 0, 0
        for step in steps:
            flow = step.flow
            if flow.mtu < mtu:
                mtu = flow.mtu
            if flow.ttl_least + passed > ttl_least:
                ttl_least = flow.ttl_least + passed
            passed += flow.ttl_step
        self.mtu, self.ttl_least = mtu, ttl_least
        self.packets = self.octets = 0
        self.back: Back | None = None
        self.context: Any = None


def count(way: Way | Back) -> None:
    """Let rules count what has gone a way since they last did."""
    packets, octets = way.packets, way.octets
    way.packets = way.octets = 0
    for step in way.steps:
        for pair in step.flow.counters:
            pair[0] += packets
            pair[1] += octets


def followed(steps: tuple[Step, ...], seq: int, ack: int, end: int, window: int, size: int, now_ns: int) -> bool:
    """Let conntrack of every host take the segment in; False, and nothing changed, when one would not."""
    if len(steps) > 1 and not all(_would_follow(step, seq, ack, end, now_ns) for step in steps):
        return False
    for step in steps:
        ct = step.ct
        if ct.status != step.status or ct.mark != step.mark or ct.expires_ns <= now_ns:
            return False
        if step.neighbour is not None and step.neighbour not in step.netns.neighbours:
            return False
        if not follow(step.timeouts, ct, step.direction, seq, ack, ack, end, window, now_ns):
            return False  # it is the only one, else it would have been asked before
        if step.accounted:
            ct.packets[step.direction] += 1
            ct.octets[step.direction] += size
    return True


def _is_open(step: Step, now_ns: int) -> bool:
    """Whether a host's entry is as it was when the way was learned, alive, and the next hop known (as in `followed`)."""
    ct = step.ct
    if ct.status != step.status or ct.mark != step.mark or ct.expires_ns <= now_ns:
        return False
    return step.neighbour is None or step.neighbour in step.netns.neighbours


def _would_follow(step: Step, seq: int, ack: int, end: int, now_ns: int) -> bool:
    """Whether conntrack of a host takes in a segment."""
    if not _is_open(step, now_ns):
        return False
    info = step.info
    sender, receiver = info.seen[step.direction], info.seen[1 - step.direction]
    return info.state == ESTAB and bool(sender.td_maxwin) and judge(sender, receiver, seq, end, ack) == "accept"


def would_follow_train(steps: tuple[Step, ...], train: Train, begin_ns: int, end_ns: int) -> bool:
    """Whether conntrack of every host takes in all segments of a train, and none of them too late for it."""
    lasts_ns = end_ns - begin_ns
    for step in steps:
        timeouts = step.timeouts
        if lasts_ns >= timeouts.established or lasts_ns >= timeouts.retransmitted or lasts_ns >= timeouts.unacknowledged:
            return False
        if not _is_open(step, begin_ns) or not tcp_trains.would_follow_train(step.info, step.direction, train):
            return False
    return True


def follow_train(steps: tuple[Step, ...], train: Train, end_ns: int) -> None:
    """Let conntrack of every host take a train in that `would_follow_train` allows."""
    for step in steps:
        ct, direction = step.ct, step.direction
        tcp_trains.follow_train(step.timeouts, ct, direction, train, end_ns)
        if step.accounted:
            ct.packets[direction] += train.packets
            ct.octets[direction] += train.octets
