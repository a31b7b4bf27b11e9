from __future__ import annotations

from typing import Any

import pytest

from fakecluster.api.status import ApiError
from fakecluster.api.strategic import strategic_patch


def service(*ports: int) -> dict[str, Any]:
    return {"metadata": {"name": "web"}, "spec": {"ports": [{"port": port, "name": f"p{port}"} for port in ports]}}


def ports_after(patch: Any, *ports: int) -> list[tuple[int, str]]:
    done = strategic_patch("v1", "Service", service(*ports), {"spec": patch})
    return [(port["port"], port["name"]) for port in done["spec"]["ports"]]


def test_items_with_the_same_key_merge_and_new_ones_come_first() -> None:
    assert ports_after({"ports": [{"port": 81, "name": "x"}]}, 80, 81) == [(80, "p80"), (81, "x")]
    assert ports_after({"ports": [{"port": 82, "name": "x"}]}, 80, 81) == [(82, "x"), (80, "p80"), (81, "p81")]


def test_directives_delete_and_replace() -> None:
    assert ports_after({"ports": [{"port": 80, "$patch": "delete"}]}, 80, 81) == [(81, "p81")]
    assert ports_after({"ports": [{"$patch": "replace"}, {"port": 9, "name": "n"}]}, 80, 81) == [(9, "n")]


def test_an_order_can_be_prescribed() -> None:
    patch = {"$setElementOrder/ports": [{"port": 82}, {"port": 81}, {"port": 80}], "ports": [{"port": 82, "name": "n"}]}
    assert ports_after(patch, 80, 81) == [(82, "n"), (81, "p81"), (80, "p80")]
    assert ports_after({"$setElementOrder/ports": [{"port": 81}, {"port": 80}]}, 80, 81) == [(81, "p81"), (80, "p80")]


def test_lists_of_plain_values_merge_as_sets_and_lose_what_is_named() -> None:
    pod = {"metadata": {"finalizers": ["a/a", "b/b"]}}
    added = strategic_patch("v1", "Pod", pod, {"metadata": {"finalizers": ["c/c"]}})
    assert added["metadata"]["finalizers"] == ["c/c", "a/a", "b/b"]
    removed = strategic_patch("v1", "Pod", pod, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/a"]}})
    assert removed["metadata"]["finalizers"] == ["b/b"]


def test_lists_without_a_merge_key_are_replaced() -> None:
    done = strategic_patch(
        "v1", "Service", {"spec": {"externalIPs": ["1.1.1.1"]}}, {"spec": {"externalIPs": ["2.2.2.2"]}}
    )
    assert done["spec"]["externalIPs"] == ["2.2.2.2"]


def test_retained_keys_are_all_that_stays() -> None:
    deployment = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    done = strategic_patch("apps/v1", "Deployment", deployment, patch)
    assert done["spec"]["strategy"] == {"type": "Recreate"}


def test_null_removes_a_field() -> None:
    done = strategic_patch(
        "v1", "Pod", {"metadata": {"labels": {"a": "1", "b": "2"}}}, {"metadata": {"labels": {"a": None}}}
    )
    assert done["metadata"]["labels"] == {"b": "2"}


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"ports": [{"name": "x"}]}, "map: map[name:x] does not contain declared merge key: port"),
        ({"$patch": "bogus"}, "unknown patch type: bogus in map: map[$patch:bogus]"),
        ({"ports": [{"port": 1, "$patch": "merge"}]}, "merging lists cannot yet be specified in the patch"),
    ],
)
def test_contradictions_are_500_in_the_librarys_words(patch: Any, words: str) -> None:
    with pytest.raises(ApiError) as caught:
        ports_after(patch, 80)
    assert (caught.value.code, caught.value.message) == (500, words)


def test_the_arguments_stay_as_they_were() -> None:
    target, patch = service(80), {"spec": {"ports": [{"port": 80, "$patch": "delete"}]}}
    strategic_patch("v1", "Service", target, patch)
    assert target == service(80)
    assert patch == {"spec": {"ports": [{"port": 80, "$patch": "delete"}]}}
