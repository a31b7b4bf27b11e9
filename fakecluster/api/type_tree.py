"""What merging needs to know of a type: which lists have keys, which values are one piece (structured-merge-diff)."""

from __future__ import annotations

import functools
from typing import Any

import attrs

from fakecluster.api import schema as schemas
from fakecluster.api.schema import Schema

SCALAR, LIST, MAP, STRUCT, DEDUCED = "scalar", "list", "map", "struct", "deduced"


@attrs.define(eq=False)
class TypeNode:
    """One type: `atomic` values are owned and compared whole; a list has `keys` (map), or is a set, or is atomic."""

    kind: str
    atomic: bool = False
    scalar: str = "untyped"  # string numeric boolean untyped, for scalars
    keys: tuple[str, ...] = ()
    key_defaults: dict[str, Any] = attrs.field(factory=dict)
    source: Schema = attrs.field(factory=dict, repr=False)
    _fields: dict[str, TypeNode] = attrs.field(factory=dict, repr=False)

    def field(self, name: str) -> TypeNode:
        """The type of a member of a struct or map (deduced when the type does not know it)."""
        if self.kind == DEDUCED:
            return self
        node = self._fields.get(name)
        if node is None:
            node = self._fields[name] = self._find(name)
        return node

    def declares(self, name: str) -> bool:
        """Whether a struct has this field by name (free maps have none)."""
        return self.kind == STRUCT and name in self.source.get("properties", ())

    def _find(self, name: str) -> TypeNode:
        prop = self.source.get("properties", {}).get(name)
        if prop is None:
            prop = self.source.get("additionalProperties")
        return node_for(prop) if isinstance(prop, dict) and prop else ANYTHING

    @property
    def element(self) -> TypeNode:
        """The type of a list's items."""
        if self.kind == DEDUCED:
            return self
        node = self._fields.get("[]")
        if node is None:
            items = self.source.get("items")
            node = self._fields["[]"] = node_for(items) if items else ANYTHING
        return node


ANYTHING = TypeNode(DEDUCED)
ONE_PIECE = TypeNode(SCALAR)
#: JSON schema type -> the scalar of that type
TYPED = {
    "string": TypeNode(SCALAR, scalar="string"),
    "integer": TypeNode(SCALAR, scalar="numeric"),
    "number": TypeNode(SCALAR, scalar="numeric"),
    "boolean": TypeNode(SCALAR, scalar="boolean"),
}


@functools.lru_cache(maxsize=4096)
def _by_definition(name: str) -> TypeNode:
    if name in schemas.OPAQUE:
        return TYPED["string"] if name.startswith(schemas.META) else ONE_PIECE
    return _build(schemas.definitions()[name], schemas.definitions()[name])


def node_for(prop: Schema) -> TypeNode:
    """The type of a property; what stands beside a reference (list, map type) counts more than what it refers to."""
    name = schemas.reference(prop)
    if not name:
        return _build(prop, prop)
    node = _by_definition(name)
    map_type = prop.get("x-kubernetes-map-type")
    if map_type is not None and (map_type == "atomic") != node.atomic:
        return attrs.evolve(node, atomic=map_type == "atomic")
    return node


def _build(schema: Schema, outer: Schema) -> TypeNode:
    kind = schema.get("type")
    if "x-kubernetes-int-or-string" in schema or "oneOf" in schema:
        return ONE_PIECE
    if kind in TYPED:
        return TYPED[kind]
    atomic = outer.get("x-kubernetes-map-type") == "atomic"
    if kind == "array":
        return _list(schema)
    if "properties" in schema and not (schema.get("x-kubernetes-preserve-unknown-fields") and not schema["properties"]):
        return TypeNode(STRUCT, atomic, source=schema)
    if schema.get("additionalProperties"):
        return TypeNode(MAP, atomic, source=schema)
    return ANYTHING


def _list(schema: Schema) -> TypeNode:
    kind = schema.get("x-kubernetes-list-type", "atomic")
    if kind == "map":
        properties = schemas.resolve(schema["items"]).get("properties", {})
        keys = tuple(sorted(schema["x-kubernetes-list-map-keys"]))
        defaults = {key: properties[key]["default"] for key in keys if "default" in properties.get(key, {})}
        return TypeNode(LIST, keys=keys, key_defaults=defaults, source=schema)
    return TypeNode(LIST, atomic=kind != "set", source=schema)


@functools.lru_cache(maxsize=512)
def type_of(api_version: str, kind: str) -> TypeNode:
    """The type of a built-in kind."""
    name = schemas.definition_name(api_version, kind)
    return _by_definition(name) if name else ANYTHING


def custom_type(schema: Schema) -> TypeNode:
    """The type of a custom resource: its own schema, with the metadata that every object has."""
    properties = dict(schema.get("properties") or {})
    properties["metadata"] = {"$ref": schemas.PREFIX + schemas.META + "ObjectMeta"}
    properties |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    return node_for({**schema, "type": "object", "properties": properties})
