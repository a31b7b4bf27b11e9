from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakecluster.api import field_sets, managed, typed
from fakecluster.api.client import ApiError, Client
from fakecluster.api.managed import with_managed_fields
from fakecluster.api.type_tree import type_of

NAMESPACE = "default"


def config(data: dict[str, str], **meta: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **meta}, "data": data}


def apply(client: Client, manager: str, data: dict[str, str], *, force: bool = False, **meta: Any) -> dict[str, Any]:
    return client.patch(
        "configmaps", "c", config(data, **meta), NAMESPACE, kind="apply", field_manager=manager, force=force
    )


def owners(client: Client) -> dict[str, list[str]]:
    stored = client.server.store.stored("configmaps", NAMESPACE, "c")
    assert stored is not None
    lines = with_managed_fields(stored.object, stored.managed)["metadata"].get("managedFields", [])
    return {
        line["manager"]: [field_sets.as_text(path) for path in sorted(field_sets.from_fields_v1(line["fieldsV1"]))]
        for line in lines
    }


def test_the_first_apply_creates(client: Client) -> None:
    assert apply(client, "one", {"a": "1"})["data"] == {"a": "1"}
    assert owners(client) == {"one": [".data.a"]}


def test_what_an_applier_no_longer_says_goes(client: Client) -> None:
    apply(client, "one", {"a": "1", "b": "2"})
    assert apply(client, "one", {"a": "1"})["data"] == {"a": "1"}


def test_what_another_says_too_stays(client: Client) -> None:
    apply(client, "one", {"a": "1", "b": "2"})
    apply(client, "two", {"b": "2"})
    assert apply(client, "one", {"a": "1"})["data"] == {"a": "1", "b": "2"}
    assert owners(client) == {"one": [".data.a"], "two": [".data.b"]}


def test_another_value_conflicts_and_force_takes_the_field(client: Client) -> None:
    apply(client, "one", {"a": "1"})
    with pytest.raises(ApiError) as caught:
        apply(client, "two", {"a": "2"})
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "one": .data.a'
    assert apply(client, "two", {"a": "2"}, force=True)["data"] == {"a": "2"}
    assert owners(client) == {"two": [".data.a"]}


def test_several_conflicts_are_listed_by_manager(client: Client) -> None:
    apply(client, "one", {"a": "1", "b": "1"})
    client.patch("configmaps", "c", {"data": {"u": "1"}}, NAMESPACE, field_manager="updater")
    with pytest.raises(ApiError) as caught:
        apply(client, "two", {"a": "2", "b": "2", "u": "2"})
    assert caught.value.message == (
        "Apply failed with 3 conflicts: "
        'conflicts with "one":\n- .data.a\n- .data.b\n'
        'conflicts with "updater" using v1:\n- .data.u'
    )


def test_an_update_takes_fields_from_everybody(client: Client) -> None:
    apply(client, "one", {"a": "1"})
    client.patch("configmaps", "c", {"data": {"a": "9"}}, NAMESPACE, field_manager="updater")
    assert owners(client) == {"updater": [".data.a"]}


def test_an_object_that_nobody_manages_counts_as_there_before(client: Client) -> None:
    client.create("configmaps", config({"a": "1"}), NAMESPACE)
    client.patch("configmaps", "c", {"metadata": {"managedFields": []}}, NAMESPACE)
    assert owners(client) == {}
    with pytest.raises(ApiError, match=r'conflict with "before-first-apply" using v1: \.data\.a'):
        apply(client, "one", {"a": "2"})


def test_keyed_lists_merge_item_by_item_and_keep_their_order() -> None:
    node = type_of("v1", "Service").field("spec").field("ports")
    live = [{"port": 1, "protocol": "TCP", "name": "a"}, {"port": 2, "protocol": "TCP", "name": "b"}]
    applied = [{"port": 2, "name": "x"}, {"port": 3}]
    assert typed.merge(node, live, applied) == [
        {"port": 1, "protocol": "TCP", "name": "a"},
        {"port": 2, "protocol": "TCP", "name": "x"},
        {"port": 3},
    ]


def test_many_updaters_fold_into_ancient_changes(client: Client) -> None:
    client.create("configmaps", config({"zero": "1"}), NAMESPACE)
    client.patch("configmaps", "c", {"data": {"first": "1"}}, NAMESPACE, field_manager="m0")
    for number in range(1, 12):
        client.patch("configmaps", "c", {"data": {f"k{number}": "1"}}, NAMESPACE, field_manager=f"m{number}")
    assert "ancient-changes" in owners(client)
    assert len(owners(client)) == managed.UPDATERS_LIMIT


def test_records_are_the_same_whether_they_are_read_early_or_late(client: Client) -> None:
    other = Client(client.server, agent="other")
    for late in (False, True):
        name = "late" if late else "early"
        client.create("configmaps", {"metadata": {"name": name}, "data": {"a": "1"}}, NAMESPACE)
        for number in range(40):
            writer = other if number % 3 else client
            writer.patch("configmaps", name, {"data": {f"k{number % 5}": str(number)}}, NAMESPACE)
            if not late:
                stored = client.server.store.stored("configmaps", NAMESPACE, name)
                assert stored is not None and stored.managed is not None and stored.managed.resolved()
    read = [client.server.store.stored("configmaps", NAMESPACE, name) for name in ("early", "late")]
    early, late_record = (record.managed.resolved() for record in read if record and record.managed)
    assert early == late_record


ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'])
PATHS = st.frozensets(st.lists(ELEMENTS, min_size=1, max_size=4).map(tuple), max_size=12)


@given(PATHS)
def test_field_sets_survive_their_text_form(paths: frozenset[tuple[str, ...]]) -> None:
    assert field_sets.from_fields_v1(field_sets.to_fields_v1(paths)) == paths
