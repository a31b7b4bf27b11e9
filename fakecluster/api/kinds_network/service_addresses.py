"""How `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy` must fit together (validation.go)."""

from __future__ import annotations

from fakecluster.api.kinds_network.ip_text import legacy_ip, parse_ip
from fakecluster.api.kinds_network.service_defaults import is_headless
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import FieldError, duplicate, invalid, not_supported, required

FAMILIES = ("IPv4", "IPv6")
POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_IPS, _FAMILIES = "spec.clusterIPs", "spec.ipFamilies"


def validate_addresses(spec: JsonObject) -> list[FieldError]:
    """What is wrong with the address fields of a Service (ValidateServiceClusterIPsRelatedFields)."""
    if spec["type"] == "ExternalName":
        return []
    addresses = spec.get("clusterIPs") or []
    errors = _check_first(spec, addresses) + _check_families(spec)
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in POLICIES:
        errors.append(not_supported("spec.ipFamilyPolicy", policy, POLICIES))
    texts = _check_texts(addresses)
    errors += texts
    if len(addresses) > 2:
        errors.append(invalid(_IPS, addresses, "may only hold up to 2 values"))
    if texts:
        return errors
    if len(addresses) > 1 and len({_version(address) for address in addresses}) < 2:
        errors.append(invalid(_IPS, addresses, "may specify no more than one IP for each IP family"))
    return errors + _check_match(spec, addresses)


def _check_first(spec: JsonObject, addresses: list[str]) -> list[FieldError]:
    first = spec.get("clusterIP") or ""
    if not first:
        words = "must be empty when `clusterIP` is not specified"
        return [invalid(_IPS, addresses, words)] if addresses else []
    if not addresses:
        return [required(_IPS)]
    return [] if addresses[0] == first else [invalid(_IPS, addresses, "first value must match `clusterIP`")]


def _check_families(spec: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    families = spec.get("ipFamilies") or []
    for number, family in enumerate(families):
        if family not in FAMILIES:
            errors.append(not_supported(f"{_FAMILIES}[{number}]", family, FAMILIES))
        if family in families[:number]:
            errors.append(duplicate(f"{_FAMILIES}[{number}]", family))
    return errors


def _check_texts(addresses: list[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    for number, address in enumerate(addresses):
        if number == 0 and address == "None":
            if len(addresses) > 1:
                errors.append(invalid(_IPS, addresses, "'None' must be the first and only value"))
            continue
        errors += [invalid(f"{_IPS}[{number}]", address, complaint) for complaint in legacy_ip(address)]
    return errors


def _version(address: str) -> int:
    parsed = parse_ip(address)
    return parsed.version if parsed else 0


def _check_match(spec: JsonObject, addresses: list[str]) -> list[FieldError]:
    if is_headless(spec):
        return []
    errors: list[FieldError] = []
    for number, (address, family) in enumerate(zip(addresses, spec.get("ipFamilies") or (), strict=False)):
        if (_version(address) == 6) != (family == "IPv6"):
            wanted = "IPv6" if family == "IPv6" else "IPv4"
            words = f"expected an {wanted} value as indicated by `ipFamilies[{number}]`"
            errors.append(invalid(f"{_IPS}[{number}]", address, words))
    return errors
