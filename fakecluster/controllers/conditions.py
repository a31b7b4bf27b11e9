"""Conditions in a status: list entries by type, stamped when their status changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fakecluster.controllers.timestamps import timestamp

if TYPE_CHECKING:
    from fakecluster.sim import Clock

Json = dict[str, Any]


def condition(obj: Json, kind: str) -> Json | None:
    """The condition of one type, or None."""
    for found in (obj.get("status") or {}).get("conditions") or ():
        if found["type"] == kind:
            one: Json = found
            return one
    return None


def is_true(obj: Json, kind: str) -> bool:
    found = condition(obj, kind)
    return found is not None and bool(found["status"] == "True")


def merged(old: Iterable[Json], new: Json, now: str) -> list[Json]:
    """`old` with the condition of `new`'s type replaced, or `new` at the end.

    lastTransitionTime is kept while the status stays; a condition that says nothing new is kept as it was.
    """
    found = []
    known = False
    for one in old:
        if one["type"] == new["type"]:
            known = True
            since = one.get("lastTransitionTime") if one["status"] == new["status"] else None
            stamped = {**new, "lastTransitionTime": since or now}
            one = one if _said(one) == _said(stamped) else stamped
        found.append(one)
    return found if known else [*found, {**new, "lastTransitionTime": now}]


def _said(condition: Json) -> Json:
    return {key: value for key, value in condition.items() if value is not None}


def with_condition(obj: Json, new: Json, clock: Clock) -> Json:
    """A copy of the object with one condition set; the object itself when nothing changes."""
    status = obj.get("status") or {}
    old = status.get("conditions") or []
    changed = merged(old, new, timestamp(clock))
    return obj if changed == old else {**obj, "status": {**status, "conditions": changed}}
