"""The structure of every kind, compiled into functions that check, clean and copy an object in one pass.

The schemas are those of a 1.36 server's OpenAPI documents. What Go's types do to an object on its way through the
server is done here as well: nulls and unknown fields vanish, so do empty optional values (`omitempty`), and structures
that are not pointers appear even when they are empty. The fast pass notes only *that* something is wrong; diagnose.py
then finds the words.
"""

from __future__ import annotations

import functools
import json
import lzma
from collections.abc import Callable
from importlib import resources as package_files
from typing import Any

from fakecluster.api import scalars
from fakecluster.api.pointers import BARE_LISTS, PLAIN_TIMES, keeps_zero
from fakecluster.api.scalars import Decode, Pass
from fakecluster.api.status import JsonObject

Schema = dict[str, Any]
PREFIX = "#/components/schemas/"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"


@functools.cache
def definitions() -> dict[str, Schema]:
    """Every definition by its full name."""
    packed = package_files.files("fakecluster.api").joinpath("data/schemas-1.36.json.xz").read_bytes()
    found: dict[str, Schema] = json.loads(lzma.decompress(packed))
    return found


@functools.cache
def _names() -> dict[tuple[str, str], str]:
    names: dict[tuple[str, str], str] = {}
    for name, schema in definitions().items():
        for gvk in schema.get("x-kubernetes-group-version-kind", ()):
            api_version = f"{gvk['group']}/{gvk['version']}" if gvk["group"] else gvk["version"]
            names.setdefault((api_version, gvk["kind"]), name)
    return names


def definition_name(api_version: str, kind: str) -> str | None:
    """The full name of a kind's definition; None when the schema has none."""
    return _names().get((api_version, kind))


def resolve(schema: Schema) -> Schema:
    """Follow `$ref` and the one-element `allOf` that carries a reference beside a default."""
    while True:
        if "$ref" in schema:
            schema = definitions()[schema["$ref"].removeprefix(PREFIX)]
        elif "allOf" in schema and "properties" not in schema:
            schema = schema["allOf"][0]
        else:
            return schema


def reference(schema: Schema) -> str:
    """The name of the definition that a property refers to; empty for inline types."""
    target = schema["allOf"][0] if "allOf" in schema else schema
    ref: str = target.get("$ref", "")
    return ref.removeprefix(PREFIX)


@functools.cache
def decoder(name: str) -> Decode:
    """The compiled pass of a definition."""
    special = SPECIAL.get(name)
    if special is not None:
        return special
    _under_way.add(name)
    run = _compile(definitions()[name], name)
    _under_way.discard(name)
    return run


_under_way: set[str] = set()


def decode(
    api_version: str, kind: str, obj: JsonObject, known: dict[int, Any] | None = None
) -> tuple[JsonObject, Pass]:
    """A clean copy of an object of a kind, and what the pass met."""
    name = definition_name(api_version, kind)
    found = Pass(known=known)
    decoded = (decoder(name) if name else _free_form)(obj, found)
    return decoded, found


def empty_status(resource: Any) -> Any:
    """What the status of a new object of a kind looks like; None when it has none until somebody writes one."""
    name = definition_name(resource.api_version, resource.kind)
    prop = definitions()[name]["properties"].get("status") if name else None
    if prop is None or "default" not in prop:
        return None
    return _compile(prop, "")({}, Pass())


def _compile(schema: Schema, owner: str) -> Decode:
    ref = reference(schema)
    if ref:
        return _late(ref)
    if "x-kubernetes-int-or-string" in schema or "oneOf" in schema:
        return _anything
    kind = schema.get("type")
    if kind == "object":
        if "properties" in schema:
            return _struct(schema, owner)
        if "additionalProperties" in schema:
            values = schema["additionalProperties"]
            return _map(_compile(values, owner), _map_zero(values))
        return _raw_object
    if kind == "array":
        return _list(_compile(schema["items"], owner))
    return scalars.SCALARS.get((kind or "", schema.get("format", "")), scalars.SCALARS.get((kind or "", ""), _anything))


def _late(name: str) -> Decode:
    """A reference; one that leads back to a definition under way is compiled at its first use."""
    if name not in _under_way:
        return decoder(name)

    def run(value: Any, found: Pass) -> Any:
        return decoder(name)(value, found)

    return run


