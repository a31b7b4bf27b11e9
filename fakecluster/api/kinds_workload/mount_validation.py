"""Validation of what containers do with volumes: mounts and block devices (pkg/apis/core/validation)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fakecluster.api.kinds_workload.field_checks import Errors, descending_path
from fakecluster.api.strategy import forbidden, invalid, not_found, not_supported, required

Json = dict[str, Any]


def validate_mounts(container: Json, volumes: Mapping[str, Json], field: str) -> Errors:
    """`volumeMounts` of one container; `volumes` are the Pod's usable ones."""
    errors: Errors = []
    points: set[str] = set()
    devices = {d.get("name", ""): d.get("devicePath", "") for d in container.get("volumeDevices") or ()}
    for number, mount in enumerate(container.get("volumeMounts") or ()):
        where, name, path = f"{field}[{number}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            errors.append(required(f"{where}.name"))
        if name not in volumes:
            errors.append(not_found(f"{where}.name", name))
        if not path:
            errors.append(required(f"{where}.mountPath"))
        if path in points:
            errors.append(invalid(f"{where}.mountPath", path, "must be unique"))
        points.add(path)
        if name in devices:
            errors.append(invalid(f"{where}.name", name, "must not already exist in volumeDevices"))
        if path in devices.values():
            why = "must not already exist as a path in volumeDevices"
            errors.append(invalid(f"{where}.mountPath", path, why))
        errors += _sub_paths(mount, field, where)
        errors += _propagation(mount, container, field)
        errors += _recursion(mount, f"{field}.recursiveReadOnly")
    return errors


def _sub_paths(mount: Json, field: str, where: str) -> Errors:
    errors: Errors = []
    path, expression = mount.get("subPath", ""), mount.get("subPathExpr", "")
    if path:
        errors += descending_path(f"{field}.subPath", path)
    if expression:
        if path:
            why = "subPathExpr and subPath are mutually exclusive"
            errors.append(invalid(f"{where}.subPathExpr", expression, why))
        errors += descending_path(f"{field}.subPathExpr", expression)
    return errors


def _propagation(mount: Json, container: Json, field: str) -> Errors:
    mode = mount.get("mountPropagation")
    if mode is None:
        return []
    where = f"{field}.mountPropagation"
    if mode not in ("Bidirectional", "HostToContainer", "None"):
        return [not_supported(where, mode, ("Bidirectional", "HostToContainer", "None"))]
    if mode == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        return [forbidden(where, "Bidirectional mount propagation is available only to privileged containers")]
    return []


def _recursion(mount: Json, field: str) -> Errors:
    """Mounts below a mount may be read-only too, where none of them is shared (KEP-3857)."""
    mode = mount.get("recursiveReadOnly")
    if mode is None or mode == "Disabled":
        return []
    if mode not in ("Enabled", "IfPossible"):
        return [not_supported(field, mode, ("Disabled", "Enabled", "IfPossible"))]
    errors: Errors = []
    if not mount.get("readOnly"):
        errors.append(forbidden(field, "may only be specified when readOnly is true"))
    if mount.get("mountPropagation") not in (None, "None"):
        errors.append(forbidden(field, "may only be specified when mountPropagation is None or not specified"))
    return errors


def validate_devices(container: Json, volumes: Mapping[str, Json], field: str) -> Errors:
    """`volumeDevices` of one container: block devices, from claims only."""
    errors: Errors = []
    seen_names: set[str] = set()
    seen_paths: set[str] = set()
    mounts = {m.get("name", ""): m.get("mountPath", "") for m in container.get("volumeMounts") or ()}
    for number, device in enumerate(container.get("volumeDevices") or ()):
        where, name, path = f"{field}[{number}]", device.get("name", ""), device.get("devicePath", "")
        if not name:
            errors.append(required(f"{where}.name"))
        if name in seen_names:
            errors.append(invalid(f"{where}.name", name, "must be unique"))
        volume = volumes.get(name)
        if volume is None:
            errors.append(not_found(f"{where}.name", name))
        elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
            why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            errors.append(invalid(f"{where}.name", name, why))
        if not path:
            errors.append(required(f"{where}.devicePath"))
        if path in seen_paths:
            errors.append(invalid(f"{where}.devicePath", path, "must be unique"))
        if ".." in path.split("/"):
            errors.append(invalid(f"{where}.devicePath", path, "can not contain backsteps ('..')"))
        else:
            seen_paths.add(path)
        if name in mounts:
            errors.append(invalid(f"{where}.name", name, "must not already exist in volumeMounts"))
        if path in mounts.values():
            why = "must not already exist as a path in volumeMounts"
            errors.append(invalid(f"{where}.devicePath", path, why))
        if name:
            seen_names.add(name)
    return errors
