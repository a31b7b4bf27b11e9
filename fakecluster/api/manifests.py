"""Reading manifests: YAML or JSON text, files, folders, objects. Loading is safe, sizes are bounded.

YAML is read as kubectl does (sigs.k8s.io/yaml): timestamps stay strings, keys are strings, duplicate keys are errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import yaml

from fakecluster.errors import ManifestError

JsonObject = dict[str, Any]
#: The API server refuses requests above 3 MiB; a file may hold many.
MAX_TEXT_BYTES = 32 * 1024 * 1024
#: Nodes that one document may have after its aliases are followed (a YAML bomb has billions).
MAX_NODES = 2_000_000
MAX_DEPTH = 200
#: Where a block that is nested more than MAX_DEPTH levels deep shows.
_DEEP_BLOCK = re.compile(rf"^[ ?-]{{{MAX_DEPTH}}}", re.MULTILINE)
SUFFIXES = (".yaml", ".yml", ".json")


@attrs.frozen
class Manifest:
    """One object to apply and where it came from (`place`: file, document, line)."""

    object: JsonObject
    place: str

    @property
    def kind(self) -> str:
        return str(self.object.get("kind"))

    @property
    def name(self) -> str:
        return str((self.object.get("metadata") or {}).get("name"))


def read(source: str | Path | Mapping[str, Any] | list[Any]) -> list[Manifest]:
    """Manifests of a path (file or folder), of YAML or JSON text (which has a line end or a brace), or of objects.

    Lists (`kind: List`, `PodList`...) are taken apart. Raises `ManifestError`.
    """
    return list(_read(source))


def _read(source: str | Path | Mapping[str, Any] | list[Any]) -> Iterator[Manifest]:
    if isinstance(source, Mapping):
        yield from _items(dict(source), "object")
    elif isinstance(source, list):
        for number, item in enumerate(source, 1):
            if not isinstance(item, Mapping):
                raise ManifestError(f"expected an object, got {type(item).__name__}", place=f"item {number}")
            yield from _items(dict(item), f"item {number}")
    elif isinstance(source, str) and ("\n" in source or source.lstrip().startswith("{") or ": " in source):
        yield from read_text(source, "text")
    else:
        yield from _read_path(Path(source))


def _read_path(path: Path) -> Iterator[Manifest]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
        if not files:
            raise ManifestError("no .yaml, .yml or .json files in this folder", place=str(path))
        for file in files:
            yield from _read_path(file)
        return
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise ManifestError(f"larger than {MAX_TEXT_BYTES} bytes", place=str(path))
        text = path.read_text(encoding="utf-8")
    except OSError as problem:
        raise ManifestError(f"{problem.strerror}", place=str(path)) from None
    except UnicodeDecodeError as problem:
        raise ManifestError(f"not UTF-8 text: {problem.reason} at byte {problem.start}", place=str(path)) from None
    yield from read_text(text, str(path))


def read_text(text: str, name: str) -> Iterator[Manifest]:
    """The objects of a YAML stream; `name` stands for it in errors. Raises `ManifestError`."""
    if len(text) > MAX_TEXT_BYTES:
        raise ManifestError(f"larger than {MAX_TEXT_BYTES} bytes", place=name)
    number = 0
    for node in _documents(text, name):
        number += 1
        place = f"{name}: document {number} (line {node.start_mark.line + 1})"
        _check(node, place)
        value = _construct(node, place)
        if value is None:
            continue
        if not isinstance(value, dict):
            raise ManifestError(f"expected an object, got {_TYPES.get(type(value), 'a value')}", place=place)
        yield from _items(value, place)


_TYPES = {str: "a string", list: "a list", int: "a number", float: "a number", bool: "a boolean"}


def _items(obj: JsonObject, place: str) -> Iterator[Manifest]:
    """The object, or the members of a list."""
    if str(obj.get("kind", "")).endswith("List") and isinstance(obj.get("items"), list):
        for number, item in enumerate(obj["items"], 1):
            if not isinstance(item, dict):
                raise ManifestError("expected an object", place=f"{place}: items[{number - 1}]")
            kind = {"apiVersion": obj.get("apiVersion"), "kind": obj["kind"].removesuffix("List")}
            whole = item if item.get("kind") else {**kind, **item}
            yield from _items(whole, f"{place}: items[{number - 1}]")
        return
    for key in ("apiVersion", "kind"):
        if not isinstance(obj.get(key), str) or not obj[key]:
            raise ManifestError(f"Object '{key.capitalize() if key == 'kind' else key}' is missing", place=place)
    yield Manifest(obj, place)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe loading without dates: in JSON they are strings."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _documents(text: str, name: str) -> Iterator[yaml.Node]:
    loader = _Loader(text)
    try:
        _check_depth(text, name)
        while loader.check_node():
            yield loader.get_node()
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = f"{name}: line {mark.line + 1}, column {mark.column + 1}" if mark else name
        if "nesting depth" in (problem.problem or ""):  # newer versions of the library have a bound of their own
            words = f"YAML: nested more than {MAX_DEPTH} levels deep"
            raise ManifestError(words, place=place.partition(", column")[0]) from None
        raise ManifestError(f"YAML: {problem.problem or problem.context}", place=place) from None
    except yaml.YAMLError as problem:
        raise ManifestError(f"YAML: {' '.join(str(problem).split())}", place=name) from None
    except RecursionError:
        raise ManifestError("YAML: nested too deeply", place=name) from None
    finally:
        loader.dispose()


def _check_depth(text: str, name: str) -> None:
    """Refuse nesting that the stack of the library would not survive; ordinary texts need no second look."""
    if text.count("[") + text.count("{") <= MAX_DEPTH and not _DEEP_BLOCK.search(text):
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                place = f"{name}: line {event.start_mark.line + 1}" if event.start_mark else name
                raise ManifestError(f"YAML: nested more than {MAX_DEPTH} levels deep", place=place)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check(node: yaml.Node, place: str) -> None:
    """Refuse bombs: documents that are huge, endless or very deep once their aliases are followed."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(current: yaml.Node, depth: int) -> int:
        if id(current) in sizes:
            return sizes[id(current)]
        if id(current) in open_nodes:
            raise ManifestError("YAML: a value contains itself", place=place)
        if depth > MAX_DEPTH:
            raise ManifestError(f"YAML: nested more than {MAX_DEPTH} levels deep", place=place)
        open_nodes.add(id(current))
        total = 1
        for child in _children(current):
            total += size(child, depth + 1)
        if total > MAX_NODES:
            raise ManifestError("YAML: document contains excessive aliasing", place=place)
        open_nodes.discard(id(current))
        sizes[id(current)] = total
        return total

    size(node, 0)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value


