"""EndpointSlice (apis/discovery: v1/defaults.go, validation/validation.go, registry strategy.go)."""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.api import names
from fakecluster.api.kinds_network.ip_text import ip_warnings, legacy_ip, parse_ip, special_ip
from fakecluster.api.kinds_network.service_validation import PROTOCOLS
from fakecluster.api.label_rules import validate_labels
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import (
    FieldError,
    Request,
    Strategy,
    duplicate,
    invalid,
    not_supported,
    required,
    too_many,
)

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
ENDPOINTS_MAX, ADDRESSES_MAX, PORTS_MAX, HINTS_MAX, TOPOLOGY_MAX = 1000, 100, 20000, 8, 16


def default_slice(endpoint_slice: JsonObject) -> None:
    """Ports get the empty name and TCP; conditions are always shown."""
    for port in endpoint_slice.get("ports") or ():
        if port.get("name") is None:
            port["name"] = ""
        if port.get("protocol") is None:
            port["protocol"] = "TCP"
    for endpoint in endpoint_slice.get("endpoints") or ():
        endpoint.setdefault("conditions", {})


def _prepare_create(endpoint_slice: JsonObject, request: Request) -> None:
    del request
    _show_lists(endpoint_slice)
    _drop_topology(endpoint_slice)


def _prepare_update(endpoint_slice: JsonObject, old: JsonObject, request: Request) -> None:
    del request
    _show_lists(endpoint_slice)
    if endpoint_slice["endpoints"] != old["endpoints"]:
        _drop_topology(endpoint_slice)


def _show_lists(endpoint_slice: JsonObject) -> None:
    """An empty list is stored as none, and shown (though whoever sent it manages the field)."""
    for key in ("endpoints", "ports"):
        endpoint_slice[key] = endpoint_slice.get(key) or None


def _drop_topology(endpoint_slice: JsonObject) -> None:
    """The field is from v1beta1: v1 clients can keep it, but not write it."""
    for endpoint in endpoint_slice["endpoints"] or ():
        endpoint.pop("deprecatedTopology", None)


def _generation(endpoint_slice: JsonObject) -> object:
    rest = {key: value for key, value in endpoint_slice.items() if key != "metadata"}
    return rest, endpoint_slice["metadata"].get("labels") or {}


def validate_slice(endpoint_slice: JsonObject) -> list[FieldError]:
    """Everything that is wrong with an EndpointSlice."""
    return (
        _check_type(endpoint_slice)
        + _check_endpoints(endpoint_slice["endpoints"] or [], endpoint_slice.get("addressType", ""))
        + _check_ports(endpoint_slice["ports"] or [])
    )


def validate_slice_update(endpoint_slice: JsonObject, old: JsonObject) -> list[FieldError]:
    """As `validate_slice` for what the update changes; the address type may not change."""
    kind = endpoint_slice.get("addressType", "")
    errors = [] if kind == old["addressType"] else [invalid("addressType", kind, "field is immutable")]
    if endpoint_slice["endpoints"] != old["endpoints"]:
        errors += _check_endpoints(endpoint_slice["endpoints"] or [], old["addressType"])
    if endpoint_slice["ports"] != old["ports"]:
        errors += _check_ports(endpoint_slice["ports"] or [])
    return errors


def _check_type(endpoint_slice: JsonObject) -> list[FieldError]:
    kind = endpoint_slice.get("addressType", "")
    if not kind:
        return [required("addressType")]
    return [] if kind in ADDRESS_TYPES else [not_supported("addressType", kind, ADDRESS_TYPES)]


def _check_endpoints(endpoints: list[JsonObject], kind: str) -> list[FieldError]:
    if len(endpoints) > ENDPOINTS_MAX:
        return [too_many("endpoints", len(endpoints), ENDPOINTS_MAX)]
    errors: list[FieldError] = []
    for number, endpoint in enumerate(endpoints):
        errors += _check_endpoint(endpoint, f"endpoints[{number}]", kind)
    return errors


