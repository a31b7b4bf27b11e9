"""WebSockets: every binary message is a channel's number and its bytes, or a piece of a SPDY connection in a tunnel.

Sources: kubernetes apimachinery pkg/util/remotecommand/constants.go, apimachinery pkg/util/portforward, KEP-4006.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from fakecluster.api.rest.response import Response
from fakecluster.http.channels import ERROR, RESIZE, STDERR, STDIN, STDOUT, Input, PortData, PortOpened

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
#: Subprotocols of commands; from v5 on a client can end its input.
V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
#: The subprotocol of a port-forward in which the connection is SPDY once more.
TUNNEL = "SPDY/3.1+portforward.k8s.io"
CHANNELS = (STDIN, STDOUT, STDERR, ERROR, RESIZE)
CLOSING = 255


class _Socket:
    """An accepted WebSocket."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._closed = False

    async def message(self) -> bytes | None:
        """The next message's bytes; None at the end."""
        while True:
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                self._closed = True
                return None
            if event["type"] == "websocket.receive":
                return event.get("bytes") or (event.get("text") or "").encode()

    async def put(self, data: bytes) -> None:
        if not self._closed:
            await self._send({"type": "websocket.send", "bytes": data})

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._send({"type": "websocket.close", "code": 1000})


class WebSocketChannels(_Socket):
    """The channels of a command."""

    speaks_status = True

    def __init__(self, receive: Receive, send: Send, protocol: str) -> None:
        super().__init__(receive, send)
        self.half_closes = protocol == V5

    async def receive(self) -> Input | None:
        while True:
            message = await self.message()
            if message is None:
                return None
            if self.half_closes and len(message) == 2 and message[0] == CLOSING and message[1] < len(CHANNELS):
                return Input(CHANNELS[message[1]], b"")
            if len(message) > 1 and message[0] < len(CHANNELS):
                return Input(CHANNELS[message[0]], message[1:])

    async def send(self, channel: str, data: bytes) -> None:
        if data:
            await self.put(bytes((CHANNELS.index(channel),)) + data)

    async def finish(self) -> None:
        await self.close()


class WebSocketPorts(_Socket):
    """Two channels a port: its bytes, and errors; each begins with the port's number (two bytes, low first)."""

    def __init__(self, receive: Receive, send: Send, ports: Sequence[int]) -> None:
        super().__init__(receive, send)
        self._ports = list(ports)
        self._opened = 0

    async def receive(self) -> PortOpened | PortData | None:
        if self._opened < len(self._ports):
            number, port = self._opened, self._ports[self._opened]
            self._opened += 1
            for channel in (2 * number, 2 * number + 1):
                await self.put(bytes((channel,)) + port.to_bytes(2, "little"))
            return PortOpened(str(number), port)
        while True:
            message = await self.message()
            if message is None:
                return None
            if len(message) > 1 and not message[0] % 2 and message[0] // 2 < len(self._ports):
                return PortData(str(message[0] // 2), message[1:])

    async def send(self, connection: str, data: bytes) -> None:
        await self.put(bytes((2 * int(connection),)) + data)

    async def fail(self, connection: str, words: str) -> None:
        await self.put(bytes((2 * int(connection) + 1,)) + words.encode())

    async def end(self, connection: str) -> None:
        """This encoding cannot close one port; the last one closes all."""
        self._ports[int(connection)] = 0
        if not any(self._ports):
            await self.close()


class WebSocketDuplex(_Socket):
    """A tunnel."""

    async def read(self) -> bytes:
        while (message := await self.message()) is not None:
            if message:
                return message
        return b""

    async def write(self, data: bytes) -> None:
        await self.put(data)


async def accept(send: Send, protocol: str) -> None:
    """Open a WebSocket in a subprotocol."""
    await send({"type": "websocket.accept", "subprotocol": protocol})


async def refuse(response: Response, body: bytes, send: Send) -> None:
    """Answer the handshake with a Status instead."""
    headers = [(b"content-type", response.content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": response.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
