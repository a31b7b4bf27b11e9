"""In the place of a `urllib3.PoolManager`: requests are answered at once, watches line by line."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from fakecluster.http.direct import Direct, Reply


class Pool:
    """The two methods of a PoolManager that the official client uses."""

    def __init__(self, direct: Direct) -> None:
        self._direct = direct

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Any = None, **options: Any
    ) -> Any:
        content = body.encode() if isinstance(body, str) else body or b""
        return response(self._direct.send(method, url, headers or {}, content))

    def clear(self) -> None:
        """There are no connections."""


def response(reply: Reply) -> Any:
    """A `urllib3.HTTPResponse`."""
    urllib3 = importlib.import_module("urllib3")

    class Response(urllib3.HTTPResponse):  # type: ignore[misc, name-defined]
        """One whose `stream` does not wait until the end."""

        def stream(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:
            yield from reply.chunks

        @property
        def data(self) -> bytes:
            whole: bytes | None = self.__dict__.get("whole")
            if whole is None:
                whole = self.__dict__["whole"] = reply.read()
            return whole

        def close(self) -> None:
            close = getattr(reply.chunks, "close", None)
            if close is not None:
                close()
            super().close()

    headers = urllib3.HTTPHeaderDict([(name.decode(), value.decode("latin-1")) for name, value in reply.headers])
    reason = HTTPStatus(reply.status).phrase
    return Response(body=None, headers=headers, status=reply.status, reason=reason, preload_content=False)
