"""What kube-proxy says about Services and EndpointSlices that the API server lets through and that it cannot use.

It leaves out the part that it cannot use and goes on with the rest; `view` does the leaving out.
Source: Kubernetes pkg/proxy/serviceport.go, util/utils.go (MapIPsByIPFamily, MapCIDRsByIPFamily), endpointslicecache.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from fakecluster.proxy.log import structured
from fakecluster.proxy.view import (
    SERVICE_NAME_LABEL,
    Family,
    JsonObject,
    canonical_ip,
    cluster_ip,
    is_cidr,
    needs_health_check,
)


def service_oddities(service: JsonObject, family: Family) -> Iterator[str]:
    """Lines about one Service, once for each of its ports; none when the family does not serve it."""
    spec = service.get("spec") or {}
    if not cluster_ip(spec, family):
        return
    for _ in spec.get("ports") or ():
        for ip in spec.get("externalIPs") or ():
            if ip.strip() and not canonical_ip(ip):
                yield structured("Skipping invalid IP", ip=ip)
        for cidr in map(str.strip, spec.get("loadBalancerSourceRanges") or ()):
            if cidr and not is_cidr(cidr):
                yield structured("Invalid CIDR ignored", err=f"invalid CIDR address: {cidr}", CIDR=cidr)
        if needs_health_check(spec) and not spec.get("healthCheckNodePort"):
            metadata = service["metadata"]
            name = f"{metadata.get('namespace', 'default')}/{metadata['name']}"
            yield structured("Service has no healthcheck nodeport", service=name)


def slice_oddities(endpoint_slice: JsonObject) -> Iterator[str]:
    """Lines about one EndpointSlice of a known Service."""
    ports = endpoint_slice.get("ports") or ()
    usable = [port for port in ports if port.get("port")]
    for port in ports:
        if not port.get("port"):
            yield structured("Ignoring invalid endpoint port", portName=port.get("name") or "")
    for endpoint in endpoint_slice.get("endpoints") or ():
        if not endpoint.get("addresses"):
            yield from [structured("Ignoring invalid endpoint port with empty address")] * len(usable)


def is_of_no_service(endpoint_slice: JsonObject) -> str:
    """The line about a slice that names no Service; "" when it names one."""
    metadata = endpoint_slice["metadata"]
    if (metadata.get("labels") or {}).get(SERVICE_NAME_LABEL):
        return ""
    problem = f"no {SERVICE_NAME_LABEL} label set on endpoint slice: {metadata['name']}"
    return structured("Error getting endpoint slice cache keys", err=problem)
