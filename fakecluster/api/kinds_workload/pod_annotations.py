"""Annotations of Pods that mean something to the server: checked, and AppArmor's turned into fields.

Sources: kubernetes pkg/apis/core/validation (ValidatePodSpecificAnnotations), pkg/registry/core/pod/strategy.go
(applyAppArmorVersionSkew), pkg/apis/core/helper (GetDeletionCostFromPodAnnotations).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fakecluster.api.kinds_workload.field_checks import Errors, descending_path, every_container
from fakecluster.api.kinds_workload.pod_admission import MIRROR
from fakecluster.api.strategy import FieldError, Request, forbidden, invalid

Json = dict[str, Any]
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
SECCOMP_POD, SECCOMP_CONTAINER = (
    "seccomp.security.alpha.kubernetes.io/pod",
    "container.seccomp.security.alpha.kubernetes.io/",
)
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
LOCAL = "localhost/"
_COST = re.compile(r"-?[0-9]+", re.ASCII)


def validate_annotations(annotations: dict[str, str], spec: Json, field: str) -> Errors:
    """The annotations of a Pod or of a template; `field` is their place."""
    errors: Errors = []
    if MIRROR in annotations and not spec.get("nodeName"):
        why = "must set spec.nodeName if mirror pod annotation is set"
        errors.append(invalid(f"{field}[{MIRROR}]", annotations[MIRROR], why))
    if DELETION_COST in annotations and not is_deletion_cost(annotations[DELETION_COST]):
        errors.append(invalid(f"{field}[{DELETION_COST}]", annotations[DELETION_COST], "must be a 32bit integer"))
    for key in sorted(annotations):
        if key == SECCOMP_POD or key.startswith(SECCOMP_CONTAINER):
            errors += _seccomp(annotations[key], f"{field}.{key}")
    for key in sorted(annotations):
        if key.startswith(APPARMOR):
            errors += _apparmor(key, annotations[key], spec, field)
    return errors


def is_deletion_cost(text: str) -> bool:
    """A 32-bit integer without a plus sign or leading zeros."""
    if not _COST.fullmatch(text) or (text[0] == "0" and text != "0"):
        return False
    return -(1 << 31) <= int(text) < 1 << 31


def _seccomp(profile: str, field: str) -> Errors:
    if profile in ("runtime/default", "docker/default", "unconfined"):
        return []
    if profile.startswith(LOCAL):
        return descending_path(field, profile.removeprefix(LOCAL))
    return [invalid(field, profile, "must be a valid seccomp profile")]


def _apparmor(key: str, profile: str, spec: Json, field: str) -> Iterator[FieldError]:
    name = key.removeprefix(APPARMOR)
    known = [container.get("name") for container, _ in every_container(spec, "")]
    if name not in known:
        yield invalid(f"{field}[{key}]", name, "container not found")
    if profile not in ("", "runtime/default", "unconfined") and not profile.startswith(LOCAL):
        yield invalid(f"{field}[{key}]", profile, f'invalid AppArmor profile name: "{profile}"')


def annotation_changes(new: Json, old: Json) -> Errors:
    """What may not be added, changed or taken away once the Pod exists."""
    before, after = (pod["metadata"].get("annotations") or {} for pod in (old, new))
    errors: Errors = []
    for key in sorted({*before, *after}):
        if before.get(key) == after.get(key) or not (key == MIRROR or key.startswith(APPARMOR)):
            continue
        what = "add" if key not in before else "remove or update"
        noun = "mirror pod annotation" if key == MIRROR else "AppArmor annotations"
        errors.append(forbidden(f"metadata.annotations[{key}]", f"may not {what} {noun}"))
    return errors


def apparmor_fields(pod: Json, request: Request) -> None:
    """Give containers with an AppArmor annotation the field that means the same; warn where there was none."""
    annotations, spec = pod["metadata"].get("annotations") or {}, pod["spec"]
    if (spec.get("os") or {}).get("name") == "windows":
        return
    pod_profile = (spec.get("securityContext") or {}).get("appArmorProfile")
    for container, _ in every_container(spec, ""):
        key = APPARMOR + container.get("name", "")
        if key not in annotations or (container.get("securityContext") or {}).get("appArmorProfile") is not None:
            continue
        profile = _profile(annotations[key])
        if profile is not None and profile == pod_profile:
            continue
        if profile is not None:
            container["securityContext"] = {**(container.get("securityContext") or {}), "appArmorProfile": profile}
        words = 'deprecated since v1.30; use the "appArmorProfile" field instead'
        request.warnings.append(f"metadata.annotations[{key}]: {words}")


def _profile(annotation: str) -> Json | None:
    if annotation == "unconfined":
        return {"type": "Unconfined"}
    if annotation in ("", "runtime/default"):
        return {"type": "RuntimeDefault"} if annotation else None
    local = annotation.removeprefix(LOCAL)
    return {"type": "Localhost", "localhostProfile": local} if local != annotation and local else None
