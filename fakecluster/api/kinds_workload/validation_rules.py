"""Validation rules of a CustomResourceDefinition (x-kubernetes-validations): expressions in CEL that must be true.

The language itself is the library cel-python's (extra `cel`); here are Kubernetes' own functions and the server's words.
Rules that compare with the old object, messages that are expressions and the rest of Kubernetes' functions are refused
when the definition is applied.
Source: apiextensions-apiserver pkg/apiserver/schema/cel/validation.go, apiserver pkg/cel/library (ip.go, cidr.go).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from fakecluster.api.kinds_workload.field_checks import Errors
from fakecluster.api.strategy import ABSENT, FieldError, forbidden, invalid, required
from fakecluster.errors import Unsupported

Json = dict[str, Any]
Schema = Mapping[str, Any]
RULES = "x-kubernetes-validations"
#: Python calls that one evaluation may be deep.
STACK_LIMIT = 2500
_KNOWN_KEYS = ("rule", "message", "reason")
#: CEL's own functions and macros; what else a rule calls must be one of `_functions`.
_STANDARD = frozenset(
    {
        *("all", "exists", "exists_one", "filter", "has", "map"),
        *("contains", "endsWith", "matches", "size", "startsWith"),
        *("bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"),
    }
)
#: Errors after which rules are not evaluated: the object may not have the shape that they expect.
_BLOCKING = frozenset(
    ("FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid")
)
_NOT_CHECKED = (
    "some validation rules were not checked because the object was invalid;"
    " correct the existing errors to complete validation"
)
_REASONS: dict[str, Callable[[str, Any, str], FieldError]] = {
    "FieldValueInvalid": invalid,
    "FieldValueForbidden": lambda field, value, detail: forbidden(field, detail),
    "FieldValueRequired": lambda field, value, detail: required(field, detail),
    "FieldValueDuplicate": lambda field, value, detail: FieldError("FieldValueDuplicate", field, value),
}


def check_rules(schema: Schema, field: str) -> Errors:
    """What is wrong with a schema's own rules. Raises `Unsupported` for what cannot be evaluated."""
    errors: Errors = []
    for number, rule in enumerate(schema.get(RULES) or ()):
        place = f"{field}.{RULES}[{number}]"
        if not (rule.get("rule") or "").strip():
            errors.append(required(f"{place}.rule"))
            continue
        for key in rule:
            if key not in _KNOWN_KEYS:
                raise Unsupported("a validation rule (CEL) with this field", token=f"{place}.{key}")
        try:
            with _deep_stack():
                tree = _environment().compile(rule["rule"])
        except _library().CELParseError as problem:
            errors.append(invalid(f"{place}.rule", rule["rule"], f"compilation failed: {str(problem).strip()}"))
            continue
        for name in _names(tree):
            if name == "oldSelf" or name.startswith("__"):
                raise Unsupported(f"validation rules (CEL) with {name}", token=f"{place}.rule")
        for name in _called(tree):
            if name not in _STANDARD and name not in _functions():
                raise Unsupported(f"function {name} in validation rules (CEL)", token=f"{place}.rule")
    return errors


def violations(obj: Json, schema: Schema, found: Errors) -> Errors:
    """The rules that an object breaks, after the structural errors that were `found`."""
    if not _has_rules(schema):
        return []
    if any(error.type in _BLOCKING for error in found):
        return [invalid("<nil>", None, _NOT_CHECKED)]
    meta = obj.get("metadata") or {}
    names = {key: meta[key] for key in ("name", "generateName") if key in meta}
    return [*_broken({**obj, "metadata": names}, schema, "")]


def _has_rules(schema: Schema) -> bool:
    return bool(schema.get(RULES)) or any(_has_rules(inner) for inner in _inner(schema))


def _inner(schema: Schema) -> Iterator[Schema]:
    yield from (schema.get("properties") or {}).values()
    yield from (schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), Mapping))
    yield from schema.get("allOf") or ()


def _broken(value: Any, schema: Schema, path: str) -> Iterator[FieldError]:
    if value is None:
        return
    for rule in schema.get(RULES) or ():
        yield from _evaluated(rule, value, path)
    for part in schema.get("allOf") or ():
        yield from _broken(value, part, path)
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for number, item in enumerate(value):
            yield from _broken(item, schema["items"], f"{path}[{number}]")
    if isinstance(value, dict):
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        for key in sorted(value):
            if key in properties:
                yield from _broken(value[key], properties[key], f"{path}.{key}" if path else key)
            elif isinstance(extra, Mapping):
                yield from _broken(value[key], extra, f"{path}[{key}]")


def _evaluated(rule: Json, value: Any, path: str) -> Iterator[FieldError]:
    """One rule; a list or an object is not shown in its error."""
    cel, field = _library(), path or "<nil>"
    words = (rule.get("message") or rule["rule"]).strip()
    try:
        with _deep_stack():
            holds = _program(rule["rule"]).evaluate({"self": cel.json_to_cel(value)})
        if cel.celtypes.BoolType(holds):
            return
    except cel.CELEvalError as problem:
        yield invalid(field, _type(value), f"{problem.args[0]} evaluating rule: {words}")
        return
    shown = ABSENT if isinstance(value, list | dict) else value
    detail = words if rule.get("message") else f"failed rule: {words}"
    yield _REASONS[rule.get("reason") or "FieldValueInvalid"](field, shown, detail)


def _type(value: Any) -> str:
    return {list: "array", dict: "object", bool: "boolean", int: "integer", float: "number"}.get(type(value), "string")


# --- the language


def _library() -> Any:
    try:
        return importlib.import_module("celpy")
    except ModuleNotFoundError:
        needed = "validation rules (CEL) without the library cel-python: pip install 'fakecluster[cel]'"
        raise Unsupported(needed) from None


@contextmanager
def _deep_stack() -> Iterator[None]:
    """The library walks an expression's tree by many calls for each level, and sets the limit itself for good."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, STACK_LIMIT))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@lru_cache(maxsize=1)
def _environment() -> Any:
    return _library().Environment()


@lru_cache(maxsize=1024)
def _program(rule: str) -> Any:
    environment = _environment()
    return environment.program(environment.compile(rule), functions=_functions())


@lru_cache(maxsize=1)
def _functions() -> Mapping[str, Callable[[Any], Any]]:
    """Kubernetes' own functions."""
    boolean = _library().celtypes.BoolType
    return {"isCIDR": lambda text: boolean(is_cidr(text)), "isIP": lambda text: boolean(is_ip(text))}


def is_ip(text: str) -> bool:
    """An address in strict words: no zone, no IPv4 in IPv6."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return "%" not in text and getattr(address, "ipv4_mapped", None) is None


def is_cidr(text: str) -> bool:
    """An address with the length of a prefix; bits behind the prefix may be set."""
    address, slash, length = text.partition("/")
    if not (slash and is_ip(address) and length.isascii() and length.isdigit()):
        return False
    return str(int(length)) == length and int(length) <= (128 if ":" in address else 32)


def _names(tree: Any) -> Iterator[str]:
    for node in tree.iter_subtrees():
        if node.data in ("ident", "member_dot", "member_dot_arg"):
            yield from (str(child) for child in node.children if isinstance(child, str))


def _called(tree: Any) -> Iterator[str]:
    for node in tree.iter_subtrees():
        if node.data in ("ident_arg", "member_dot_arg", "dot_ident_arg"):
            yield from (str(child) for child in node.children if isinstance(child, str))
