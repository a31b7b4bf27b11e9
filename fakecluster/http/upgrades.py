"""HTTP connections that become SPDY ones (`Upgrade: SPDY/3.1`): uvicorn knows WebSockets only.

An upgraded request reaches the application as a scope of type `spdy`; `send` takes the answer (101, or what refuses),
after 101 the connection is the application's, as `scope["duplex"]`.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SPDY = b"spdy/3.1"
#: Bytes that wait to be read before the client has to wait.
HIGH_WATER = 1 << 20


class HttpProtocol(H11Protocol):
    """One HTTP connection."""

    def _should_upgrade(self) -> bool:
        return self._get_upgrade() == SPDY or super()._should_upgrade()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        if self._get_upgrade() != SPDY:
            super().handle_websocket_upgrade(event)
            return
        self.connections.discard(self)
        duplex = SpdySocket(self.transport, self.conn.trailing_data[0], self.connections)
        self.transport.set_protocol(duplex)
        scope = {**self.scope, "type": "spdy", "duplex": duplex}
        task = self.loop.create_task(self._upgraded(scope, duplex))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _upgraded(self, scope: dict[str, Any], duplex: SpdySocket) -> None:
        async def receive() -> dict[str, Any]:
            raise RuntimeError("an upgraded request has no body")

        try:
            await self.app(scope, receive, duplex.answer)
        finally:
            await duplex.close()


class SpdySocket(asyncio.Protocol):
    """The bytes of an upgraded connection."""

    def __init__(self, transport: asyncio.Transport, early: bytes, connections: set[Any]) -> None:
        self._transport, self._connections = transport, connections
        self._buffer = bytearray(early)
        self._fresh, self._writable = asyncio.Event(), asyncio.Event()
        self._writable.set()
        self._ended = transport.is_closing()
        connections.add(self)

    # --- from asyncio and uvicorn

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._fresh.set()
        if len(self._buffer) > HIGH_WATER:
            self._transport.pause_reading()

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._writable.set()
        self._end()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def shutdown(self) -> None:
        """The server stops."""
        self._transport.close()

    def _end(self) -> None:
        self._ended = True
        self._fresh.set()

    # --- for the application

    async def read(self) -> bytes:
        while not self._buffer and not self._ended:
            self._fresh.clear()
            await self._fresh.wait()
        data = bytes(self._buffer)
        self._buffer.clear()
        if not self._transport.is_closing():
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        await self._writable.wait()
        if not self._transport.is_closing():
            self._transport.write(data)

    async def close(self) -> None:
        self._transport.close()

    async def answer(self, message: Any) -> None:
        """The answer to the request, as ASGI messages; its head has 101 or ends the connection."""
        if message["type"] == "http.response.body":
            await self.write(message["body"])
            return
        code = message["status"]
        lines = [f"HTTP/1.1 {code} {HTTPStatus(code).phrase}\r\n".encode()]
        lines += [name + b": " + value + b"\r\n" for name, value in message["headers"]]
        if code != HTTPStatus.SWITCHING_PROTOCOLS:
            lines.append(b"connection: close\r\n")
        await self.write(b"".join(lines) + b"\r\n")
