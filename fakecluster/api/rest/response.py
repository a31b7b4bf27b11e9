"""What a request is answered with: a JSON value or a text, or a stream of watch events."""

from __future__ import annotations

import json
from typing import Any, Protocol

import attrs

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


class Stream(Protocol):
    """A body that is sent as it comes about; `read` gives what there is to send now, `closed` after the last of it.

    `timeout_s`: how long the client wants to wait, None when it does not say.
    """

    closed: bool
    timeout_s: int | None

    @property
    def pending(self) -> bool: ...

    def read(self) -> bytes: ...


@attrs.define
class Response:
    """One answer; `value` is the JSON body before it becomes bytes (None for other bodies), `stream` one without an end."""

    status: int
    value: Any = None
    content_type: str = JSON
    content: bytes | None = None
    headers: list[tuple[str, str]] = attrs.field(factory=list)
    warnings: list[str] = attrs.field(factory=list)
    stream: Stream | None = None

    @property
    def body(self) -> bytes:
        """The bytes on the wire (empty for a stream, which is read from `stream`)."""
        if self.content is not None:
            return self.content
        return b"" if self.stream is not None else encode(self.value)


def encode(value: Any) -> bytes:
    """JSON as the server writes it: compact, one line, with a newline at the end."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def text(status: int, content: str) -> Response:
    return Response(status, content_type=TEXT, content=content.encode())


def page_not_found() -> Response:
    """What paths outside the API answer."""
    return text(404, "404 page not found\n")
