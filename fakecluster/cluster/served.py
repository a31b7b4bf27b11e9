"""A cluster while it is served over HTTP: what the server offers, and the client that takes turns with it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from fakecluster.api.client import Client
from fakecluster.api.server import ApiServer
from fakecluster.api.status import JsonObject


class ServedApi(Protocol):
    """A running server; use it as a context manager, or `stop` it."""

    url: str
    token: str
    port: int
    kubeconfig: Path
    ca_file: Path

    def wait(self) -> None: ...

    def stop(self) -> None: ...

    def __enter__(self) -> ServedApi: ...

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None
    ) -> None: ...


class GuardedClient(Client):
    """A Client that holds the cluster's guard during every request."""

    def __init__(self, server: ApiServer, guard: AbstractContextManager[Any]) -> None:
        super().__init__(server)
        self._guard = guard

    def list(self, *args: Any, **options: Any) -> list[JsonObject]:
        with self._guard:
            return super().list(*args, **options)

    def create(self, *args: Any, **options: Any) -> JsonObject:
        with self._guard:
            return super().create(*args, **options)

    def update(self, *args: Any, **options: Any) -> JsonObject:
        with self._guard:
            return super().update(*args, **options)

    def patch(self, *args: Any, **options: Any) -> JsonObject:
        with self._guard:
            return super().patch(*args, **options)

    def delete(self, *args: Any, **options: Any) -> JsonObject | None:
        with self._guard:
            return super().delete(*args, **options)

    def bind(self, *args: Any, **options: Any) -> None:
        with self._guard:
            super().bind(*args, **options)