def _check_endpoint(endpoint: JsonObject, path: str, kind: str) -> list[FieldError]:
    addresses = endpoint.get("addresses") or []
    errors = _check_addresses(addresses, f"{path}.addresses", kind)
    node, host, hints = endpoint.get("nodeName"), endpoint.get("hostname"), endpoint.get("hints")
    if node is not None:
        errors += [invalid(f"{path}.nodeName", node, complaint) for complaint in names.dns_subdomain(node)]
    topology = endpoint.get("deprecatedTopology") or {}
    if len(topology) > TOPOLOGY_MAX:
        errors.append(too_many(f"{path}.deprecatedTopology", len(topology), TOPOLOGY_MAX))
    errors += validate_labels(topology, f"{path}.deprecatedTopology")
    if host is not None:
        errors += [invalid(f"{path}.hostname", host, complaint) for complaint in names.dns_label(host)]
    return errors + (_check_hints(hints, f"{path}.hints") if hints is not None else [])


def _check_addresses(addresses: list[str], path: str, kind: str) -> list[FieldError]:
    if not addresses:
        return [required(path, "must contain at least 1 address")]
    if len(addresses) > ADDRESSES_MAX:
        return [too_many(path, len(addresses), ADDRESSES_MAX)]
    errors: list[FieldError] = []
    for number, address in enumerate(addresses):
        place = f"{path}[{number}]"
        if kind == "FQDN":
            errors += _check_host(address, place)
        elif kind in ADDRESS_TYPES:
            errors += _check_ip(address, path, place, kind)
    return errors


def _check_host(name: str, place: str) -> list[FieldError]:
    """A fully qualified name: at least two labels, with or without a dot at the end."""
    if not name:
        return [required(place)]
    name = name.removesuffix(".")
    if found := names.dns_subdomain(name):
        return [invalid(place, name, ",".join(found))]
    if "." not in name:
        return [invalid(place, name, "should be a domain with at least two segments separated by dots")]
    return [invalid(place, label, ",".join(found)) for label in name.split(".") if (found := names.dns_label(label))]


def _check_ip(address: str, path: str, place: str, kind: str) -> list[FieldError]:
    if found := legacy_ip(address):
        return [invalid(place, address, complaint) for complaint in found]
    parsed = parse_ip(address)
    right = parsed is not None and f"IPv{parsed.version}" == kind
    errors = [] if right else [invalid(path, address, f"must be an {kind} address")]
    return errors + [invalid(place, address, complaint) for complaint in special_ip(address)]


def _check_hints(hints: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for key, check in HINTS.items():
        wanted = hints.get(key) or []
        if len(wanted) > HINTS_MAX:
            return [*errors, too_many(f"{path}.{key}", len(wanted), HINTS_MAX)]
        seen = set[str]()
        for number, hint in enumerate(wanted):
            name, place = hint.get("name", ""), f"{path}.{key}[{number}].name"
            if name in seen:
                errors.append(duplicate(place, name))
            seen.add(name)
            errors += [invalid(place, name, complaint) for complaint in check(name)]
    return errors


HINTS: dict[str, Callable[[str], list[str]]] = {"forZones": names.label_value, "forNodes": names.dns_subdomain}


def _check_ports(ports: list[JsonObject]) -> list[FieldError]:
    if len(ports) > PORTS_MAX:
        return [too_many("ports", len(ports), PORTS_MAX)]
    errors: list[FieldError] = []
    seen = set[str]()
    for number, port in enumerate(ports):
        path, name, protocol = f"ports[{number}]", port["name"], port.get("appProtocol")
        if name:
            errors += [invalid(f"{path}.name", name, complaint) for complaint in names.dns_label(name)]
        if name in seen:
            errors.append(duplicate(f"{path}.name", name))
        seen.add(name)
        if port["protocol"] not in PROTOCOLS:
            errors.append(not_supported(f"{path}.protocol", port["protocol"], PROTOCOLS))
        if protocol is not None:
            found = names.qualified_name(protocol)
            errors += [invalid(f"{path}.appProtocol", protocol, complaint) for complaint in found]
    return errors


def slice_warnings(endpoint_slice: JsonObject, old: JsonObject | None) -> list[str]:
    """Warnings about host names as endpoints and about addresses that are not written canonically."""
    del old
    if endpoint_slice["addressType"] == "FQDN":
        return ["spec.addressType: FQDN endpoints are deprecated"]
    return [
        text
        for index, endpoint in enumerate(endpoint_slice["endpoints"] or ())
        for number, address in enumerate(endpoint["addresses"])
        for text in ip_warnings(f"endpoints[{index}].addresses[{number}]", address)
    ]


ENDPOINT_SLICE = Strategy(
    default=default_slice,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    validate=validate_slice,
    validate_update=validate_slice_update,
    warnings=slice_warnings,
    generation=_generation,
)
