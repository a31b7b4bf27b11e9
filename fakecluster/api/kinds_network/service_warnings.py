"""What the server tells the writer of a Service that it accepts all the same (api/service/warnings.go)."""

from __future__ import annotations

from fakecluster.api.kinds_network.ip_text import cidr_warnings, ip_warnings
from fakecluster.api.kinds_network.service_defaults import is_headless
from fakecluster.api.kinds_network.service_validation import TOPOLOGY_HINTS, TOPOLOGY_MODE
from fakecluster.api.status import JsonObject


def service_warnings(service: JsonObject, old: JsonObject | None) -> list[str]:
    """The warnings about a Service, in the server's order."""
    del old
    spec = service["spec"]
    headless, external = is_headless(spec), spec["type"] == "ExternalName"
    found: list[str] = []
    if TOPOLOGY_HINTS in (service["metadata"].get("annotations") or {}):
        found.append(f"annotation {TOPOLOGY_HINTS} is deprecated, please use {TOPOLOGY_MODE} instead")
    if not headless and not external:
        found += _about_addresses(spec, "clusterIPs")
    if headless:
        found += _ignored_when_headless(spec)
    found += _about_addresses(spec, "externalIPs")
    if spec.get("loadBalancerIP"):
        found += ip_warnings("spec.loadBalancerIP", spec["loadBalancerIP"])
    for number, cidr in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        found += cidr_warnings(f"spec.loadBalancerSourceRanges[{number}]", cidr)
    if external and spec.get("externalIPs"):
        found.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if spec.get("externalName") and not external:
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        found.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    if spec.get("externalIPs") and not headless and not external:
        found.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    return found


def _about_addresses(spec: JsonObject, key: str) -> list[str]:
    return [
        text
        for number, address in enumerate(spec.get(key) or ())
        for text in ip_warnings(f"spec.{key}[{number}]", address)
    ]


def _ignored_when_headless(spec: JsonObject) -> list[str]:
    found = []
    if spec.get("loadBalancerIP"):
        found.append("spec.loadBalancerIP is ignored for headless services")
    if spec.get("externalIPs"):
        found.append("spec.externalIPs is ignored for headless services")
    if spec["sessionAffinity"] != "None":
        found.append("spec.SessionAffinity is ignored for headless services")
    return found
