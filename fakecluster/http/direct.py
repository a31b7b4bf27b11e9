"""The API without a socket: what a transport of a Python client hands over, answered in the calling thread."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import attrs

from fakecluster.api.rest.response import Stream, encode
from fakecluster.api.rest.watching import WatchStream
from fakecluster.http.answers import Headers, answer, audit_id, head
from fakecluster.http.door import Door, Ear
from fakecluster.http.streams import BOOKMARK_S, TIMEOUT_S


@attrs.define(eq=False)
class Reply:
    """An answer; `chunks` gives the body, for a watch line by line as the events happen."""

    status: int
    headers: Headers
    chunks: Iterator[bytes]

    def read(self) -> bytes:
        """The whole body; for a watch only when it has ended."""
        return b"".join(self.chunks)


class Direct:
    """Answers requests on a simulation; may be called from any thread."""

    def __init__(self, door: Door, *, user: str = "admin") -> None:
        self.door, self.user = door, user
        self._numbers = itertools.count(1)

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Answer one request; `url` may be a path with its query, or a whole URL, whose host does not matter."""
        path, query = path_and_query(url)
        low = {name.lower(): value for name, value in headers.items()}
        audit = audit_id(low.get("audit-id", ""), next(self._numbers))
        response = self.door.request(method, path, query, low, body, self.user)
        if response.stream is not None:
            return Reply(response.status, head(response, audit), watched(self.door, response.stream))
        found = answer(path, low, response, audit, self.door.body(method, response))
        return Reply(found.status, found.headers, iter((found.body,)))


def path_and_query(url: str) -> tuple[str, str]:
    """What a server sees of a URL, or of a path, which may look like a URL without a scheme (`//x`)."""
    if not url.startswith("/"):
        parts = urlsplit(url)
        return parts.path or "/", parts.query
    path, _, query = url.partition("#")[0].partition("?")
    return path, query


def watched(door: Door, stream: Stream) -> Iterator[bytes]:
    """The lines of a watch, or of a log that is followed; waits for more in real time, until its timeout."""
    rung = threading.Event()
    watch = stream if isinstance(stream, WatchStream) else None
    ear = Ear(lambda: stream.pending, rung.set)
    with door:
        door.bells.append(rung.set)
        if watch is None:
            door.ears.append(ear)
    end = time.monotonic() + (TIMEOUT_S if stream.timeout_s is None else stream.timeout_s)
    bookmark = time.monotonic() + BOOKMARK_S
    try:
        while True:
            rung.clear()
            lines = door.read(stream)
            yield from lines.splitlines(keepends=True)
            now = time.monotonic()
            if not lines and (stream.closed or now >= end):
                return
            if watch is not None and watch.bookmarks and now >= bookmark:
                bookmark = now + BOOKMARK_S
                yield encode(watch.bookmark())
            if not lines:
                rung.wait(max(min(end, bookmark) - now, 0.0))
    finally:
        with door:
            door.bells.remove(rung.set)
            if ear in door.ears:
                door.ears.remove(ear)
