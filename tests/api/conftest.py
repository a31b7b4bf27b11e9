"""A server, the in-process client, and HTTP requests to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fakecluster.api.client import Client
from fakecluster.api.rest import Response
from fakecluster.api.server import ApiServer
from fakecluster.sim import Clock, Seeded

Call = Callable[..., Response]


@pytest.fixture
def server() -> ApiServer:
    return ApiServer(Clock(), Seeded(0))


@pytest.fixture
def client(server: ApiServer) -> Client:
    return Client(server)


@pytest.fixture
def call(server: ApiServer) -> Call:
    """`call(method, path, body, query=..., type=..., accept=..., user=...)`; a body that is not bytes becomes JSON."""

    def send(
        method: str, path: str, body: Any = None, *, query: str = "", user: str = "admin", **headers: str
    ) -> Response:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        names = {"type": "Content-Type", "accept": "Accept", "agent": "User-Agent", "authorization": "Authorization"}
        sent = {"Content-Type": "application/json", "User-Agent": "test/1"}
        sent |= {names.get(name, name.replace("_", "-")): value for name, value in headers.items()}
        return server.request(method, path, query, sent, content, user)

    return send
