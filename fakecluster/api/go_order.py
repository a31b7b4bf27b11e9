"""The order in which Go writes an object's fields, where a message quotes an object.

`data/field-order-1.36.json` holds, for each type, its fields in the order of the Go declaration.
"""

from __future__ import annotations

import functools
import json
from importlib import resources as package_files
from typing import Any

from fakecluster.api import schema as schemas
from fakecluster.api.schema import Schema
from fakecluster.api.status import JsonObject


@functools.cache
def _orders() -> dict[str, dict[str, int]]:
    text = package_files.files("fakecluster.api").joinpath("data/field-order-1.36.json").read_text()
    return {name: {field: place for place, field in enumerate(fields)} for name, fields in json.loads(text).items()}


def in_go_order(api_version: str, kind: str, obj: JsonObject) -> JsonObject:
    """A copy whose fields stand as Go's encoder writes them."""
    name = schemas.definition_name(api_version, kind)
    if name is None:
        return obj
    ordered: JsonObject = _ordered({"$ref": schemas.PREFIX + name}, obj)
    return ordered


def _ordered(prop: Schema, value: Any) -> Any:
    schema = schemas.resolve(prop)
    if isinstance(value, dict):
        properties = schema.get("properties")
        if properties is not None:
            places = _orders().get(schemas.reference(prop), {})
            keys = sorted(value, key=lambda key: places.get(key, len(places)))
            return {key: _ordered(properties.get(key, {}), value[key]) for key in keys}
        inner = schema.get("additionalProperties")
        return {key: _ordered(inner or {}, value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_ordered(schema.get("items", {}), item) for item in value]
    return value


def touched_by_merge(result: Any, patch: Any) -> Any:
    """Objects that a merge patch went through are written with sorted keys; the others stay as they were."""
    if not isinstance(result, dict) or not isinstance(patch, dict):
        return result
    return {key: touched_by_merge(result[key], patch.get(key)) for key in sorted(result)}


def touched_by_operations(result: Any, operations: list[JsonObject]) -> Any:
    """The same for a JSON patch: every object on the way of a path was taken apart."""
    paths = [
        operation[key] for operation in operations for key in ("path", "from") if isinstance(operation.get(key), str)
    ]
    return _touched(result, [path.split("/")[1:-1] for path in paths])


def _touched(value: Any, ways: list[list[str]]) -> Any:
    if isinstance(value, dict):
        return {key: _touched_below(value[key], key, ways) for key in sorted(value)}
    if isinstance(value, list):
        return [_touched_below(item, str(index), ways) for index, item in enumerate(value)]
    return value


def _touched_below(value: Any, key: str, ways: list[list[str]]) -> Any:
    below = [way[1:] for way in ways if way and way[0].replace("~1", "/").replace("~0", "~") == key]
    return _touched(value, below) if below else value
