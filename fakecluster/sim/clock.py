"""Virtual time: a heap of events that are plain data, so that a simulation can be forked and its parts held.

An event names its *target* (a component such as ``kube-proxy@node-a``) and carries a payload. Targets are bound to
functions with `Clock.bind`; a fork copies the heap and binds the same names to the copies of the components. Holding a
target parks its events until it is released, in the order in which they would have run.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from fakecluster.errors import SettleError
from fakecluster.sim import numbers

NS_PER_S = 1_000_000_000
#: Events that one `settle` may run before it is called a loop: a 10,000-Service cluster needs about 200,000.
SETTLE_LIMIT = 5_000_000
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


class Event(NamedTuple):
    """One thing due at a virtual time: they run by time, then priority (low first), then age.

    The heap is ordered by its first three fields; no two events have the same sequence number.
    """

    when_ns: int
    priority: int
    sequence: int
    target: str
    payload: Any = None


class Clock:
    """The event heap of one simulation; time moves only when it is told to (`advance`)."""

    def __init__(self, *, epoch_s: int = 1_767_225_600) -> None:
        self.epoch_s = epoch_s  # Unix time at virtual time 0: 2026-01-01T00:00:00Z
        self.now_ns = 0
        self._sequence = 0
        self._heap: list[Event] = []
        self._cancelled: set[int] = set()
        self._handlers: dict[str, Callable[[Any], None]] = {}
        self._idle: dict[str, Callable[[Any], bool]] = {}
        self._parked: dict[str, list[Event]] = {}

    @property
    def now_s(self) -> float:
        """Seconds since the start of the simulation."""
        return self.now_ns / NS_PER_S

    @property
    def unix_s(self) -> int:
        """Whole seconds since 1970, as API objects are stamped with."""
        return self.epoch_s + self.now_ns // NS_PER_S

    def bind(
        self, target: str, handler: Callable[[Any], None], *, idle: Callable[[Any], bool] = lambda payload: False
    ) -> None:  # fmt: skip
        """Let `handler` receive the payloads of the events for `target`; a second bind replaces the first.

        `idle` says of a payload that nobody would notice if it were handed over now and not when it is due.
        """
        self._handlers[target], self._idle[target] = handler, idle

    def unbind(self, target: str) -> None:
        """Forget a target: its pending events are dropped when they come due."""
        self._handlers.pop(target, None)
        self._idle.pop(target, None)
        self._parked.pop(target, None)

    def hand(self, target: str, payload: Any) -> None:
        """Give a target a payload at once; harmless when it is not bound."""
        if target in self._handlers:
            self._handlers[target](payload)

    def forget(self, target: str) -> None:
        """Unbind a target and drop its pending events at once, so that they do not wait for a successor of its name."""
        self.unbind(target)
        self._heap = [event for event in self._heap if event.target != target]
        heapq.heapify(self._heap)

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(self._handlers)

    def has(self, target: str) -> bool:
        """Whether a target is bound."""
        return target in self._handlers

    def schedule(self, target: str, payload: Any = None, *, delay_s: float = 0.0, priority: int = 0) -> Event:
        """Put an event `delay_s` seconds ahead of now (0: due at once, at the next `settle`)."""
        if delay_s < 0:
            raise ValueError(f"an event cannot be scheduled {-delay_s} s in the past")
        return self.schedule_at(self.now_ns + round(delay_s * NS_PER_S), target, payload, priority=priority)

    def schedule_at(self, when_ns: int, target: str, payload: Any, *, priority: int = 0) -> Event:
        """Put an event at a virtual time, which is not before now."""
        self._sequence += 1
        event = _new(Event, (when_ns, priority, self._sequence, target, payload))
        heapq.heappush(self._heap, event)
        return event

    def tell(self, target: str, payload: Any) -> None:
        """Hand a payload to a component at once, without an event; nothing happens when there is no such component."""
        handler = self._handlers.get(target)
        if handler is not None:
            handler(payload)

    def cancel(self, event: Event) -> None:
        """Make sure that `event` does not run; harmless when it already did."""
        self._cancelled.add(event.sequence)

    @property
    def held(self) -> tuple[str, ...]:
        return tuple(self._parked)

    def hold(self, target: str) -> None:
        """Park every event for `target` from now on."""
        self._parked.setdefault(target, [])

    def release(self, target: str) -> None:
        """Let the parked events of `target` run, in their old order, as soon as the clock is asked to."""
        for event in self._parked.pop(target, []):
            heapq.heappush(self._heap, event)

    @property
    def next_ns(self) -> int | None:
        """When the next live event is due, or None."""
        self._drop_dead()
        return self._heap[0][0] if self._heap else None

    def next_noticed_ns(self, end_ns: int) -> int | None:
        """When something next happens that may be noticed, None if not until then. Idle events before it are handed over."""
        while (due_ns := self.next_ns) is not None and due_ns <= end_ns:
            event = self._heap[0]
            if event.target in self._parked or not self._idle[event.target](event.payload):
                return due_ns
            heapq.heappop(self._heap)
            self._handlers[event.target](event.payload)
        return None

    def step(self) -> Event | None:
        """Run the next event that is due now; None when nothing is."""
        while (due := self.next_ns) is not None and due <= self.now_ns:
            event = heapq.heappop(self._heap)
            parked = self._parked.get(event.target)
            if parked is not None:
                parked.append(event)
                continue
            self._handlers[event.target](event.payload)
            return event
        return None

    def settle(self, *, limit: int = SETTLE_LIMIT) -> int:
        """Run everything that is due now, to a fixed point; returns the number of events run.

        Raises `SettleError` naming the busiest targets when `limit` events were not enough.
        """
        for count in range(limit):
            if self.step() is None:
                return count
        busiest = Counter(event.target for event in self._heap if event.when_ns <= self.now_ns).most_common(3)
        names = ", ".join(f"{target} ({n} pending)" for target, n in busiest) or "none pending"
        raise SettleError(f"no fixed point after {limit} events at {self.now_s:g} s; still busy: {names}")

    def advance(self, seconds: float) -> None:
        """Let `seconds` of virtual time pass, running every event in order at its own time.

        Raises TypeError for what is no number, ValueError for a negative one, NaN and infinity.
        """
        if numbers.finite("seconds", seconds) < 0:
            raise ValueError(f"time does not run backwards ({seconds} s)")
        self.pass_to(self.now_ns + round(seconds * NS_PER_S))

    def pass_to(self, end_ns: int) -> None:
        """Let time pass until `end_ns`, as `advance`; costs next to nothing when nothing is due."""
        if self._heap and self._heap[0][0] <= end_ns:
            self._run_until(end_ns)
        if end_ns > self.now_ns:
            self.now_ns = end_ns

    def _run_until(self, end_ns: int) -> None:
        self.settle()
        while (due := self.next_ns) is not None and due <= end_ns:
            self.now_ns = max(self.now_ns, due)
            self.settle()

    def fork(self) -> Clock:
        """A clock at the same time with the same pending events; the copies' owners bind their handlers anew."""
        clock = Clock(epoch_s=self.epoch_s)
        clock.now_ns, clock._sequence = self.now_ns, self._sequence
        clock._heap = self._heap.copy()
        clock._cancelled = self._cancelled.copy()
        clock._parked = {target: events.copy() for target, events in self._parked.items()}
        return clock

    def _drop_dead(self) -> None:
        heap = self._heap
        while heap and (heap[0].sequence in self._cancelled or heap[0].target not in self._handlers):
            self._cancelled.discard(heapq.heappop(heap).sequence)
