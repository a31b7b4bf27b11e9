"""Who manages which fields of an object (`metadata.managedFields`), worked out only when somebody asks.

A write costs one small record; the field sets come from comparing the object before and after it, manager by manager, when
`managedFields` are read or an apply needs them (see managed_fields.py).
"""

from __future__ import annotations

from typing import Any

import attrs

from fakecluster.api.status import JsonObject

#: Unread records in a row before they are worked out, so that old versions of an object are not kept for ever.
PENDING_LIMIT = 16


@attrs.frozen(slots=True)
class Writer:
    """Who wrote: one line of managedFields is kept per writer."""

    manager: str
    operation: str  # Update Apply
    api_version: str
    subresource: str = ""


@attrs.define(slots=True, eq=False)
class Managed:
    """One write on top of earlier ones; `entries` once they have been worked out (then the past is forgotten)."""

    writer: Writer
    unix_s: int
    old: JsonObject | None
    new: JsonObject | None
    before: Managed | None
    pending: int
    entries: Any = None


def written(before: Managed | None, writer: Writer, unix_s: int, old: JsonObject | None, new: JsonObject) -> Managed:
    """The record of an ordinary write (create, update, patch) that made `new` of `old`."""
    return Managed(writer, unix_s, old, new, before, before.pending + 1 if before else 1)
