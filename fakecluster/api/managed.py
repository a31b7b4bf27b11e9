"""Who manages which fields of an object (`metadata.managedFields`), worked out only when somebody asks.

A write costs one small record; the field sets come from comparing the object before and after it, manager by manager,
when `managedFields` are read or an apply needs them. The rules are those of apimachinery's `managedfields` and of
structured-merge-diff's `merge.Updater`.
"""

from __future__ import annotations

from typing import Any

import attrs

from fakecluster.api import typed
from fakecluster.api.field_sets import EMPTY, FieldSet, Path, from_fields_v1, to_fields_v1, under
from fakecluster.api.object_meta import timestamp
from fakecluster.api.status import JsonObject
from fakecluster.api.type_tree import TypeNode

#: Unread records in a row before they are worked out, so that old versions of an object are not kept for ever.
PENDING_LIMIT = 16
#: More writers that update than this are folded into one, the oldest first.
UPDATERS_LIMIT = 10
ANCIENT = "ancient-changes"
#: What nobody manages.
STRIPPED: tuple[Path, ...] = (
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata",),
    *(
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "clusterName",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    ),
)
_STRIPPED = frozenset(STRIPPED)


@attrs.frozen(slots=True)
class Writer:
    """Who wrote: one line of managedFields is kept per writer (an applier keeps its line through API versions)."""

    manager: str
    operation: str  # Update Apply
    api_version: str
    subresource: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        version = "" if self.operation == "Apply" else self.api_version
        return self.manager, self.operation, self.subresource, version


@attrs.frozen(slots=True)
class Entry:
    """One line of managedFields; `unix_s` None when the line came without a time."""

    writer: Writer
    fields: FieldSet
    unix_s: int | None


Entries = dict[tuple[str, str, str, str], Entry]


@attrs.define(slots=True, eq=False)
class Managed:
    """One write on top of earlier ones; once `entries` is worked out the past is forgotten."""

    entries: Entries | None
    node: TypeNode | None = None
    writer: Writer | None = None
    unix_s: int | None = 0
    old: JsonObject | None = None  # without system fields that the write could not own
    new: JsonObject | None = None
    before: Managed | None = None
    ignored: tuple[Path, ...] = ()
    pending: int = 0
    _lines: list[JsonObject] | None = None

    @property
    def lines(self) -> list[JsonObject]:
        """`metadata.managedFields`; shared, never to be changed."""
        if self._lines is None:
            self._lines = rendered(self.resolved())
        return self._lines

    def resolved(self) -> Entries:
        """The lines, by writer."""
        if self.entries is None:
            self._resolve()
        assert self.entries is not None
        return self.entries

    def _resolve(self) -> None:
        chain: list[Managed] = []
        record: Managed | None = self
        while record is not None and record.entries is None:
            chain.append(record)
            record = record.before
        entries = record.entries if record is not None and record.entries is not None else {}
        for step in reversed(chain):
            assert step.node is not None and step.writer is not None
            try:
                entries = updated(step.node, entries, step.writer, step.unix_s, step.old, step.new, step.ignored)
            except typed.KeyProblem:  # a keyed list whose items have no key: nobody manages such an object
                entries = {}
            step.entries = entries
            step.old = step.new = step.before = None


def written(
    node: TypeNode,
    before: Managed | None,
    writer: Writer,
    unix_s: int | None,
    old: JsonObject | None,
    new: JsonObject,
    ignored: tuple[Path, ...] = (),
) -> Managed:
    """The record of an ordinary write (create, update, patch) that made `new` of `old`."""
    pending = 1 + (before.pending if before is not None and before.entries is None else 0)
    record = Managed(None, node, writer, unix_s, old, new, before, ignored, pending)
    if pending >= PENDING_LIMIT:
        record.resolved()
    return record


