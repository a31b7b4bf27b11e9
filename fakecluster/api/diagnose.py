"""The words for what decoding met: Go's type errors, unknown and repeated fields.

The fast pass (schema.py) only notices; this walk goes through the value again, in the order in which it was written,
with the names that Go's structures have.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from fakecluster.api import scalars
from fakecluster.api import schema as schemas
from fakecluster.api.go_types import named_string
from fakecluster.api.schema import META, Schema

INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"


def type_problem(name: str, value: Any) -> str | None:
    """The first wrong type in an object of the definition `name`, in Go's words; None when every type is right."""
    return next(_problems({"$ref": schemas.PREFIX + name}, value, "", "", ""), None)


def strict_problems(name: str, value: Any) -> list[str]:
    """`unknown field "..."` and `duplicate field "..."`, in the order of the text."""
    return list(_strict({"$ref": schemas.PREFIX + name}, value, ""))


def go_type(prop: Schema, owner: str, field: str) -> str:
    """How Go calls the type of a property: ``[]v1.ServicePort``, ``int32``, ``map[string]string``."""
    name = schemas.reference(prop)
    if name:
        if name == INT_OR_STRING:
            return "intstr.IntOrString"
        return f"{_package(name)}.{name.rpartition('.')[2]}"
    kind = prop.get("type")
    if kind == "array":
        return "[]" + go_type(prop["items"], owner, field)
    if kind == "object":
        inner = prop.get("additionalProperties")
        return "map[string]" + (go_type(inner, owner, field) if inner else "interface {}")
    if kind == "string":
        return "[]uint8" if prop.get("format") == "byte" else named_string(owner, field) or "string"
    if kind == "integer":
        return str(prop.get("format", "int64"))
    return {"boolean": "bool", "number": "float64"}.get(kind or "", "interface {}")


def _package(name: str) -> str:
    return name.split(".")[-2]


def json_word(value: Any) -> str:
    """What Go calls the kind of a JSON value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "array" if isinstance(value, list) else "object"


def _problems(prop: Schema, value: Any, struct: str, path: str, field: str) -> Iterator[str]:
    if value is None:
        return
    name = schemas.reference(prop)
    if name in CHECKS:
        yield from CHECKS[name](value, struct, path)
        return
    schema = schemas.resolve(prop)
    kind = schema.get("type")
    if kind == "object":
        if not isinstance(value, dict):
            yield _mismatch(value, struct, path, go_type(prop, struct, field))
        elif "properties" in schema:
            inner = name.rpartition(".")[2] or struct
            for key, item in value.items():
                if key in schema["properties"]:
                    below = f"{path}.{key}" if path else key
                    yield from _problems(schema["properties"][key], item, inner, below, key)
        elif schema.get("additionalProperties"):
            for item in value.values():
                yield from _problems(schema["additionalProperties"], item, struct, path, field)
    elif kind == "array":
        if not isinstance(value, list):
            yield _mismatch(value, struct, path, go_type(prop, struct, field))
        else:
            for item in value:
                yield from _problems(schema["items"], item, struct, path, field)
    else:
        yield from _scalar_problems(schema, value, struct, path, field)


def _scalar_problems(schema: Schema, value: Any, struct: str, path: str, field: str) -> Iterator[str]:
    kind = schema.get("type")
    expected = go_type(schema, struct, field)
    if kind == "string":
        if not isinstance(value, str):
            yield _mismatch(value, struct, path, expected)
        elif schema.get("format") == "byte" and (words := base64_problem(value)):
            yield words
    elif kind == "boolean":
        if not isinstance(value, bool):
            yield _mismatch(value, struct, path, expected)
    elif kind == "integer":
        yield from _integer_problems(value, struct, path, expected)
    elif kind == "number" and (isinstance(value, bool) or not isinstance(value, int | float)):
        yield _mismatch(value, struct, path, expected)


def _integer_problems(value: Any, struct: str, path: str, expected: str) -> Iterator[str]:
    limit = 1 << (31 if expected == "int32" else 63)
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield _mismatch(value, struct, path, expected)
    elif isinstance(value, float) or not -limit <= value < limit:
        yield _mismatch(value, struct, path, expected, literal=True)


def _mismatch(value: Any, struct: str, path: str, expected: str, *, literal: bool = False) -> str:
    word = json_word(value)
    if literal:
        word += f" {value}"
    if not path:
        return f"json: cannot unmarshal {word} into Go value of type {expected}"
    return f"json: cannot unmarshal {word} into Go struct field {struct}.{path} of type {expected}"


def base64_problem(text: str) -> str | None:
    """Go's complaint about a base64 text; None when it is right."""
    alphabet = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    body = text.replace("\n", "").replace("\r", "")
    for position, char in enumerate(text):
        if char not in alphabet and char not in "=\n\r":
            return f"illegal base64 data at input byte {len(text[:position].encode())}"
    try:
        base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        padding = text.find("=")
        if padding < 0:
            return f"illegal base64 data at input byte {len(text) - len(text) % 4}"
        return f"illegal base64 data at input byte {padding + 1 if padding < len(text) - 1 else padding}"
    return None


def _int_or_string(value: Any, struct: str, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield from _integer_problems(value, struct, path, "int32")


def _quantity(value: Any, struct: str, path: str) -> Iterator[str]:
    from fakecluster.api.kinds_workload.quantity import parse_quantity

    if isinstance(value, bool | dict | list):
        yield "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        return
    try:
        parse_quantity(value if isinstance(value, str) else repr(value))
    except ValueError as problem:
        yield str(problem)


def _time(value: Any, struct: str, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"json: cannot unmarshal {json_word(value)} into Go value of type string"
    elif (words := scalars.time_problem(value)) is not None:
        yield words


def _object(value: Any, struct: str, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _mismatch(value, struct, path, "map[string]interface {}")


CHECKS = {
    INT_OR_STRING: _int_or_string,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": _quantity,
    META + "Time": _time,
    META + "MicroTime": _time,
    META + "FieldsV1": _object,
}


def _strict(prop: Schema, value: Any, path: str) -> Iterator[str]:
    schema = schemas.resolve(prop)
    if isinstance(value, dict):
        twice = getattr(value, "keys_twice", ())
        properties = schema.get("properties")
        inner = schema.get("additionalProperties")
        for key, item in value.items():
            below = f"{path}.{key}" if path else key
            if key in twice:
                yield f'duplicate field "{below}"'
            if properties is not None:
                if key in properties:
                    yield from _strict(properties[key], item, below)
                elif not schema.get("x-kubernetes-preserve-unknown-fields"):
                    yield f'unknown field "{below}"'
            else:
                yield from _strict(inner if isinstance(inner, dict) else {}, item, below)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strict(schema.get("items", {}), item, f"{path}[{index}]")
