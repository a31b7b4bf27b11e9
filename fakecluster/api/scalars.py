"""Single values on their way into the store: each is checked and written the way Go writes it."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@attrs.define(slots=True)
class Pass:
    """What one decoding pass met: `bad` values of a wrong type, `unknown` fields; `known` items need no second look."""

    bad: bool = False
    unknown: bool = False
    known: dict[int, Any] | None = None  # id of an item of a list -> the same item, clean already


Decode = Callable[[Any, Pass], Any]


def _string(value: Any, found: Pass) -> Any:
    if value.__class__ is not str:
        found.bad = True
        return ""
    return value


def _boolean(value: Any, found: Pass) -> Any:
    if value.__class__ is not bool:
        found.bad = True
        return False
    return value


def _integer(bits: int) -> Decode:
    limit = 1 << (bits - 1)

    def run(value: Any, found: Pass) -> Any:
        if value.__class__ is not int or not -limit <= value < limit:
            found.bad = True
            return 0
        return value

    return run


def _number(value: Any, found: Pass) -> Any:
    if value.__class__ is not float and value.__class__ is not int:
        found.bad = True
        return 0
    return value


def int_or_string(value: Any, found: Pass) -> Any:
    if value.__class__ is not str and (value.__class__ is not int or not -(1 << 31) <= value < 1 << 31):
        found.bad = True
        return 0
    return value


def quantity(value: Any, found: Pass) -> Any:
    from fakecluster.api.kinds_workload.quantity import canonical

    try:
        return canonical(value if value.__class__ is str else repr(value))
    except ValueError:
        found.bad = True
        return "0"


def time_problem(text: str) -> str | None:
    """Go's complaint about an RFC 3339 time; None when it is one."""
    if _parsed_time(text) is not None:
        return None
    layout = "2006-01-02T15:04:05Z07:00"
    return f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"'


def time(value: Any, found: Pass) -> Any:
    parsed = _parsed_time(value) if value.__class__ is str else None
    if parsed is None:
        found.bad = True
        return "1970-01-01T00:00:00Z"
    return f"{parsed.isoformat()[:19]}Z"


def micro_time(value: Any, found: Pass) -> Any:
    parsed = _parsed_time(value) if value.__class__ is str else None
    if parsed is None:
        found.bad = True
        return "1970-01-01T00:00:00.000000Z"
    return f"{parsed.isoformat(timespec='microseconds')[:26]}Z"


@functools.lru_cache(maxsize=4096)
def _parsed_time(text: str) -> datetime | None:
    if not TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _byte_string(value: Any, found: Pass) -> Any:
    if value.__class__ is not str:
        found.bad = True
        return ""
    try:
        return base64.b64encode(base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)).decode()
    except ValueError:
        found.bad = True
        return ""


SCALARS: dict[tuple[str, str], Decode] = {
    ("string", ""): _string,
    ("string", "byte"): _byte_string,
    ("boolean", ""): _boolean,
    ("integer", ""): _integer(64),
    ("integer", "int32"): _integer(32),
    ("integer", "int64"): _integer(64),
    ("number", ""): _number,
}
