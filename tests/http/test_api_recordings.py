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
EVERY = 1


def recordings() -> Iterator[Any]:
    with tarfile.open(ARCHIVE) as archive:
        members = sorted((member for member in archive if member.name.endswith(".json")), key=lambda one: one.name)
        for member in members:
            stream = archive.extractfile(member)
            assert stream is not None
            yield pytest.param(json.loads(stream.read()), id=member.name.removesuffix(".json"))


class HttpReplay(api.Replay):
    """The replay of the area, whose requests go over a socket."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__(data)

        class Simulation:
            server, clock = self.cluster.server, self.cluster.clock

        self.door = Door(Simulation())
        self.door.settle = lambda: None  # type: ignore[method-assign]
        self.opened: list[HTTPConnection] = []
        for user in api.USERS:
            self.cluster.server.tokens[f"token-{user.name}"] = user

    def run(self) -> Iterator[Difference]:
        with Served(self.door, tls=False) as served:
            served.app.user = ANONYMOUS.name
            self.connection = HTTPConnection("127.0.0.1", served.port, timeout=10)
            yield from super().run()
            for connection in (self.connection, *self.opened):
                connection.close()

    def _send(self, request: dict[str, Any], *, agent: str = api.AGENT) -> Response:
        inside = super()._send(request, agent=agent) if "watch" in (request.get("query") or {}) else None
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
        if inside is not None and inside.stream is not None:
            return self._watch(request["method"], url, headers, inside)
        self.connection.request(request["method"], url, body, headers)
        with self.connection.getresponse() as answer:
            return received(answer, answer.read())

    def _watch(self, method: str, url: str, headers: dict[str, str], inside: Response) -> Response:
        """A watch on a connection of its own; one in process tells how many events must have come."""
        connection = HTTPConnection("127.0.0.1", self.connection.port, timeout=10)
        self.opened.append(connection)
        connection.request(method, url, headers=headers)
        answer = connection.getresponse()
        found = received(answer, b"")
        found.stream = Watched(self.door, answer, inside.stream)
        return found


class Watched:
    """The events of a watch over HTTP."""

    def __init__(self, door: Door, answer: Any, inside: Any) -> None:
        self.door, self.answer, self.inside = door, answer, inside

    def take(self) -> list[Any]:
        with self.door:  # what happened in process rings no bell
            expected = len(self.inside.take())
        return [json.loads(self.answer.readline()) for _ in range(expected)]


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
