"""The API client that tests hold: it takes turns with those who are served over HTTP, and its changes are kept."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from fakecluster.api.client import Client
from fakecluster.api.faults import disturb
from fakecluster.api.server import ApiServer
from fakecluster.api.status import JsonObject
from fakecluster.api.watching import Watch
from fakecluster.handles.history import History, kept


class Onlooker(Client):
    """Reads as components do: it is answered also while the server fails. Holds the cluster's guard when it lists."""

    def __init__(self, server: ApiServer, guard: AbstractContextManager[Any]) -> None:
        super().__init__(server)
        self._guard = guard

    def list(self, *args: Any, **options: Any) -> list[JsonObject]:
        with self._guard:
            return super().list(*args, **options)


class ToldClient(Onlooker):
    """A Client whose every request may fail; it holds the guard and adds its writes to the cluster's history."""

    #: how a script gets hold of it
    expression = "cluster.api"

    def __init__(self, server: ApiServer, guard: AbstractContextManager[Any], history: History) -> None:
        super().__init__(server, guard)
        self.history = history

    def get(self, resource: str, name: str, namespace: str = "") -> JsonObject:
        disturb(self.server, "get", self._resource(resource), name, self.user)
        return super().get(resource, name, namespace)

    def list(self, resource: str, *args: Any, **options: Any) -> list[JsonObject]:
        with self._guard:
            disturb(self.server, "list", self._resource(resource), "", self.user)
        return super().list(resource, *args, **options)

    def watch(self, resource: str, *args: Any, **options: Any) -> Watch:
        disturb(self.server, "watch", self._resource(resource), "", self.user)
        return super().watch(resource, *args, **options)

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
