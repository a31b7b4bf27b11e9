"""The ASGI application: one request in, one answer or one stream of watch events out."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from fakecluster.api.rest.bodies import BODY_LIMIT
from fakecluster.api.rest.response import Response
from fakecluster.http import upgrading
from fakecluster.http.answers import Answer, answer, audit_id, broken, head
from fakecluster.http.door import Door
from fakecluster.http.pace import Pace
from fakecluster.http.streams import Bell, Streaming

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = logging.getLogger("fakecluster.http")


class App:
    """The API of one simulation as an ASGI 3 application.

    `user` is who asks when no credentials are given: `system:anonymous`, or `admin` as on the insecure port of old.
    """

    def __init__(self, door: Door, *, pace: Pace | None = None, user: str = "system:anonymous") -> None:
        self.door, self.pace, self.user = door, pace or Pace(0.0), user
        self._numbers = itertools.count(1)
        self._bell: Bell | None = None
        self._ticking: asyncio.Task[None] | None = None
        self.closing = asyncio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] in ("websocket", "spdy"):
            await self._talk(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "lifespan.shutdown":
            if message["type"] == "lifespan.startup":
                self._start()
                await send({"type": "lifespan.startup.complete"})
        if self._ticking is not None:
            self._ticking.cancel()
        if self._bell is not None:
            self.door.bells.remove(self._bell.ring)
        await send({"type": "lifespan.shutdown.complete"})

    def _start(self) -> Bell:
        """Bind to the running loop: at startup, or at the first request where there is no lifespan."""
        if self._bell is None:
            self._bell = Bell(asyncio.get_running_loop())
            self.door.bells.append(self._bell.ring)
            self._ticking = asyncio.ensure_future(self.pace.run(self.door))
        return self._bell

    @property
    def streams(self) -> int:
        """How many watches and followed logs are open."""
        return len(self._bell) if self._bell is not None else 0

    async def close(self) -> None:
        """End every open watch."""
        self.closing.set()
        if self._bell is not None:
            self._bell.ring()

    async def _talk(self, scope: Message, receive: Receive, send: Send) -> None:
        path, query, headers = path_of(scope), scope["query_string"].decode("latin-1"), headers_of(scope)
        if scope["type"] == "websocket":
            offered = scope.get("subprotocols") or []
            await upgrading.over_websocket(self.door, path, query, headers, self.user, offered, receive, send)
        else:
            method, duplex = scope["method"], scope["duplex"]
            await upgrading.over_spdy(self.door, method, path, query, headers, self.user, duplex, send)

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        audit = audit_id(headers.get("audit-id", ""), next(self._numbers))
        body = await body_of(receive)
        if body is None:
            return
        path = path_of(scope)
        try:
            response = self.door.request(
                scope["method"], path, scope["query_string"].decode("latin-1"), headers, body, self.user
            )
            if response.stream is None:
                await _send(send, answer(path, headers, response, audit, self.door.body(scope["method"], response)))
                return
        except Exception:
            log.exception("%s %s", scope["method"], path)
            await _send(send, broken(audit))
            return
        await self._stream(response, audit, receive, send)

    async def _stream(self, response: Response, audit: str, receive: Receive, send: Send) -> None:
        assert response.stream is not None
        await send({"type": "http.response.start", "status": response.status, "headers": head(response, audit)})

        async def write(lines: bytes) -> None:
            await send({"type": "http.response.body", "body": lines, "more_body": True})

        await write(b"")
        streaming = Streaming(self.door, self._start(), response.stream, write, self.closing)
        sending = asyncio.ensure_future(streaming.run())
        leaving = asyncio.ensure_future(_left(receive))
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        for task in (sending, leaving):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await sending
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(send: Send, found: Answer) -> None:
    await send({"type": "http.response.start", "status": found.status, "headers": found.headers})
    await send({"type": "http.response.body", "body": found.body})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def headers_of(scope: Message) -> dict[str, str]:
    """Names in lower case; what is given several times is joined by commas."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


def path_of(scope: Message) -> str:
    """The path as it was sent: an escaped slash is part of a name."""
    raw = scope.get("raw_path")
    if raw is None:
        return str(scope["path"])
    text = bytes(raw).partition(b"?")[0]
    return text.decode("ascii") if text.isascii() else unquote_to_bytes(text).decode("utf-8", "replace")


async def body_of(receive: Receive) -> bytes | None:
    """The body, read just far enough to see that it is too big; None when the client left while sending."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size <= BODY_LIMIT + 1:
            parts.append(part)
        elif size - len(part) <= BODY_LIMIT:
            parts.append(part[: BODY_LIMIT + 1 - (size - len(part))])
        if not message.get("more_body"):
            return b"".join(parts)
