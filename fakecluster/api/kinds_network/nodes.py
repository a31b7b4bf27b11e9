"""Node (apis/core: v1/conversion.go for podCIDRs, validation; admission/nodetaint)."""

from __future__ import annotations

from typing import Any

from fakecluster.api import names
from fakecluster.api.kinds_network.ip_text import legacy_cidr
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import (
    FieldError,
    Request,
    Strategy,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
NODE_INFO = (
    "machineID",
    "systemUUID",
    "bootID",
    "kernelVersion",
    "osImage",
    "containerRuntimeVersion",
    "kubeletVersion",
    "kubeProxyVersion",
    "operatingSystem",
    "architecture",
)


def default_node(node: JsonObject) -> None:
    """`podCIDR` and `podCIDRs` are one field; what is always shown of the status is there."""
    spec = node.setdefault("spec", {})
    first, ranges = spec.get("podCIDR") or "", spec.get("podCIDRs") or []
    if first and ranges[:1] != [first]:
        spec["podCIDRs"] = [first]
    elif ranges and not first:
        spec["podCIDR"] = ranges[0]
    status = node.setdefault("status", {})
    daemons = status.setdefault("daemonEndpoints", {}).setdefault("kubeletEndpoint", {})
    daemons.setdefault("Port", 0)
    info = status.setdefault("nodeInfo", {})
    for key in NODE_INFO:
        info.setdefault(key, "")
    if not status.get("allocatable") and status.get("capacity"):
        status["allocatable"] = dict(status["capacity"])


def admit_node(node: JsonObject, old: JsonObject | None, request: Request) -> JsonObject:
    """A new node takes no Pods before it has been seen to be ready (the NodeTaint plugin)."""
    del request
    taints = node["spec"].get("taints") or []
    tainted = any(taint.get("key") == NOT_READY["key"] and taint.get("effect") == "NoSchedule" for taint in taints)
    if old is not None or tainted:
        return node
    return {**node, "spec": {**node["spec"], "taints": [*taints, dict(NOT_READY)]}}


def _keep_status(node: JsonObject, old: JsonObject, request: Request) -> None:
    del request
    node["status"] = old["status"]


def validate_node(node: JsonObject) -> list[FieldError]:
    """Everything that is wrong with a new Node (ValidateNode)."""
    return _check_taints(node["spec"].get("taints") or []) + _check_ranges(node["spec"].get("podCIDRs") or [])


def _check_ranges(ranges: list[str]) -> list[FieldError]:
    errors = [
        invalid(f"spec.podCIDRs[{number}]", cidr, complaint)
        for number, cidr in enumerate(ranges)
        for complaint in legacy_cidr(cidr)
    ]
    if not errors and len({":" in cidr for cidr in ranges}) != len(ranges):
        errors.append(invalid("spec.podCIDRs", ranges, "may specify no more than one CIDR for each IP family"))
    return errors


def _check_taints(taints: list[JsonObject]) -> list[FieldError]:
    errors: list[FieldError] = []
    seen = set[tuple[str, str]]()
    for number, taint in enumerate(taints):
        path, key, value = f"metadata.taints[{number}]", taint.get("key", ""), taint.get("value") or ""
        effect = taint.get("effect", "")
        errors += [invalid(f"{path}.key", key, complaint) for complaint in names.qualified_name(key)]
        if found := names.label_value(value):
            errors.append(invalid(f"{path}.value", value, ";".join(found)))
        if not effect:
            errors.append(required(f"{path}.effect"))
        elif effect not in EFFECTS:
            errors.append(not_supported(f"{path}.effect", effect, EFFECTS))
        if (key, effect) in seen:
            clash = duplicate(path, _internal_taint(taint))
            errors.append(FieldError(clash.type, path, clash.value, "taints must be unique by key and effect pair"))
        seen.add((key, effect))
    return errors


def _internal_taint(taint: JsonObject) -> dict[str, Any]:
    """A Taint as the server's own type prints it."""
    return {
        "Key": taint.get("key", ""),
        "Value": taint.get("value") or "",
        "Effect": taint.get("effect", ""),
        "TimeAdded": taint.get("timeAdded"),
    }


def validate_node_update(node: JsonObject, old: JsonObject) -> list[FieldError]:
    """What an update of a Node may not do (ValidateNodeUpdate): most of its spec is set once."""
    spec, was = node["spec"], old["spec"]
    errors: list[FieldError] = []
    before, after = was.get("podCIDRs") or [], spec.get("podCIDRs") or []
    words = 'node updates may not change podCIDR except from "" to valid'
    changed = [True] if len(before) != len(after) else [one != other for one, other in zip(before, after, strict=True)]
    errors += [forbidden("spec.podCIDRs", words) for one in changed if one and before]
    if was.get("providerID") and spec.get("providerID") != was["providerID"]:
        words = 'node updates may not change providerID except from "" to valid'
        errors.append(forbidden("spec.providerID", words))
    return errors + _check_taints(spec.get("taints") or [])


def validate_node_status(node: JsonObject, old: JsonObject) -> list[FieldError]:
    """What a node's report may not say: an address twice (ValidateNodeUpdate)."""
    del old
    errors: list[FieldError] = []
    addresses = node["status"].get("addresses") or []
    for number, address in enumerate(addresses):
        if address in addresses[:number]:
            shown = {"Type": address.get("type", ""), "Address": address.get("address", "")}
            errors.append(duplicate(f"status.addresses[{number}]", shown))
    return errors


NODE = Strategy(
    default=default_node,
    admit=admit_node,
    prepare_update=_keep_status,
    validate=validate_node,
    validate_update=validate_node_update,
    validate_status=validate_node_status,
    keeps_status=True,
)