def updated(
    node: TypeNode,
    entries: Entries,
    writer: Writer,
    unix_s: int | None,
    old: JsonObject | None,
    new: JsonObject | None,
    ignored: tuple[Path, ...],
) -> Entries:
    """The lines after an update: what it added or changed is the writer's alone, what it removed is nobody's."""
    if not entries and old is not None and old["metadata"].get("uid"):
        return entries  # an object that nobody manages stays so until somebody applies
    change = typed.compare(node, old if old is not None else typed.MISSING, new)
    taken = stripped(frozenset(change.added | change.modified), ignored)
    removed = stripped(frozenset(change.removed), ignored)
    out = {}
    for key, entry in entries.items():
        fields = entry.fields - taken - removed if key != writer.key else entry.fields - removed
        if fields:
            out[key] = entry if fields == entry.fields else attrs.evolve(entry, fields=fields)
    if taken:
        mine = out.get(writer.key)
        fields = taken | (mine.fields if mine else EMPTY)
        out[writer.key] = Entry(writer, fields, unix_s)
    return capped(out)


def stripped(fields: FieldSet, ignored: tuple[Path, ...] = ()) -> FieldSet:
    """Without what nobody manages, and without what this endpoint does not write."""
    fields = fields - _STRIPPED - {()}
    return fields - under(fields, ignored) if ignored else fields


def capped(entries: Entries) -> Entries:
    """At most UPDATERS_LIMIT lines of updaters: the oldest become one."""
    updaters = [entry for entry in entries.values() if entry.writer.operation == "Update"]
    if len(updaters) <= UPDATERS_LIMIT:
        return entries
    updaters.sort(key=lambda entry: (entry.unix_s or 0, entry.writer.manager))
    out = dict(entries)
    folded: dict[str, Entry] = {}
    for entry in updaters[: len(updaters) - UPDATERS_LIMIT + 1]:
        del out[entry.writer.key]
        version = entry.writer.api_version
        fields = entry.fields | (folded[version].fields if version in folded else EMPTY)
        folded[version] = Entry(Writer(ANCIENT, "Update", version), fields, entry.unix_s)
    for entry in folded.values():
        old = out.get(entry.writer.key)
        out[entry.writer.key] = attrs.evolve(entry, fields=entry.fields | old.fields) if old else entry
    return out


def rendered(entries: Entries) -> list[JsonObject]:
    """`metadata.managedFields`, in the server's order."""
    ordered = sorted(
        entries.values(),
        key=lambda e: (
            e.writer.operation != "Apply",
            e.unix_s or 0,
            e.writer.manager,
            e.writer.api_version,
            e.writer.subresource,
        ),
    )
    return [_line(entry) for entry in ordered]


def _line(entry: Entry) -> JsonObject:
    line: JsonObject = {
        "manager": entry.writer.manager,
        "operation": entry.writer.operation,
        "apiVersion": entry.writer.api_version,
    }
    if entry.unix_s is not None:
        line["time"] = timestamp(entry.unix_s)
    line["fieldsType"] = "FieldsV1"
    line["fieldsV1"] = to_fields_v1(entry.fields)
    if entry.writer.subresource:
        line["subresource"] = entry.writer.subresource
    return line


def parse(lines: Any) -> Entries:
    """The lines that a client sent; raises ValueError when they are none."""
    entries: Entries = {}
    for line in lines:
        if line.get("fieldsType", "") not in ("FieldsV1", "") or line.get("operation") not in ("Apply", "Update"):
            raise ValueError("no line of managedFields")
        writer = Writer(
            line.get("manager", ""), line["operation"], line.get("apiVersion", ""), line.get("subresource", "")
        )
        entries[writer.key] = Entry(writer, from_fields_v1(line.get("fieldsV1") or {}), seconds(line.get("time")))
    return entries


def seconds(stamp: Any) -> int | None:
    """Unix seconds of an RFC 3339 time; None when there is none."""
    from datetime import datetime

    if not isinstance(stamp, str):
        return None
    return int(datetime.fromisoformat(stamp).timestamp())


def with_managed_fields(obj: JsonObject, record: Managed | None) -> JsonObject:
    """The object as clients see it."""
    if record is None:
        return obj
    lines = record.lines
    return {**obj, "metadata": {**obj["metadata"], "managedFields": lines}} if lines else obj
