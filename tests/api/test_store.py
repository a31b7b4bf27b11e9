from __future__ import annotations

from typing import Any

from fakecluster.api.store import Store
from fakecluster.sim import Clock


def config_map(name: str, value: str = "", namespace: str = "default") -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name}, "data": {"k": value}}


def stored(*names: str) -> Store:
    store = Store(Clock())
    for name in names:
        store.put("configmaps", config_map(name))
    return store


def test_every_write_gets_the_next_revision() -> None:
    store = stored("a", "b")
    store.put("configmaps", config_map("a", "2"))
    assert [obj["metadata"]["resourceVersion"] for obj in store.list("configmaps")] == ["5", "4"]
    assert store.revision == 5


def test_lists_come_in_the_order_of_whole_keys() -> None:
    store = Store(Clock())
    for namespace, name in (("a", "z"), ("a-b", "a"), ("a", "b")):
        store.put("configmaps", config_map(name, namespace=namespace))
    keys = [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in store.list("configmaps")]
    assert keys == [("a-b", "a"), ("a", "b"), ("a", "z")]


def test_a_watcher_first_sees_what_exists_and_then_every_change_in_order() -> None:
    store = stored("a")
    inbox = store.watch("me", ["configmaps"])
    store.put("configmaps", config_map("a", "2"))
    store.remove("configmaps", "default", "a")
    assert [(e.type, e.revision, e.object["data"]["k"]) for e in inbox.take()] == [
        ("ADDED", 3, ""),
        ("MODIFIED", 4, "2"),
        ("DELETED", 5, "2"),
    ]
    assert inbox.take() == []


def test_a_deletion_shows_the_last_state_under_the_revision_of_the_deletion() -> None:
    store = stored("a")
    event = store.remove("configmaps", "default", "a")
    assert event.object["metadata"]["resourceVersion"] == "4"
    assert event.previous is not None and event.previous["metadata"]["resourceVersion"] == "3"


def test_the_clock_wakes_a_watcher_once_for_many_changes() -> None:
    clock = Clock()
    store = Store(clock)
    inbox = store.watch("me", ["configmaps"])
    woken: list[int] = []
    clock.bind("me", lambda payload: woken.append(len(inbox.take())))
    store.put("configmaps", config_map("a"))
    store.put("configmaps", config_map("b"))
    clock.settle()
    store.put("configmaps", config_map("c"))
    clock.settle()
    assert woken == [2, 1]


def test_a_watcher_is_not_told_of_other_resources() -> None:
    store = Store(Clock())
    inbox = store.watch("me", ["secrets"])
    store.put("configmaps", config_map("a"))
    assert inbox.take() == []


def test_a_fork_shares_the_past_and_goes_its_own_way() -> None:
    store = stored("a")
    store.watch("me", ["configmaps"])
    copy = store.fork(Clock())
    copy.put("configmaps", config_map("b"))
    store.remove("configmaps", "default", "a")
    assert [o["metadata"]["name"] for o in store.list("configmaps")] == []
    assert [o["metadata"]["name"] for o in copy.list("configmaps")] == ["a", "b"]
    assert [e.type for e in copy.inboxes["me"].take()] == ["ADDED", "ADDED"]
    assert [e.type for e in store.inboxes["me"].take()] == ["ADDED", "DELETED"]


def test_a_snapshot_shows_a_past_revision() -> None:
    store = stored("a", "b")
    store.put("configmaps", config_map("a", "2"))
    store.remove("configmaps", "default", "b")
    assert [s.object["data"]["k"] for s in store.snapshot("configmaps", "default", 4)] == ["", ""]
    assert [s.object["data"]["k"] for s in store.snapshot("configmaps", "default", 5)] == ["2", ""]
    assert [s.object["metadata"]["name"] for s in store.snapshot("configmaps", "default", 6)] == ["a"]


def test_compaction_forgets_old_changes() -> None:
    store = stored("a", "b", "c")
    store.compact(4)
    assert [event.revision for event in store.since(0)] == [5]
    assert store.compacted == 4
