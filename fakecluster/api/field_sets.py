"""Sets of field paths, as `managedFields` write them (`fieldsV1`).

A path is a tuple of elements in their text form: `f:name`, `k:{"port":80,"protocol":"TCP"}`, `v:"a"`, `i:0`. A set that
holds a path need not hold what is above or below it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

Path = tuple[str, ...]
FieldSet = frozenset[Path]
EMPTY: FieldSet = frozenset()


def to_fields_v1(paths: Iterable[Path]) -> dict[str, Any]:
    """The nested object of `fieldsV1`; a member with members below it is marked by an entry `.`."""
    tree: dict[str, Any] = {}
    members = sorted(paths)
    for path in members:
        node = tree
        for element in path:
            node = node.setdefault(element, {})
    for path in members:
        node = tree
        for element in path:
            node = node[element]
        if node and path:
            node["."] = {}
    return _sorted(tree)


def _sorted(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: _sorted(tree[key]) for key in sorted(tree, key=lambda key: (key != ".", key))}


def from_fields_v1(tree: Any) -> FieldSet:
    """The set that a `fieldsV1` object writes; raises ValueError when it is none."""
    found: set[Path] = set()
    _collect(tree, (), found)
    return frozenset(found)


def _collect(tree: Any, path: Path, found: set[Path]) -> None:
    if not isinstance(tree, dict):
        raise ValueError("fieldsV1 is made of objects")
    for key, below in tree.items():
        if key == ".":
            found.add(path)
            continue
        if key[:2] not in ("f:", "k:", "v:", "i:"):
            raise ValueError(f"missing key prefix {key!r}")
        element = key if key[0] in "fi" else key[:2] + compact(json.loads(key[2:]))
        if below:
            _collect(below, (*path, element), found)
        else:
            found.add((*path, element))


def compact(value: Any) -> str:
    """JSON without spaces and with sorted keys."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def under(paths: FieldSet, prefixes: Iterable[Path]) -> FieldSet:
    """The members at or below one of the prefixes."""
    wanted = tuple(prefixes)
    return frozenset(path for path in paths if any(path[: len(prefix)] == prefix for prefix in wanted))


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Paths as structured-merge-diff walks them: what is a member at a level comes before what lies deeper."""
    return _level(list(paths), 0)


def _level(paths: list[Path], depth: int) -> list[Path]:
    members = sorted(path for path in paths if len(path) == depth + 1)
    below: dict[str, list[Path]] = {}
    for path in paths:
        if len(path) > depth + 1:
            below.setdefault(path[depth], []).append(path)
    return members + [path for element in sorted(below) for path in _level(below[element], depth + 1)]


def as_text(path: Path) -> str:
    """A path as conflict messages show it: `.spec.ports[port=80,protocol="TCP"].name`."""
    out = []
    for element in path:
        kind, rest = element[0], element[2:]
        if kind == "f":
            out.append(f".{rest}")
        elif kind == "k":
            pairs = ",".join(f"{key}={compact(value)}" for key, value in json.loads(rest).items())
            out.append(f"[{pairs}]")
        elif kind == "v":
            out.append(f"[={rest}]")
        else:
            out.append(f"[{rest}]")
    return "".join(out)
