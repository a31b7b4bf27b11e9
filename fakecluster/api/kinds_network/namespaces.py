"""Namespace: its name as a label, its finalizers, its phases (registry/core/namespace, admission/lifecycle)."""

from __future__ import annotations

import re

from fakecluster.api import names, status
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import FieldError, Request, Strategy, invalid, invalid_object

NAME_LABEL = "kubernetes.io/metadata.name"
FINALIZER = "kubernetes"
IMMORTAL = ("default", "kube-system", "kube-public")
STANDARD_FINALIZERS = (FINALIZER, "orphan", "foregroundDeletion")
_SECURITY = "pod-security.kubernetes.io"
_SECURITY_MODES = ("enforce", "audit", "warn")
_SECURITY_LEVELS = ("privileged", "baseline", "restricted")
_SECURITY_VERSION = re.compile(r"latest|v1\.(0|[1-9][0-9]*)")


def default_namespace(namespace: JsonObject) -> None:
    """A Namespace carries its name as a label, whatever it says."""
    meta = namespace["metadata"]
    if meta.get("name"):
        meta["labels"] = {**(meta.get("labels") or {}), NAME_LABEL: meta["name"]}


def _prepare_create(namespace: JsonObject, request: Request) -> None:
    del request
    default_namespace(namespace)  # the name may have been generated since
    spec = namespace.setdefault("spec", {})
    finalizers = spec.get("finalizers") or []
    if FINALIZER not in finalizers:
        spec["finalizers"] = [*finalizers, FINALIZER]
    namespace["status"] = {"phase": "Active"}


def _prepare_update(namespace: JsonObject, old: JsonObject, request: Request) -> None:
    del request
    finalizers = old["spec"].get("finalizers")
    namespace["spec"] = {"finalizers": list(finalizers)} if finalizers else {}


def _finalize(namespace: JsonObject, old: JsonObject, request: Request) -> None:
    """`namespaces/finalize`: only the finalizers of the spec change."""
    default_namespace(namespace)
    namespace.setdefault("spec", {})
    namespace["status"] = old["status"]
    if errors := validate_namespace(namespace):
        raise invalid_object(request.resource, request.name, errors)


def _prepare_delete(namespace: JsonObject, request: Request) -> None:
    if request.name in IMMORTAL:
        raise status.forbidden("namespaces", "", request.name, "this namespace may not be deleted")
    namespace["metadata"].pop("deletionGracePeriodSeconds", None)
    namespace["status"] = {**namespace["status"], "phase": "Terminating"}


def _may_go(namespace: JsonObject) -> bool:
    return not namespace["metadata"].get("finalizers") and not namespace["spec"].get("finalizers")


def finalizer_name(name: str) -> list[str]:
    """Complaints about a finalizer: a standard one, or a domain and a name."""
    found = names.qualified_name(name)
    if not found and "/" not in name and name not in STANDARD_FINALIZERS:
        found = ["name is neither a standard finalizer name nor is it fully qualified"]
    return found


def validate_namespace(namespace: JsonObject) -> list[FieldError]:
    """Everything that is wrong with a Namespace, Pod security labels included."""
    finalizers = (namespace.get("spec") or {}).get("finalizers") or ()
    errors = _check_security(namespace["metadata"].get("labels") or {})
    return errors + [
        invalid("spec.finalizers", finalizer, complaint)
        for finalizer in finalizers
        for complaint in finalizer_name(finalizer)
    ]


def _check_security(labels: dict[str, str]) -> list[FieldError]:
    errors: list[FieldError] = []
    for mode in _SECURITY_MODES:
        level, version = labels.get(f"{_SECURITY}/{mode}"), labels.get(f"{_SECURITY}/{mode}-version")
        if level is not None and level not in _SECURITY_LEVELS:
            words = f"must be one of {', '.join(_SECURITY_LEVELS)}"
            errors.append(invalid(f"metadata.labels[{_SECURITY}/{mode}]", level, words))
        if version is not None and not _SECURITY_VERSION.fullmatch(version):
            words = 'must be "latest" or "v1.x"'
            errors.append(invalid(f"metadata.labels[{_SECURITY}/{mode}-version]", version, words))
    return errors


def validate_phase(namespace: JsonObject, old: JsonObject) -> list[FieldError]:
    """The phase follows the deletion, and not the other way round (ValidateNamespaceStatusUpdate)."""
    del old
    phase, leaving = namespace["status"].get("phase", ""), "deletionTimestamp" in namespace["metadata"]
    if leaving and phase != "Terminating":
        words = "may only be 'Terminating' if `deletionTimestamp` is not empty"
        return [invalid("status.Phase", phase, words)]
    if not leaving and phase != "Active":
        return [invalid("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty")]
    return []


NAMESPACE = Strategy(
    default=default_namespace,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_delete=_prepare_delete,
    validate=validate_namespace,
    validate_status=validate_phase,
    may_go=_may_go,
    name=names.with_prefix(names.dns_label),
    subresources={"finalize": _finalize},
)
