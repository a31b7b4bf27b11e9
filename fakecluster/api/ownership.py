"""The records of who manages which fields, one per write (managed.py works them out)."""

from __future__ import annotations

import functools
from typing import Any

from fakecluster.api import custom, decoding, managed, schema
from fakecluster.api.kinds import strategy_of
from fakecluster.api.managed import Managed, Writer
from fakecluster.api.resources import Resource
from fakecluster.api.status import JsonObject
from fakecluster.api.store import Stored
from fakecluster.api.strategy import Request, Strategy
from fakecluster.api.type_tree import TypeNode, type_of


def created_record(request: Request, strategy: Strategy, obj: JsonObject, given: Any) -> Managed:
    """Before admission and preparation change it, the object is what the client said (with defaults)."""
    resource = request.resource
    mutates = strategy.admit or strategy.prepare_create
    said = _as_said(obj) if mutates else {**obj}
    return managed.written(
        type_of_resource(resource),
        base_record(given, None),
        writer(request),
        request.clock.unix_s,
        zero_object(resource),
        said,
        ignored_fields(request),
    )


def updated_record(request: Request, strategy: Strategy, before: Stored, new: JsonObject, given: Any) -> Managed | None:
    base = base_record(given, before.managed)
    prepare = strategy.prepare_status if request.subresource == "status" else strategy.prepare_update
    mutates = strategy.admit or prepare or request.subresource in strategy.subresources
    said = _as_said(new) if mutates else {**new}
    return managed.written(
        type_of_resource(request.resource),
        base,
        writer(request),
        _entry_time(request),
        before.object,
        said,
        ignored_fields(request),
    )


def _as_said(obj: JsonObject) -> JsonObject:
    """A copy that later preparation leaves alone; nothing prepares the single items of a long list."""
    return {
        key: list(value) if isinstance(value, list) and len(value) >= decoding.LONG else schema.copied(value)
        for key, value in obj.items()
    }


def base_record(given: Any, live: Managed | None) -> Managed | None:
    """The lines that a write starts from: those that the client sent, if they make sense, else the stored ones."""
    if given is None:
        return live
    if given in ([], [{}]):
        return Managed({})
    try:
        entries = managed.parse(given)
    except (ValueError, TypeError, AttributeError):
        return live
    if live is not None and entries == live.resolved():
        return live
    return Managed(entries) if entries else live


def type_of_resource(resource: Resource) -> TypeNode:
    """The type that decides how fields are owned."""
    if resource.custom is not None:
        return custom.type_node(resource)
    return type_of(resource.api_version, resource.kind)


@functools.lru_cache(maxsize=256)
def zero_object(resource: Resource) -> JsonObject:
    """What nothing at all looks like in this kind: the structures that Go has without asking."""
    if resource.custom is not None:
        return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}}
    return schema.decode(resource.api_version, resource.kind, {})[0]


def ignored_fields(request: Request) -> tuple[tuple[str, ...], ...]:
    """The fields that this endpoint does not write, so that nobody manages them through it (`GetResetFields`)."""
    if request.subresource == "status":
        strategy = strategy_of(request.resource)
        return (("f:spec",), *strategy.status_ignores)
    if request.subresource in ("", "finalize") and request.resource.has_status:
        return (("f:status",),)
    return ()


def writer(request: Request) -> Writer:
    return Writer(request.agent, "Update", request.resource.api_version, request.subresource)


def _entry_time(request: Request) -> int | None:
    """The time of the line in managedFields; writing a custom resource's scale leaves it out."""
    scaled = request.subresource == "scale" and request.resource.custom is not None
    return None if scaled else request.clock.unix_s


def same_lines(new: Managed | None, old: Managed | None) -> bool:
    """Whether nobody's fields changed; times of unchanged lines do not count."""
    if new is old:
        return True
    lines, before = (record.resolved() if record is not None else {} for record in (new, old))
    return {key: entry.fields for key, entry in lines.items()} == {key: entry.fields for key, entry in before.items()}