def _construct(node: yaml.Node, place: str) -> Any:
    """Plain JSON of a node; each use of an alias is a copy of its own."""
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, place)
    if isinstance(node, yaml.SequenceNode):
        return [_construct(child, place) for child in node.value]
    constructor = yaml.SafeLoader("")
    try:
        value = constructor.construct_object(node)
    except (yaml.YAMLError, ValueError) as problem:
        text = problem.problem if isinstance(problem, yaml.MarkedYAMLError) else problem
        raise ManifestError(f"YAML: {text}", place=f"{place}: line {node.start_mark.line + 1}") from None
    finally:
        constructor.dispose()
    return value


def _mapping(node: yaml.MappingNode, place: str) -> JsonObject:
    found: JsonObject = {}
    merged: JsonObject = {}
    for key_node, value_node in node.value:
        where = f"{place}: line {key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode):
            raise ManifestError("YAML: a key must be a string", place=where)
        if key_node.tag == "tag:yaml.org,2002:merge":
            for part in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                if not isinstance(part, yaml.MappingNode):
                    raise ManifestError("YAML: map merge requires map or sequence of maps as the value", place=where)
                merged = {**_mapping(part, place), **merged}
            continue
        key = key_node.value
        if key in found:
            raise ManifestError(f'YAML: key "{key}" already set in map', place=where)
        found[key] = _construct(value_node, place)
    return {**merged, **found}
