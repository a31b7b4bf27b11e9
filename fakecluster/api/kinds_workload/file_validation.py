"""Validation of volumes that are made of files: from a ConfigMap, a Secret or the Pod itself (pkg/apis/core/validation)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.api.kinds_workload.env_validation import VOLUME_FIELDS, field_reference, resource_reference
from fakecluster.api.kinds_workload.field_checks import Errors, file_mode, file_path
from fakecluster.api.strategy import invalid, required

Json = dict[str, Any]


def needs(*fields: str) -> Callable[[Json, str], Errors]:
    """A check that wants these fields."""
    return lambda source, field: [required(f"{field}.{name}") for name in fields if not source.get(name)]


def files(source: Json, field: str) -> Errors:
    errors = file_mode(f"{field}.defaultMode", source.get("defaultMode"))
    for number, item in enumerate(source.get("items") or ()):
        errors += key_to_path(item, f"{field}.items[{number}]")
    return errors


def key_to_path(item: Json, field: str) -> Errors:
    errors = needs("key", "path")(item, field) + file_path(f"{field}.path", item.get("path", ""))
    return errors + file_mode(f"{field}.mode", item.get("mode"))


def downward_api(source: Json, field: str) -> Errors:
    errors = file_mode(f"{field}.defaultMode", source.get("defaultMode"))
    for item in source.get("items") or ():  # the server names the volume here, not the item
        errors += downward_file(item, field)
    return errors


def downward_file(item: Json, field: str) -> Errors:
    errors = needs("path")(item, field) + file_path(f"{field}.path", item.get("path", ""))
    about_pod, about_resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if about_pod is not None:
        errors += field_reference(about_pod, f"{field}.fieldRef", VOLUME_FIELDS)
        if about_resource is not None:
            why = "fieldRef and resourceFieldRef can not be specified simultaneously"
            errors.append(invalid(field, "resource", why))
    elif about_resource is not None:
        errors += resource_reference(about_resource, f"{field}.resourceFieldRef", container_needed=True)
    else:
        errors.append(required(field, "one of fieldRef and resourceFieldRef is required"))
    return errors + file_mode(f"{field}.mode", item.get("mode"))
