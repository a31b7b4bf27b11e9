"""From an API response to what is sent: status, headers (warnings, entity tags, audit ids), perhaps compressed bytes."""

from __future__ import annotations

import gzip
import hashlib
import re

import attrs

from fakecluster.api import status
from fakecluster.api.rest.response import Response

Headers = list[tuple[bytes, bytes]]
#: Smaller answers are not worth compressing (`staging/src/k8s.io/apiserver/pkg/endpoints/handlers/responsewriters`).
GZIP_FROM_BYTES = 128 * 1024
GZIP_LEVEL = 1
#: Documents that clients keep and ask about again with If-None-Match.
TAGGED = re.compile(r"^/openapi/v[23](?:/.*)?$")
AUDIT_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)


@attrs.frozen
class Answer:
    """What goes on the wire; `body` is all of it."""

    status: int
    headers: Headers
    body: bytes = b""


def audit_id(asked: str, number: int) -> str:
    """The client's own id for this request, else one made of the request's number."""
    if AUDIT_ID.fullmatch(asked):
        return asked
    digest = hashlib.md5(b"audit %d" % number, usedforsecurity=False).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:]))


def answer(path: str, asked: dict[str, str], response: Response, audit: str, body: bytes) -> Answer:
    """The whole answer to a request that is no watch."""
    headers = head(response, audit)
    if response.status == 200 and TAGGED.match(path):
        tag = f'"{hashlib.sha512(body).hexdigest().upper()}"'
        headers += [(b"etag", tag.encode()), (b"vary", b"Accept")]
        if tag in (one.strip() for one in asked.get("if-none-match", "").split(",")):
            return Answer(304, [header for header in headers if header[0] != b"content-type"])
    if len(body) >= GZIP_FROM_BYTES and "gzip" in asked.get("accept-encoding", ""):
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        headers += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
    if response.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    return Answer(response.status, headers, body)


def head(response: Response, audit: str) -> Headers:
    """The headers that every answer has."""
    headers = [
        (b"audit-id", audit.encode("latin-1")),
        (b"cache-control", b"no-cache, private"),
        (b"content-type", response.content_type.encode("latin-1")),
    ]
    headers += [(name.lower().encode("latin-1"), _quotable(value)) for name, value in response.headers]
    headers += [(b"warning", b'299 - "%s"' % _quotable(_escaped(text))) for text in response.warnings]
    return headers


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _quotable(text: str) -> bytes:
    """A header's value: control characters, which would end it, are left out."""
    return "".join(char for char in text if char.isprintable()).encode("utf-8")


def broken(audit: str) -> Answer:
    """What a client hears of a defect of ours: that there is one, and no more."""
    words = "an error on the server has prevented the request from succeeding"
    failure = status.failure(500, "InternalError", words, {})
    response = Response(500, failure.status)
    return answer("", {}, response, audit, response.body)
