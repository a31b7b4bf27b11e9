"""A controller's queue: keys that are dirty, each once, and those that wait for a later moment or another try.

Like client-go's rate limiting work queue, on the virtual clock: waiting keys are clock events `("sync", key)` to the
controller's own target.
"""

from __future__ import annotations

from typing import Any

from fakecluster.sim import Clock

Key = tuple[str, str]  # namespace, name

#: Failed tries after which a key is dropped until something changes (maxRetries of the endpoint controllers).
MAX_RETRIES = 15


class WorkQueue:
    """Dirty keys of one target; a key that fails waits `first_s`, then twice as long each time, at most `longest_s`."""

    def __init__(self, clock: Clock, target: str, *, first_s: float, longest_s: float) -> None:
        self._clock, self._target = clock, target
        self._first_s, self._longest_s = first_s, longest_s
        self._dirty: dict[Key, None] = {}
        self._failures: dict[Key, int] = {}
        self._due_ns: dict[Key, int] = {}

    def fork(self, clock: Clock) -> WorkQueue:
        copy = WorkQueue(clock, self._target, first_s=self._first_s, longest_s=self._longest_s)
        copy._dirty, copy._failures, copy._due_ns = self._dirty.copy(), self._failures.copy(), self._due_ns.copy()
        return copy

    def __bool__(self) -> bool:
        return bool(self._dirty)

    def add(self, key: Key) -> None:
        self._dirty[key] = None

    def add_later(self, key: Key, delay_s: float) -> None:
        """Have the key looked at after a while, unless it will be sooner anyway."""
        due_ns = self._clock.now_ns + round(delay_s * 1_000_000_000)
        if key in self._due_ns and self._due_ns[key] <= due_ns:
            return
        self._due_ns[key] = due_ns
        self._clock.schedule(self._target, ("sync", key), delay_s=delay_s)

    def wake(self, payload: Any) -> None:
        """Take what the clock brought: a waiting key whose moment has come, or the news that the inbox is filled."""
        if isinstance(payload, tuple):
            key: Key = payload[1]
            if self._due_ns.get(key) == self._clock.now_ns:
                del self._due_ns[key]
            self._dirty[key] = None

    def take(self) -> list[Key]:
        """The dirty keys, oldest first; they are clean now."""
        keys = list(self._dirty)
        self._dirty.clear()
        return keys

    def done(self, key: Key) -> None:
        """The key's work succeeded: its next failure is a first one again."""
        self._failures.pop(key, None)

    def failed(self, key: Key) -> None:
        """Try the key again later; after `MAX_RETRIES` failures in a row it is dropped."""
        failures = self._failures.get(key, 0)
        if failures >= MAX_RETRIES:
            self.done(key)
            return
        self._failures[key] = failures + 1
        self.add_later(key, min(self._first_s * 2**failures, self._longest_s))
