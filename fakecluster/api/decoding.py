"""From what a client sent to a clean working copy of an object, or the server's refusal."""

from __future__ import annotations

from typing import Any

from fakecluster.api import conversion, custom, diagnose, schema, status
from fakecluster.api.resources import Resource
from fakecluster.api.status import JsonObject

#: What happens to unknown and repeated fields.
STRICT, WARN, IGNORE = "Strict", "Warn", "Ignore"


class Undecodable(Exception):
    """The object does not fit its kind; the text is what Go's decoder says."""


def decoded(resource: Resource, obj: Any, validation: str = IGNORE) -> tuple[JsonObject, list[str]]:
    """A clean copy of `obj`, and warnings about what was dropped. Raises Undecodable."""
    if resource.custom is not None:
        return _custom(resource, obj, validation)
    plain = obj
    clean, found = schema.decode(resource.api_version, resource.kind, obj)
    if found.bad and has_repeated(obj):
        plain = schema.copied(without_repeats(obj))
        clean, found = schema.decode(resource.api_version, resource.kind, plain)
    name = schema.definition_name(resource.api_version, resource.kind)
    if found.bad:
        raise Undecodable((diagnose.type_problem(name, plain) if name else None) or "json: cannot unmarshal object")
    warnings = []
    if validation != IGNORE and name:
        warnings = diagnose.strict_problems(name, obj) if found.unknown or has_repeated(obj) else []
        if warnings and validation == STRICT:
            raise Undecodable(f"strict decoding error: {', '.join(warnings)}")
    clean.setdefault("metadata", {})
    if (meta := obj.get("metadata")) and meta.get("managedFields") == []:
        clean["metadata"]["managedFields"] = []  # an empty list asks to forget who manages what
    clean["apiVersion"], clean["kind"] = resource.api_version, resource.kind
    return conversion.to_stored(resource, clean), warnings


def _custom(resource: Resource, obj: Any, validation: str) -> tuple[JsonObject, list[str]]:
    try:
        clean, unknown = custom.decoded(resource, obj)
    except custom.Unfit as problem:
        meta = diagnose.type_problem(schema.META + "ObjectMeta", obj.get("metadata"))
        raise Undecodable(meta or "json: cannot unmarshal object") from problem
    warnings = [] if validation == IGNORE else [f'unknown field "{path}"' for path in unknown]
    if warnings and validation == STRICT:
        raise Undecodable(f"strict decoding error: {', '.join(warnings)}")
    return clean, warnings


def has_repeated(value: Any) -> bool:
    """Whether an object somewhere inside had a key twice."""
    if isinstance(value, dict):
        return hasattr(value, "keys_twice") or any(has_repeated(item) for item in value.values())
    return isinstance(value, list) and any(has_repeated(item) for item in value)


def without_repeats(value: Any) -> Any:
    """Plain objects in which the last of repeated keys counts."""
    if isinstance(value, dict):
        return {key: without_repeats(item) for key, item in value.items()}
    return [without_repeats(item) for item in value] if isinstance(value, list) else value


#: Lists of at least this many items are compared with the stored ones before they are decoded.
LONG = 8


def clean_copy(resource: Resource, obj: JsonObject, like: JsonObject | None = None) -> JsonObject:
    """The object as Go's types would keep it; ApiError 400 when a value has the wrong type.

    Items of long lists that stand in the stored object `like` as well are shared with it instead of copied.
    """
    try:
        if like is not None and resource.custom is None and (known := _known_items(obj, like)):
            clean, found = schema.decode(resource.api_version, resource.kind, obj, known)
            if not found.bad:
                clean["apiVersion"], clean["kind"] = resource.api_version, resource.kind
                return clean
        return decoded(resource, obj)[0]
    except Undecodable as problem:
        raise cannot_be_handled(resource.kind, resource.version, resource.kind, str(problem)) from problem


def _known_items(obj: JsonObject, like: JsonObject) -> dict[int, Any]:
    known: dict[int, Any] = {}
    for key, items in obj.items():
        stored = like.get(key)
        if isinstance(items, list) and isinstance(stored, list) and len(items) >= LONG:
            same = {id(item) for item in stored}
            known |= {id(item): item for item in items if id(item) in same and isinstance(item, dict)}
            pairs = zip(items, stored, strict=False)
            known |= {id(item): old for item, old in pairs if isinstance(item, dict) and item == old}
    return known


def cannot_be_handled(kind: str, version: str, wanted: str, why: str) -> status.ApiError:
    return status.bad_request(f'{kind} in version "{version}" cannot be handled as a {wanted}: {why}')


def empty_lists_to_null(resource: Resource, obj: JsonObject) -> None:
    """Empty required lists come out of the store as null."""
    if resource.custom is None:
        for key in schema.required_lists(resource.api_version, resource.kind):
            if not obj.get(key):
                obj[key] = None
