"""Request bodies in protobuf, which kubectl and Go clients send for built-in kinds, as the JSON that they stand for.

An object is wrapped: the four bytes ``k8s\\0``, then a message `Unknown` with the kind and the object's own bytes. The
fields' numbers are those of `generated.proto` in k8s.io/api and k8s.io/apimachinery; `data/protobuf-1.36.txt` lists
them. Fields that it does not know are skipped, as the real server does. Answers are never protobuf.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources as package_files
from typing import Any

import attrs

MEDIA = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Depth of messages within messages; JSON schemas, the deepest, are not sent this way.
DEPTH_LIMIT = 64
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
#: Packages whose name is not the group's first word.
PACKAGES = {"": "core", "rbac.authorization.k8s.io": "rbac", "internal.apiserver.k8s.io": "apiserverinternal"}


class Malformed(ValueError):
    """Bytes that are no message."""


@attrs.frozen
class Field:
    """A field of a message: its JSON name, its type, and whether it is repeated, a map, or spread out in JSON."""

    name: str
    type: str
    repeated: bool = False
    map: bool = False
    inline: bool = False


Message = dict[int, Field]


@lru_cache(maxsize=1)
def messages() -> dict[str, Message]:
    """Every message by name (`core.v1.Service`)."""
    text = package_files.files("fakecluster.http").joinpath("data/protobuf-1.36.txt").read_text()
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {name: dict(_field(spec) for spec in fields) for name, *fields in lines}


def _field(spec: str) -> tuple[int, Field]:
    number, name, kind = spec.split(":")
    bare = kind.lstrip("=[]{}")
    return int(number), Field(name, bare, kind.startswith("[]"), kind.startswith("{}"), kind.startswith("="))


def to_json(body: bytes) -> bytes:
    """The JSON text of a wrapped object. Raises Malformed, also for kinds that have no messages."""
    if not body.startswith(MAGIC):
        raise Malformed("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    envelope = _group(body[len(MAGIC) :])
    meta = _group(_bytes(envelope, 1))
    api_version, kind = _bytes(meta, 1).decode(), _bytes(meta, 2).decode()
    found = decode(_message_name(api_version, kind), _bytes(envelope, 2))
    return json.dumps({"kind": kind, "apiVersion": api_version, **found}).encode()


def _message_name(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    names = (f"{PACKAGES.get(group, group.partition('.')[0])}.{version}.{kind}", f"meta.v1.{kind}")
    for name in names:
        if name in messages():
            return name
    raise Malformed(f'no kind "{kind}" is registered for version "{api_version}"')


def decode(name: str, data: bytes, depth: int = 0) -> Any:
    """One message as the JSON value it stands for."""
    if depth > DEPTH_LIMIT:
        raise Malformed("too deep")
    special = SPECIAL.get(name)
    if special is not None:
        return special(_group(data))
    fields, found = messages()[name], dict[str, Any]()
    for number, wire, value in _read(data):
        field = fields.get(number)
        if field is None:
            continue
        if field.map:
            key, item = _entry(field, value, depth)
            found.setdefault(field.name, {})[key] = item
        elif field.repeated:
            found.setdefault(field.name, []).extend(_items(field, wire, value, depth))
        elif field.inline:
            found |= _value(field.type, value, depth)
        else:
            found[field.name] = _value(field.type, value, depth)
    return found


def _items(field: Field, wire: int, value: Any, depth: int) -> list[Any]:
    if wire == BYTES and field.type in SCALARS and field.type not in ("string", "bytes"):  # packed
        items, at = [], 0
        while at < len(value):
            item, at = _varint(value, at)
            items.append(_value(field.type, item, depth))
        return items
    return [_value(field.type, value, depth)]


def _entry(field: Field, value: Any, depth: int) -> tuple[str, Any]:
    entry = _group(_as_bytes(value))
    default: Any = b"" if field.type in ("string", "bytes") or field.type not in SCALARS else 0
    return _text(_last(entry, 1, b"")), _value(field.type, _last(entry, 2, default), depth)


def _value(kind: str, value: Any, depth: int) -> Any:
    scalar = SCALARS.get(kind)
    if scalar is not None:
        return scalar(value)
    return decode(kind, _as_bytes(value), depth + 1)


# --- scalars


def _text(value: Any) -> str:
    try:
        return _as_bytes(value).decode()
    except UnicodeDecodeError as wrong:
        raise Malformed(str(wrong)) from None


def _as_bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise Malformed("wrong wire type")
    return value


def _integer(value: Any) -> int:
    if not isinstance(value, int):
        raise Malformed("wrong wire type")
    return value - (1 << 64) if value >= 1 << 63 else value


def _double(value: Any) -> float:
    import struct

    return float(struct.unpack("<d", struct.pack("<Q", _integer(value) & (1 << 64) - 1))[0])


SCALARS: dict[str, Callable[[Any], Any]] = {
    "string": _text,
    "bytes": lambda value: base64.b64encode(_as_bytes(value)).decode(),
    "bool": lambda value: bool(_integer(value)),
    "int32": _integer,
    "int64": _integer,
    "double": _double,
}

# --- messages whose JSON is no object

Group = dict[int, list[Any]]


def _time(group: Group, digits: str = "seconds") -> str | None:
    if not group:
        return None
    seconds, nanos = _integer(_last(group, 1, 0)), _integer(_last(group, 2, 0))
    try:
        when = EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError as wrong:
        raise Malformed(str(wrong)) from None
    return when.replace(tzinfo=None).isoformat(timespec=digits) + "Z"


def _int_or_string(group: Group) -> int | str:
    return _text(_last(group, 3, b"")) if _last(group, 1, 0) else _integer(_last(group, 2, 0))


def _raw(group: Group) -> Any:
    try:
        return json.loads(_bytes(group, 1) or b"null")
    except ValueError as wrong:
        raise Malformed(str(wrong)) from None


SPECIAL: dict[str, Callable[[Group], Any]] = {
    "meta.v1.Time": _time,
    "meta.v1.MicroTime": lambda group: _time(group, "microseconds"),
    "meta.v1.Duration": lambda group: f"{_integer(_last(group, 1, 0))}ns",
    "meta.v1.FieldsV1": _raw,
    "runtime.RawExtension": _raw,
    "intstr.IntOrString": _int_or_string,
    "resource.Quantity": lambda group: _text(_last(group, 1, b"")),
    "authentication.v1.ExtraValue": lambda group: [_text(item) for item in group.get(1, ())],
    "authorization.v1.ExtraValue": lambda group: [_text(item) for item in group.get(1, ())],
}

# --- the wire


def _group(data: bytes) -> Group:
    found: Group = {}
    for number, _, value in _read(data):
        found.setdefault(number, []).append(value)
    return found


def _last(group: Group, number: int, default: Any) -> Any:
    return group[number][-1] if number in group else default


def _bytes(group: Group, number: int) -> bytes:
    return _as_bytes(_last(group, number, b""))


def _read(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """(number, wire type, bytes or unsigned integer) of every field, in order."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        if wire == BYTES:
            size, at = _varint(data, at)
        elif wire in (FIXED32, FIXED64):
            size = 8 if wire == FIXED64 else 4
        else:
            raise Malformed(f"illegal wireType {wire}")
        piece = data[at : at + size]
        if len(piece) < size:
            raise Malformed("unexpected EOF")
        at += size
        yield number, wire, piece if wire == BYTES else int.from_bytes(piece, "little")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise Malformed("unexpected EOF")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        shift += 7
        if shift >= 64:
            raise Malformed("integer overflow")
