"""Strategic merge patch: lists of objects merge by the key that the schema names, with directives.

Directives: `$patch: replace | delete | merge`, `$retainKeys`, `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>`.
Facts from apimachinery's `pkg/util/strategicpatch`.
"""

from __future__ import annotations

from typing import Any

from fakecluster.api import status
from fakecluster.api.schema import Schema, copied, definition_name, definitions, resolve

ORDER, DELETE_PRIMITIVES, RETAIN = "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys"


def strategic_patch(api_version: str, kind: str, target: Any, patch: Any) -> Any:
    """`target` with `patch` merged into it by the schema of its kind; the arguments stay as they are."""
    name = definition_name(api_version, kind)
    return _merge_object(target, patch, definitions()[name] if name else {})


def _merge_object(target: Any, patch: dict[str, Any], schema: Schema) -> Any:
    directive = patch.get("$patch")
    if directive == "replace":
        return _without_directives({key: value for key, value in patch.items() if key != "$patch"})
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise status.bad_request(f"unknown patch type: {directive}")
    out = dict(target) if isinstance(target, dict) else {}
    if RETAIN in patch:
        out = {key: value for key, value in out.items() if key in patch[RETAIN]}
    for key, value in patch.items():
        if key in ("$patch", RETAIN):
            continue
        if key.startswith(DELETE_PRIMITIVES):
            field = key.removeprefix(DELETE_PRIMITIVES)
            out[field] = [item for item in out.get(field, ()) if item not in value]
        elif key.startswith(ORDER):
            continue
        elif value is None:
            out.pop(key, None)
        else:
            out[key] = _merge_value(out.get(key), value, _property(schema, key), patch.get(ORDER + key))
    for key, value in patch.items():
        field = key.removeprefix(ORDER)
        if key.startswith(ORDER) and field not in patch and field in out:
            out[field] = _ordered(out[field], value, _property(schema, field).get("x-kubernetes-patch-merge-key"))
    return out


def _merge_value(old: Any, value: Any, prop: Schema, order: Any) -> Any:
    strategy = prop.get("x-kubernetes-patch-strategy", "")
    if isinstance(value, dict) and "replace" not in strategy.split(","):
        return _merge_object(old, value, resolve(prop))
    if isinstance(value, list) and "merge" in strategy.split(","):
        return _merge_list(old if isinstance(old, list) else [], value, prop, order)
    return _without_directives(value)


def _merge_list(old: list[Any], patch: list[Any], prop: Schema, order: Any) -> list[Any]:
    key = prop.get("x-kubernetes-patch-merge-key")
    if key is None:
        merged = old + [item for item in patch if item not in old]
        return _ordered(merged, order, None) if order is not None else merged
    item_schema = resolve(prop["items"])
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [
            _without_directives(item)
            for item in patch
            if not (isinstance(item, dict) and item.get("$patch") == "replace" and len(item) == 1)
        ]
    out = [copied(item) for item in old]
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise status.bad_request(f"map: {item} does not contain declared merge key: {key}")
        place = next((i for i, have in enumerate(out) if have.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            out = [have for have in out if have.get(key) != item[key]]
        elif place is None:
            out.append(_merge_object({}, item, item_schema))
        else:
            out[place] = _merge_object(out[place], item, item_schema)
    return _ordered(out, order, key) if order is not None else out


def _ordered(items: list[Any], order: list[Any], key: str | None) -> list[Any]:
    def identity(item: Any) -> Any:
        return item.get(key) if key else item

    wanted = [identity(item) if isinstance(item, dict) else item for item in order]
    listed = [item for item in items if identity(item) in wanted]
    listed.sort(key=lambda item: wanted.index(identity(item)))
    # what the order does not name keeps its place relative to its neighbours before it
    out: list[Any] = []
    rest = iter(listed)
    for item in items:
        out.append(next(rest) if identity(item) in wanted else item)
    return out


def _property(schema: Schema, key: str) -> Schema:
    prop = schema.get("properties", {}).get(key)
    if prop is None:
        prop = schema.get("additionalProperties", {})
    found: Schema = prop if isinstance(prop, dict) else {}
    return found


def _without_directives(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_directives(item)
            for key, item in value.items()
            if item is not None and key not in ("$patch", RETAIN) and not key.startswith((ORDER, DELETE_PRIMITIVES))
        }
    if isinstance(value, list):
        return [_without_directives(item) for item in value]
    return value
