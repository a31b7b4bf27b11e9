"""A task of an event loop that waits for something that happens behind the door, in whatever thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from fakecluster.http.door import Door, Ear


class Waiting:
    """`with Waiting(door, heard) as waiting: await waiting.once()`: woken when `heard()` holds as the lock is let go of."""

    def __init__(self, door: Door, heard: Callable[[], bool]) -> None:
        self._door, self._event = door, asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._ear = Ear(heard, self._ring)

    def _ring(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    async def once(self) -> None:
        """Wait until rung since the last call."""
        await self._event.wait()
        self._event.clear()

    def __enter__(self) -> Waiting:
        with self._door:
            self._door.ears.append(self._ear)
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        with self._door:
            self._door.ears.remove(self._ear)
