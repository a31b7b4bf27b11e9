"""The values of table cells that many kinds share: ages, lists, selectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from fakecluster.api import selectors
from fakecluster.api.managed import seconds
from fakecluster.api.status import JsonObject

NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"
MINUTE, HOUR, DAY, YEAR = 60, 3600, 86_400, 365 * 86_400
#: Items of a list that a cell shows before it only counts.
SHOWN = 3


@attrs.frozen
class Now:
    """The moment at which a table is made."""

    unix_s: int

    def age(self, stamp: Any) -> str:
        """The time since an RFC 3339 time; `<unknown>` when there is none."""
        since = seconds(stamp)
        return UNKNOWN if since is None else human_duration(self.unix_s - since)


def human_duration(s: int) -> str:
    """`duration.HumanDuration`: two units at most, the finer one only while it matters."""
    if s < -1:
        return "<invalid>"
    if s < 2 * MINUTE:
        return f"{max(s, 0)}s"
    if s < 10 * MINUTE:
        return _two(s // MINUTE, "m", s % MINUTE, "s")
    if s < 3 * HOUR:
        return f"{s // MINUTE}m"
    if s < 8 * HOUR:
        return _two(s // HOUR, "h", s // MINUTE % 60, "m")
    if s < 2 * DAY:
        return f"{s // HOUR}h"
    if s < 8 * DAY:
        return _two(s // DAY, "d", s // HOUR % 24, "h")
    if s < 2 * YEAR:
        return f"{s // DAY}d"
    if s < 8 * YEAR:
        return _two(s // YEAR, "y", s // DAY % 365, "d")
    return f"{s // YEAR}y"


def _two(coarse: int, unit: str, fine: int, fine_unit: str) -> str:
    return f"{coarse}{unit}{fine}{fine_unit}" if fine else f"{coarse}{unit}"


def listed(items: Sequence[str], separator: str = ",") -> str:
    return separator.join(items) if items else NONE


def shortened(items: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    if len(items) <= SHOWN:
        return listed(items)
    return f"{','.join(items[:SHOWN])} + {len(items) - SHOWN} more..."


def label_set(labels: Mapping[str, str] | None) -> str:
    return selectors.format_set(labels) if labels else NONE


def label_selector(selector: JsonObject | None) -> str:
    """A LabelSelector as kubectl writes it; an empty one selects everything."""
    return selectors.format_label_selector(selector)


def containers(template: JsonObject) -> tuple[str, str]:
    """(names, images) of the containers of a Pod template."""
    found = (template.get("spec") or {}).get("containers") or ()
    return ",".join(c.get("name", "") for c in found), ",".join(c.get("image", "") for c in found)
