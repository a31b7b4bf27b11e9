"""What programs print: lines for the log of the container that they run in."""

from __future__ import annotations

from fakecluster.kernel.sockets import Socket

#: The component that keeps the logs of containers; told at once, with (container, text).
LOGS = "container-logs"


def printed(sock: Socket, text: str) -> None:
    """Print a line where the socket's program runs; it goes nowhere outside a container, or where nobody keeps logs."""
    container = sock.context.get("container")
    if container is not None:
        sock.netns.clock.tell(LOGS, (container, text))
