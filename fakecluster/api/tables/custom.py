"""Columns that a CustomResourceDefinition asks for (`additionalPrinterColumns`), or the age when it asks for none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fakecluster.api.status import JsonObject
from fakecluster.api.tables.cells import Now
from fakecluster.api.tables.columns import Column

STEP = re.compile(r"\.([A-Za-z0-9_\-]+)|\['([^']*)'\]|\[(\d+|\*)\]|\.\.")


def custom_columns(extra: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The columns after the name."""
    if not extra:
        return [
            Column(
                "Age",
                "date",
                "",
                0,
                "Custom resource definition column (in JSONPath format): .metadata.creationTimestamp",
            )
        ]
    return [
        Column(
            column["name"],
            column["type"],
            column.get("format", ""),
            column.get("priority", 0),
            column.get("description")
            or f"Custom resource definition column (in JSONPath format): {column['jsonPath']}",
        )
        for column in extra
    ]


def custom_row(extra: Sequence[Mapping[str, Any]], obj: JsonObject, now: Now) -> list[Any]:
    """Name and the values of the columns; dates become ages."""
    name = obj["metadata"]["name"]
    if not extra:
        return [name, now.age(obj["metadata"].get("creationTimestamp"))]
    return [name, *(_cell(column, obj, now) for column in extra)]


def _cell(column: Mapping[str, Any], obj: JsonObject, now: Now) -> Any:
    found = look_up(obj, column["jsonPath"])
    if not found:
        return None
    value = found[0]
    kind = column["type"]
    if kind == "date":
        return now.age(value)
    if kind == "integer":
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    if kind == "number":
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    return _text(found)


def _text(found: list[Any]) -> str:
    shown = [_one(value) for value in found]
    return shown[0] if len(shown) == 1 else ",".join(shown)


def _one(value: Any) -> str:
    from fakecluster.api.go_values import go_json

    return value if isinstance(value, str) else go_json(value)


def look_up(obj: Any, path: str) -> list[Any]:
    """The values at a simple JSON path (`.spec.a`, `['b']`, `[0]`, `[*]`)."""
    values = [obj]
    for match in STEP.finditer(path):
        name = match[1] or match[2]
        if name is not None:
            values = [value[name] for value in values if isinstance(value, dict) and name in value]
        elif match[3] == "*":
            values = [item for value in values for item in (value if isinstance(value, list) else ())]
        elif match[3] is not None:
            place = int(match[3])
            values = [value[place] for value in values if isinstance(value, list) and place < len(value)]
    return values
