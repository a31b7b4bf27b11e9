"""Cron schedules: five fields, or a word such as `@hourly`; which minutes they mean.

Day of month and day of week both restricted: either suffices, as in cron. Source: github.com/robfig/cron, which the
real controller uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import attrs

from fakecluster.errors import Unsupported

WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
Names = dict[str, int]
MONTHS: Names = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
DAYS: Names = {name: number for number, name in enumerate(_DAY_NAMES)}
#: (lowest, highest, names) of minute, hour, day of month, month, day of week
FIELDS: tuple[tuple[int, int, Names], ...] = ((0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, MONTHS), (0, 6, DAYS))
#: a schedule without a minute in this many years (such as February 30) has none
HORIZON_DAYS = 5 * 366


@attrs.frozen
class Schedule:
    """The minutes, hours, days and months of a schedule."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool  # one of the two kinds of days is not restricted

    def is_day(self, day: datetime) -> bool:
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        right = by_month and by_week if self.any_day else by_month or by_week
        return right and day.month in self.months

    def after(self, unix_s: float) -> int | None:
        """The first moment (seconds since 1970, UTC) later than `unix_s`, or None when there is none for years."""
        moment = datetime.fromtimestamp(unix_s, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        for _ in range(HORIZON_DAYS):
            if self.is_day(moment):
                for hour in sorted(one for one in self.hours if one >= moment.hour):
                    first = moment.minute if hour == moment.hour else 0
                    minute = min((one for one in self.minutes if one >= first), default=None)
                    if minute is not None:
                        return int(moment.replace(hour=hour, minute=minute).timestamp())
            moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
        return None


def parse(text: str) -> Schedule:
    """Read a schedule that the API server accepted; raises `Unsupported` for one in another form."""
    fields = WORDS.get(text, text).split()
    if len(fields) != len(FIELDS):
        raise Unsupported("CronJob schedule", token=text)
    minutes, hours, days, months, weekdays = (_field(one, *limits) for one, limits in zip(fields, FIELDS, strict=True))
    any_day = any(fields[index][0] in "*?" for index in (2, 4))
    return Schedule(minutes, hours, days, months, weekdays, any_day)


def _field(text: str, lowest: int, highest: int, names: Names) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span in ("*", "?"):
            bounds: Sequence[int] = (lowest, highest)
        else:
            ends = [names[end.lower()] if end.lower() in names else int(end) for end in span.split("-")]
            bounds = (ends[0], ends[-1] if len(ends) > 1 or not step else highest)
        found |= set(range(bounds[0], bounds[1] + 1, int(step or 1)))
    return frozenset(found)
