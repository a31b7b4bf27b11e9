"""A controller's queue: keys that are dirty, each once, and those that wait for a later moment or another try.

Like client-go's rate limiting work queue, on the virtual clock: every key is a clock event `("sync", key)` to the
controller's own target, so that a test can stop between the work on one Service and that on the next.
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
        self._dirty: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._due_ns: dict[Key, int] = {}

    def fork(self, clock: Clock) -> WorkQueue:
        """The queue of a copied cluster, whose clock has the same keys under way."""
        copy = WorkQueue(clock, self._target, first_s=self._first_s, longest_s=self._longest_s)
        copy._dirty, copy._failures, copy._due_ns = self._dirty.copy(), self._failures.copy(), self._due_ns.copy()
        return copy

    def add(self, key: Key) -> None:
        """Have the key worked on as soon as the clock comes to it; once, however often it is added until then."""
        if key not in self._dirty:
            self._dirty.add(key)
            self._clock.schedule(self._target, ("sync", key))

    def add_later(self, key: Key, delay_s: float) -> None:
        """Have the key looked at after a while, unless it will be sooner anyway."""
        due_ns = self._clock.now_ns + round(delay_s * 1_000_000_000)
        if key in self._due_ns and self._due_ns[key] <= due_ns:
            return
        self._due_ns[key] = due_ns
        self._clock.schedule(self._target, ("sync", key), delay_s=delay_s)

    def take(self, payload: Any) -> Key | None:
        """The key to work on now, if that is what the clock brought and it is still wanted; it is clean then."""
        if not isinstance(payload, tuple):
            return None
        key: Key = payload[1]
        is_due = self._due_ns.get(key, self._clock.now_ns + 1) <= self._clock.now_ns
        if is_due:
            del self._due_ns[key]
        if key in self._dirty:
            self._dirty.remove(key)
            return key
        return key if is_due else None

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
