"""Which fields a field selector may name, kind by kind, and their values (the registries' `ToSelectableFields`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fakecluster.api import status
from fakecluster.api.resources import Resource
from fakecluster.api.selectors import FieldSelector
from fakecluster.api.status import JsonObject

COMMON = ("metadata.name", "metadata.namespace")
#: Fields beyond name and namespace.
LABELS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ),
    "services": ("spec.clusterIP", "spec.type"),
    "nodes": ("spec.unschedulable",),
    "namespaces": ("status.phase",),
    "secrets": ("type",),
    "replicationcontrollers": ("status.replicas",),
    "replicasets.apps": ("status.replicas",),
    "jobs.batch": ("status.successful",),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "certificatesigningrequests.certificates.k8s.io": ("spec.signerName",),
    "resourceslices.resource.k8s.io": ("spec.nodeName", "spec.driver"),
    "ipaddresses.networking.k8s.io": ("spec.parentRef.group", "spec.parentRef.resource"),
}
#: Kinds whose own conversion names no list of fields in its refusal.
OWN_CONVERSION = frozenset(LABELS) - {"ipaddresses.networking.k8s.io"}
BOOLEANS = ("spec.hostNetwork", "spec.unschedulable")
NUMBERS = ("status.replicas",)


def fields_of(resource: Resource, selector: FieldSelector) -> Callable[[JsonObject], Mapping[str, str]]:
    """A function that reads the selected fields of an object; 400 for a field that the kind does not offer."""
    known = (*COMMON, *LABELS.get(resource.key, ()), *_custom(resource))
    wanted = [requirement.field for requirement in selector.requirements]
    for label in wanted:
        if label not in known:
            raise status.bad_request(_refusal(resource, label, known))

    def read(obj: JsonObject) -> Mapping[str, str]:
        return {label: value_at(obj, label) for label in wanted}

    return read


def _refusal(resource: Resource, label: str, known: tuple[str, ...]) -> str:
    if resource.custom is not None:
        return f"field label not supported: {label}"
    if resource.key in OWN_CONVERSION:
        return f"field label not supported: {label}"
    listed = ", ".join(f'"{name}"' for name in known)
    return f'"{label}" is not a known field selector: only {listed}'


def _custom(resource: Resource) -> tuple[str, ...]:
    return getattr(resource.custom, "selectable_fields", ())


def value_at(obj: JsonObject, label: str) -> str:
    """A field's value as the text that selectors compare."""
    value: Any = obj
    for key in label.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if label in BOOLEANS or isinstance(value, bool):
        return "true" if value else "false"
    if label in NUMBERS:
        return str(value or 0)
    if label == "source":
        return str((obj.get("source") or {}).get("component") or obj.get("reportingComponent") or "")
    if label == "status.podIPs":
        return str(((obj.get("status") or {}).get("podIPs") or [{}])[0].get("ip", ""))
    return "" if value is None or isinstance(value, dict | list) else str(value)
