"""What a Pod's operating system rules out (pkg/apis/core/validation: validateOS, validateLinux, validateWindows)."""

from __future__ import annotations

from typing import Any

from fakecluster.api.kinds_workload.field_checks import Errors, every_container
from fakecluster.api.strategy import forbidden, not_supported, required

Json = dict[str, Any]

_NOT_WINDOWS = "cannot be set for a windows pod"
_NOT_LINUX = "windows options cannot be set for a linux pod"
#: What Windows does not know, in the order of the checks; those of the first kind count when they are true.
_SWITCHES = ("hostPID", "hostIPC")
_OF_PODS = (
    *("securityContext.appArmorProfile", "securityContext.seLinuxOptions", "hostUsers", "hostPID", "hostIPC"),
    *("securityContext.seccompProfile", "securityContext.fsGroup", "securityContext.fsGroupChangePolicy"),
    *("securityContext.sysctls", "shareProcessNamespace", "securityContext.runAsUser", "securityContext.runAsGroup"),
    *("securityContext.supplementalGroups", "securityContext.supplementalGroupsPolicy"),
    "securityContext.seLinuxChangePolicy",
)
_OF_CONTAINERS = (
    *("appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged"),
    *("allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup"),
)


def validate_os(spec: Json, field: str) -> Errors:
    """`spec.os`, and the settings that only the other system has."""
    if spec.get("os") is None:
        return []
    name = spec["os"].get("name")
    if not name:
        return [required(f"{field}.os.name")]
    if name not in ("linux", "windows"):
        return [not_supported(f"{field}.os", name, ("linux", "windows"))]
    return _linux(spec, field) if name == "linux" else _windows(spec, field)


def _linux(spec: Json, field: str) -> Errors:
    owners = [(spec, field), *every_container(spec, field)]
    return [
        forbidden(f"{path}.securityContext.windowsOptions", _NOT_LINUX)
        for owner, path in owners
        if (owner.get("securityContext") or {}).get("windowsOptions") is not None
    ]


def _windows(spec: Json, field: str) -> Errors:
    context = spec.get("securityContext") or {}
    errors: Errors = []
    for path in _OF_PODS:
        value = context.get(path.partition(".")[2]) if "." in path else spec.get(path)
        if value is not None and (value or (path not in _SWITCHES and value != [])):
            errors.append(forbidden(f"{field}.{path}", _NOT_WINDOWS))
    for container, path in every_container(spec, field):
        own = container.get("securityContext") or {}
        given = [name for name in _OF_CONTAINERS if own.get(name) is not None]
        errors += [forbidden(f"{path}.securityContext.{name}", _NOT_WINDOWS) for name in given]
    return errors
