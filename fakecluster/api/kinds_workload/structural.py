"""Structural schemas: what a CustomResourceDefinition says about its objects, as functions on them.

Three passes, as in the real server: *prune* drops what the schema does not know, *default* fills in, *validate* checks.
Source: apiextensions-apiserver pkg/apiserver/schema (structural, pruning, defaulting) and pkg/apiserver/validation; the
words of the checks are kube-openapi's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from fakecluster.api.kinds_workload.formats import FORMATS
from fakecluster.api.strategy import FieldError, duplicate, invalid, not_supported, required, too_long, too_many

Json = dict[str, Any]
Schema = Mapping[str, Any]
Errors = list[FieldError]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
INT_OR_STRING = "x-kubernetes-int-or-string"
LIST_TYPE, MAP_KEYS = "x-kubernetes-list-type", "x-kubernetes-list-map-keys"
#: Fields of every object, known whatever the schema says.
OBJECT_FIELDS = ("apiVersion", "kind", "metadata")


def prune(value: Any, schema: Schema, path: str = "", *, root: bool = True) -> list[str]:
    """Drop the fields that `schema` does not know; the paths of what was dropped, in alphabetical order."""
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [p for n, item in enumerate(value) for p in prune(item, items, f"{path}[{n}]", root=False)]
    if not isinstance(value, dict):
        return []
    properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
    known = OBJECT_FIELDS if root or schema.get(EMBEDDED) else ()
    dropped: list[str] = []
    for key in sorted(value):
        where = f"{path}.{key}" if path else key
        if key in known and (root or key != "metadata"):
            continue
        if key in properties:
            dropped += prune(value[key], properties[key], where, root=False)
        elif isinstance(extra, Mapping):
            dropped += prune(value[key], extra, where, root=False)
        elif not extra and not schema.get(PRESERVE) and key not in known:
            dropped.append(where)
            del value[key]
    return dropped


def default(value: Any, schema: Schema) -> None:
    """Fill in the defaults of `schema`, deep inside and in order; a null where none is allowed counts as missing."""
    if isinstance(value, list):
        for item in value:
            default(item, schema.get("items") or {})
        return
    if not isinstance(value, dict):
        return
    properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
    for key, inner in properties.items():
        if "default" in inner and (key not in value or (value[key] is None and not inner.get("nullable"))):
            value[key] = json.loads(json.dumps(inner["default"]))
        if key in value:
            default(value[key], inner)
    if isinstance(extra, Mapping):
        for key in value:
            if key not in properties:
                default(value[key], extra)


def validate(value: Any, schema: Schema, path: str = "") -> Errors:
    """What is wrong with `value`, in the server's words; properties in alphabetical order."""
    if value is None:
        return [] if schema.get("nullable") else _type_error(value, schema, path)
    if schema.get(INT_OR_STRING):
        if isinstance(value, bool) or not isinstance(value, int | str):
            return [_wrong_type(value, "integer,string", path)]
    elif errors := _type_error(value, schema, path):
        return errors
    kind = type_name(value)
    errors = [e for check in _CHECKS.get(kind, ()) for e in check(value, schema, path)]
    errors += _enumeration(value, schema, path) + _junctors(value, schema, path)
    return errors


