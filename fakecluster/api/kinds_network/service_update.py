"""How an update of a Service is read: what it left out, what no longer applies, what it may not change.

Source: registry/core/service/storage/storage.go (patchAllocatedValues, normalizeClusterIPs), strategy.go
(dropTypeDependentFields), apis/core/validation (ValidateServiceUpdate).
"""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.api.kinds_network.service_defaults import (
    ADDRESSED_TYPES,
    NODE_PORT_TYPES,
    externally_accessible,
    is_headless,
    needs_health_check,
)
from fakecluster.api.kinds_network.service_families import same_list
from fakecluster.api.kinds_network.service_validation import check_balancer_class, validate_service
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import FieldError, forbidden, invalid

_ONCE = "may not change once set"


def normalise_addresses(spec: JsonObject, old: JsonObject | None) -> None:
    """Bring `clusterIPs` in line with a `clusterIP` that an old client wrote alone."""
    first, addresses = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    if old is None:
        if first and not addresses:
            spec["clusterIPs"] = [first]
        return
    was_first, was = old.get("clusterIP") or "", old.get("clusterIPs") or []
    if was and not addresses and first == was_first:
        spec["clusterIPs"] = list(was)
    if first != was_first and (spec.get("clusterIPs") or []) == was:
        if first:
            spec["clusterIPs"] = [first]
        else:
            spec.pop("clusterIPs", None)


def restore_allocated(spec: JsonObject, old: JsonObject) -> None:
    """Take over what was allocated and the update does not mention."""
    if old["type"] in ADDRESSED_TYPES and spec["type"] in ADDRESSED_TYPES:
        if not spec.get("clusterIP") and old.get("clusterIP"):
            spec["clusterIP"] = old["clusterIP"]
        if not spec.get("clusterIPs") and spec.get("clusterIP") == old.get("clusterIP") and old.get("clusterIPs"):
            spec["clusterIPs"] = list(old["clusterIPs"])
    if old["type"] in NODE_PORT_TYPES and spec["type"] in NODE_PORT_TYPES:
        _restore_node_ports(spec, old)
    if needs_health_check(old) and needs_health_check(spec) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = old["healthCheckNodePort"]


def _restore_node_ports(spec: JsonObject, old: JsonObject) -> None:
    used = set(node_ports(spec)) & set(node_ports(old))
    by_name = {port.get("name", ""): port.get("nodePort", 0) for port in old.get("ports") or ()}
    for port in spec.get("ports") or ():
        before = by_name.get(port.get("name", ""), 0)
        if not port.get("nodePort") and before and before not in used:
            port["nodePort"] = before


def node_ports(spec: JsonObject) -> list[int]:
    """The node ports of a Service, in the order of its ports."""
    return [port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")]


def drop_inapplicable(spec: JsonObject, old: JsonObject) -> None:
    """Forget what the new type has no use for, as far as the update did not change it."""
    if _lost(spec, old, lambda s: s["type"] != "ExternalName"):
        if same_list(spec, old, "clusterIPs"):
            _drop(spec, "clusterIP", "clusterIPs")
        for key in ("ipFamilies", "ipFamilyPolicy"):
            if (spec.get(key) or None) == (old.get(key) or None):
                _drop(spec, key)
    if _lost(spec, old, lambda s: s["type"] in NODE_PORT_TYPES) and set(node_ports(spec)) <= set(node_ports(old)):
        for port in spec.get("ports") or ():
            _drop(port, "nodePort")
    for key, applies in DEPENDENT_FIELDS.items():
        if _lost(spec, old, applies) and spec.get(key) == old.get(key):
            _drop(spec, key)


def _lost(spec: JsonObject, old: JsonObject, applies: Callable[[JsonObject], bool]) -> bool:
    return applies(old) and not applies(spec)


def _drop(obj: JsonObject, *keys: str) -> None:
    for key in keys:
        obj.pop(key, None)


def _is_balancer(spec: JsonObject) -> bool:
    return bool(spec["type"] == "LoadBalancer")


DEPENDENT_FIELDS: dict[str, Callable[[JsonObject], bool]] = {
    "healthCheckNodePort": needs_health_check,
    "allocateLoadBalancerNodePorts": _is_balancer,
    "loadBalancerClass": _is_balancer,
    "externalTrafficPolicy": externally_accessible,
}


# --- what may not change


def validate_service_update(service: JsonObject, before: JsonObject) -> list[FieldError]:
    """Everything that is wrong with the new state of a Service, the forbidden changes first."""
    spec, old = service["spec"], before["spec"]
    errors = _check_addresses(spec, old) + _check_families(spec, old) + _check_class(spec, old)
    checked = needs_health_check(spec) and needs_health_check(old)
    if checked and spec.get("healthCheckNodePort") != old.get("healthCheckNodePort"):
        errors.append(forbidden("spec.healthCheckNodePort", "field is immutable"))
    return errors + validate_service(service)


def _check_class(spec: JsonObject, old: JsonObject) -> list[FieldError]:
    changed = check_balancer_class(spec, old)
    return [error for error in changed if error.detail == _ONCE]


def _check_addresses(spec: JsonObject, old: JsonObject) -> list[FieldError]:
    if "ExternalName" in (spec["type"], old["type"]) or (is_headless(spec) and is_headless(old)):
        return []
    return _check_list(spec, old, "clusterIPs", "clusterIP")


def _check_families(spec: JsonObject, old: JsonObject) -> list[FieldError]:
    if "ExternalName" in (spec["type"], old["type"]) or is_headless(spec) or is_headless(old):
        return []
    return _check_list(spec, old, "ipFamilies", "ipFamily")


def _check_list(spec: JsonObject, old: JsonObject, key: str, noun: str) -> list[FieldError]:
    new, was = spec.get(key) or [], old.get(key) or []
    path = f"spec.{key}"
    if len(new) == len(was):
        places = [number if key == "clusterIPs" else 0 for number, one in enumerate(was) if one != new[number]]
        return [invalid(f"{path}[{place}]", new, _ONCE) for place in places]
    if not new:
        return [invalid(f"{path}[0]", None, f"primary {noun} can not be unset")]
    errors = [invalid(f"{path}[0]", new, _ONCE)] if was and new[0] != was[0] else []
    policy = spec.get("ipFamilyPolicy")
    if len(new) < len(was) and len(new) == 1 and policy != "SingleStack":
        words = f"must be set to 'SingleStack' when releasing the secondary {noun}"
        errors.append(invalid("spec.ipFamilyPolicy", policy, words))
    return errors
