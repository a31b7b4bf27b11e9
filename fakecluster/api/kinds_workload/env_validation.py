"""Validation of a container's environment (pkg/apis/core/validation: ValidateEnv, ValidateEnvFrom)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.api import names
from fakecluster.api.kinds_workload.field_checks import Errors, descending_path, named, required_name
from fakecluster.api.strategy import invalid, not_supported, required

Json = dict[str, Any]

#: What a variable may tell about its own Pod.
ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
#: What a file of a downward API volume may tell about its own Pod.
VOLUME_FIELDS = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
#: Every path that can be named at all, in a variable or a file.
_KNOWN_FIELDS = {*ENV_FIELDS, *VOLUME_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase"}
RESOURCE_FIELDS = tuple(
    f"{part}.{name}" for part in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory")
)
_SIZES = ("1", *(f"1{unit}" for unit in ("k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")))
_SIZE_TEXT = ", ".join(_SIZES)
#: resource -> (divisors, what the message calls it)
_DIVISORS = {
    "cpu": (("1m", "1"), "only divisor's values 1m and 1 are supported with the cpu resource"),
    "memory": (_SIZES, f"only divisor's values {_SIZE_TEXT} are supported with the memory resource"),
    "ephemeral-storage": (
        _SIZES,
        f"only divisor's values {_SIZE_TEXT} are supported with the local ephemeral storage resource",
    ),
}
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def env_name(text: str) -> list[str]:
    """Complaints about a variable's name (KEP-4369: any printable ASCII but '=')."""
    if text and all(" " <= c <= "~" and c != "=" for c in text):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def validate_env(variables: list[Json], field: str) -> Errors:
    errors: Errors = []
    for number, variable in enumerate(variables):
        errors += required_name(f"{field}[{number}].name", variable.get("name", ""), env_name)
        if variable.get("valueFrom") is not None:
            errors += _value_from(variable, f"{field}[{number}].valueFrom")
    return errors


def validate_env_from(sources: list[Json], field: str) -> Errors:
    errors: Errors = []
    for number, source in enumerate(sources):
        if source.get("prefix"):
            errors += named(f"{field}[{number}].prefix", source["prefix"], env_name)
        given = [name for name in ("configMapRef", "secretRef") if source.get(name) is not None]
        for name in given:
            where = f"{field}[{number}].{name}.name"
            errors += required_name(where, source[name].get("name", ""), names.dns_subdomain)
        if not given:
            errors.append(invalid(field, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(given) > 1:
            errors.append(invalid(field, "", "may not have more than one field specified at a time"))
    return errors


def _value_from(variable: Json, field: str) -> Errors:
    source = variable["valueFrom"]
    given = [name for name in _SOURCES if source.get(name) is not None]
    errors: Errors = []
    for name in given:
        errors += _SOURCE_CHECKS[name](source[name], f"{field}.{name}")
    if not given:
        *most, last = (f"`{name}`" for name in _SOURCES)
        errors.append(invalid(field, "", f"must specify one of: {', '.join(most)} or {last}"))
    elif variable.get("value"):
        errors.append(invalid(field, "", "may not be specified when `value` is not empty"))
    elif len(given) > 1:
        errors.append(invalid(field, "", "may not have more than one field specified at a time"))
    return errors


def field_reference(reference: Json, field: str, allowed: tuple[str, ...] = ENV_FIELDS) -> Errors:
    """A reference to a field of the Pod itself: `metadata.labels['key']`, `status.podIP`, ..."""
    if not reference.get("apiVersion"):
        return [required(f"{field}.apiVersion")]
    path = reference.get("fieldPath", "")
    if not path:
        return [required(f"{field}.fieldPath")]
    if reference["apiVersion"] != "v1":
        why = f"error converting fieldPath: unsupported pod version: {reference['apiVersion']}"
        return [invalid(f"{field}.fieldPath", path, why)]
    base, subscript = _subscript(path)
    if subscript is not None and base in ("metadata.annotations", "metadata.labels"):
        key = subscript.lower() if base == "metadata.annotations" else subscript
        return named(field, key, names.qualified_name)
    if subscript is not None or path not in _KNOWN_FIELDS:
        reason = "not supported" if subscript is None else "does not support subscript"
        return [invalid(f"{field}.fieldPath", path, f"error converting fieldPath: field label {reason}: {path}")]
    if path not in allowed:
        return [not_supported(f"{field}.fieldPath", path, allowed)]
    return []


def _subscript(path: str) -> tuple[str, str | None]:
    """`metadata.labels['a']` -> ("metadata.labels", "a")."""
    base, bracket, rest = path.partition("['")
    if not bracket or not rest.endswith("']"):
        return path, None
    return base, rest[:-2]


def resource_reference(reference: Json, field: str, *, container_needed: bool = False) -> Errors:
    """A reference to a limit or a request of a container."""
    resource = reference.get("resource", "")
    errors: Errors = []
    if container_needed and not reference.get("containerName"):
        errors.append(required(f"{field}.containerName"))
    elif not resource:
        errors.append(required(f"{field}.resource"))
    elif resource not in RESOURCE_FIELDS and not resource.startswith(("limits.hugepages-", "requests.hugepages-")):
        errors.append(not_supported(f"{field}.resource", resource, RESOURCE_FIELDS))
    divisors, why = _DIVISORS.get(resource.partition(".")[2], (None, ""))
    if divisors is not None and reference.get("divisor", "0") not in ("0", *divisors):
        errors.append(invalid(f"{field}.divisor", resource, why))
    return errors


def _key_reference(reference: Json, field: str) -> Errors:
    key = required_name(f"{field}.key", reference.get("key", ""), names.config_key)
    return named(f"{field}.name", reference.get("name", ""), names.dns_subdomain) + key


def _file_reference(reference: Json, field: str) -> Errors:
    errors = required_name(f"{field}.key", reference.get("key", ""), env_name)
    errors += required_name(f"{field}.volumeName", reference.get("volumeName", ""), names.dns_label)
    path = reference.get("path", "")
    return errors + (descending_path(f"{field}.path", path) if path else [required(f"{field}.path")])


_SOURCE_CHECKS: dict[str, Callable[[Json, str], Errors]] = {
    "fieldRef": field_reference,
    "resourceFieldRef": resource_reference,
    "configMapKeyRef": _key_reference,
    "secretKeyRef": _key_reference,
    "fileKeyRef": _file_reference,
}
