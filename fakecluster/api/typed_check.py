"""Whether a configuration to be applied fits its type, in the words of structured-merge-diff (`typed/validate.go`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fakecluster.api.field_sets import as_text
from fakecluster.api.go_values import go_map_text, go_quote
from fakecluster.api.type_tree import DEDUCED, LIST, SCALAR, STRUCT, TypeNode
from fakecluster.api.typed import KeyProblem, item_element

#: A struct that takes other fields than its own.
PRESERVE = "x-kubernetes-preserve-unknown-fields"


def typed_problems(node: TypeNode, value: Any, place: str) -> Iterator[str]:
    """Everything that does not fit, each with its path: unknown fields, wrong types, repeated keys."""
    if value is None or node.kind == DEDUCED:
        return
    if node.kind == SCALAR:
        words = _scalar_problem(node.scalar, value)
        if words:
            yield f"{place}: {words}"
    elif node.kind == LIST:
        if isinstance(value, list):
            yield from _list_problems(node, value, place)
        else:
            yield f"{place}: expected list, got {_shown(value)}"
    elif not isinstance(value, dict):
        yield f"{place}: expected map, got {_shown(value)}"
    else:
        for key, item in value.items():
            below = f"{place}.{key}"
            if node.kind == STRUCT and not node.declares(key) and not node.source.get(PRESERVE):
                yield f"{below}: field not declared in schema"
            else:
                yield from typed_problems(node.field(key), item, below)


def _list_problems(node: TypeNode, items: list[Any], place: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, item in enumerate(items):
        if node.atomic:
            yield from typed_problems(node.element, item, f"{place}[{index}]")
            continue
        try:
            element = item_element(node, item)
        except KeyProblem as problem:
            yield f"{place}: element {index}: {problem}"
            continue
        words = as_text((element,))[1:-1]
        if element in seen:
            yield f"{place}: duplicate entries for key [{words}]"
            continue
        seen.add(element)
        yield from typed_problems(node.element, item, f"{place}[{words}]")


def _shown(value: Any) -> str:
    return f"&{{{go_map_text(value)}}}"


def _scalar_problem(kind: str, value: Any) -> str:
    plain = isinstance(value, str | bool | int | float)
    if kind == "string" and not isinstance(value, str):
        return f"expected string, got &value.valueUnstructured{{Value:{_literal(value)}}}"
    if kind == "numeric" and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"expected numeric (int or float), got {_go_type(value)}"
    if kind == "boolean" and not isinstance(value, bool):
        return f"expected boolean, got {_shown(value)}"
    return "" if plain else f"expected any scalar, got {_shown(value)}"


def _go_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    return "map[string]interface {}" if isinstance(value, dict) else "[]interface {}"


def _literal(value: Any) -> str:
    """`%#v` of a decoded value."""
    if isinstance(value, str):
        return go_quote(value)
    if isinstance(value, dict):
        inside = ", ".join(f"{go_quote(key)}:{_literal(value[key])}" for key in sorted(value))
        return f"map[string]interface {{}}{{{inside}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(_literal(item) for item in value)}}}"
    return go_map_text(value) if value is not None else "interface {}(nil)"
