"""What came of a load: every exchange, and a table over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import floor

import attrs

from fakecluster.sim import numbers

ANSWERED = "answered"
#: errno -> what it is counted as
OUTCOMES = {
    "": "timed out",
    "ETIMEDOUT": "timed out",
    "ECONNREFUSED": "refused",
    "ECONNRESET": "reset",
    "EPIPE": "reset",
}
#: The columns that a table always has; other failures (EADDRNOTAVAIL, EHOSTUNREACH, closed...) add one each.
COLUMNS = (ANSWERED, "refused", "reset", "timed out")


@attrs.frozen
class Exchange:
    """One request, its retries included: when it began and ended (seconds), how, and who answered.

    `outcome` is answered, refused, reset, timed out, closed (the server hung up instead), or an errno's name.
    """

    start_s: float
    end_s: float
    client: str
    outcome: str
    server: str = ""
    status: int = 0
    attempts: int = 1

    @property
    def took_s(self) -> float:
        return self.end_s - self.start_s


@attrs.frozen
class Row:
    """What ended in one stretch of time that begins at `time_s`: counts by outcome, and of answers by server."""

    time_s: float
    outcomes: Mapping[str, int]
    servers: Mapping[str, int]
    slowest_s: float = 0.0

    @property
    def answered(self) -> int:
        return self.outcomes.get(ANSWERED, 0)

    @property
    def failed(self) -> int:
        return sum(self.outcomes.values()) - self.answered


@attrs.frozen
class LoadResult:
    """Every exchange that has ended, in order; `waiting` have not. `str()` is the table."""

    exchanges: tuple[Exchange, ...] = attrs.field(repr=False)
    waiting: int = 0

    @property
    def outcomes(self) -> dict[str, int]:
        """How many requests ended how."""
        return dict(Counter(one.outcome for one in self.exchanges))

    @property
    def servers(self) -> dict[str, int]:
        """How many requests each server answered."""
        return dict(Counter(one.server for one in self.exchanges if one.outcome == ANSWERED))

    @property
    def failed(self) -> list[Exchange]:
        return [one for one in self.exchanges if one.outcome != ANSWERED]

    def rows(self, every_s: float = 1.0) -> list[Row]:
        """The table over time, without gaps. Raises ValueError for a length that is not positive."""
        if numbers.finite("every_s", every_s) <= 0:
            raise ValueError(f"every_s={every_s}: expected more than 0")
        if not self.exchanges:
            return []
        places: dict[int, list[Exchange]] = {}
        for one in self.exchanges:
            places.setdefault(floor(one.end_s / every_s), []).append(one)
        return [_row(place * every_s, places.get(place, ())) for place in range(min(places), max(places) + 1)]

    def table(self, every_s: float = 1.0) -> str:
        """The rows as text: outcomes first, then the answers of each server."""
        rows = self.rows(every_s)
        others = sorted({name for row in rows for name in row.outcomes} - set(COLUMNS))
        servers = sorted(self.servers)
        head = ["time, s", *COLUMNS, *others, "slowest, s", *servers]
        lines = [
            [f"{row.time_s:g}", *(_number(row.outcomes, name) for name in (*COLUMNS, *others)), f"{row.slowest_s:.3f}"]
            + [_number(row.servers, name) for name in servers]
            for row in rows
        ]
        widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]
        return "\n".join(
            "  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True)) for line in (head, *lines)
        )

    def __str__(self) -> str:
        return self.table()


def _row(time_s: float, exchanges: Iterable[Exchange]) -> Row:
    ended = list(exchanges)
    servers = Counter(one.server for one in ended if one.outcome == ANSWERED)
    slowest_s = max((one.took_s for one in ended if one.outcome == ANSWERED), default=0.0)
    return Row(time_s, dict(Counter(one.outcome for one in ended)), dict(servers), slowest_s)


def _number(counts: Mapping[str, int], name: str) -> str:
    return str(counts.get(name) or ".")
