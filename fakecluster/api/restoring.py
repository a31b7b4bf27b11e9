"""Type errors of the server's other decoder, which turns maps into structures (strategic merge patches, apply).

Words of apimachinery's `runtime.DefaultUnstructuredConverter` (`pkg/runtime/converter.go`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fakecluster.api import diagnose
from fakecluster.api import schema as schemas
from fakecluster.api.resources import Resource
from fakecluster.api.schema import Schema


def restore_problem(resource: Resource, obj: Any) -> str | None:
    """The first value that does not fit its kind; None when all do."""
    name = schemas.definition_name(resource.api_version, resource.kind)
    return next(_problems({"$ref": schemas.PREFIX + name}, obj, "", ""), None) if name else None


def go_kind(value: Any) -> str:
    """The reflect kind of a decoded value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int):
        return "int64"
    if isinstance(value, float):
        return "float64"
    return "map" if isinstance(value, dict) else "slice"


def go_type(value: Any) -> str:
    """The Go type of a decoded value."""
    return {"map": "map[string]interface {}", "slice": "[]interface {}"}.get(go_kind(value), go_kind(value))


def _problems(prop: Schema, value: Any, owner: str, field: str) -> Iterator[str]:
    name = schemas.reference(prop)
    if value is None:
        return
    if name in diagnose.CHECKS:
        yield from diagnose.CHECKS[name](value, "", "")
        return
    schema = schemas.resolve(prop)
    kind = schema.get("type")
    if kind == "object":
        if not isinstance(value, dict):
            what = "struct from:" if "properties" in schema else "map from"
            yield f"cannot restore {what} {go_kind(value)}"
            return
        for key, item in value.items():
            below = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            if isinstance(below, dict):
                yield from _problems(below, item, name.rpartition(".")[2] or owner, key)
    elif kind == "array":
        if not isinstance(value, list):
            yield f"cannot restore slice from {go_kind(value)}"
            return
        for item in value:
            yield from _problems(schema["items"], item, owner, field)
    elif not _fits(schema, value):
        yield f"cannot convert {go_type(value)} to {diagnose.go_type(schema, owner, field)}"


def _fits(schema: Schema, value: Any) -> bool:
    kind = schema.get("type")
    if kind == "string":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("integer", "number"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return True
