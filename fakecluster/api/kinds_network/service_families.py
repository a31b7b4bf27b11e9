"""The IP families of a Service: `ipFamilyPolicy`, `ipFamilies` and `clusterIPs` brought into line before allocation.

Source: registry/core/service/storage/alloc.go (initIPFamilyFields); KEP-563.

    policy            SingleStack (default) | PreferDualStack | RequireDualStack
    families given    the first stays the first; a dual-stack policy adds the other one of the cluster
    clusterIPs given  name the families that are not given
    headless without selector   RequireDualStack by default, the cluster is not asked
"""

from __future__ import annotations

from collections.abc import Sequence

from fakecluster.api.allocators import IPV4, IPV6
from fakecluster.api.kinds_network.ip_text import parse_ip
from fakecluster.api.kinds_network.service_addresses import validate_addresses
from fakecluster.api.kinds_network.service_defaults import ADDRESSED_TYPES
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import FieldError, invalid

SINGLE, PREFER, REQUIRE = "SingleStack", "PreferDualStack", "RequireDualStack"
OTHER_FAMILY = {IPV4: IPV6, IPV6: IPV4}
_POLICY = "spec.ipFamilyPolicy"


def fill_families(spec: JsonObject, old: JsonObject | None, families: Sequence[str]) -> list[FieldError]:
    """Complete the family fields of `spec` in place; the errors are what stands against it.

    `families` are those of the cluster, the default one first; `old` is the spec before an update.
    """
    if spec["type"] == "ExternalName" or (old is not None and settled_dual_stack(spec, old)):
        return []
    _default_policy(spec, old)
    errors = validate_addresses(spec)
    if errors:
        return errors
    if old is not None:
        errors = _check_release(spec, old)
    errors += _check_single(spec) + _infer_families(spec, families)
    if errors:
        return errors
    if spec.get("clusterIP") == "None" and not spec.get("selector"):
        _fill_headless(spec, families[0])
        return []
    errors = _check_cluster(spec, families)
    if not errors:
        _add_families(spec, families)
    return errors


def settled_dual_stack(spec: JsonObject, old: JsonObject) -> bool:
    """Whether an update leaves a PreferDualStack Service as it is: the cluster's families may have changed since."""
    return (
        spec.get("ipFamilyPolicy") == PREFER
        and old["type"] == spec["type"]
        and spec["type"] in ADDRESSED_TYPES
        and old.get("ipFamilyPolicy") in (None, PREFER)
        and same_list(spec, old, "clusterIPs")
        and same_list(spec, old, "ipFamilies")
    )


def same_list(spec: JsonObject, old: JsonObject, key: str) -> bool:
    """Whether a list field is the same in both, missing counting as empty."""
    return (spec.get(key) or []) == (old.get(key) or [])


def _default_policy(spec: JsonObject, old: JsonObject | None) -> None:
    if spec.get("ipFamilyPolicy") is not None:
        return
    if old is not None and old.get("ipFamilyPolicy") is not None:
        spec["ipFamilyPolicy"] = old["ipFamilyPolicy"]
    elif spec.get("clusterIP") == "None" and not spec.get("selector"):
        spec["ipFamilyPolicy"] = REQUIRE
    else:
        spec["ipFamilyPolicy"] = SINGLE


def _check_release(spec: JsonObject, old: JsonObject) -> list[FieldError]:
    policy = spec["ipFamilyPolicy"]
    if policy == SINGLE:
        for key in ("clusterIPs", "ipFamilies"):
            if same_list(spec, old, key) and len(spec.get(key) or ()) > 1:
                spec[key] = spec[key][:1]
        return []
    names = {"clusterIPs": "cluster IP", "ipFamilies": "IP family"}
    return [
        invalid(_POLICY, policy, f"must be 'SingleStack' to release the secondary {name}")
        for key, name in names.items()
        if 0 < len(spec.get(key) or ()) < len(old.get(key) or ())
    ]


def _check_single(spec: JsonObject) -> list[FieldError]:
    if spec["ipFamilyPolicy"] != SINGLE:
        return []
    names = {"clusterIPs": "cluster IPs", "ipFamilies": "IP families"}
    return [
        invalid(_POLICY, SINGLE, f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {name} are specified")
        for key, name in names.items()
        if len(spec.get(key) or ()) == 2
    ]


def _infer_families(spec: JsonObject, families: Sequence[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    found = list(spec.get("ipFamilies") or ())
    for number, address in enumerate(spec.get("clusterIPs") or ()):
        if address == "None":
            break
        if number < len(found):
            continue
        family = family_of(address)
        if family in families:
            found.append(family)
        else:
            words = f"{family} is not configured on this cluster"
            errors.append(invalid(f"spec.clusterIPs[{number}]", spec["clusterIPs"], words))
    if found:
        spec["ipFamilies"] = found
    return errors


def _fill_headless(spec: JsonObject, default: str) -> None:
    found = list(spec.get("ipFamilies") or [default])
    if len(found) < 2 and spec["ipFamilyPolicy"] != SINGLE:
        found.append(OTHER_FAMILY[found[0]])
    spec["ipFamilies"] = found


def _check_cluster(spec: JsonObject, families: Sequence[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    policy = spec["ipFamilyPolicy"]
    if policy == REQUIRE and len(families) < 2:
        errors.append(invalid(_POLICY, policy, "this cluster is not configured for dual-stack services"))
    for number, family in enumerate(spec.get("ipFamilies") or ()):
        if family not in families:
            errors.append(invalid(f"spec.ipFamilies[{number}]", family, "not configured on this cluster"))
    return errors


def _add_families(spec: JsonObject, families: Sequence[str]) -> None:
    found = list(spec.get("ipFamilies") or [families[0]])
    if spec["ipFamilyPolicy"] != SINGLE and len(found) == 1 and len(families) == 2:
        found.append(OTHER_FAMILY[found[0]])
    spec["ipFamilies"] = found


def family_of(address: str) -> str:
    """IPv4 or IPv6 of a valid address."""
    parsed = parse_ip(address)
    return IPV6 if parsed is not None and parsed.version == 6 else IPV4
