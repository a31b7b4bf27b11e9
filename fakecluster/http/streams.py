"""Watches on the wire: JSON lines, sent as they happen, until the client leaves, time is up or the window is passed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import attrs

from fakecluster.api.rest.response import encode
from fakecluster.api.rest.watching import WatchStream
from fakecluster.http.door import Door

Send = Callable[[bytes], Awaitable[None]]
#: Time between two bookmarks for those who allow them.
BOOKMARK_S = 60.0
#: How long a watch stays open when the client does not say; the real server takes 30 to 60 minutes.
TIMEOUT_S = 1800.0


class Bell:
    """Wakes every open watch of one event loop; may be rung from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: set[asyncio.Event] = set()

    def ring(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()

    def add(self) -> asyncio.Event:
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def remove(self, event: asyncio.Event) -> None:
        self._waiting.discard(event)


@attrs.define(eq=False)
class Streaming:
    """One open watch; nothing is taken from the store before the last lines are on their way, so memory is bounded."""

    door: Door
    bell: Bell
    stream: WatchStream
    send: Send
    closing: asyncio.Event

    async def run(self) -> None:
        """Send until it ends; the caller closes the answer."""
        loop = asyncio.get_running_loop()
        woken = self.bell.add()
        end = loop.time() + (TIMEOUT_S if self.stream.timeout_s is None else self.stream.timeout_s)
        bookmark = loop.time() + BOOKMARK_S
        try:
            while not self.closing.is_set():
                woken.clear()
                lines = self._take()
                if lines:
                    await self.send(lines)
                    continue
                now = loop.time()
                if self.stream.closed or now >= end:
                    return
                if self.stream.bookmarks and now >= bookmark:
                    bookmark = now + BOOKMARK_S
                    await self.send(encode(self.stream.bookmark()))
                await _wait(woken, min(end, bookmark) - now)
        finally:
            self.bell.remove(woken)

    def _take(self) -> bytes:
        with self.door:
            return self.door.encoder.lines(self.stream)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await event.wait()
    except TimeoutError:
        return
