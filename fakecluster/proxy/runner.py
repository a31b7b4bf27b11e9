"""When a sync runs: coalesced, not too often, at least hourly, again after a failure.

Between the end of one run and the start of the next at least `min_interval_s` passes; requests in between merge into
one. A failed run is repeated after `retry_interval_s` unless something else runs it earlier; a run happens at least
every `max_interval_s`. Source: Kubernetes pkg/proxy/runner/bounded_frequency_runner.go.
"""

from __future__ import annotations

from fakecluster.sim.clock import NS_PER_S, Clock, Event


class SyncRunner:
    """Asks for wake-ups of `target` on the clock; the target calls `due` and, when it says so, runs and `finished`."""

    def __init__(
        self, clock: Clock, target: str, *, min_interval_s: float, retry_interval_s: float, max_interval_s: float
    ) -> None:
        self.clock, self.target = clock, target
        self.min_interval_s, self.retry_interval_s = min_interval_s, retry_interval_s
        self.max_interval_s = max_interval_s
        self._earliest_ns = 0
        self._wake_up: Event | None = None

    def request(self) -> None:
        """Run as soon as the minimum interval allows."""
        self._wake_at(max(self.clock.now_ns, self._earliest_ns))

    def started(self) -> None:
        """The wake-up has come: nothing is pending from here on."""
        self._wake_up = None

    def finished(self, *, failed: bool) -> None:
        """A run has just ended."""
        now_ns = self.clock.now_ns
        self._earliest_ns = now_ns + round(self.min_interval_s * NS_PER_S)
        wait_s = self.retry_interval_s if failed else self.max_interval_s
        self._wake_at(max(self._earliest_ns, now_ns + round(wait_s * NS_PER_S)))

    def stop(self) -> None:
        """Never wake the target again."""
        if self._wake_up is not None:
            self.clock.cancel(self._wake_up)
        self._wake_up = None

    def fork(self, clock: Clock) -> SyncRunner:
        copy = SyncRunner(
            clock,
            self.target,
            min_interval_s=self.min_interval_s,
            retry_interval_s=self.retry_interval_s,
            max_interval_s=self.max_interval_s,
        )
        copy._earliest_ns, copy._wake_up = self._earliest_ns, self._wake_up
        return copy

    def _wake_at(self, when_ns: int) -> None:
        if self._wake_up is not None:
            if self._wake_up.when_ns <= when_ns:
                return
            self.clock.cancel(self._wake_up)
        delay_s = (when_ns - self.clock.now_ns) / NS_PER_S
        self._wake_up = self.clock.schedule(self.target, "sync", delay_s=delay_s)
