from __future__ import annotations

from typing import Any

import pytest

from fakecluster.api.json_patch import PatchError, json_patch, unknown_fields
from fakecluster.api.patch import merge_patch

DOCUMENT = {"a": {"b": [1, 2, 3]}, "c/d": 1, "e~f": 2}


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "/a/x", "value": 9}, {"a": {"b": [1, 2, 3], "x": 9}, "c/d": 1, "e~f": 2}),
        ({"op": "add", "path": "/a/b/1", "value": 9}, {"a": {"b": [1, 9, 2, 3]}, "c/d": 1, "e~f": 2}),
        ({"op": "add", "path": "/a/b/-", "value": 9}, {"a": {"b": [1, 2, 3, 9]}, "c/d": 1, "e~f": 2}),
        ({"op": "remove", "path": "/a/b/-1"}, {"a": {"b": [1, 2]}, "c/d": 1, "e~f": 2}),
        ({"op": "remove", "path": "/c~1d"}, {"a": {"b": [1, 2, 3]}, "e~f": 2}),
        ({"op": "replace", "path": "/e~0f", "value": None}, {"a": {"b": [1, 2, 3]}, "c/d": 1, "e~f": None}),
        ({"op": "replace", "path": "/new", "value": 1}, {"a": {"b": [1, 2, 3]}, "c/d": 1, "e~f": 2, "new": 1}),
        ({"op": "move", "from": "/a/b/0", "path": "/x"}, {"a": {"b": [2, 3]}, "c/d": 1, "e~f": 2, "x": 1}),
        ({"op": "copy", "from": "/a/b", "path": "/x"}, {"a": {"b": [1, 2, 3]}, "c/d": 1, "e~f": 2, "x": [1, 2, 3]}),
        ({"op": "test", "path": "/a/b/2", "value": 3}, DOCUMENT),
    ],
)
def test_each_operation_does_what_the_rfc_says(operation: dict[str, Any], expected: dict[str, Any]) -> None:
    before = {"a": {"b": [1, 2, 3]}, "c/d": 1, "e~f": 2}
    assert json_patch(before, [operation]) == expected
    assert before == DOCUMENT


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "bogus", "path": "/a"},
        {"path": "/a"},
        {"op": "remove", "path": "/nope"},
        {"op": "remove", "path": "/a/b/7"},
        {"op": "replace", "path": "/a/b/7", "value": 1},
        {"op": "add", "path": "/a/b/9", "value": 1},
        {"op": "add", "path": "/x/y", "value": 1},
        {"op": "add", "path": "", "value": {}},
        {"op": "add", "path": 5, "value": {}},
        {"op": "move", "from": "/nope", "path": "/x"},
        {"op": "test", "path": "/c~1d", "value": 2},
    ],
)
def test_what_cannot_be_done_is_an_error(operation: dict[str, Any]) -> None:
    with pytest.raises(PatchError):
        json_patch(DOCUMENT, [operation])


def test_operations_are_made_of_four_fields() -> None:
    operations = [{"op": "add", "path": "/a", "value": 1}, {"op": "remove", "path": "/a", "extra": 1}]
    assert unknown_fields(operations) == ['json patch unknown field "[1].extra"']


def test_a_merge_patch_removes_with_null_and_replaces_lists() -> None:
    target = {"a": {"b": 1, "c": 2}, "l": [1, 2]}
    assert merge_patch(target, {"a": {"b": None, "d": {"e": None, "f": 1}}, "l": [3]}) == {
        "a": {"c": 2, "d": {"f": 1}},
        "l": [3],
    }
    assert target == {"a": {"b": 1, "c": 2}, "l": [1, 2]}
