"""The CustomResourceDefinitions of the administrators' policies, to be applied before the first of them.

    cluster.apply(policy_definitions())

What they let through and refuse is what the published ones do: AdminNetworkPolicy and BaselineAdminNetworkPolicy of the
last release that has them (v0.1.7, experimental channel, which adds peers and ports to the standard one), and
ClusterNetworkPolicy (v0.2.0, experimental channel), without their descriptions. Published ones can be applied as well.
Source: sigs.k8s.io/network-policy-api config/crd.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

JsonObject = dict[str, Any]
GROUP = "policy.networking.k8s.io"
MAX_RULES = {"v1alpha1": 100, "v1alpha2": 25}
_APPROVED = "https://github.com/kubernetes-sigs/network-policy-api/pull/"
_DOMAIN_NAME = r"^(\*\.)?([a-zA-z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?$"
_REASON = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
_CONDITION_TYPE = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
)
_STRING: JsonObject = {"type": "string"}
_PORT: JsonObject = {"type": "integer", "format": "int32", "minimum": 1, "maximum": 65535}
_PROTOCOL: JsonObject = {"type": "string", "default": "TCP"}


def policy_definitions() -> list[JsonObject]:
    """CustomResourceDefinitions of AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy."""
    return [_admin(), _baseline(), _cluster()]


# --- parts of schemas


def _object(properties: JsonObject, *required: str, **more: Any) -> JsonObject:
    wanted = {"required": sorted(required)} if required else {}
    return {"type": "object", "properties": properties, **wanted, **more}


def _one_of(properties: JsonObject) -> JsonObject:
    """An object with exactly one of these fields."""
    return _object(properties, minProperties=1, maxProperties=1)


def _list(items: JsonObject, most: int, *, least: int = 0, **more: Any) -> JsonObject:
    return {"type": "array", "items": items, "maxItems": most, **({"minItems": least} if least else {}), **more}


def _enum(*words: str) -> JsonObject:
    return {"type": "string", "enum": list(words)}


def _rule_of(rule: str, message: str) -> list[JsonObject]:
    return [{"rule": rule, "message": message}]


_ATOMIC: JsonObject = {"x-kubernetes-list-type": "atomic"}
_EXPRESSION = _object(
    {"key": _STRING, "operator": _STRING, "values": {"type": "array", "items": _STRING, **_ATOMIC}}, "key", "operator"
)
_SELECTOR = _object(
    {
        "matchExpressions": {"type": "array", "items": _EXPRESSION, **_ATOMIC},
        "matchLabels": {"type": "object", "additionalProperties": _STRING},
    },
    **{"x-kubernetes-map-type": "atomic"},
)
_CIDR = {
    "type": "string", "maxLength": 43,
    "x-kubernetes-validations": _rule_of("isCIDR(self)", "Invalid CIDR format provided"),
}  # fmt: skip
_SET: JsonObject = {"x-kubernetes-list-type": "set"}


def _pods(*required: str) -> JsonObject:
    pods = _object({"namespaceSelector": _SELECTOR, "podSelector": _SELECTOR}, *required)
    return {"namespaces": _SELECTOR, "pods": pods}


def _outside(*, domains: bool) -> JsonObject:
    """The peers that egress has besides Pods."""
    names = {"domainNames": _list({"type": "string", "pattern": _DOMAIN_NAME}, 25, least=1, **_SET)}
    return {"nodes": _SELECTOR, "networks": _list(_CIDR, 25, least=1, **_SET), **(names if domains else {})}


def _rules(version: str, actions: Sequence[str], ports: JsonObject, *, domains: bool, pods: JsonObject) -> JsonObject:
    """The fields ingress and egress."""
    most = MAX_RULES[version]
    (ports_field,) = ports
    outside = _outside(domains=domains)
    peers = [field for field in ("networks", "nodes", "domainNames") if field in outside]
    words, number = "/".join(peers), ("port", "namedPort") if version == "v1alpha1" else _V2_NAMED
    named = " || ".join(f"has(peer.{field})" for field in peers)
    check = (
        f"!(self.to.exists(peer, {named}) && has(self.{ports_field}) &&"
        f" self.{ports_field}.exists({number[0]}, has({number[0]}.{number[1]})))"
    )
    message = f"{words} peer cannot be set with namedPorts since there are no namedPorts for {words}"
    fields: JsonObject = {"name": {"type": "string", "maxLength": 100}, "action": _enum(*actions), **ports}
    sources = {"from": _list(_one_of(pods), most, least=1)}
    targets = {"to": _list(_one_of({**pods, **outside}), most, least=1)}
    checked = {"x-kubernetes-validations": _rule_of(check, message)}
    return {
        "ingress": _list(_object({**fields, **sources}, "action", "from"), most),
        "egress": _list(_object({**fields, **targets}, "action", "to", **checked), most),
    }


_V2_NAMED = ("protocol", "destinationNamedPort")


def _v1_ports() -> JsonObject:
    number = _object({"port": _PORT, "protocol": _PROTOCOL}, "port", "protocol")
    span = _object({"start": _PORT, "end": _PORT, "protocol": _PROTOCOL}, "start", "end")
    port = _one_of({"portNumber": number, "namedPort": _STRING, "portRange": span})
    return {"ports": _list(port, MAX_RULES["v1alpha1"], least=1)}


def _v2_protocols() -> JsonObject:
    order = _rule_of("self.start < self.end", "Start port must be less than End port")
    span = _object({"start": _PORT, "end": _PORT}, "start", "end", **{"x-kubernetes-validations": order})
    protocol = _object({"destinationPort": _one_of({"number": _PORT, "range": span})}, minProperties=1)
    fields = {"destinationNamedPort": _STRING, "tcp": protocol, "udp": protocol, "sctp": protocol}
    return {"protocols": _list(_one_of(fields), MAX_RULES["v1alpha2"], least=1)}


def _status() -> JsonObject:
    condition = _object(
        {
            "type": {"type": "string", "maxLength": 316, "pattern": _CONDITION_TYPE},
            "status": _enum("True", "False", "Unknown"),
            "reason": {"type": "string", "minLength": 1, "maxLength": 1024, "pattern": _REASON},
            "message": {"type": "string", "maxLength": 32768},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
        },
        *("lastTransitionTime", "message", "reason", "status", "type"),
    )
    by_type = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    return _object({"conditions": {"type": "array", "items": condition, **by_type}}, "conditions")


# --- the definitions

_PRIORITY: JsonObject = {"type": "integer", "format": "int32", "minimum": 0, "maximum": 1000}
_V1_PODS = _pods("namespaceSelector", "podSelector")
_V2_PODS = _pods("podSelector")


def _admin() -> JsonObject:
    rules = _rules("v1alpha1", ("Allow", "Deny", "Pass"), _v1_ports(), domains=True, pods=_V1_PODS)
    spec = _object({"priority": _PRIORITY, "subject": _one_of(_V1_PODS), **rules}, "priority", "subject")
    return _definition("AdminNetworkPolicy", "anp", "v1alpha1", spec, (("Priority", ".spec.priority"),))


def _baseline() -> JsonObject:
    rules = _rules("v1alpha1", ("Allow", "Deny"), _v1_ports(), domains=False, pods=_V1_PODS)
    spec = _object({"subject": _one_of(_V1_PODS), **rules}, "subject")
    message = 'Only one baseline admin network policy with metadata.name="default" can be created in the cluster'
    only = {"x-kubernetes-validations": _rule_of("self.metadata.name == 'default'", message)}
    return _definition("BaselineAdminNetworkPolicy", "banp", "v1alpha1", spec, (), **only)


def _cluster() -> JsonObject:
    rules = _rules("v1alpha2", ("Accept", "Deny", "Pass"), _v2_protocols(), domains=True, pods=_V2_PODS)
    fields = {"tier": _enum("Admin", "Baseline"), "priority": _PRIORITY, "subject": _one_of(_V2_PODS), **rules}
    spec = _object(fields, "priority", "subject", "tier")
    columns = (("Tier", ".spec.tier"), ("Priority", ".spec.priority"))
    return _definition("ClusterNetworkPolicy", "cnp", "v1alpha2", spec, columns)


def _definition(
    kind: str, short: str, version: str, spec: JsonObject, columns: Sequence[tuple[str, str]], **checked: Any
) -> JsonObject:
    fields = {"apiVersion": _STRING, "kind": _STRING, "metadata": {"type": "object"}, "spec": spec, "status": _status()}
    served = {
        "name": version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            *({"name": name, "type": "string", "jsonPath": path} for name, path in columns),
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        "schema": {"openAPIV3Schema": _object(fields, "metadata", "spec", **checked)},
    }
    singular = kind.lower()
    plural = singular.removesuffix("y") + "ies"
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": singular, "shortNames": [short]}
    metadata = {
        "name": f"{plural}.{GROUP}",
        "annotations": {"api-approved.kubernetes.io": f"{_APPROVED}{300 if version == 'v1alpha1' else 347}"},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {"group": GROUP, "names": names, "scope": "Cluster", "versions": [served]},
    }
