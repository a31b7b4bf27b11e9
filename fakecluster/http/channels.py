"""What a client and a program in a Pod talk through: named channels of one command, or the ports of a Pod.

Each comes in two encodings, WebSockets and SPDY; what runs behind them does not see which.
"""

from __future__ import annotations

from typing import Protocol

import attrs

STDIN, STDOUT, STDERR, ERROR, RESIZE = "stdin", "stdout", "stderr", "error", "resize"


@attrs.frozen
class Input:
    """Bytes on a channel; empty: that channel has ended."""

    channel: str
    data: bytes


class Channels(Protocol):
    """One command's channels."""

    #: whether the client can say that its input has ended
    half_closes: bool
    #: whether the channel `error` takes a Status (otherwise plain text)
    speaks_status: bool

    async def receive(self) -> Input | None:
        """The next input; None when the client has left."""
        ...

    async def send(self, channel: str, data: bytes) -> None: ...

    async def finish(self) -> None:
        """Close everything."""
        ...


@attrs.frozen
class PortOpened:
    """A client wants a connection to a port; `connection` names it from now on."""

    connection: str
    port: int


@attrs.frozen
class PortData:
    """Bytes for a connection; `ended`: there will be no more."""

    connection: str
    data: bytes
    ended: bool = False


class Ports(Protocol):
    """Connections to the ports of one Pod."""

    async def receive(self) -> PortOpened | PortData | None:
        """What the client does next; None when it has left."""
        ...

    async def send(self, connection: str, data: bytes) -> None: ...

    async def fail(self, connection: str, words: str) -> None:
        """Say why a connection is none, and close it."""
        ...

    async def end(self, connection: str) -> None:
        """The program has closed the connection."""
        ...


class Duplex(Protocol):
    """A stream of bytes in both directions."""

    async def read(self) -> bytes:
        """Some bytes; empty at the end."""
        ...

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...
