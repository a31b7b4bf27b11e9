"""A Status in protobuf, for clients that accept nothing else (`meta/v1/generated.proto`, `runtime.Unknown`)."""

from __future__ import annotations

from fakecluster.api.status import JsonObject

MAGIC = b"k8s\x00"


def _varint(number: int) -> bytes:
    out = bytearray()
    while True:
        out.append(number & 0x7F | (0x80 if number > 0x7F else 0))
        number >>= 7
        if not number:
            return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _text(number: int, value: str) -> bytes:
    return _field(number, value.encode("utf-8", "replace"))


def status_bytes(status: JsonObject) -> bytes:
    """The message with its envelope."""
    list_meta = _text(1, "") + _text(2, "") + _text(3, "")
    list_meta = _text(1, "") + _text(2, "") + _text(3, "")
    details = status.get("details")
    body = _field(1, list_meta) + _text(2, status.get("status", "")) + _text(3, status.get("message", ""))
    body += _text(4, status.get("reason", ""))
    if details is not None:
        body += _field(5, _details(details))
    body += _varint(6 << 3) + _varint(status["code"])
    type_meta = _text(1, "v1") + _text(2, "Status")
    return MAGIC + _field(1, type_meta) + _field(2, body) + _text(3, "") + _text(4, "")


def _details(details: JsonObject) -> bytes:
    out = _text(1, details.get("name", "")) + _text(2, details.get("group", "")) + _text(3, details.get("kind", ""))
    for cause in details.get("causes", ()):
        out += _field(
            4, _text(1, cause.get("reason", "")) + _text(2, cause.get("message", "")) + _text(3, cause.get("field", ""))
        )
    return out + _varint(5 << 3) + _varint(details.get("retryAfterSeconds", 0)) + _text(6, details.get("uid", ""))
