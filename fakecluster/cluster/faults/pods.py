"""Pods that hang: the program does not get to run, the kernel goes on (SIGSTOP, a deadlock, a long collection).

Connections are still opened, by the kernel's backlog, and bytes acknowledged; nothing is answered until the program
runs again, and then everything that has waited is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fakecluster.kernel.effects import SendError
from fakecluster.kernel.sockets import Program, Socket
from fakecluster.kernel.tcp_socket import TcpConnection

if TYPE_CHECKING:
    from fakecluster.handles import Pod

WAITING = "hung"


@attrs.frozen
class Hung:
    """Stands in for a program that does not run: what would have been said to it is kept in the socket's context."""

    program: Program

    def on_accept(self, connection: TcpConnection) -> None:
        _keep(connection, "accept")

    def on_data(self, connection: TcpConnection, data: bytes) -> None:
        _keep(connection, "data", data)

    def on_close(self, connection: TcpConnection) -> None:
        _keep(connection, "close")

    def on_error(self, connection: TcpConnection, error: str) -> None:
        _keep(connection, "error", error)

    def on_datagram(self, sock: Socket, data: bytes, source: tuple[int, int], target: int) -> None:
        _keep(sock, "datagram", data, source, target)


def _keep(sock: Socket, *what: object) -> None:
    sock.context[WAITING] = (*sock.context.get(WAITING, ()), what)


def hang(pod: Pod) -> None:
    """Stop a Pod's programs where they are; programs that are started later run."""
    for sock in _own(pod):
        if sock.program is not None and not isinstance(sock.program, Hung):
            sock.program = Hung(sock.program)


def resume(pod: Pod) -> None:
    """Let them go on, with what has waited first."""
    for sock in _own(pod):
        if isinstance(sock.program, Hung):
            sock.program = sock.program.program
    for sock in _own(pod):
        for what, *details in sock.context.pop(WAITING, ()):
            try:
                getattr(sock.program, f"on_{what}")(sock, *details)
            except SendError:
                break  # the peer has gone meanwhile
    pod.world.network.run()


def _own(pod: Pod) -> list[Socket]:
    uid = pod.object["metadata"]["uid"]
    return [sock for sock in pod.netns.sockets if sock.context.get("container", ("", ""))[0] == uid]
