"""Writes of Pods through `ephemeralcontainers` and `resize` (pkg/registry/core/pod/strategy.go and validation)."""

from __future__ import annotations

from typing import Any

from fakecluster.api.kinds_workload.field_checks import Errors
from fakecluster.api.kinds_workload.internal_types import difference
from fakecluster.api.kinds_workload.pod_admission import MIRROR
from fakecluster.api.kinds_workload.pod_strategy import qos_class
from fakecluster.api.kinds_workload.pod_validation import validate_pod_and_spec
from fakecluster.api.strategy import Request, forbidden, invalid, invalid_object

Json = dict[str, Any]

_RESIZABLE = ("cpu", "memory")
_RESIZE_FIELDS = ("resources", "resizePolicy")


def write_ephemeral_containers(new: Json, old: Json, request: Request) -> None:
    """Take nothing of `new` but its ephemeral containers; those that exist stay as they are."""
    wanted = new["spec"].get("ephemeralContainers")
    _reset(new, old, {**old["spec"]})
    new["spec"].pop("ephemeralContainers", None)
    if wanted:
        new["spec"]["ephemeralContainers"] = wanted
    errors = validate_pod_and_spec(new)
    if MIRROR in (old["metadata"].get("annotations") or {}):
        errors = [forbidden("", "static pods do not support ephemeral containers")]
    else:
        errors += _kept_containers(wanted or [], old["spec"].get("ephemeralContainers") or [])
    _finish(new, old, request, errors)


def _kept_containers(new: list[Json], old: list[Json]) -> Errors:
    by_name = {container.get("name"): container for container in new}
    errors: Errors = []
    for before in old:
        name, after = before.get("name"), by_name.get(before.get("name"))
        if after is None:
            why = f'existing ephemeral containers "{name}" may not be removed\n'
            errors.append(forbidden("spec.ephemeralContainers", why))
        elif after != before:
            diff = difference(before, after, "EphemeralContainer")
            why = f'existing ephemeral containers "{name}" may not be changed\n{diff}'
            errors.append(forbidden("spec.ephemeralContainers", why))
    return errors


def write_resize(new: Json, old: Json, request: Request) -> None:
    """Take nothing of `new` but the resources of its containers (KEP-1287)."""
    spec = {**old["spec"]}
    for kind in ("initContainers", "containers"):
        wanted = {container.get("name"): container for container in new["spec"].get(kind) or ()}
        if kind in spec:
            spec[kind] = [_resized(container, wanted.get(container["name"])) for container in spec[kind]]
    _reset(new, old, spec)
    errors = validate_pod_and_spec(new)
    if MIRROR in (old["metadata"].get("annotations") or {}):
        errors = [forbidden("", "static pods cannot be resized")]
    else:
        errors += _resize_errors(new, old)
    _finish(new, old, request, errors)


def _resized(container: Json, wanted: Json | None) -> Json:
    if wanted is None:
        return container
    kept = {key: value for key, value in container.items() if key not in _RESIZE_FIELDS}
    return kept | {key: value for key, value in wanted.items() if key in _RESIZE_FIELDS}


def _resize_errors(new: Json, old: Json) -> Errors:
    errors: Errors = []
    before = (old.get("status") or {}).get("qosClass") or qos_class(old["spec"])
    if qos_class(new["spec"]) != before:
        errors.append(invalid("spec", before, "Pod QOS Class may not change as a result of resizing"))
    for kind in ("initContainers", "containers"):
        pairs = zip(new["spec"].get(kind) or (), old["spec"].get(kind) or (), strict=True)
        for number, (after, container) in enumerate(pairs):
            if kind == "initContainers" and container.get("restartPolicy") != "Always":
                if after != container:
                    errors.append(forbidden("spec", "resources for non-sidecar init containers are immutable"))
                continue
            errors += _container_resize(after, container, f"spec.{kind}[{number}].resources")
    return errors


def _container_resize(new: Json, old: Json, field: str) -> Errors:
    errors: Errors = []
    for part in ("requests", "limits"):
        after, before = ((c.get("resources") or {}).get(part) or {} for c in (new, old))
        if any(name not in after for name in before):
            errors.append(forbidden(f"{field}.{part}", f"resource {part} cannot be removed"))
        changed = {name for name in {*after, *before} if after.get(name) != before.get(name)}
        if any(name not in _RESIZABLE for name in changed):
            errors.append(forbidden("spec", "only cpu and memory resources are mutable"))
    return errors + _memory_limit(new, old, field)


def _memory_limit(new: Json, old: Json, field: str) -> Errors:
    """A memory limit where there was none is a lower one, and that needs a restart."""
    after, before = (((c.get("resources") or {}).get("limits") or {}).get("memory") for c in (new, old))
    policies = {p.get("resourceName"): p.get("restartPolicy") for p in new.get("resizePolicy") or ()}
    if after is None or before is not None or policies.get("memory") == "RestartContainer":
        return []
    why = "memory limits cannot be added unless resizePolicy is RestartContainer"
    return [forbidden(f"{field}.limits[memory]", why)]


def _reset(new: Json, old: Json, spec: Json) -> None:
    new["spec"] = spec
    if "status" in old:
        new["status"] = old["status"]


def _finish(new: Json, old: Json, request: Request, errors: Errors) -> None:
    if errors:
        raise invalid_object(request.resource, request.name, errors)
    if new["spec"] != old["spec"]:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
