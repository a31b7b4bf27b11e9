"""Recordings of the API area, asked over a real connection instead of in process: the answers are the same."""

import json
import tarfile
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from replay import api
from replay.result import Difference

from fakecluster.api.rest.response import JSON, Response
from fakecluster.api.rest.users import ANONYMOUS
from fakecluster.http.door import Door
from fakecluster.http.serving import Served

ARCHIVE = Path(__file__).parents[1] / "conformance" / "recordings" / "api.tar.xz"
#: Every so many recordings are asked over HTTP; all of them are replayed in process.
EVERY = 6


def recordings() -> Iterator[Any]:
    with tarfile.open(ARCHIVE) as archive:
        members = sorted((member for member in archive if member.name.endswith(".json")), key=lambda one: one.name)
        for member in members[::EVERY]:
            stream = archive.extractfile(member)
            assert stream is not None
            yield pytest.param(json.loads(stream.read()), id=member.name.removesuffix(".json"))


class HttpReplay(api.Replay):
    """The replay of the area, whose requests go over a socket; watches stay in process."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__(data)

        class Simulation:
            server, clock = self.cluster.server, self.cluster.clock

        self.door = Door(Simulation())
        self.door.settle = lambda: None  # type: ignore[method-assign]
        for user in api.USERS:
            self.cluster.server.tokens[f"token-{user.name}"] = user

    def run(self) -> Iterator[Difference]:
        with Served(self.door, tls=False) as served:
            served.app.user = ANONYMOUS.name
            self.connection = HTTPConnection("127.0.0.1", served.port, timeout=10)
            yield from super().run()
            self.connection.close()

    def _send(self, request: dict[str, Any], *, agent: str = api.AGENT) -> Response:
        if "watch" in (request.get("query") or {}):
            return super()._send(request, agent=agent)
        request = self.bindings.fill(request)
        headers = {"User-Agent": agent, "Accept": JSON, **request.get("headers", {})}
        body = request["rawBody"].encode() if "rawBody" in request else b""
        if "body" in request:
            body = json.dumps(request["body"]).encode()
        if body:
            headers.setdefault("Content-Type", JSON)
        user = request.get("as", "admin")
        if user != "none":
            headers["Authorization"] = "Bearer wrong" if user == "bad" else f"Bearer token-{user}"
        url = f"{request['path']}?{urlencode(request.get('query') or {}, doseq=True)}"
        self.connection.request(request["method"], url, body, headers)
        with self.connection.getresponse() as answer:
            return received(answer, answer.read())


def received(answer: Any, content: bytes) -> Response:
    """The answer as the replay compares it."""
    kind = answer.headers.get("Content-Type", "")
    value = json.loads(content) if content.startswith(b"{") else None  # the index of OpenAPI calls itself text
    warnings = [text[len('299 - "') : -1].replace('\\"', '"') for text in answer.headers.get_all("Warning", [])]
    headers = [(name.title(), text) for name, text in answer.headers.items()]
    return Response(answer.status, value, kind, content, headers, [text.replace("\\\\", "\\") for text in warnings])


@pytest.mark.parametrize("data", list(recordings()))
def test_the_answers_over_http_are_those_in_process(data: dict[str, Any]) -> None:
    assert [f"{difference.step}: {difference.text}" for difference in HttpReplay(data).run()] == []
