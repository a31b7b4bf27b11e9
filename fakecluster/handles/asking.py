"""A look-up's queries as packets of a host: a round is sent at once, and waited for on the virtual clock."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

import attrs

from fakecluster.kernel.effects import SendError
from fakecluster.kernel.sockets import Socket
from fakecluster.kernel.tcp_socket import TcpConnection
from fakecluster.sim.clock import NS_PER_S

if TYPE_CHECKING:
    from fakecluster.discovery.resolver import Exchange
    from fakecluster.handles.host import Host

DNS_PORT = 53


@attrs.define
class Pending:
    """One query on its way: its socket, and the answer when there is one; `over` when none will come."""

    exchange: Exchange
    sock: Socket | None = None
    answer: bytes | None = None
    sent: bool = False
    over: bool = False

    def open(self, host: Host) -> None:
        server = ip_address(self.exchange.server)
        sockets = host.netns.sockets
        try:
            if self.exchange.tcp:
                self.sock = sockets.connect(int(server), DNS_PORT, family=server.version)
            else:
                self.sock = sockets.bind("udp", 0, family=server.version)
                self.sock.context["inbox"] = True
                self.sock.send_to(self.exchange.message, int(server), DNS_PORT)
        except SendError:
            self.over = True

    def poll(self) -> None:
        """Take what has come in; send the query when a TCP connection has opened."""
        sock = self.sock
        if self.over or sock is None:
            return
        if isinstance(sock, TcpConnection):
            self._poll_tcp(sock)
        elif sock.received:
            self.answer = sock.received.pop(0)[0]
        elif sock.error and self.exchange.connected:
            self.over = True
        self.over = self.over or self.answer is not None

    def _poll_tcp(self, connection: TcpConnection) -> None:
        message, data = self.exchange.message, connection.incoming
        if len(data) >= 2 and len(data) >= 2 + int.from_bytes(data[:2]):
            self.answer = bytes(data[2 : 2 + int.from_bytes(data[:2])])
        elif connection.state == "CLOSED" or connection.peer_closed:
            self.over = True
        elif connection.state == "ESTABLISHED" and not self.sent:
            self.sent = True
            connection.send(len(message).to_bytes(2) + message)

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()


def ask(host: Host, exchanges: Sequence[Exchange], until_ns: int) -> list[bytes | None]:
    """Send queries together; lets virtual time pass until all are answered or timed out, but not beyond `until_ns`."""
    queries = [Pending(exchange) for exchange in exchanges]
    journey = host.new_journey()
    with host.recorded(journey):
        for query in queries:
            query.open(host)
    clock, begin_ns = host.world.clock, host.world.clock.now_ns
    timeout_s = max((exchange.timeout_s for exchange in exchanges), default=0.0)
    end_ns = min(begin_ns + round(timeout_s * NS_PER_S), until_ns)
    _poll(host, journey, queries)
    while clock.now_ns < end_ns and not all(query.over for query in queries):
        due = clock.next_ns
        target = end_ns if due is None else min(max(due, clock.now_ns), end_ns)
        host.world.advance((target - clock.now_ns) / NS_PER_S)
        _poll(host, journey, queries)
    with host.recorded(journey):
        for query in queries:
            query.close()
    return [query.answer for query in queries]


def _poll(host: Host, journey: int, queries: Sequence[Pending]) -> None:
    """Let every socket be read until none has more to say now (a TCP query takes two turns)."""
    for _ in range(2):
        with host.recorded(journey):
            for query in queries:
                query.poll()
    for query in queries:
        query.poll()
