"""Times as API objects write them, from the virtual clock and back."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakecluster.sim import Clock


@lru_cache(maxsize=1024)
def rfc3339(unix_s: int) -> str:
    """Seconds since 1970 as `2026-01-01T00:00:00Z`."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def timestamp(clock: Clock) -> str:
    """Now, as metav1.Time: whole seconds."""
    return rfc3339(clock.unix_s)


def micro_timestamp(clock: Clock, *, skew_s: int = 0) -> str:
    """Now, as metav1.MicroTime, by a clock that is `skew_s` ahead."""
    seconds, rest = divmod(clock.now_ns, 1_000_000_000)
    return rfc3339(clock.epoch_s + seconds + skew_s)[:-1] + f".{rest // 1000:06d}Z"


@lru_cache(maxsize=1024)
def unix_seconds(text: str) -> float:
    """What a metav1.Time or MicroTime says, in seconds since 1970."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
