"""Broken requests: recorded ones with parts of path, query, headers and body exchanged or garbled.

Every answer is a status code that the real server gives too; nothing inside raises, and what was refused left no trace.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakecluster.api.server import ApiServer
from fakecluster.sim import Clock, Seeded

ARCHIVE = Path(__file__).parents[1] / "conformance" / "recordings" / "api.tar.xz"
FILLED = {
    "{{ns}}": "default",
    "{{time}}": "2026-01-01T00:00:00Z",
    "{{uid:1}}": "11111111-1111-1111-1111-111111111111",
    "{{rv:1}}": "12",
    "{{listrv:1}}": "12",
}
ODD: list[Any] = [
    *(None, True, 0, -1, 2**40, 1.5, "", "x", "\x00", "é\U0001f600", "a" * 300, "\ud800", [], {}, [None], [[]]),
    *({"a": None}, {"$patch": "delete"}, [{"$patch": "replace"}], {"$retainKeys": 1}, {"$setElementOrder/ports": [1]}),
]
QUERY = {
    "limit": ["", "x", "-1", "2", "9" * 30],
    "continue": ["", "garbage", "e30", "\x00"],
    "resourceVersion": ["", "0", "1", "abc", "9" * 30, "-5"],
    "resourceVersionMatch": ["Exact", "NotOlderThan", "x"],
    "labelSelector": ["a in (", "a=b,c!=d", "\x00", ",", "!x", "a=b=c"],
    "fieldSelector": ["metadata.name=a", "x", "spec.nodeName!=", "=,="],
    "fieldManager": ["", "m" * 129, "\x07", "me"],
    "dryRun": ["All", "", "x"],
    "fieldValidation": ["Strict", "Ignore", "x"],
    "watch": ["true", "0", ""],
    "gracePeriodSeconds": ["0", "-3", "x", "9" * 25],
    "propagationPolicy": ["Orphan", "Foreground", "x"],
    "force": ["true", "x"],
    "includeObject": ["Object", "None"],  # the real server writes first and then refuses others
}
TYPES = [
    "application/json",
    "application/yaml",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/json-patch+json",
    "application/apply-patch+yaml",
    "application/vnd.kubernetes.protobuf",
    "x",
    "",
]
ACCEPTS = [
    "application/json",
    "application/yaml",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "text/html",
    ";;q=x",
    "*/*",
]
#: What the real server answers as well; 500 and 501 are looked at more closely.
STATUSES = {200, 201, 202, 400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 422, 501, 503, 504}


@attrs.frozen
class Sent:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


def _recorded() -> list[dict[str, Any]]:
    found = []
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name.endswith(".json") else None
            if stream is None:
                continue
            text = stream.read().decode()
            for symbol, value in FILLED.items():
                text = text.replace(symbol, value)
            found += [step["request"] for step in json.loads(text)["steps"] if "request" in step]
    return found


RECORDED = _recorded()


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one place of it exchanged, removed or added to."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 4)):
        places = list(value) if isinstance(value, dict) else list(range(len(value)))
        place = draw(st.sampled_from(places))
        copy = dict(value) if isinstance(value, dict) else list(value)
        how = draw(st.integers(0, 9))
        if how == 0:
            del copy[place]
        elif how == 1 and isinstance(copy, dict):
            copy[draw(st.sampled_from(["", "x", "\x00", "$patch", "metadata", "spec"]))] = copy[place]
        elif how == 1:
            copy.append(copy[place])
        else:
            copy[place] = draw(mutated(copy[place]))
        return copy
    return draw(st.sampled_from(ODD))


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """A recorded request, broken in up to four ways."""
    recorded = draw(st.sampled_from(RECORDED))
    path, query, headers = recorded["path"], dict(recorded.get("query") or {}), dict(recorded.get("headers") or {})
    body = recorded.get("body", recorded.get("rawBody", ""))
    if isinstance(body, dict | list) and draw(st.booleans()):
        body = draw(mutated(body))
    content = body.encode() if isinstance(body, str) and "body" not in recorded else json.dumps(body).encode()
    if content and draw(st.integers(0, 5)) == 0:
        cut = draw(st.integers(0, len(content)))
        content = content[:cut] + draw(st.binary(max_size=3)) + content[cut + draw(st.integers(0, 2)) :]
    if draw(st.integers(0, 3)) == 0:
        key = draw(st.sampled_from(sorted(QUERY)))
        query[key] = draw(st.sampled_from(QUERY[key]))
    if draw(st.integers(0, 5)) == 0:
        old = draw(st.sampled_from(path.split("/")[1:]))
        path = path.replace(old, draw(st.sampled_from(["", "..", "%00", "%2F", "x", "default", "a:b"])), 1)
    if draw(st.integers(0, 4)) == 0:
        headers["Content-Type"] = draw(st.sampled_from(TYPES))
    if draw(st.integers(0, 5)) == 0:
        headers["Accept"] = draw(st.sampled_from(ACCEPTS))
    return Sent(recorded["method"], path, query, {"Content-Type": "application/json", **headers}, content)


def state(server: ApiServer) -> dict[str, list[str]]:
    """The versions of all objects; a refused Service may have taken addresses for a while (and may keep one)."""
    return {
        resource: [obj["metadata"]["resourceVersion"] for obj in server.store.list(resource)]
        for resource in sorted(server.store.resources())
        if resource != "ipaddresses.networking.k8s.io"
    }


@given(st.lists(requests(), min_size=1, max_size=8))
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_broken_request_gets_an_answer_and_a_refusal_changes_nothing(sent: list[Sent]) -> None:
    server = ApiServer(Clock(), Seeded(0), service_cidrs=("10.96.0.0/16", "fd00:10:96::/112"))
    for request in sent:
        before = state(server)
        query = urlencode(request.query, errors="surrogatepass")
        response = server.request(request.method, request.path, query, request.headers, request.body)
        assert isinstance(response.body, bytes)
        if response.stream is not None:
            assert all(line.endswith(b"\n") for line in response.stream.read().splitlines(keepends=True))
        if response.status == 500:
            assert response.value["kind"] == "Status" and "Traceback" not in response.value["message"]
        else:
            assert response.status in STATUSES, (request, response)
        if response.status >= 400:
            assert state(server) == before, (request, response)
