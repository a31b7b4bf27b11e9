"""Objects in protobuf, as kubectl and Go clients send what they create; the structure comes from the JSON schema.

A body is the four bytes ``k8s\\0`` and a `runtime.Unknown` {1: {1: apiVersion, 2: kind}, 2: the object's message}. A
message is a run of (field number << 3 | wire type, value); protobuf_fields.py says which number is which field.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from fakecluster.api import schema as schemas
from fakecluster.api.errors_protobuf import MAGIC
from fakecluster.api.rest.go_json import SyntaxProblem
from fakecluster.api.rest.protobuf_fields import INLINE, NUMBERS
from fakecluster.api.schema import META, Schema
from fakecluster.api.status import JsonObject
from fakecluster.errors import Unsupported

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
SIZES = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
#: Messages inside messages; real objects stay far below.
DEPTH_LIMIT = 60
#: Fields of older versions, which older clients send and the server passes over (PodStatus.resize).
GONE = {("PodStatus", 14)}
Field = tuple[int, int, Any]


def parse_protobuf(body: bytes) -> JsonObject:
    """The object in a body; raises SyntaxProblem for broken bytes and Unsupported for fields that are not known here."""
    if body[:4] != MAGIC:
        raise SyntaxProblem("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    envelope = {number: value for number, _, value in fields(body[4:])}
    type_meta = {number: _text(value) for number, _, value in fields(_bytes(envelope.get(1, b"")))}
    api_version, kind = type_meta.get(1, ""), type_meta.get(2, "")
    name = schemas.definition_name(api_version, kind) or (META + kind if kind == "DeleteOptions" else None)
    if name is None:
        return {"apiVersion": api_version, "kind": kind}
    return {**_message(name, _bytes(envelope.get(2, b"")), 0), "apiVersion": api_version, "kind": kind}


def fields(data: bytes) -> Iterator[Field]:
    """(number, wire type, value) of a message: integers, or bytes for what has a length."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        wire = tag & 7
        if wire == VARINT:
            value, place = _varint(data, place)
            yield tag >> 3, wire, value
            continue
        if wire == LENGTH:
            length, place = _varint(data, place)
        elif wire in SIZES:
            length = SIZES[wire]
        else:
            raise SyntaxProblem(f"proto: illegal wireType {wire}")
        if length > len(data) - place:
            raise SyntaxProblem("unexpected EOF")
        yield tag >> 3, wire, data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place
    raise SyntaxProblem("unexpected EOF" if place >= len(data) else "proto: integer overflow")


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise SyntaxProblem("proto: wrong wireType")
    return value


def _text(value: Any) -> str:
    return _bytes(value).decode("utf-8", "replace")


def _signed(value: Any) -> int:
    if not isinstance(value, int):
        raise SyntaxProblem("proto: wrong wireType")
    return value - (1 << 64) if value >= 1 << 63 else value


def _message(name: str, data: bytes, depth: int) -> JsonObject:
    out: JsonObject = {}
    full = ".".join(name.split(".")[-3:])
    message = full if full in NUMBERS else name.rpartition(".")[2]
    _fill(out, message, schemas.definitions()[name], data, depth)
    return out


def _fill(out: JsonObject, message: str, schema: Schema, data: bytes, depth: int) -> None:
    if depth > DEPTH_LIMIT:
        raise SyntaxProblem("proto: exceeded max depth")
    known = NUMBERS.get(message, {})
    for number, _, value in fields(data):
        inline = INLINE.get((message, number))
        if inline is not None:
            _fill(out, inline, schema, _bytes(value), depth + 1)
            continue
        if (message, number) in GONE:
            continue
        key = known.get(number)
        if key is None:
            raise Unsupported(f"field {number} of {message} in protobuf")
        prop = schema.get("properties", {}).get(key)
        if prop is not None:
            _put(out, key, prop, value, depth)


def _put(out: JsonObject, key: str, prop: Schema, value: Any, depth: int) -> None:
    schema = schemas.resolve(prop)
    if schema.get("type") == "array":
        out.setdefault(key, []).append(_value(schema["items"], value, depth))
    elif schema.get("type") == "object" and schema.get("additionalProperties"):
        entry = {number: item for number, _, item in fields(_bytes(value))}
        inner = schema["additionalProperties"]
        item = _value(inner, entry[2], depth) if 2 in entry else ""
        out.setdefault(key, {})[_text(entry.get(1, b""))] = item
    else:
        out[key] = _value(prop, value, depth)


def _value(prop: Schema, value: Any, depth: int) -> Any:
    name = schemas.reference(prop)
    if name in SPECIAL:
        return SPECIAL[name]({number: item for number, _, item in fields(_bytes(value))})
    if name and "properties" in schemas.resolve(prop):
        return _message(name, _bytes(value), depth + 1)
    schema = schemas.resolve(prop)
    kind = schema.get("type")
    if kind == "string":
        raw = _bytes(value)
        return base64.b64encode(raw).decode() if schema.get("format") == "byte" else raw.decode("utf-8", "replace")
    if kind == "boolean":
        return bool(_signed(value))
    if kind == "integer":
        return _signed(value)
    raise Unsupported(f"{kind} in protobuf")


def _time(parts: dict[int, Any]) -> Any:
    if not parts:
        return None
    seconds = _signed(parts.get(1, 0))
    if not -62_135_596_800 < seconds < 253_402_300_800:  # year 1 is Go's zero time: not set
        return None
    stamp = datetime.fromtimestamp(seconds, UTC).replace(microsecond=_signed(parts.get(2, 0)) // 1000 % 1_000_000)
    return stamp.isoformat().replace("+00:00", "Z")


def _int_or_string(parts: dict[int, Any]) -> Any:
    return _text(parts.get(3, b"")) if parts.get(1) == 1 else _signed(parts.get(2, 0))


def _json(parts: dict[int, Any]) -> Any:
    try:
        return json.loads(_bytes(parts.get(1, b"{}")))
    except ValueError as problem:
        raise SyntaxProblem(str(problem)) from problem


def _quantity(parts: dict[int, Any]) -> Any:
    return _text(parts.get(1, b""))


SPECIAL: dict[str, Callable[[dict[int, Any]], Any]] = {
    META + "Time": _time,
    META + "MicroTime": _time,
    META + "FieldsV1": _json,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": _json,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": _quantity,
}
