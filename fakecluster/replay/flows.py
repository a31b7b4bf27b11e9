"""The flows of a capture: who spoke with whom, how much, and what became of it. Finished flows are let go."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

import attrs

from fakecluster.kernel.packet import ACK, FIN, RST, SYN
from fakecluster.kernel.tcp_segments import HALF, MASK
from fakecluster.replay.fates import Fate

#: A flow that was silent for this long has ended, and one that was closed for the second, in ns of virtual time
#: (conntrack's UDP stream and TCP FIN times).
IDLE_NS = 120_000_000_000
CLOSED_NS = IDLE_NS // 60
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor
_NAMES = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}


class FlowKey(NamedTuple):
    """One direction of a flow, as it is on the wire at the port."""

    family: int
    proto: int
    src: int
    dst: int
    sport: int
    dport: int

    def answer(self) -> FlowKey:
        family, proto, src, dst, sport, dport = self
        return _new(FlowKey, (family, proto, dst, src, dport, sport))

    def __str__(self) -> str:
        name = _NAMES.get(self.proto, f"proto {self.proto}")
        return f"{name} {self._end(self.src, self.sport)} > {self._end(self.dst, self.dport)}"

    def _end(self, address: int, port: int) -> str:
        text = ip_text(self.family, address)
        if not port:
            return text
        return f"[{text}]:{port}" if self.family == 6 else f"{text}:{port}"


def ip_text(family: int, address: int) -> str:
    """An address as text."""
    return str(ip_address(address.to_bytes(4 if family == 4 else 16)))


@attrs.define
class Flow:
    """What was seen of one flow: injected packets and bytes, answers of the model, and the ends that packets met."""

    key: FlowKey
    first: int  # the number of its first packet in the capture
    start_ns: int
    last_ns: int = 0
    packets: int = 0
    octets: int = 0
    answers: int = 0
    #: end -> how many packets met it
    fates: dict[Fate, int] = attrs.field(factory=dict)
    #: what must be added to the acknowledgments of the capture, so that they fit the model's sequence numbers
    ack_shift: int | None = None
    #: the sequence number after all that the model sent
    model_next: int | None = None
    #: the model's answers are not as long as the recorded ones
    diverged: bool = False
    #: acknowledgments are to be fitted one by one: `ack_shift` may be wrong for the next
    fitting: bool = False
    closing: int = 0
    #: how often chance was asked for it
    asked: int = 0

    @property
    def fate(self) -> Fate:
        """The most frequent end of its packets."""
        return self.ends[0][0]

    @property
    def ends(self) -> list[tuple[Fate, int]]:
        """The ends of its packets with how many met each, the most frequent first."""
        return sorted(self.fates.items(), key=lambda end: -end[1])

    def close_by(self, flags: int) -> None:
        if flags & RST:
            self.closing = 2
        elif flags & FIN:
            self.closing += 1
        elif flags & SYN:
            self.closing = 0

    def model_sent(self, flags: int, sequence: int, size: int) -> None:
        """The model sent a TCP segment with `size` bytes of data."""
        size += (flags & SYN != 0) + (flags & FIN != 0)
        if not size or flags & RST:
            return
        end = sequence + size & MASK
        if flags & SYN:
            self.fitting = self.model_next is not None  # another one may tell of less than was sent
            self.model_next = end
        elif self.model_next is not None:
            if (self.model_next - end) & HALF:
                self.model_next = end
            else:
                self.diverged = self.fitting = True  # sent again: what it was acknowledged by was for less

    def fit(self, flags: int, ack: int) -> int:
        """What must be added to an acknowledgment of the capture.

        The first one of a handshake tells what the real peer sent. One of more than the model has sent (the real server's
        answer was longer), and every one after it, or after the model had to repeat itself (it was shorter), is for all
        that it has sent.
        """
        if flags & SYN:
            self.ack_shift = self.model_next = None
            self.diverged = self.fitting = False
        elif self.model_next is not None and flags & ACK:
            if self.ack_shift is not None and (self.model_next - ack - self.ack_shift) & HALF:
                self.diverged = self.fitting = True
            if self.ack_shift is None or self.diverged:
                self.ack_shift = self.model_next - ack
            return self.ack_shift
        return 0

    def is_over(self, now_ns: int) -> bool:
        """Whether it has been silent for so long that another packet would begin another flow."""
        return now_ns - self.last_ns > (CLOSED_NS if self.closing else IDLE_NS)


class FlowTable:
    """The live flows; those that end are given to `finished`.

    Whether a packet belongs to an old flow depends on times alone, not on when the table was last swept.
    """

    def __init__(self, finished: Callable[[Flow], None]) -> None:
        self.live: dict[FlowKey, Flow] = {}
        self.finished = finished

    def of(self, key: FlowKey, number: int, now_ns: int) -> Flow:
        """The flow of an injected packet; a new one when there is none."""
        flow = self.live.get(key)
        if flow is not None and flow.is_over(now_ns):
            self.finished(flow)
            flow = None
        if flow is None:
            flow = self.live[key] = Flow(key, number, now_ns)
        return flow

    def sweep(self, now_ns: int) -> None:
        """Let go of what is over."""
        for key, flow in list(self.live.items()):
            if flow.is_over(now_ns):
                del self.live[key]
                self.finished(flow)

    def finish(self) -> None:
        """The capture is over."""
        for flow in self.live.values():
            self.finished(flow)
        self.live.clear()
