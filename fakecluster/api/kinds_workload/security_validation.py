"""Validation of the security contexts of Pods and containers (pkg/apis/core/validation)."""

from __future__ import annotations

import re
from typing import Any

from fakecluster.api.kinds_workload.field_checks import (
    MAX_INT32,
    Errors,
    between,
    descending_path,
    every_container,
)
from fakecluster.api.kinds_workload.internal_types import internal
from fakecluster.api.strategy import duplicate, forbidden, invalid, not_supported, required, too_long

Json = dict[str, Any]

_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = rf"({_SYSCTL_SEGMENT}[\./])*{_SYSCTL_SEGMENT}"
_SYSCTL_LENGTH = 253
_PATH_LENGTH = 4095
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "fs.mqueue.")


def validate_pod_security(context: Json, spec: Json, field: str) -> Errors:
    """`spec.securityContext`; `spec` carries the host namespaces that some settings clash with."""
    errors = _user_and_groups(context, field, ("fsGroup", "runAsUser", "runAsGroup"))
    for number, group in enumerate(context.get("supplementalGroups") or ()):
        errors += between(f"{field}.supplementalGroups[{number}]", group, 0, MAX_INT32)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        why = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.append(invalid(f"{field}.shareProcessNamespace", True, why))
    errors += _sysctls(context.get("sysctls") or [], spec, f"{field}.sysctls")
    errors += _word(context, "fsGroupChangePolicy", ("Always", "OnRootMismatch"), field)
    for name in _PROGRAMS:
        errors += _profile(context, field, name)
    errors += _word(context, "supplementalGroupsPolicy", ("Merge", "Strict"), field)
    return errors + _word(context, "seLinuxChangePolicy", ("MountOption", "Recursive"), field)


def _word(context: Json, name: str, allowed: tuple[str, ...], field: str) -> Errors:
    word = context.get(name)
    return [] if word is None or word in allowed else [not_supported(f"{field}.{name}", word, allowed)]


def validate_container_security(context: Json, field: str, *, host_users: bool) -> Errors:
    """`securityContext` of one container."""
    errors = _user_and_groups(context, field, ("runAsUser", "runAsGroup"))
    errors += _word(context, "procMount", ("Default", "Unmasked"), field)
    if host_users and context.get("procMount") == "Unmasked":
        errors.append(invalid(f"{field}.procMount", "Unmasked", "`hostUsers` must be false to use `Unmasked`"))
    errors += _profile(context, field, "seccompProfile")
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            errors.append(invalid(field, internal(context, "Security"), why))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            errors.append(invalid(field, internal(context, "Security"), why))
    return errors + _profile(context, field, "appArmorProfile")


#: As an error names them, and as the wire does.
_HOST_NAMESPACES = (("hostNetwork", "hostNetwork"), ("HostPID", "hostPID"), ("HostIPC", "hostIPC"))


def validate_host_users(spec: Json, field: str) -> Errors:
    """A Pod with a user namespace of its own shares no other namespace with its node (KEP-127)."""
    if spec.get("hostUsers") is not False:
        return []
    shared = [shown for shown, name in _HOST_NAMESPACES if spec.get(name)]
    devices = [
        f"{path[len(field) + 1 :]}.volumeDevices" for c, path in every_container(spec, field) if c.get("volumeDevices")
    ]
    return [forbidden(f"{field}.{name}", "when `hostUsers` is false") for name in (*shared, *devices)]


def _user_and_groups(context: Json, field: str, ids: tuple[str, ...]) -> Errors:
    errors: Errors = []
    for name in ids:
        errors += between(f"{field}.{name}", context.get(name), 0, MAX_INT32)
    return errors


_PROGRAMS = {"seccompProfile": "seccomp", "appArmorProfile": "AppArmor"}


def _profile(context: Json, owner: str, name: str) -> Errors:
    profile, field, program = context.get(name), f"{owner}.{name}", _PROGRAMS[name]
    if profile is None:
        return []
    kind, path = profile.get("type", ""), profile.get("localhostProfile")
    errors: Errors = []
    if not kind:
        errors.append(required(f"{field}.type", f"type is required when {name} is set"))
    elif kind not in _PROFILES:
        errors.append(not_supported(f"{field}.type", kind, _PROFILES))
    where = f"{field}.localhostProfile"
    if kind == "Localhost":
        if path is None or (program == "AppArmor" and not path):
            errors.append(required(where, f"must be set when {program} type is Localhost"))
        elif program == "seccomp":
            errors += descending_path(where, path)
        else:
            if path != path.strip():
                errors.append(invalid(where, path, "must not be padded with whitespace"))
            if len(path.encode()) > _PATH_LENGTH:
                errors.append(too_long(where, _PATH_LENGTH))
    elif path is not None and (program == "seccomp" or kind in _PROFILES):
        value = internal(profile, "Profile") if program == "seccomp" else path
        errors.append(invalid(where, value, f"can only be set when {program} type is Localhost"))
    return errors


def _sysctls(settings: list[Json], spec: Json, field: str) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    for number, setting in enumerate(settings):
        name, where = setting.get("name", ""), f"{field}[{number}].name"
        if not name:
            errors.append(required(where))
        elif len(name) > _SYSCTL_LENGTH or not re.fullmatch(_SYSCTL, name):
            why = f"must have at most {_SYSCTL_LENGTH} characters and match regex ^{_SYSCTL}$"
            errors.append(invalid(where, name, why))
        elif name in seen:
            errors.append(duplicate(where, name))
        dotted = name.replace("/", ".")
        if spec.get("hostNetwork") and dotted.startswith("net."):
            errors.append(invalid(where, name, "may not be specified when 'hostNetwork' is true"))
        elif spec.get("hostIPC") and (dotted.startswith(_IPC_SYSCTLS) or dotted == "kernel.sem"):
            errors.append(invalid(where, name, "may not be specified when 'hostIPC' is true"))
        seen.add(name)
    return errors