def _struct(schema: Schema, owner: str) -> Decode:
    fields: dict[str, tuple[Decode, bool]] = {}
    always: list[tuple[str, Callable[[], Any]]] = []
    arrays: list[str] = []  # required lists: empty ones become null on their way through the store
    for key, prop in schema["properties"].items():
        run = _compile(prop, f"{owner}.{key}")
        fields[key] = (run, _omits_zero(owner, key, prop))
        if "default" in prop and prop["default"] in ({}, "", 0, False):
            always.append((key, _zero_maker(prop, run)))
        elif _is_bare_list(schema, owner, key):
            arrays.append(key)
        if _is_plain_time(owner, key, prop):
            always.append((key, _nothing))

    def run_struct(value: Any, found: Pass) -> Any:
        if value.__class__ is not dict:
            found.bad = True
            return {}
        out = {}
        for key, item in value.items():
            field = fields.get(key)
            if field is None:
                found.unknown = True
            elif item is not None:
                item = field[0](item, found)
                if item or not field[1] or key in arrays:
                    out[key] = item
        for key in arrays:
            if key not in out:
                out[key] = None
        for key, make in always:
            if key not in out:
                out[key] = make()
        return out

    return run_struct


@functools.lru_cache(maxsize=256)
def required_lists(api_version: str, kind: str) -> tuple[str, ...]:
    """The top-level lists of a kind that are null in the store when they are empty."""
    name = definition_name(api_version, kind)
    found = definitions()[name] if name else {}
    return tuple(key for key in found.get("properties", ()) if name and _is_bare_list(found, name, key))


def _is_bare_list(schema: Schema, owner: str, key: str) -> bool:
    """Lists without `omitempty`: absent ones appear as null."""
    if schema["properties"][key].get("type") != "array":
        return False
    return key in schema.get("required", ()) or key in BARE_LISTS.get(owner.rpartition(".")[2], ())


def _nothing() -> None:
    return None


def _is_plain_time(owner: str, key: str, prop: Schema) -> bool:
    """Times that are no pointers in Go: they appear as null when they are not set."""
    kind = owner.rpartition(".")[2]
    return reference(prop) in (META + "Time", META + "MicroTime") and (
        kind.endswith("Condition") or key in PLAIN_TIMES.get(kind, ())
    )


def _omits_zero(owner: str, key: str, prop: Schema) -> bool:
    if "default" in prop or (reference(prop) and "properties" in resolve(prop)):
        return False
    return not keeps_zero(owner, key, resolve(prop))


def _zero_maker(prop: Schema, run: Decode) -> Callable[[], Any]:
    if reference(prop) and "properties" in resolve(prop):
        return lambda: run({}, Pass())
    zero = prop["default"]
    return lambda: zero


def _map(each: Decode, zero: Any) -> Decode:
    def run(value: Any, found: Pass) -> Any:
        if value.__class__ is not dict:
            found.bad = True
            return {}
        return {key: each(zero, found) if item is None else each(item, found) for key, item in value.items()}

    return run


def _map_zero(values: Schema) -> Any:
    """What a null in a map stands for: the zero of its values."""
    ref = reference(values)
    if ref is not None and ref.endswith(".Quantity"):
        return "0"
    kind = resolve(values).get("type")
    return {"object": {}, "array": [], "integer": 0, "number": 0, "boolean": False}.get(kind or "", "")


def _list(each: Decode) -> Decode:
    def run(value: Any, found: Pass) -> Any:
        if value.__class__ is not list:
            found.bad = True
            return []
        known = found.known
        if known is None:
            return [each(item, found) for item in value]
        return [known[id(item)] if id(item) in known else each(item, found) for item in value]

    return run


def _schemas(value: Any, found: Pass) -> Any:
    """In a schema: another one, or a list of them where items differ (a JSONSchemaPropsOrArray)."""
    each = decoder(SCHEMA)
    return [each(item, found) for item in value] if value.__class__ is list else each(value, found)


def _schema_or_boolean(value: Any, found: Pass) -> Any:
    return value if value.__class__ is bool else decoder(SCHEMA)(value, found)


def _anything(value: Any, found: Pass) -> Any:
    return copied(value)


def _raw_object(value: Any, found: Pass) -> Any:
    if value.__class__ is not dict:
        found.bad = True
        return {}
    return copied(value)


def _free_form(obj: Any, found: Pass) -> Any:
    """A kind that the schema does not have: only its metadata is checked."""
    if obj.__class__ is not dict:
        found.bad = True
        return {}
    out: JsonObject = copied(obj)
    out["metadata"] = decoder(META + "ObjectMeta")(obj.get("metadata") or {}, found)
    return out


def copied(value: Any) -> Any:
    """A deep copy of plain JSON."""
    if value.__class__ is dict:
        return {key: copied(item) for key, item in value.items()}
    if value.__class__ is list:
        return [copied(item) for item in value]
    return value


#: Definitions that are one value to everybody else, whatever they look like inside.
OPAQUE = frozenset(
    (
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
        "io.k8s.apimachinery.pkg.api.resource.Quantity",
        META + "Time",
        META + "MicroTime",
    )
)
SPECIAL: dict[str, Decode] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": scalars.int_or_string,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": scalars.quantity,
    SCHEMA + "OrArray": _schemas,
    SCHEMA + "OrBool": _schema_or_boolean,
    META + "FieldsV1": _raw_object,
    META + "Time": scalars.time,
    META + "MicroTime": scalars.micro_time,
}
