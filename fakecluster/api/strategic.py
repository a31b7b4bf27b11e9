"""Strategic merge patch: lists of objects merge by the key that the schema names, with directives.

Directives: `$patch: replace | delete | merge`, `$retainKeys`, `$deleteFromPrimitiveList/<field>`,
`$setElementOrder/<field>`. Facts from apimachinery's `pkg/util/strategicpatch`.
"""

from __future__ import annotations

import json
from typing import Any

from fakecluster.api import status
from fakecluster.api.go_values import go_map_text
from fakecluster.api.schema import Schema, copied, definition_name, definitions, resolve
from fakecluster.api.status import ApiError, JsonObject

ORDER, DELETE_PRIMITIVES, RETAIN, DIRECTIVE = "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys", "$patch"


def strategic_patch(api_version: str, kind: str, target: Any, patch: Any) -> Any:
    """`target` with `patch` merged into it by the schema of its kind; the arguments stay as they are."""
    name = definition_name(api_version, kind)
    return _merge_object(target, copied(patch), definitions()[name] if name else {})


def problem(message: str) -> ApiError:
    """A patch that contradicts itself: the server answers 500 with the library's words."""
    return status.failure(500, "", message)


def _merge_object(target: Any, patch: JsonObject, schema: Schema) -> JsonObject:
    if DIRECTIVE in patch:
        return _whole_object(patch)
    out: JsonObject = dict(target) if isinstance(target, dict) else {}
    if RETAIN in patch:
        _retain(out, patch)
    _merge_ordered_lists(out, patch, schema)
    for key, value in patch.items():
        field = key.removeprefix(DELETE_PRIMITIVES)
        if value is None:
            out.pop(key, None)
        elif field != key:
            if field in out:
                out[field] = [item for item in out[field] if item not in value]
        elif out.get(key) is None:
            out[key] = _without_directives(value)
        else:
            out[key] = _merge_value(out[key], value, _property(schema, key))
    return out


def _whole_object(patch: JsonObject) -> JsonObject:
    directive = patch[DIRECTIVE]
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != DIRECTIVE}
    if directive == "delete":
        return {}
    raise problem(f"unknown patch type: {go_map_text(directive)} in map: {go_map_text(patch)}")


def _retain(out: JsonObject, patch: JsonObject) -> None:
    kept = patch.pop(RETAIN)
    if not isinstance(kept, list):
        raise status.bad_request("invalid patch format of retainKeys")
    for key in list(out):
        if key not in kept:
            del out[key]


def _merge_value(old: Any, value: Any, prop: Schema) -> Any:
    strategies = str(prop.get("x-kubernetes-patch-strategy", "")).split(",")
    if isinstance(value, dict) and isinstance(old, dict) and "replace" not in strategies:
        return _merge_object(old, value, resolve(prop))
    if isinstance(value, list) and isinstance(old, list) and "merge" in strategies:
        return _merge_list(old, value, prop)
    return _without_directives(value)


def _merge_list(old: list[Any], patch: list[Any], prop: Schema) -> list[Any]:
    merged, listed = _merged(old, patch, prop)
    return _normalized(merged, listed, old, prop.get("x-kubernetes-patch-merge-key"))


def _merged(old: list[Any], patch: list[Any], prop: Schema) -> tuple[list[Any], list[Any]]:
    """(all items, those of the patch without directives)."""
    key = prop.get("x-kubernetes-patch-merge-key")
    if not any(isinstance(item, dict) for item in (*old, *patch)):
        return list({json.dumps(item): item for item in (*old, *patch)}.values()), patch
    if key is None:
        raise problem("cannot merge lists without merge key")
    old, patch = _special(old, patch, key)
    schema = resolve(prop["items"])
    out = list(old)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise problem(f"map: {go_map_text(item)} does not contain declared merge key: {key}")
        place = _place(out, item[key], key)
        if place is None:
            out.append(_without_directives(item))
        else:
            out[place] = _merge_object(out[place], item, schema)
    return out, patch


def _special(old: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """Carry out the items that delete or replace."""
    plain, replace = [], False
    for item in patch:
        directive = item.get(DIRECTIVE) if isinstance(item, dict) else None
        if directive is None:
            plain.append(item)
        elif directive == "delete":
            if key not in item:
                raise problem(f"map: {go_map_text(item)} does not contain declared merge key: {key}")
            old = [have for have in old if have.get(key) != item[key]]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise problem("merging lists cannot yet be specified in the patch")
        else:
            raise problem(f"unknown patch type: {go_map_text(directive)} in map: {go_map_text(item)}")
    return ([], plain) if replace else (old, plain)


def _place(items: list[Any], wanted: Any, key: str) -> int | None:
    return next((i for i, have in enumerate(items) if isinstance(have, dict) and have.get(key) == wanted), None)


def _identity(item: Any, key: str | None) -> Any:
    return item.get(key) if key and isinstance(item, dict) else item


def _index(items: list[Any], item: Any, key: str | None) -> int:
    wanted = _identity(item, key)
    return next((i for i, have in enumerate(items) if _identity(have, key) == wanted), -1)


def _normalized(merged: list[Any], order: list[Any], old: list[Any], key: str | None) -> list[Any]:
    """Items that `order` names in its order, the others in the old one; interleaved by the old order."""
    named = [item for item in merged if _index(order, item, key) >= 0]
    others = [item for item in merged if _index(order, item, key) < 0]
    named.sort(key=lambda item: _index(order, item, key))
    others.sort(key=lambda item: _index(old, item, key))
    out: list[Any] = []
    while others or named:
        if not named:
            out.append(others.pop(0))
        elif not others:
            out.append(named.pop(0))
        else:
            left, right = _index(old, others[0], key), _index(old, named[0], key)
            out.append(others.pop(0) if left >= 0 and right >= 0 and left < right else named.pop(0))
    return out


def _merge_ordered_lists(out: JsonObject, patch: JsonObject, schema: Schema) -> None:
    """Lists whose order the patch prescribes; they leave the patch."""
    for key in [key for key in patch if key.startswith(ORDER)]:
        order, field = patch.pop(key), key.removeprefix(ORDER)
        if not isinstance(order, list):
            raise status.bad_request("invalid patch format of setElementOrder list")
        prop = _property(schema, field)
        merge_key = prop.get("x-kubernetes-patch-merge-key")
        old, listed = out.get(field), patch.pop(field, None)
        if listed is not None:
            _check_order(listed, order, merge_key)
        if old is None and listed is None:
            continue
        if old is None:
            merged = _without_directives(listed)
        elif listed is None:
            merged = old
        else:
            merged = _merged(old, listed, prop)[0] if "merge" in prop.get("x-kubernetes-patch-strategy", "") else listed
        out[field] = _normalized(merged, order, old or [], merge_key)


def _check_order(listed: list[Any], order: list[Any], key: str | None) -> None:
    plain = [item for item in listed if not (isinstance(item, dict) and item.get(DIRECTIVE))]
    places = [_index(order, item, key) for item in plain]
    if -1 in places or places != sorted(places):
        raise problem(
            f"The order in patch list:\n{go_map_text(plain)}\n doesn't match {ORDER[:-1]} list:\n{go_map_text(order)}\n"
        )


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
            if item is not None and key not in (DIRECTIVE, RETAIN) and not key.startswith((ORDER, DELETE_PRIMITIVES))
        }
    if isinstance(value, list):
        kept = [item for item in value if not (isinstance(item, dict) and item.get(DIRECTIVE) in ("delete", "replace"))]
        return [_without_directives(item) for item in kept]
    return value
