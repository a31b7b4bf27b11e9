"""Endpoints (apis/core/validation, validateEndpointSubsets; deprecated since 1.33 for EndpointSlices)."""

from __future__ import annotations

from fakecluster.api import names
from fakecluster.api.kinds_network.ip_text import ip_warnings, legacy_ip, special_ip
from fakecluster.api.kinds_network.service_validation import PROTOCOLS
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import FieldError, Strategy, invalid, not_supported, required


def default_endpoints(endpoints: JsonObject) -> None:
    """Ports are TCP unless they say otherwise."""
    for subset in endpoints.get("subsets") or ():
        for port in subset.get("ports") or ():
            if not port.get("protocol"):
                port["protocol"] = "TCP"


def validate_endpoints(endpoints: JsonObject) -> list[FieldError]:
    """Everything that is wrong with the subsets of an Endpoints object."""
    errors: list[FieldError] = []
    for number, subset in enumerate(endpoints.get("subsets") or ()):
        errors += _check_subset(subset, f"subsets[{number}]")
    return errors


def _check_subset(subset: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    lists = {key: subset.get(key) or [] for key in ("addresses", "notReadyAddresses")}
    if not any(lists.values()):
        errors.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
    for key, addresses in lists.items():
        for number, address in enumerate(addresses):
            errors += _check_address(address, f"{path}.{key}[{number}]")
    ports = subset.get("ports") or []
    for number, port in enumerate(ports):
        errors += _check_port(port, f"{path}.ports[{number}]", len(ports) > 1)
    return errors


def _check_address(address: JsonObject, path: str) -> list[FieldError]:
    ip, host, node = address.get("ip", ""), address.get("hostname") or "", address.get("nodeName")
    errors = [invalid(f"{path}.ip", ip, complaint) for complaint in legacy_ip(ip)]
    if host:
        errors += [invalid(f"{path}.hostname", host, complaint) for complaint in names.dns_label(host)]
    if node is not None:
        errors += [invalid(f"{path}.nodeName", node, complaint) for complaint in names.dns_subdomain(node)]
    return errors + [invalid(f"{path}.ip", ip, complaint) for complaint in special_ip(ip)]


def _check_port(port: JsonObject, path: str, named: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    name, number, protocol = port.get("name") or "", port.get("port", 0), port.get("appProtocol")
    if name:
        errors += [invalid(f"{path}.name", name, complaint) for complaint in names.dns_label(name)]
    elif named:
        errors.append(required(f"{path}.name"))
    errors += [invalid(f"{path}.port", number, complaint) for complaint in names.port_number(number)]
    if port["protocol"] not in PROTOCOLS:
        errors.append(not_supported(f"{path}.protocol", port["protocol"], PROTOCOLS))
    if protocol is not None:
        errors += [invalid(f"{path}.appProtocol", protocol, complaint) for complaint in names.qualified_name(protocol)]
    return errors


def endpoints_warnings(endpoints: JsonObject, old: JsonObject | None) -> list[str]:
    """Warnings about addresses that are not written canonically."""
    del old
    return [
        text
        for index, subset in enumerate(endpoints.get("subsets") or ())
        for key in ("addresses", "notReadyAddresses")
        for number, address in enumerate(subset.get(key) or ())
        for text in ip_warnings(f"subsets[{index}].{key}[{number}].ip", address.get("ip", ""))
    ]


ENDPOINTS = Strategy(
    default=default_endpoints, validate=validate_endpoints, warnings=endpoints_warnings, create_on_update=True
)
