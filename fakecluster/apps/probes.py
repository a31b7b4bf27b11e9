"""The kubelet's side of a probe: one connection of its own, whose end is told as one clock event.

Sources: Kubernetes pkg/probe/{http,tcp}: a TCP probe succeeds when the connection opens; an HTTP probe when the status
is 200 to 399, without following redirects.
"""

from __future__ import annotations

import attrs

from fakecluster.kernel.effects import SendError
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.sockets import Socket
from fakecluster.kernel.tcp_socket import TcpConnection


@attrs.frozen
class ProbeRequest:
    """What to do once connected, and whom to tell: the event's payload is `payload` + (ok, message)."""

    target: str
    payload: tuple[object, ...]
    #: bytes of the HTTP request; empty for a TCP probe
    request: bytes = b""


@attrs.frozen
class ProbeClient:
    """The program of a probing connection; its state is kept in the connection's context."""

    request: ProbeRequest

    def on_accept(self, connection: TcpConnection) -> None:
        if self.request.request:
            connection.send(self.request.request)
        else:
            self._finish(connection, True, "")

    def on_data(self, connection: TcpConnection, data: bytes) -> None:
        status = http_status(data)
        if status is None:
            self._finish(connection, False, f"malformed HTTP response {data[:20]!r}")
        else:
            ok = 200 <= status < 400
            self._finish(connection, ok, "" if ok else f"HTTP probe failed with statuscode: {status}")

    def on_close(self, connection: TcpConnection) -> None:
        self._finish(connection, False, "EOF")

    def on_error(self, connection: TcpConnection, error: str) -> None:
        self._finish(connection, False, error_text(error))

    def on_datagram(self, sock: Socket, data: bytes, source: tuple[int, int], target: int) -> None:
        return None

    def expire(self, connection: TcpConnection) -> None:
        """The probe's time-out passed."""
        if self._finish(connection, False, "context deadline exceeded"):
            connection.reset()

    def _finish(self, connection: TcpConnection, ok: bool, message: str) -> bool:
        """Tell the result once; False when it was told before."""
        if connection.context.get("finished"):
            return False
        connection.context["finished"] = True
        connection.netns.clock.schedule(self.request.target, (*self.request.payload, ok, message))
        connection.close()
        return True


def begin(netns: Netns, family: int, address: int, port: int, request: ProbeRequest) -> TcpConnection | None:
    """Open the probing connection; None (and the result is told) when its first packet cannot leave."""
    try:
        connection = netns.sockets.connect(address, port, family=family, program=ProbeClient(request))
    except SendError as refused:
        netns.clock.schedule(request.target, (*request.payload, False, error_text(refused.name)))
        return None
    return connection


def http_status(data: bytes) -> int | None:
    """The status code of a response's first line, None for something else than HTTP."""
    words = data.split(b"\r\n", 1)[0].split()
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit() else None


def error_text(error: str) -> str:
    """What Go says of an errno."""
    return SendError(error).args[0].lower() if SendError.TEXTS.get(error) else error
