"""The downward API: a Pod's own facts as values of variables (pkg/fieldpath, pkg/api/v1/resource)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import ceil
from typing import Any

import attrs

from fakecluster.api import names
from fakecluster.api.kinds_workload.quantity import parse_quantity

#: Labels that API version v1 lets a fieldRef name (pkg/apis/core/pods/helpers.go).
FIELD_LABELS = frozenset(
    {
        "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
        "spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "spec.schedulerName",
        "status.phase", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
    }
)  # fmt: skip
_AMOUNTS = frozenset({"cpu", "memory", "ephemeral-storage"})
_SUBSCRIPTED = re.compile(r"(.*)\['(.*)'\]", re.DOTALL)


@attrs.frozen
class Addresses:
    """A Pod's addresses and those of its node, primary family first."""

    pod_ips: tuple[str, ...]
    host_ips: tuple[str, ...]


def field_value(reference: Mapping[str, Any], pod: Mapping[str, Any], addresses: Addresses) -> str:
    """The value of a fieldRef; raises ValueError in the kubelet's words for one that is not supported."""
    label, version = reference["fieldPath"], reference.get("apiVersion") or "v1"
    if version != "v1":
        raise ValueError(f"unsupported pod version: {version}")
    if subscripted := _SUBSCRIPTED.fullmatch(label):
        return _subscripted(label, subscripted[1], subscripted[2], pod)
    path = "spec.nodeName" if label == "spec.host" else label
    if path not in FIELD_LABELS:
        raise ValueError(f"field label not supported: {label}")
    if path not in FIELDS:
        raise ValueError(f"unsupported fieldPath: {path}")
    return FIELDS[path](pod, addresses)


def resource_value(
    reference: Mapping[str, Any], pod: Mapping[str, Any], container: Mapping[str, Any], allocatable: Mapping[str, Any]
) -> str:
    """The value of a resourceFieldRef in units of its divisor, rounded up; limits default to what the node has.

    Raises ValueError in the kubelet's words for a resource or a container that there is not.
    """
    name, resource = reference.get("containerName") or "", reference["resource"]
    if name:
        spec = pod["spec"]
        containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        found = next((one for one in containers if one["name"] == name), None)
        if found is None:
            raise ValueError(f"container {name} not found")
        container = found
    kind, _, amount = resource.partition(".")
    if kind not in ("limits", "requests") or not (amount in _AMOUNTS or amount.startswith("hugepages-")):
        raise ValueError(f"Unsupported container resource : {resource}")
    given = (container.get("resources") or {}).get(kind) or {}
    if kind == "limits" and amount in _AMOUNTS and amount not in given:
        given = allocatable
    unit = parse_quantity(str(reference.get("divisor") or "1"))
    divisor = unit if unit.value else parse_quantity("1")
    value = parse_quantity(str(given.get(amount, "0")))
    if amount == "cpu":
        return str(ceil(Fraction(value.milli, divisor.milli)))
    return str(ceil(Fraction(ceil(value.value), ceil(divisor.value))))


def _subscripted(label: str, path: str, key: str, pod: Mapping[str, Any]) -> str:
    if path not in ("metadata.annotations", "metadata.labels"):
        raise ValueError(f"field label does not support subscript: {label}")
    if complaints := names.qualified_name(key.lower() if path == "metadata.annotations" else key):
        raise ValueError(f"invalid key subscript in {label}: {';'.join(complaints)}")
    return str((pod["metadata"].get(path.partition(".")[2]) or {}).get(key, ""))


def _map_text(found: Mapping[str, str] | None) -> str:
    return "\n".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted((found or {}).items()))


FIELDS: dict[str, Callable[[Mapping[str, Any], Addresses], str]] = {
    "metadata.annotations": lambda pod, _: _map_text(pod["metadata"].get("annotations")),
    "metadata.labels": lambda pod, _: _map_text(pod["metadata"].get("labels")),
    "metadata.name": lambda pod, _: pod["metadata"].get("name", ""),
    "metadata.namespace": lambda pod, _: pod["metadata"].get("namespace", ""),
    "metadata.uid": lambda pod, _: pod["metadata"].get("uid", ""),
    "spec.nodeName": lambda pod, _: pod["spec"].get("nodeName", ""),
    "spec.serviceAccountName": lambda pod, _: pod["spec"].get("serviceAccountName", ""),
    "status.hostIP": lambda _, addresses: addresses.host_ips[0] if addresses.host_ips else "",
    "status.hostIPs": lambda _, addresses: ",".join(addresses.host_ips),
    "status.podIP": lambda _, addresses: addresses.pod_ips[0] if addresses.pod_ips else "",
    "status.podIPs": lambda _, addresses: ",".join(addresses.pod_ips),
}
