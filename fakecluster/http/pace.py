"""How virtual time passes while real clients are connected.

- ``virtual``: not by itself. What is due now runs after every write; timers wait for `advance`.
- ``real``: a second in a second.
- ``accelerated``: many seconds in a second.
"""

from __future__ import annotations

import asyncio

import attrs

from fakecluster.http.door import Door

#: Virtual seconds that pass in a real one.
SPEEDS = {"virtual": 0.0, "real": 1.0, "accelerated": 60.0}
#: Real seconds between two looks at the clock: short against what a client polls with.
TICK_S = 0.02
#: Real time that one tick catches up with at most, so that a machine that slept does not stand still for minutes.
LONGEST_TICK_S = 1.0


@attrs.frozen
class Pace:
    """Virtual seconds in a real second; 0: time stands still."""

    speed: float

    @classmethod
    def of(cls, name: str) -> Pace:
        """The pace of that name. Raises ValueError."""
        if name not in SPEEDS:
            raise ValueError(f"a clock is one of {', '.join(SPEEDS)}, not {name!r}")
        return cls(SPEEDS[name])

    async def run(self, door: Door) -> None:
        """Let time pass until cancelled."""
        if not self.speed:
            return
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(TICK_S)
            now = loop.time()
            door.advance(min(now - last, LONGEST_TICK_S) * self.speed)
            last = now
