"""Conversations: TCP connections and UDP exchanges between hosts, and whether they work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fakecluster.apps.echo import Answer, parse_answer
from fakecluster.errors import FakeclusterError
from fakecluster.handles.history import History, kept
from fakecluster.handles.packets import PacketTrace
from fakecluster.kernel.effects import SendError
from fakecluster.kernel.sockets import Socket
from fakecluster.kernel.tcp_socket import TcpConnection
from fakecluster.trace import RuleStep, Trace

if TYPE_CHECKING:
    from fakecluster.handles.host import Host
    from fakecluster.handles.places import Place

#: errno -> what people call it; no errno means that nothing came back
OUTCOMES = {
    "": "no answer",
    "ETIMEDOUT": "timed out",
    "ECONNREFUSED": "refused",
    "ECONNRESET": "reset",
    "EHOSTUNREACH": "no route to host",
    "ENETUNREACH": "network unreachable",
    "EPERM": "not permitted",
    "EACCES": "prohibited",
}


class ConnectFailed(FakeclusterError, ConnectionError):
    """A connection did not open: `error` is the errno's name ("": nothing came back yet), `trace` the packets' way, `hint`
    what was probably meant.
    """

    def __init__(self, target: str, error: str, trace: PacketTrace | None) -> None:
        self.target, self.error, self.trace = target, error, trace
        self.hint = ""
        super().__init__(target, error, trace)

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.target}: {self.outcome}{hint}" + (f"\n{self.trace}" if self.trace is not None else "")

    @property
    def outcome(self) -> str:
        return OUTCOMES.get(self.error, self.error)


class ResolveFailed(FakeclusterError, LookupError):
    """A name was not found: `status` is NXDOMAIN, NODATA, SERVFAIL or TIMEOUT."""

    def __init__(self, name: str, status: str, asked: tuple[str, ...]) -> None:
        self.name, self.status, self.asked = name, status, asked
        super().__init__(f"{name}: {status}" + (f" (asked for {', '.join(asked)})" if asked else ""))


class Connection:
    """One end of a conversation, held by the client. `trace` is the way of all its packets so far."""

    def __init__(self, host: Host, place: Place, sock: Socket, journey: int) -> None:
        self._host, self._sock, self._journey = host, sock, journey
        self.place = place
        #: its name in the history's script
        self.expression = ""
        self._read = 0

    @property
    def history(self) -> History:
        return self._host.world.history

    @property
    def trace(self) -> PacketTrace:
        return PacketTrace(self._host.world, self._journey, self._host.namespace)

    @property
    def state(self) -> str:
        """RFC 9293's state of a TCP connection; "OPEN" for UDP."""
        return self._sock.state if isinstance(self._sock, TcpConnection) else "OPEN"

    @property
    def error(self) -> str:
        return self._sock.error

    @kept
    def request(self, data: bytes = b"", *, timeout_s: float = 0.0) -> Answer:
        """Send bytes and read what comes back; lets up to `timeout_s` of virtual time pass when nothing does.

        Raises `ConnectFailed` when the connection broke or nothing came back.
        """
        try:
            with self._host.recorded(self._journey):
                self._send(data)
        except SendError as refused:
            raise ConnectFailed(str(self.place), refused.name, self.trace) from None
        received = self._receive()
        if not received and timeout_s:
            self._host.world.advance(timeout_s)
            received = self._receive()
        if not received:
            raise ConnectFailed(str(self.place), self.error, self.trace)
        return parse_answer(received)

    def send(self, data: bytes) -> None:
        """Send bytes and wait for nothing. Raises `SendError` when the connection is closed."""
        with self._host.recorded(self._journey):
            self._send(data)

    def receive(self) -> bytes:
        """What has come since the last read; over UDP the next datagram."""
        return self._receive()

    def wait(self, timeout_s: float) -> bytes:
        """The same, after up to `timeout_s` of virtual time when nothing has come yet."""
        if not self.waiting and not self.over:
            self._host.world.advance(timeout_s)
        return self._receive()

    @property
    def waiting(self) -> bool:
        """Whether there is something to read."""
        if isinstance(self._sock, TcpConnection):
            return len(self._sock.incoming) > self._read
        return bool(self._sock.received)

    @property
    def over(self) -> bool:
        """Whether the other end will send no more (FIN, RST, an error)."""
        return isinstance(self._sock, TcpConnection) and (self._sock.peer_closed or self._sock.state == "CLOSED")

    def _send(self, data: bytes) -> None:
        if isinstance(self._sock, TcpConnection):
            self._sock.send(data)
        else:
            self._sock.send_to(data, self.place.address, self.place.port)

    def _receive(self) -> bytes:
        """What has come in since the last read."""
        if isinstance(self._sock, TcpConnection):
            fresh = bytes(self._sock.incoming[self._read :])
            self._read += len(fresh)
            return fresh
        return self._sock.received.pop(0)[0] if self._sock.received else b""

    @kept
    def close(self) -> None:
        """Say good-bye (FIN), or give the UDP port back."""
        with self._host.recorded(self._journey):
            self._sock.close()

    @kept
    def reset(self) -> None:
        """Abort a TCP connection (RST)."""
        if isinstance(self._sock, TcpConnection):
            with self._host.recorded(self._journey):
                self._sock.reset()

    def __repr__(self) -> str:
        return f"<Connection {self._host.namespace} -> {self.place} {self.state}>"


def open_connection(host: Host, place: Place, *, timeout_s: float = 0.0) -> Connection:
    """Connect over TCP, or take a UDP port. Raises `ConnectFailed`."""
    netns = host.netns
    sock: Socket
    journey = host.new_journey()
    try:
        with host.recorded(journey):
            if place.protocol == "tcp":
                sock = netns.sockets.connect(place.address, place.port, family=place.family)
            else:
                sock = netns.sockets.bind(place.protocol, 0, family=place.family)
                sock.context["inbox"] = True
    except SendError as refused:
        raise ConnectFailed(str(place), refused.name, host.trace_of(journey)) from None
    connection = Connection(host, place, sock, journey)
    if isinstance(sock, TcpConnection) and sock.state != "ESTABLISHED":
        if timeout_s and not sock.error:
            host.world.advance(timeout_s)
        if sock.state != "ESTABLISHED":
            error = sock.error
            sock.close()
            raise ConnectFailed(str(place), error, connection.trace)
    return connection


def cause_of(trace: Trace) -> str:
    """Where the packet ended and the last rule that it met there, in one line."""
    if not trace.way:
        return ""
    end = trace.way[-1]
    rules = [step for step in end.steps if isinstance(step, RuleStep)]
    rule = f" by {rules[-1].table} {rules[-1].chain}: {rules[-1].text}" if rules else ""
    reason = f" ({end.verdict.reason})" if end.verdict.reason else ""
    return f"{end.verdict.what} in {end.namespace} at {end.verdict.where}{reason}{rule}"


@attrs.frozen(repr=False)
class Reach:
    """Whether a place could be reached, true or false in a condition; `str()` says why."""

    ok: bool
    target: str
    outcome: str
    explanation: str = ""
    #: the place and the rule that decided, in one line
    cause: str = ""
    #: what the place lacks by the API's objects: the port that was meant, endpoints
    hint: str = ""

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        why = "; ".join(filter(None, (self.hint, self.cause)))
        return f"<{self.target}: {self.outcome}{': ' + why if why else ''}>"

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.target}: {self.outcome}{hint}" + (f"\n{self.explanation}" if self.explanation else "")
