"""Watches and logs on the wire: sent as they come about, until the client leaves, time is up or there is no more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import attrs

from fakecluster.api.rest.response import Stream, encode
from fakecluster.api.rest.watching import WatchStream
from fakecluster.http.door import Door, Ear

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

    def ringer(self, event: asyncio.Event) -> Callable[[], None]:
        """What wakes one of them alone; from any thread."""

        def ring() -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(event.set)

        return ring

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self) -> asyncio.Event:
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def remove(self, event: asyncio.Event) -> None:
        self._waiting.discard(event)


@attrs.define(eq=False)
class Streaming:
    """One open stream; nothing is taken before what was taken last is on its way, so memory is bounded."""

    door: Door
    bell: Bell
    stream: Stream
    send: Send
    closing: asyncio.Event

    async def run(self) -> None:
        """Send until it ends; the caller closes the answer."""
        woken = self.bell.add()
        ear = Ear(lambda: self.stream.pending, self.bell.ringer(woken))
        if not isinstance(self.stream, WatchStream):  # what is stored rings the bell
            self.door.ears.append(ear)
        try:
            await self._send(woken)
        finally:
            self.bell.remove(woken)
            if ear in self.door.ears:
                self.door.ears.remove(ear)

    async def _send(self, woken: asyncio.Event) -> None:
        loop, stream = asyncio.get_running_loop(), self.stream
        end = loop.time() + (TIMEOUT_S if stream.timeout_s is None else stream.timeout_s)
        bookmark = loop.time() + BOOKMARK_S
        while not self.closing.is_set():
            woken.clear()
            content = self.door.read(stream)
            if content:
                await self.send(content)
                continue
            now = loop.time()
            if stream.closed or now >= end:
                return
            if isinstance(stream, WatchStream) and stream.bookmarks and now >= bookmark:
                bookmark = now + BOOKMARK_S
                await self.send(encode(stream.bookmark()))
            await _wait(woken, min(end, bookmark) - now)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await event.wait()
    except TimeoutError:
        return
