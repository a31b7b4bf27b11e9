"""Custom resources: objects whose structure a CustomResourceDefinition gives."""

from __future__ import annotations

import functools
from typing import Any

from fakecluster.api import schema
from fakecluster.api.resources import Resource
from fakecluster.api.scalars import Pass
from fakecluster.api.schema import META
from fakecluster.api.status import JsonObject
from fakecluster.api.type_tree import TypeNode, custom_type


class Unfit(Exception):
    """The object's metadata has values of wrong types."""


def decoded(resource: Resource, obj: Any) -> tuple[JsonObject, list[str]]:
    """A copy of a custom object without the fields that its schema does not know, and their paths."""
    found = Pass()
    clean: JsonObject = schema.copied(obj)
    meta = obj.get("metadata")
    clean["metadata"] = schema.decoder(META + "ObjectMeta")(meta if meta is not None else {}, found)
    if found.bad:
        raise Unfit
    clean.setdefault("apiVersion", resource.api_version)
    clean.setdefault("kind", resource.kind)
    return clean, resource.custom.prune(clean)


def type_node(resource: Resource) -> TypeNode:
    """How fields of a custom resource are owned and merged."""
    return _type_of(resource.custom)


@functools.lru_cache(maxsize=256)
def _type_of(version: Any) -> TypeNode:
    # by the version itself: resources are equal before and after a change of their definition's schema
    return custom_type(version.schema)
