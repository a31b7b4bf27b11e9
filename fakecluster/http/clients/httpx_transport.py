"""Transports for httpx and its relatives (the module is an argument: lightkube brings its own)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fakecluster.http.direct import Direct, Reply


def sync_transport(httpx: Any, direct: Direct) -> Any:
    """An `httpx.BaseTransport`."""

    class Stream(httpx.SyncByteStream):  # type: ignore[misc]
        def __init__(self, reply: Reply) -> None:
            self._chunks = reply.chunks

        def __iter__(self) -> Iterator[bytes]:
            yield from self._chunks

        def close(self) -> None:
            _close(self._chunks)

    class Transport(httpx.BaseTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            reply = direct.send(request.method, str(request.url), request.headers, request.read())
            return httpx.Response(reply.status, headers=reply.headers, stream=Stream(reply), request=request)

    return Transport()


def async_transport(httpx: Any, direct: Direct) -> Any:
    """An `httpx.AsyncBaseTransport`; waiting for events leaves the loop alone."""

    class Stream(httpx.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, reply: Reply) -> None:
            self._chunks = reply.chunks

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for chunk in awaited(self._chunks):
                yield chunk

    class Transport(httpx.AsyncBaseTransport):  # type: ignore[misc]
        async def handle_async_request(self, request: Any) -> Any:
            reply = direct.send(request.method, str(request.url), request.headers, await request.aread())
            return httpx.Response(reply.status, headers=reply.headers, stream=Stream(reply), request=request)

    return Transport()


async def awaited(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same, waited for in a thread."""
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk


def _close(chunks: Any) -> None:
    close = getattr(chunks, "close", None)
    if close is not None:
        close()
