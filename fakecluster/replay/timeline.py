"""Recorded times on the virtual clock: the first packet is now, then time passes as it did, and never back."""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.sim import Clock
from fakecluster.sim.clock import NS_PER_S

#: A longer silence is shortened to this, and said: a damaged time stamp must not run the cluster for years.
LONGEST_GAP_S = 3600
LONGEST_GAP_NS = LONGEST_GAP_S * NS_PER_S
BACKWARDS = "the capture's clock goes backwards"
SHORTENED = f"a silence of more than {LONGEST_GAP_S} s was shortened"


class Timeline:
    """Where a capture is: `read_ns` is the recorded time so far, `now_ns` what it is on the clock."""

    def __init__(self, clock: Clock, warn: Callable[[str], None]) -> None:
        self.clock, self.warn = clock, warn
        self.read_ns: int | None = None
        self.now_ns = clock.now_ns

    def read(self, time_ns: int) -> None:
        """A packet of this time was read."""
        before = self.read_ns
        if before is None:
            self.read_ns = time_ns
            return
        gap_ns = time_ns - before
        if gap_ns < 0:
            self.warn(BACKWARDS)
            return
        if gap_ns > LONGEST_GAP_NS:
            self.warn(SHORTENED)
            gap_ns = LONGEST_GAP_NS
        self.now_ns += gap_ns
        self.read_ns = time_ns

    def go_to(self, time_ns: int) -> None:
        """A packet of this time was read and arrives: `read` and `catch_up`, cheap when nothing is due."""
        before, clock = self.read_ns, self.clock
        if before is None or not 0 <= time_ns - before <= LONGEST_GAP_NS:
            self.read(time_ns)
        else:
            self.now_ns += time_ns - before
            self.read_ns = time_ns
        clock.pass_to(self.now_ns)

    def catch_up(self) -> None:
        """Bring the clock to the packet that was read last, running what is due before it."""
        self.clock.pass_to(self.now_ns)
