"""TCP between programs: enough of RFC 9293 for real connections over lossy, translated, filtered paths.

Handshake, data in segments of the path's MSS, cumulative acknowledgement, retransmission with back-off, FIN in each
direction, RST, path MTU discovery. Left out: windows (everything is sent at once), selective acknowledgement, urgent
data, delayed acknowledgement, congestion control.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from fakecluster.kernel import icmp
from fakecluster.kernel.checksums import checksum
from fakecluster.kernel.effects import SendError
from fakecluster.kernel.ip_output import exit_for
from fakecluster.kernel.packet import ACK, FIN, PSH, RST, SYN, TCP, Skb
from fakecluster.kernel.sockets import Program, Socket
from fakecluster.kernel.tcp_segments import HALF, MASK, MIN_MSS, Outgoing, options_of, peer_mss

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakecluster.kernel.netns import Netns

NS_PER_S = 1_000_000_000
#: The first retransmission time-out (TCP_TIMEOUT_INIT), its limit, and how long TIME_WAIT lasts.
INITIAL_RTO_NS, MAX_RTO_NS, TIME_WAIT_NS = NS_PER_S, 120 * NS_PER_S, 60 * NS_PER_S
#: A time that does not come.
NEVER = 1 << 63
MAX_WINDOW = 64240
#: What a peer takes that does not say (TCP_MSS_DEFAULT).
DEFAULT_MSS = 536
PSH_ACK = PSH | ACK
# ports, sequence, acknowledgment, offset and flags, window, checksum, urgent pointer
_HEADER = Struct("!HHIIHHHH").pack
# the MSS with its kind and length, two fillers and "SACK permitted"
_SYN_OPTIONS = Struct("!HHI").pack


class TcpConnection(Socket):
    """One end of a connection. `state` is RFC 9293's; `error` an errno's name once it failed.

    A client reads what came from `incoming` and sees `peer_closed`; a server's program is called back.
    """

    __slots__ = (
        "_event_ns", "attempts", "closing", "due_ns", "incoming", "key", "mss", "out_of_order", "outlet", "peer_closed",
        "rcv_nxt", "remote", "rto_ns", "snd_nxt", "state", "unacknowledged",
    )  # fmt: skip

    def __init__(
        self, netns: Netns, family: int, src: int, sport: int, dst: int, dport: int, *, name: str = ""
    ) -> None:  # fmt: skip
        super().__init__(netns, family, TCP, src, sport, None, name)
        self.remote = (dst, dport)
        self.key = (family, src, sport, dst, dport)
        self.state = "CLOSED"
        self.incoming = bytearray()
        self.peer_closed = False
        self.snd_nxt = self.rcv_nxt = 0
        self.mss = DEFAULT_MSS
        self.unacknowledged: list[Outgoing] = []
        self.out_of_order: dict[int, tuple[bytes, int]] = {}
        self.rto_ns = INITIAL_RTO_NS
        self.attempts = 0
        self.due_ns = NEVER
        self._event_ns = NEVER  # when the event comes that looks at `due_ns`
        self.closing = False
        #: asked to send a segment (flags, sequence, data) in its own way; False: it did not
        self.outlet: Callable[[int, int, bytes], bool] | None = None

    # --- what programs call

    def open(self) -> None:
        """Send the SYN; it is sent again when a filter keeps it from leaving (tcp_connect ignores that error)."""
        self._start()
        self.state = "SYN_SENT"
        self._emit(SYN, b"")

    def answer_syn(self, sequence: int, options: bytes) -> None:
        """A listener got a SYN and made this connection: send the SYN-ACK."""
        self._start()
        self.mss = min(self.mss, peer_mss(options, DEFAULT_MSS))
        self.rcv_nxt = (sequence + 1) & MASK
        self.state = "SYN_RECV"
        self._emit(SYN | ACK, b"")

    def _start(self) -> None:
        self.snd_nxt = self.netns.choices.draw(1 << 32, "initial sequence number")
        self.mss = self._path_mss()
        self.netns.sockets.await_timers()

    def _path_mss(self) -> int:
        try:
            mtu = exit_for(self.netns, self.family, self.remote[0], self.address, self.mark).mtu
        except SendError:
            return DEFAULT_MSS
        return max(MIN_MSS, min(mtu, 65535) - (40 if self.family == 4 else 60))

    def send(self, data: bytes) -> None:
        """Send bytes on an established connection. Raises `SendError` (EPIPE-like ECONNRESET when it is closed)."""
        if self.state not in ("ESTABLISHED", "CLOSE_WAIT") or self.closing:
            raise SendError("ECONNRESET")
        mss = self.mss
        if 0 < len(data) <= mss:
            self._emit(PSH_ACK, data)
            return
        for at in range(0, len(data), mss):
            self._emit(PSH_ACK, data[at : at + mss])

    def close(self) -> None:
        """Say that nothing more will be sent."""
        if self.closing or self.state in ("CLOSED", "TIME_WAIT"):
            return
        self.closing = True
        if self.state == "SYN_SENT":
            self.forget()
            return
        self.state = "LAST_ACK" if self.state == "CLOSE_WAIT" else "FIN_WAIT_1"
        self._emit(FIN | ACK, b"")

    def reset(self) -> None:
        """Abort: RST to the other end."""
        if self.state not in ("CLOSED", "TIME_WAIT"):
            self._transmit(RST | ACK, self.snd_nxt, b"")
        self.forget()

    # --- sending

    def _emit(self, flags: int, data: bytes) -> None:
        sequence = self.snd_nxt
        segment = Outgoing.of(sequence, flags, data)
        self.snd_nxt = segment[3]
        if not self.unacknowledged:
            self._arm(self.rto_ns)
        self.unacknowledged.append(segment)
        try:
            self._transmit(flags, sequence, data)
        except SendError:
            return  # the retransmission timer runs

    def _transmit(self, flags: int, sequence: int, data: bytes) -> None:
        if self.outlet is not None and self.outlet(flags, sequence, data):
            return
        self.netns.send_segment(self, self.packet(flags, sequence, data), self.address, self.remote[0])

    def packet(self, flags: int, sequence: int, data: bytes) -> bytes:
        """A segment as it is sent."""
        tail, bits = data, 20 << 10 | flags
        if flags & SYN:
            tail, bits = _SYN_OPTIONS(0x0204, min(self.mss, 65535), 0x01010402) + data, 28 << 10 | flags
        src, (dst, dport), family = self.address, self.remote, self.family
        ends = (self.port, dport, sequence, self.rcv_nxt if flags & ACK else 0, bits, MAX_WINDOW)
        size = 20 + len(tail)
        check = checksum(tail, sum(ends) + src + dst + TCP + size)
        ttl = icmp.ttl_of(self.netns, family)
        if family == 4:
            ident = self.netns.choices.draw(65536, "IP identification")
            header = icmp.ipv4_header(src, dst, TCP, size, ttl=ttl, ident=ident, df=True)
        else:
            header = icmp.ipv6_header(src, dst, TCP, size, hop_limit=ttl)
        return b"".join((header, _HEADER(*ends, check, 0), tail))

    def skip_ident(self) -> None:
        """Draw no IP identification (IPv6 has none) for a segment that nobody looks at."""
        if self.family == 4:
            self.netns.choices.skip(65536, "IP identification")

    def _acknowledge(self) -> None:
        try:
            self._transmit(ACK, self.snd_nxt, b"")
        except SendError:
            return  # it will be sent again when the peer repeats itself

    def _arm(self, delay_ns: int) -> None:
        """Set the timer: the event that is already on its way is taken, where it comes in time."""
        self.due_ns = self.netns.clock.now_ns + delay_ns
        if self._event_ns > self.due_ns:
            self._schedule()

    def _schedule(self) -> None:
        netns, self._event_ns = self.netns, self.due_ns
        netns.clock.schedule_at(self.due_ns, netns.sockets.timer_target, (self.key, self.due_ns))

    def timer(self, event_ns: int) -> None:
        """An event that was scheduled for this time: the retransmission (or TIME_WAIT) timer may have gone off."""
        if event_ns != self._event_ns:
            return
        self._event_ns = NEVER
        if self.due_ns > event_ns:
            if self.due_ns != NEVER:
                self._schedule()
            return
        self.due_ns = NEVER
        if self.state == "TIME_WAIT":
            self.forget()
            return
        self.attempts += 1
        if self.attempts > self._max_attempts():
            self.fail("ETIMEDOUT")
            return
        self.rto_ns = min(self.rto_ns * 2, MAX_RTO_NS)
        self._arm(self.rto_ns)
        oldest = self.unacknowledged[0]
        try:
            self._transmit(oldest.flags, oldest.sequence, oldest.data)
        except SendError:
            return  # refused now: the next attempt may get through

    def is_idle(self, event_ns: int) -> bool:
        """Whether the event that was scheduled for this time has nothing to look at."""
        return self.due_ns == NEVER or event_ns != self._event_ns

    def _max_attempts(self) -> int:
        names = {"SYN_SENT": "tcp_syn_retries", "SYN_RECV": "tcp_synack_retries"}
        return self.netns.sysctls.number(f"net.ipv4.{names.get(self.state, 'tcp_retries2')}")

    # --- receiving

    def segment(self, skb: Skb) -> None:
        """A segment for this connection."""
        data, at, flags = skb.data, skb.l4, skb.tcp_flags
        sequence = int.from_bytes(data[at + 4 : at + 8])
        acknowledged = int.from_bytes(data[at + 8 : at + 12])
        payload = bytes(data[at + (data[at + 12] >> 4) * 4 :])
        if self.state == "SYN_SENT":
            self._answer_to_syn(skb, flags, sequence, acknowledged)
            return
        if flags & RST:
            if (sequence - self.rcv_nxt) & MASK < MAX_WINDOW:
                self.fail("ECONNRESET")
            return
        if flags & SYN:
            self._acknowledge()
            return
        self.take_in(flags, sequence, acknowledged, payload)

    def take_in(self, flags: int, sequence: int, acknowledged: int, payload: bytes) -> None:
        """A segment that neither opens nor resets."""
        if flags & ACK and self.unacknowledged:
            self.acknowledged(acknowledged)
        if self.state == "CLOSED" or not (payload or flags & FIN):
            return
        if sequence != self.rcv_nxt:
            old = (self.rcv_nxt - sequence) & MASK
            if old > HALF:  # it comes too early
                self.out_of_order[sequence] = (payload, flags)
            if old >= len(payload) + (flags & FIN):
                self._acknowledge()
                return
            payload = payload[old:]
        self._take(payload, flags)
        while self.out_of_order and (waiting := self.out_of_order.pop(self.rcv_nxt, None)) is not None:
            self._take(*waiting)

    def _answer_to_syn(self, skb: Skb, flags: int, sequence: int, acknowledged: int) -> None:
        if flags & ACK and acknowledged != self.snd_nxt:
            if not flags & RST:
                self.netns.sockets.refuse(skb)
            return
        if flags & RST:
            if flags & ACK:
                self.fail("ECONNREFUSED")
            return
        if flags & SYN and flags & ACK:
            self.rcv_nxt = (sequence + 1) & MASK
            self.mss = min(self.mss, peer_mss(options_of(skb), DEFAULT_MSS))
            self.acknowledged(acknowledged)
            self.state = "ESTABLISHED"
            self._acknowledge()
            if self.program is not None:
                self.program.on_accept(self)

    def acknowledged(self, number: int) -> None:
        """The peer has everything before this number. Of an open connection nothing else comes of it."""
        waiting, gone = self.unacknowledged, 0
        for segment in waiting:
            if (number - segment.end) & HALF:
                break
            gone += 1
        if not gone:
            return
        del waiting[:gone]
        self.attempts, self.rto_ns = 0, INITIAL_RTO_NS
        if self.unacknowledged:
            self._arm(self.rto_ns)
            return
        self.due_ns = NEVER
        if self.state == "SYN_RECV":
            self.state = "ESTABLISHED"
            if self.program is not None:
                self.program.on_accept(self)
        elif self.state == "FIN_WAIT_1":
            self.state = "FIN_WAIT_2"
        elif self.state == "CLOSING":
            self._time_wait()
        elif self.state == "LAST_ACK":
            self.forget()

    def _take(self, payload: bytes, flags: int) -> None:
        self.rcv_nxt = self.rcv_nxt + len(payload) + (flags & FIN) & MASK
        self._acknowledge()
        if payload:
            if self.program is not None:
                self.program.on_data(self, payload)
            else:
                self.incoming += payload
        if flags & FIN:
            self._peer_closes()

    def _peer_closes(self) -> None:
        self.peer_closed = True
        if self.state == "ESTABLISHED":
            self.state = "CLOSE_WAIT"
        elif self.state == "FIN_WAIT_1":
            self.state = "CLOSING"
        elif self.state == "FIN_WAIT_2":
            self._time_wait()
        if self.program is not None:
            self.program.on_close(self)

    def _time_wait(self) -> None:
        self.state = "TIME_WAIT"
        self._arm(TIME_WAIT_NS)

    def icmp_error(self, error: str, mtu: int) -> None:
        """An ICMP error quotes one of our segments: fatal while connecting, a hint afterwards (tcp_v4_err)."""
        if error == "EMSGSIZE":
            self._shrink(mtu)
        elif self.state in ("SYN_SENT", "SYN_RECV"):
            self.fail(error)

    def _shrink(self, mtu: int) -> None:
        """Path MTU discovery: cut what is not acknowledged into smaller segments and send it again."""
        mss = max(MIN_MSS, (mtu or 576) - (40 if self.family == 4 else 60))
        if mss >= self.mss:
            return
        self.mss = mss
        pieces = self.unacknowledged = [piece for segment in self.unacknowledged for piece in segment.cut(mss)]
        for piece in pieces:
            self._transmit(piece.flags, piece.sequence, piece.data)

    def fail(self, error: str) -> None:
        """The connection is over, with an errno's name."""
        self.error = error
        program: Program | None = self.program
        self.forget()
        if program is not None:
            program.on_error(self, error)

    def forget(self) -> None:
        self.state = "CLOSED"
        self.due_ns = self._event_ns = NEVER
        self.netns.sockets.connections.pop(self.key, None)

    def fork(self, netns: Netns) -> TcpConnection:
        copy = TcpConnection(netns, self.family, self.address, self.port, *self.remote)
        for name in (
            "program", "name", "transparent", "uid", "mark", "error", "state", "peer_closed", "snd_nxt", "rcv_nxt",
            "mss", "rto_ns", "attempts", "due_ns", "_event_ns", "closing",
        ):  # fmt: skip
            setattr(copy, name, getattr(self, name))
        copy.incoming = self.incoming.copy()
        copy.unacknowledged = self.unacknowledged.copy()
        copy.out_of_order = self.out_of_order.copy()
        copy.context = self.context.copy()
        return copy

    def __repr__(self) -> str:
        return f"<TcpConnection {self.port} -> {self.remote[1]} {self.state}>"
