"""Watching from inside the process."""

from __future__ import annotations

import pytest

from fakecluster.api.client import ApiError, Client
from fakecluster.api.server import ApiServer
from fakecluster.sim import Clock, Seeded


def config_map(name: str, **labels: str) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": "default", "labels": labels}}


def seen(events: list[object]) -> list[tuple[str, str]]:
    return [(event.type, event.object["metadata"]["name"]) for event in events]  # type: ignore[attr-defined]


def test_what_exists_comes_first_then_every_change_once() -> None:
    client = Client(ApiServer(Clock(), Seeded(0)))
    client.create("configmaps", config_map("a"))
    watch = client.watch("configmaps", "default")
    client.create("configmaps", config_map("b"))
    client.create("secrets", config_map("other"))
    client.patch("configmaps", "a", {"data": {"k": "v"}}, "default")
    client.delete("configmaps", "a", "default")
    assert seen(watch.take()) == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert watch.take() == []


def test_a_watch_that_was_read_too_late_is_told_so() -> None:
    server = ApiServer(Clock(), Seeded(0))
    client = Client(server)
    watch = client.watch("configmaps")
    client.create("configmaps", config_map("a"))
    server.store.compact(server.store.revision)
    with pytest.raises(ApiError) as late:
        watch.take()
    assert (late.value.code, late.value.reason) == (410, "Expired")


def test_an_object_that_stops_matching_is_deleted_to_the_watch() -> None:
    client = Client(ApiServer(Clock(), Seeded(0)))
    client.create("configmaps", config_map("a", app="x"))
    watch = client.watch("configmaps", label_selector="app=x")
    assert seen(watch.take()) == [("ADDED", "a")]
    client.patch("configmaps", "a", {"metadata": {"labels": {"app": "y"}}}, "default")
    client.patch("configmaps", "a", {"data": {"k": "v"}}, "default")
    client.patch("configmaps", "a", {"metadata": {"labels": {"app": "x"}}}, "default")
    assert seen(watch.take()) == [("DELETED", "a"), ("ADDED", "a")]
