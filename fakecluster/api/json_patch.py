"""JSON patch (RFC 6902) with the words of the server's library when an operation cannot be done."""

from __future__ import annotations

from typing import Any

from fakecluster.api.schema import copied


class PatchError(Exception):
    """An operation cannot be applied; the text is the library's."""


def json_patch(document: Any, operations: list[dict[str, Any]]) -> Any:
    """The document after all operations; the arguments stay as they are."""
    document = copied(document)
    for operation in operations:
        name = operation.get("op")
        if not isinstance(name, str) or name not in OPERATIONS:
            raise PatchError(f"Unexpected kind: {name if isinstance(name, str) else 'unknown'}")
        document = OPERATIONS[name](document, operation)
    return document


def _tokens(pointer: Any) -> list[str]:
    """The steps of a pointer; what stands before the first slash is not looked at."""
    if not isinstance(pointer, str) or "/" not in pointer:
        raise PatchError(f"operation does not apply: doc is missing path: {pointer}")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _parent(document: Any, operation: str, pointer: Any) -> tuple[Any, str]:
    tokens = _tokens(pointer)
    place = document
    for token in tokens[:-1]:
        place = _child(place, token)
        if not isinstance(place, dict | list):
            raise PatchError(f'{operation} operation does not apply: doc is missing path: "{pointer}": missing value')
    return place, tokens[-1]


def _child(place: Any, token: str) -> Any:
    if isinstance(place, dict):
        return place.get(token)
    if isinstance(place, list):
        index = _index(token, len(place))
        return place[index] if index is not None and index < len(place) else None
    return None


#: What an operation is made of.
FIELDS = ("op", "path", "from", "value")


def unknown_fields(operations: list[dict[str, Any]]) -> list[str]:
    """The complaints of strict validation about operations with more in them."""
    return [
        f'json patch unknown field "[{index}].{key}"'
        for index, operation in enumerate(operations)
        for key in operation
        if key not in FIELDS
    ]


def _index(token: str, length: int) -> int | None:
    try:
        index = int(token)
    except ValueError:
        return None
    if index < 0:
        index += length
    return index if index >= 0 else None


def _no_index(operation: str, pointer: Any, index: str) -> PatchError:
    why = f"Unable to access invalid index: {index}"
    return PatchError(f'{operation} operation does not apply: doc is missing path: "{pointer}": {why}')


def _add(document: Any, operation: dict[str, Any]) -> Any:
    return _put(document, "add", operation.get("path"), copied(operation.get("value")))


def _put(document: Any, name: str, pointer: Any, value: Any) -> Any:
    place, last = _parent(document, name, pointer)
    if isinstance(place, dict):
        place[last] = value
    elif last == "-":
        place.append(value)
    else:
        index = _index(last, len(place))
        if index is None or index > len(place):
            raise _no_index(name, pointer, last)
        place.insert(index, value)
    return document


def _remove(document: Any, operation: dict[str, Any]) -> Any:
    _take(document, "remove", operation.get("path"))
    return document


def _take(document: Any, name: str, pointer: Any) -> Any:
    place, last = _parent(document, name, pointer)
    if isinstance(place, dict):
        if last not in place:
            raise PatchError(f"{name} operation does not apply: doc is missing key: {pointer}: missing value")
        return place.pop(last)
    if isinstance(place, list):
        index = _index(last, len(place))
        if index is None or index >= len(place):
            raise _no_index(name, pointer, last)
        return place.pop(index)
    raise PatchError(f"{name} operation does not apply: doc is missing key: {pointer}: missing value")


def _replace(document: Any, operation: dict[str, Any]) -> Any:
    pointer = operation.get("path")
    place, last = _parent(document, "replace", pointer)
    value = copied(operation.get("value"))
    index = _index(last, len(place)) if isinstance(place, list) else None
    if isinstance(place, dict):  # the library does not mind when there is nothing to replace
        place[last] = value
    elif isinstance(place, list) and index is not None and index < len(place):
        place[index] = value
    else:
        raise PatchError(f"replace operation does not apply: doc is missing key: {pointer}: missing value")
    return document


def _move(document: Any, operation: dict[str, Any]) -> Any:
    return _put(document, "move", operation.get("path"), _take(document, "move", operation.get("from")))


def _copy(document: Any, operation: dict[str, Any]) -> Any:
    return _put(document, "copy", operation.get("path"), copied(_look(document, "copy", operation.get("from"))))


def _test(document: Any, operation: dict[str, Any]) -> Any:
    pointer = operation.get("path")
    if _look(document, "test", pointer) != operation.get("value"):
        raise PatchError(f"testing value {pointer} failed: test failed")
    return document


def _look(document: Any, name: str, pointer: Any) -> Any:
    place, last = _parent(document, name, pointer)
    return _child(place, last)


OPERATIONS = {"add": _add, "remove": _remove, "replace": _replace, "move": _move, "copy": _copy, "test": _test}
