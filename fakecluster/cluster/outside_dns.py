"""The DNS server outside the cluster: answers from the zone that a test declares, over UDP and TCP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fakecluster.cluster.dns_program import Asker, framed, respond
from fakecluster.discovery import wire

if TYPE_CHECKING:
    from fakecluster.discovery.zone import Zone
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.sockets import Socket
    from fakecluster.kernel.tcp_socket import TcpConnection


@attrs.frozen(eq=False)
class ZoneProgram:
    """Serves a zone; every answer is known at once."""

    zone: Zone

    def _serve(self, netns: Netns, query: bytes, asker: Asker) -> None:
        parsed = wire.parse_query(query, tcp=asker.tcp)
        if isinstance(parsed, wire.Query):
            respond(netns, asker, wire.response(parsed, self.zone.answer(parsed.question)))
        elif parsed is not None:
            respond(netns, asker, parsed)

    def on_accept(self, connection: TcpConnection) -> None:
        connection.context["received"] = b""

    def on_data(self, connection: TcpConnection, data: bytes) -> None:
        messages, rest = framed(connection.context.get("received", b"") + data)
        connection.context["received"] = rest
        local = (connection.address, connection.port)
        for message in messages:
            self._serve(connection.netns, message, Asker(connection.remote, local, connection.family, tcp=True))

    def on_close(self, connection: TcpConnection) -> None:
        connection.close()

    def on_error(self, connection: TcpConnection, error: str) -> None:
        return None

    def on_datagram(self, sock: Socket, data: bytes, source: tuple[int, int], target: int) -> None:
        family = 4 if target < 1 << 32 else 6
        self._serve(sock.netns, data, Asker(source, (target, sock.port), family, tcp=False))