def type_name(value: Any) -> str:
    """The JSON type, as the server names it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return _TYPE_NAMES[type(value)]


_TYPE_NAMES: dict[type, str] = {float: "number", str: "string", list: "array", dict: "object"}


def _type_error(value: Any, schema: Schema, path: str) -> Errors:
    wanted, actual = schema.get("type", ""), type_name(value)
    if not wanted or wanted == actual or (wanted == "number" and actual == "integer"):
        return []
    if wanted == "integer" and isinstance(value, float) and value.is_integer():
        return []
    return [_wrong_type(value, wanted, path)]


def _wrong_type(value: Any, wanted: str, path: str) -> FieldError:
    actual = type_name(value)
    words = f'{path or "<nil>"} in body must be of type {wanted}: "{actual}"'
    return FieldError("FieldValueTypeInvalid", path or "<nil>", actual, words)


def _should(path: str, value: Any, words: str) -> FieldError:
    return invalid(path or "<nil>", value, f"{path or '<nil>'} in body should {words}")


def _printed(value: Any) -> Any:
    """A value as an error quotes it: objects by key."""
    if isinstance(value, dict):
        return {key: _printed(inner) for key, inner in sorted(value.items())}
    return [_printed(item) for item in value] if isinstance(value, list) else value


def _number(value: Any, schema: Schema, path: str) -> Errors:
    errors: Errors = []
    low, high, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if high is not None and (value >= high if schema.get("exclusiveMaximum") else value > high):
        words = "be less than" if schema.get("exclusiveMaximum") else "be less than or equal to"
        errors.append(_should(path, value, f"{words} {_go_number(high)}"))
    if low is not None and (value <= low if schema.get("exclusiveMinimum") else value < low):
        words = "be greater than" if schema.get("exclusiveMinimum") else "be greater than or equal to"
        errors.append(_should(path, value, f"{words} {_go_number(low)}"))
    if step is not None and (value / step) % 1:
        errors.append(_should(path, value, f"be a multiple of {_go_number(step)}"))
    return errors + _format(value, schema, path)


def _go_number(number: float) -> str:
    """`%v` of a float64: no point where there is no fraction."""
    text = repr(float(number)) if abs(number) >= 1e21 else repr(number)
    return text.removesuffix(".0").replace("e+", "e+")


def _string(value: str, schema: Schema, path: str) -> Errors:
    errors: Errors = []
    longest, shortest = schema.get("maxLength"), schema.get("minLength")
    if longest is not None and len(value) > longest:
        errors.append(too_long(path, longest))
    if shortest is not None and len(value) < shortest:
        errors.append(_should(path, value, f"be at least {shortest} chars long"))
    pattern = schema.get("pattern")
    if pattern and not re.search(pattern, value):
        errors.append(_should(path, value, f"match '{pattern}'"))
    return errors + _format(value, schema, path)


def _format(value: Any, schema: Schema, path: str) -> Errors:
    kind = schema.get("format", "")
    matches = FORMATS.get(kind)
    if matches is None or matches(value):
        return []
    words = f"{path} in body must be of type {kind}: {json.dumps(value)}"
    return [FieldError("FieldValueTypeInvalid", path, value, words)]


def _list(value: list[Any], schema: Schema, path: str) -> Errors:
    errors: Errors = []
    most, least = schema.get("maxItems"), schema.get("minItems")
    if most is not None and len(value) > most:
        errors.append(too_many(path, len(value), most))
    if least is not None and len(value) < least:
        errors.append(_should(path, len(value), f"have at least {least} items"))
    for number, item in enumerate(value):
        errors += validate(item, schema.get("items") or {}, f"{path}[{number}]")
    return errors + _repeated(value, schema, path)


def _repeated(value: list[Any], schema: Schema, path: str) -> Errors:
    """Items of a set are different; so are the keys of a list that is a map."""
    kind, keys = schema.get(LIST_TYPE), schema.get(MAP_KEYS) or ()
    errors: Errors = []
    seen: set[str] = set()
    for number, item in enumerate(value if kind in ("set", "map") else ()):
        identity = item
        if kind == "map" and isinstance(item, dict):
            identity = {key: item[key] for key in keys if key in item}
        text = json.dumps(identity, sort_keys=True)
        if text in seen:
            errors.append(duplicate(f"{path}[{number}]", _printed(identity)))
        seen.add(text)
    return errors


def _object(value: Json, schema: Schema, path: str) -> Errors:
    errors: Errors = []
    most, least = schema.get("maxProperties"), schema.get("minProperties")
    if most is not None and len(value) > most:
        errors.append(too_many(path, len(value), most))
    if least is not None and len(value) < least:
        errors.append(_should(path, len(value), f"have at least {least} properties"))
    prefix = f"{path}." if path else ""
    errors += [required(f"{prefix}{key}") for key in schema.get("required") or () if key not in value]
    properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
    for key in sorted(value):
        inner = properties.get(key, extra if isinstance(extra, Mapping) else None)
        if inner is not None and not (not path and key in OBJECT_FIELDS):
            errors += validate(value[key], inner, f"{prefix}{key}")
    return errors


def _enumeration(value: Any, schema: Schema, path: str) -> Errors:
    allowed = schema.get("enum")
    if allowed is None or value in allowed:
        return []
    return [
        not_supported(path, _printed(value), [item if isinstance(item, str) else json.dumps(item) for item in allowed])
    ]


def _junctors(value: Any, schema: Schema, path: str) -> Errors:
    """allOf, anyOf, oneOf and not, whose parts only check."""
    where = path or "<nil>"
    errors: Errors = []
    for part in schema.get("allOf") or ():
        errors += validate(value, part, path)
    any_of, one_of = schema.get("anyOf"), schema.get("oneOf")
    if any_of and not any(not validate(value, part, path) for part in any_of):
        errors.append(invalid(where, _printed(value), f"{where} in body must validate at least one schema (anyOf)"))
    if one_of:
        valid = sum(not validate(value, part, path) for part in one_of)
        if valid != 1:
            found = "Found none valid" if not valid else f"Found {valid} valid alternatives"
            words = f"{where} in body must validate one and only one schema (oneOf). {found}"
            errors.append(invalid(where, _printed(value), words))
    if schema.get("not") is not None and not validate(value, schema["not"], path):
        errors.append(invalid(where, _printed(value), f"{where} in body must not validate the schema (not)"))
    return errors


_CHECKS: dict[str, tuple[Callable[[Any, Schema, str], Errors], ...]] = {
    "integer": (_number,),
    "number": (_number,),
    "string": (_string,),
    "array": (_list,),
    "object": (_object,),
}
