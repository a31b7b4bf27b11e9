"""The API client that tests hold: it takes turns with those who are served over HTTP, and its changes are kept."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from fakecluster.api.client import Client
from fakecluster.api.server import ApiServer
from fakecluster.api.status import JsonObject
from fakecluster.handles.history import History, kept


class ToldClient(Client):
    """A Client that holds the cluster's guard during every request and adds its writes to the cluster's history."""

    #: how a script gets hold of it
    expression = "cluster.api"

    def __init__(self, server: ApiServer, guard: AbstractContextManager[Any], history: History) -> None:
        super().__init__(server)
        self._guard, self.history = guard, history

    def list(self, *args: Any, **options: Any) -> list[JsonObject]:
        with self._guard:
            return super().list(*args, **options)

    @kept
    def create(self, *args: Any, **options: Any) -> JsonObject:
        with self._guard:
            return super().create(*args, **options)

    @kept
    def update(self, *args: Any, **options: Any) -> JsonObject:
        with self._guard:
            return super().update(*args, **options)

    @kept
    def patch(self, *args: Any, **options: Any) -> JsonObject:
        with self._guard:
            return super().patch(*args, **options)

    @kept
    def delete(self, *args: Any, **options: Any) -> JsonObject | None:
        with self._guard:
            return super().delete(*args, **options)

    @kept
    def bind(self, *args: Any, **options: Any) -> None:
        with self._guard:
            super().bind(*args, **options)
