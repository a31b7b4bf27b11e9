"""Is a schema structural? The rules that every schema of a CustomResourceDefinition must obey (KEP-1693).

Every node says its type; junctors (allOf, anyOf, oneOf, not) only check and say nothing that belongs to a structure.
Source: apiextensions-apiserver pkg/apiserver/schema/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fakecluster.api.kinds_workload.field_checks import Errors
from fakecluster.api.kinds_workload.structural import EMBEDDED, INT_OR_STRING, LIST_TYPE, MAP_KEYS, PRESERVE
from fakecluster.api.kinds_workload.validation_rules import check_rules
from fakecluster.api.strategy import forbidden, invalid, not_supported, required

Schema = Mapping[str, Any]

TYPES = ("array", "boolean", "integer", "number", "object", "string")
_NOT_IN_JUNCTORS = ("type", "default", "title", "description", "additionalProperties", PRESERVE, INT_OR_STRING)


def validate_schema(schema: Schema, field: str) -> Errors:
    """A whole schema: it describes an object, with all its parts."""
    errors: Errors = []
    kind = schema.get("type", "")
    if not kind:
        errors.append(required(f"{field}.type", "must not be empty at the root"))
    elif kind != "object":
        errors.append(invalid(f"{field}.type", kind, "must be object at the root"))
    if schema.get("nullable"):
        errors.append(forbidden(f"{field}.nullable", "nullable cannot be true at the root"))
    return errors + _node(schema, field, root=True)


def _node(schema: Schema, field: str, *, root: bool = False, part: str = "object fields") -> Errors:
    errors = check_rules(schema, field)
    kind = schema.get("type", "")
    if not kind and not root and not schema.get(INT_OR_STRING) and not schema.get(PRESERVE):
        errors.append(required(f"{field}.type", f"must not be empty for specified {part}"))
    if kind and kind not in TYPES:
        errors.append(not_supported(f"{field}.type", kind, TYPES))
    if kind and schema.get(INT_OR_STRING):
        errors.append(invalid(f"{field}.type", kind, f"must be empty if {INT_OR_STRING} is true"))
    errors += _pattern(schema, field) + _list_kind(schema, field) + _junctor_parts(schema, field)
    properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
    if properties and extra is not None:
        errors.append(
            forbidden(f"{field}.additionalProperties", "additionalProperties and properties are mutual exclusive")
        )
    for key in sorted(properties):
        errors += _node(properties[key], f"{field}.properties[{key}]")
    if isinstance(extra, Mapping):
        errors += _node(extra, f"{field}.additionalProperties")
    if kind == "array" and schema.get("items") is None:
        errors.append(required(f"{field}.items", "must be specified"))
    if isinstance(schema.get("items"), Mapping):
        errors += _node(schema["items"], f"{field}.items", part="array items")
    if schema.get(EMBEDDED) and kind != "object":
        errors.append(invalid(f"{field}.type", kind, f"must be object if {EMBEDDED} is true"))
    return errors


def _pattern(schema: Schema, field: str) -> Errors:
    try:
        re.compile(schema.get("pattern") or "")
    except re.error as problem:
        words = f"must be a valid regular expression, but isn't: {problem}"
        return [invalid(f"{field}.pattern", schema["pattern"], words)]
    return []


def _list_kind(schema: Schema, field: str) -> Errors:
    kind, keys = schema.get(LIST_TYPE), schema.get(MAP_KEYS)
    errors: Errors = []
    if kind is not None and kind not in ("atomic", "set", "map"):
        errors.append(not_supported(f"{field}.{LIST_TYPE}", kind, ("atomic", "set", "map")))
    if kind == "map" and not keys:
        errors.append(required(f"{field}.{MAP_KEYS}", f"must not be empty if {LIST_TYPE} is map"))
    if keys and kind != "map":
        errors.append(invalid(f"{field}.{LIST_TYPE}", kind, f"must be map if {MAP_KEYS} is non-empty"))
    return errors


def _junctor_parts(schema: Schema, field: str) -> Errors:
    parts = [
        (f"{field}.{name}[{n}]", p)
        for name in ("allOf", "anyOf", "oneOf")
        for n, p in enumerate(schema.get(name) or ())
    ]
    if schema.get("not") is not None:
        parts.append((f"{field}.not", schema["not"]))
    errors: Errors = []
    for place, part in parts:
        allowed = schema.get(INT_OR_STRING)
        given = [key for key in _NOT_IN_JUNCTORS if part.get(key) and not (key == "type" and allowed)]
        errors += [forbidden(f"{place}.{key}", "must be empty to be structural") for key in given]
    return errors
