"""In the place of an `aiohttp.ClientSession`, as kubernetes_asyncio uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fakecluster.http.direct import Direct, Reply


def replacing(session: Any, direct: Direct) -> Session:
    """A session in the place of one that was never used; closing it closes that one too."""
    return Session(session, direct)


class Session:
    """`request` and `close`."""

    def __init__(self, replaced: Any, direct: Direct) -> None:
        self._replaced, self._direct = replaced, direct

    async def request(
        self, method: str, url: Any, *, headers: Mapping[str, str], data: Any = None, **options: Any
    ) -> Response:
        body = data.encode() if isinstance(data, str) else data or b""
        return Response(self._direct.send(method, str(url), headers, body))

    async def close(self) -> None:
        await self._replaced.close()


class Response:
    """What is read of an answer: all of it, or line by line (`content.readline`)."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.status = reply.status
        self.reason = HTTPStatus(reply.status).phrase
        self.headers = {name.decode().title(): value.decode("latin-1") for name, value in reply.headers}
        self.content = self

    async def read(self) -> bytes:
        return self._reply.read()

    async def text(self) -> str:
        return self._reply.read().decode()

    async def readline(self) -> bytes:
        """The next line; empty at the end."""
        return await asyncio.to_thread(next, self._reply.chunks, b"")

    def release(self) -> None:
        """Leave a watch."""
        close = getattr(self._reply.chunks, "close", None)
        if close is not None:
            close()

    close = release
