"""Which optional scalars are pointers in Go: these keep a zero that was given, the others drop it (`omitempty`).

The OpenAPI documents do not say; the rule of thumb (numbers and booleans are pointers, strings are not) holds but for the
fields listed here.
"""

from __future__ import annotations

from typing import Any

#: Numbers and booleans that are plain values: zero means "not given".
PLAIN: dict[str, frozenset[str]] = {}
#: Strings that are pointers: an empty one stays.
POINTERS: dict[str, frozenset[str]] = {"EndpointAddress": frozenset({"nodeName"})}


def keeps_zero(owner: str, key: str, schema: dict[str, Any]) -> bool:
    """Whether the optional property `key` of the definition `owner` survives when it is zero or empty."""
    kind = owner.rpartition(".")[2]
    if schema.get("type") in ("integer", "boolean", "number"):
        return key not in PLAIN.get(kind, ())
    if schema.get("type") == "string":
        return key in POINTERS.get(kind, ())
    return "oneOf" in schema or (schema.get("type") == "object" and "additionalProperties" not in schema)
