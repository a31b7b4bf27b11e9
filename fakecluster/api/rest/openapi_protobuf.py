"""The OpenAPI v2 document in protobuf, which kubectl asks for; field numbers of gnostic's openapiv2/OpenAPIv2.proto.

A map is a repeated message of name (1) and value (2); what may be anything is a message with YAML text (2), and JSON is
YAML. Keys `x-...` are vendor extensions, the last field of most messages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

JsonObject = dict[str, Any]
Encoder = Callable[[Any], bytes]


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, data: bytes) -> bytes:
    """A field with a length."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def _text(value: Any) -> bytes:
    return str(value).encode()


def _any(value: Any) -> bytes:
    return field(2, json.dumps(value, separators=(",", ":"), sort_keys=True).encode() + b"\n")


def _named(name: str, value: bytes) -> bytes:
    return field(1, name.encode()) + field(2, value)


def _map(number: int, encoder: Encoder) -> Encoder:
    """A message that is a map."""
    return lambda value: b"".join(field(number, _named(key, encoder(item))) for key, item in value.items())


def _wrapped(*numbers: int, encoder: Encoder) -> Encoder:
    """Messages that hold nothing but another one, the outermost first."""

    def encode(value: Any) -> bytes:
        data = encoder(value)
        for number in reversed(numbers):
            data = field(number, data)
        return data

    return encode


def _message(name: str) -> Encoder:
    return lambda value: message(name, value)


def message(name: str, value: JsonObject) -> bytes:
    """One message, by the table of its fields."""
    known, extensions = FIELDS[name]
    return b"".join(_parts(known, extensions, value))


def _parts(known: dict[str, tuple[int, str]], extensions: int, value: JsonObject) -> Iterator[bytes]:
    for key, item in value.items():
        if key in known:
            number, kind = known[key]
            if kind == "boolean":
                yield varint(number << 3) + varint(int(item))
            elif kind == "integer":
                yield varint(number << 3) + varint(int(item) & (1 << 64) - 1)
            elif kind.startswith("*"):
                yield from (field(number, ENCODERS[kind[1:]](one)) for one in item)
            else:
                yield field(number, ENCODERS[kind](item))
        elif extensions and key.startswith("x-"):
            yield field(extensions, _named(key, _any(item)))


def _parameter(value: JsonObject) -> bytes:
    """ParametersItem {Parameter {BodyParameter or NonBodyParameter {a kind of its own for each place}}}."""
    if value["in"] == "body":
        return field(1, field(1, message("BodyParameter", value)))
    number, name = PLACES[value["in"]]
    return field(1, field(2, field(number, message(name, value))))


def _strings(value: Any) -> bytes:
    """StringArray, TypeItem: one string or several."""
    return b"".join(field(1, _text(one)) for one in ([value] if isinstance(value, str) else value))


def _additional(value: Any) -> bytes:
    return varint(2 << 3) + varint(int(value)) if isinstance(value, bool) else field(1, message("Schema", value))


PLACES = {"header": (1, "Header"), "query": (3, "Query"), "path": (4, "Path")}
ENCODERS: dict[str, Encoder] = {
    "text": _text,
    "any": _any,
    "Info": _message("Info"),
    "Paths": _map(2, _message("PathItem")),
    "Definitions": _map(1, _message("Schema")),
    "Requirement": _map(1, _strings),
    "Security": _map(1, _wrapped(2, encoder=_message("ApiKey"))),
    "Operation": _message("Operation"),
    "Parameter": _parameter,
    "Responses": _map(1, _wrapped(1, encoder=_message("Response"))),
    "ResponseSchema": _wrapped(1, encoder=_message("Schema")),
    "Schema": _message("Schema"),
    "Items": _wrapped(1, encoder=_message("Schema")),
    "strings": _strings,
    "Additional": _additional,
}
_BODY = {"description": (1, "text"), "name": (2, "text"), "in": (3, "text"), "required": (4, "boolean")}
_HEADER = {"required": (1, "boolean"), "in": (2, "text"), "description": (3, "text"), "name": (4, "text")}
_PATH = {**_HEADER, "type": (5, "text"), "format": (6, "text"), "uniqueItems": (19, "boolean")}
_QUERY = {**_HEADER, "type": (6, "text"), "format": (7, "text"), "uniqueItems": (20, "boolean")}
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
#: message -> (its fields by their JSON names: number and kind, `*` for repeated ones; the number of its extensions)
FIELDS: dict[str, tuple[dict[str, tuple[int, str]], int]] = {
    "Document": (
        {
            "swagger": (1, "text"),
            "info": (2, "Info"),
            "paths": (8, "Paths"),
            "definitions": (9, "Definitions"),
            "security": (12, "*Requirement"),
            "securityDefinitions": (13, "Security"),
        },
        16,
    ),
    "Info": ({"title": (1, "text"), "version": (2, "text"), "description": (3, "text")}, 7),
    "PathItem": (
        {**{name: (number, "Operation") for number, name in enumerate(_METHODS, 2)}, "parameters": (9, "*Parameter")},
        10,
    ),
    "Operation": (
        {
            "description": (3, "text"),
            "operationId": (5, "text"),
            "produces": (6, "*text"),
            "consumes": (7, "*text"),
            "parameters": (8, "*Parameter"),
            "responses": (9, "Responses"),
            "schemes": (10, "*text"),
        },
        13,
    ),
    "BodyParameter": ({**_BODY, "schema": (5, "Schema")}, 6),
    "Header": (_PATH, 22),
    "Path": (_PATH, 22),
    "Query": (_QUERY, 23),
    "Response": ({"description": (1, "text"), "schema": (2, "ResponseSchema")}, 5),
    "ApiKey": ({"type": (1, "text"), "name": (2, "text"), "in": (3, "text"), "description": (4, "text")}, 5),
    "Schema": (
        {
            "$ref": (1, "text"),
            "format": (2, "text"),
            "title": (3, "text"),
            "description": (4, "text"),
            "default": (5, "any"),
            "maxLength": (11, "integer"),
            "minLength": (12, "integer"),
            "pattern": (13, "text"),
            "maxItems": (14, "integer"),
            "minItems": (15, "integer"),
            "uniqueItems": (16, "boolean"),
            "maxProperties": (17, "integer"),
            "minProperties": (18, "integer"),
            "required": (19, "*text"),
            "enum": (20, "*any"),
            "additionalProperties": (21, "Additional"),
            "type": (22, "strings"),
            "items": (23, "Items"),
            "properties": (25, "Definitions"),
            "example": (30, "any"),
        },
        31,
    ),
}
