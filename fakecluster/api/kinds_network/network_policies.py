"""NetworkPolicy (apis/networking: v1/defaults.go, validation/validation.go)."""

from __future__ import annotations

from fakecluster.api import names
from fakecluster.api.kinds_network.ip_text import Network, legacy_cidr, parse_cidr
from fakecluster.api.label_rules import validate_label_selector
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import FieldError, Strategy, forbidden, invalid, not_supported, required

POLICY_TYPES = ("Ingress", "Egress")
PROTOCOLS = ("TCP", "UDP", "SCTP")
#: the lists of rules, and where their peers stand
DIRECTIONS = {"ingress": "from", "egress": "to"}


def default_policy(policy: JsonObject) -> None:
    """Ports are TCP; a policy is about ingress, and about egress when it has such rules."""
    spec = policy.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    for direction in DIRECTIONS:
        for rule in spec.get(direction) or ():
            for port in rule.get("ports") or ():
                if port.get("protocol") is None:
                    port["protocol"] = "TCP"
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def validate_policy(policy: JsonObject) -> list[FieldError]:
    """Everything that is wrong with a NetworkPolicy (ValidateNetworkPolicySpec)."""
    spec = policy["spec"]
    errors = validate_label_selector(spec["podSelector"], "spec.podSelector")
    for direction, peers in DIRECTIONS.items():
        for number, rule in enumerate(spec.get(direction) or ()):
            errors += _check_rule(rule, f"spec.{direction}[{number}]", peers)
    types = spec["policyTypes"]
    if len(types) > len(POLICY_TYPES):
        return [*errors, invalid("spec.policyTypes", types, "may not specify more than two policyTypes")]
    return errors + [
        not_supported(f"spec.policyTypes[{number}]", one, POLICY_TYPES)
        for number, one in enumerate(types)
        if one not in POLICY_TYPES
    ]


def _check_rule(rule: JsonObject, path: str, peers: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for number, port in enumerate(rule.get("ports") or ()):
        errors += _check_port(port, f"{path}.ports[{number}]")
    for number, peer in enumerate(rule.get(peers) or ()):
        errors += _check_peer(peer, f"{path}.{peers}[{number}]")
    return errors


def _check_port(port: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    number, end, where = port.get("port"), port.get("endPort"), f"{path}.endPort"
    if port["protocol"] not in PROTOCOLS:
        errors.append(not_supported(f"{path}.protocol", port["protocol"], PROTOCOLS))
    if number is None:
        return (
            errors
            if end is None
            else [*errors, invalid(where, end, "may not be specified when `port` is not specified")]
        )
    if isinstance(number, str):
        if end is not None:
            errors.append(invalid(where, end, "may not be specified when `port` is non-numeric"))
        return errors + [invalid(f"{path}.port", number, complaint) for complaint in names.port_name(number)]
    errors += [invalid(f"{path}.port", number, complaint) for complaint in names.port_number(number)]
    if end is not None:
        if end < number:  # the server shows the port, not the end
            errors.append(invalid(where, number, "must be greater than or equal to `port`"))
        errors += [invalid(where, end, complaint) for complaint in names.port_number(end)]
    return errors


def _check_peer(peer: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for key in ("podSelector", "namespaceSelector"):
        errors += validate_label_selector(peer.get(key), f"{path}.{key}")
    block = peer.get("ipBlock")
    if block is not None:
        errors += _check_block(block, f"{path}.ipBlock")
    given = [key for key in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(key) is not None]
    if not given:
        errors.append(required(path, "must specify a peer"))
    elif block is not None and len(given) > 1:
        errors.append(forbidden(path, "may not specify both ipBlock and another peer"))
    return errors


def _check_block(block: JsonObject, path: str) -> list[FieldError]:
    cidr = block.get("cidr") or ""
    if not cidr:
        return [required(f"{path}.cidr")]
    errors = [invalid(f"{path}.cidr", cidr, complaint) for complaint in legacy_cidr(cidr)]
    outer = parse_cidr(cidr)
    if outer is None:
        return errors
    for number, hole in enumerate(block.get("except") or ()):
        place = f"{path}.except[{number}]"
        errors += [invalid(place, hole, complaint) for complaint in legacy_cidr(hole)]
        inner = parse_cidr(hole)
        if inner is not None and not _strictly_inside(inner, outer):
            errors.append(invalid(place, hole, "must be a strict subset of `cidr`"))
    return errors


def _strictly_inside(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.prefixlen > outer.prefixlen and inner.network_address in outer


def _spec(policy: JsonObject) -> object:
    return policy.get("spec")


NETWORK_POLICY = Strategy(default=default_policy, validate=validate_policy, generation=_spec)
