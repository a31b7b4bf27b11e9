"""Objects seen through their types: field sets, what differs between two, merging one into another, removing fields.

The semantics of structured-merge-diff (v6), whose walkers these four functions follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from fakecluster.api.field_sets import FieldSet, Path, compact
from fakecluster.api.schema import copied
from fakecluster.api.type_tree import DEDUCED, LIST, SCALAR, TypeNode


class KeyProblem(Exception):
    """An item of a keyed list cannot be told by its key; the text says why."""


def item_element(node: TypeNode, item: Any, path: Path = ()) -> str:
    """How an item of a set or keyed list is named in a path."""
    if not node.keys:
        return "v:" + compact(item)
    if not isinstance(item, dict):
        raise KeyProblem("associative list with keys may not have non-map elements")
    found = {}
    for key in node.keys:
        value = item.get(key, node.key_defaults.get(key))
        if value is None and key not in item:
            words = f'associative list with keys has an element that omits key field "{key}"'
            raise KeyProblem(f"{words} (and doesn't have default value)")
        found[key] = value
    return "k:" + compact(found)


def is_leaf(node: TypeNode, value: Any) -> bool:
    """Whether a value of this type is one piece."""
    if node.kind == DEDUCED:
        return not isinstance(value, dict)
    return node.kind == SCALAR or node.atomic or not isinstance(value, dict | list)


def field_set(node: TypeNode, value: Any) -> FieldSet:
    """Every path that an applied configuration sets."""
    found: set[Path] = set()
    _gather(node, value, (), found)
    return frozenset(found)


def _gather(node: TypeNode, value: Any, path: Path, found: set[Path]) -> None:
    if is_leaf(node, value):
        found.add(path)
    elif isinstance(value, list):
        for item in value:
            below = (*path, item_element(node, item))
            found.add(below)
            if isinstance(item, dict):
                _gather(node.element, item, below, found)
    else:
        for key, item in value.items():
            below = (*path, "f:" + key)
            _gather(node.field(key), item, below, found)
            if item is None or item == {} or not (node.declares(key) or node.kind == DEDUCED):
                found.add(below)


@attrs.define
class Comparison:
    """What turned an old object into a new one."""

    added: set[Path] = attrs.field(factory=set)
    modified: set[Path] = attrs.field(factory=set)
    removed: set[Path] = attrs.field(factory=set)


class _Missing:
    """Stands for a value that is not there (null is)."""


MISSING = _Missing()


def compare(node: TypeNode, old: Any, new: Any) -> Comparison:
    """The paths that were added, changed and removed; a container that appears or vanishes counts itself."""
    found = Comparison()
    _compare(node, old, new, (), found)
    return found


def _compare(node: TypeNode, old: Any, new: Any, path: Path, found: Comparison) -> None:
    if old is new:
        return
    shown = old if new is MISSING or new is None else new
    if is_leaf(node, shown) or (not _full(old) and not _full(new)):
        _compare_leaf(old, new, path, found)
        return
    if isinstance(shown, list):
        _compare_items(node, old, new, path, found)
    else:
        _compare_members(node, old, new, path, found)
    if old is MISSING:
        found.added.add(path)
    elif new is MISSING:
        found.removed.add(path)


def _full(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _compare_leaf(old: Any, new: Any, path: Path, found: Comparison) -> None:
    if old is MISSING:
        found.added.add(path)
    elif new is MISSING:
        found.removed.add(path)
    elif old != new or type(old) is not type(new):
        found.modified.add(path)


def _compare_members(node: TypeNode, old: Any, new: Any, path: Path, found: Comparison) -> None:
    before = old if isinstance(old, dict) else {}
    after = new if isinstance(new, dict) else {}
    for key, value in before.items():
        _compare(node.field(key), value, after.get(key, MISSING), (*path, "f:" + key), found)
    for key, value in after.items():
        if key not in before:
            _compare(node.field(key), MISSING, value, (*path, "f:" + key), found)


def _compare_items(node: TypeNode, old: Any, new: Any, path: Path, found: Comparison) -> None:
    before = _indexed(node, old)
    after = _indexed(node, new)
    for element in {**before, **after}:
        left, right = before.get(element, []), after.get(element, [])
        below = (*path, element)
        if len(left) > 1 or len(right) > 1:  # items with one key twice are one piece
            _compare_leaf(left or MISSING, right or MISSING, below, found)
        else:
            _compare(node.element, left[0] if left else MISSING, right[0] if right else MISSING, below, found)


def _indexed(node: TypeNode, items: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in items if isinstance(items, list) else ():
        found.setdefault(item_element(node, item), []).append(item)
    return found


def merge(node: TypeNode, live: Any, applied: Any) -> Any:
    """`live` with everything that `applied` says; keyed lists merge item by item."""
    if live is MISSING or live is None or is_leaf(node, applied) or is_leaf(node, live):
        return copied(live if applied is MISSING else applied)
    if applied is MISSING:
        return copied(live)
    if isinstance(applied, list):
        return list(_merge_items(node, live, applied)) if isinstance(live, list) else copied(applied)
    if not isinstance(live, dict):
        return copied(applied)
    out = {key: merge(node.field(key), value, applied.get(key, MISSING)) for key, value in live.items()}
    for key, value in applied.items():
        if key not in live:
            out[key] = copied(value)
    return out


def _merge_items(node: TypeNode, live: list[Any], applied: list[Any]) -> Iterator[Any]:
    """Both orders are kept as far as they agree; where they do not, the applied one wins."""
    left = [(item_element(node, item), item) for item in live]
    right = [(item_element(node, item), item) for item in applied]
    left_items, right_items = dict(left), dict(right)
    shared = [element for element, _ in right if element in left_items]
    merged: set[str] = set()
    i = j = 0
    while i < len(left) or j < len(right):
        if i < len(left):
            element, item = left[i]
            if j < len(right) and element == right[j][0]:
                merged.add(element)
                yield merge(node.element, item, right[j][1])
                i, j, shared = i + 1, j + 1, shared[1:]
                continue
            if j < len(right) and element in right_items and shared and shared[0] != element:
                i += 1
                continue
            if element not in right_items:
                yield copied(item)
                i += 1
                continue
            if element in merged:
                i += 1
        if j < len(right):
            element, item = right[j]
            merged.add(element)
            yield merge(node.element, left_items.get(element, MISSING), item)
            j += 1
            if shared and shared[0] == element:
                shared = shared[1:]


Tree = dict[str, Any]


def _tree(paths: FieldSet) -> Tree:
    tree: Tree = {}
    for path in paths:
        node = tree
        for element in path[:-1]:
            node = node.setdefault(element, {})
        node.setdefault(path[-1], {})[""] = True
    return tree


def remove(node: TypeNode, value: Any, paths: FieldSet) -> Any:
    """The object without the fields and items that `paths` name."""
    return _remove(node, value, _tree(frozenset(path for path in paths if path)))


def _remove(node: TypeNode, value: Any, tree: Tree) -> Any:
    if is_leaf(node, value):
        return value
    if isinstance(value, list):
        kept = []
        for item in value:
            below = tree.get(item_element(node, item))
            if below is None:
                kept.append(item)
            elif "" not in below:
                kept.append(_remove(node.element, item, below))
        return kept or None
    out = {}
    for key, item in value.items():
        below = tree.get("f:" + key)
        if below is None:
            out[key] = item
        elif "" not in below:
            out[key] = _remove(node.field(key), item, below)
    return out or None


def with_named_fields(node: TypeNode, paths: FieldSet) -> FieldSet:
    """The set with every declared struct field on the way to a member made a member itself."""
    found = set(paths)
    for path in paths:
        place = node
        for depth, element in enumerate(path[:-1]):
            if element.startswith("f:"):
                name = element[2:]
                if place.declares(name):
                    found.add(path[: depth + 1])
                place = place.field(name)
            else:
                place = place.element if place.kind == LIST else place
    return frozenset(found)
