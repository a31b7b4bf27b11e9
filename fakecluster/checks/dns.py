"""Names agree with endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fakecluster.checks.finding import Finding
from fakecluster.checks.probes import with_probes
from fakecluster.handles import Pod, Service

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

ZONE = "svc.cluster.local."
_TYPES = {4: "A", 6: "AAAA"}


def names_agree_with_endpoints(cluster: Cluster) -> Iterator[Finding]:
    """A Service's name resolves to its cluster IPs; a headless one's to the addresses of its ready endpoints."""
    if not cluster.spec.dns:
        return
    copy, pods = with_probes(cluster)
    host = next(iter(pods.values()), None)
    for service in copy.services if host is not None else ():
        if service.object["spec"]["type"] == "ExternalName" or host is None:
            continue
        for family in copy.spec.families:
            wanted = _wanted(service, family)
            seen = _resolved(host, service, family)
            if seen != wanted:
                name = f"{service.name}.{service.kubernetes_namespace}.{ZONE}"
                problem = f"{name} {_TYPES[family]} is {_words(seen)}, the API says {_words(wanted)}"
                yield Finding("dns", f"svc/{service.kubernetes_namespace}/{service.name}", problem)


def _resolved(host: Pod, service: Service, family: int) -> set[str]:
    name = f"{service.name}.{service.kubernetes_namespace}.{ZONE}"
    return {record.data for record in host.lookup(name, types=(_TYPES[family],)).records}


def _wanted(service: Service, family: int) -> set[str]:
    if service.cluster_ip != "None":
        return {ip for ip in service.cluster_ips if (":" in ip) == (family == 6)}
    everyone = service.object["spec"].get("publishNotReadyAddresses")
    return {
        address
        for entry in service.slices
        if entry["addressType"] == f"IPv{family}"
        for endpoint in entry.get("endpoints") or ()
        if everyone or (endpoint.get("conditions") or {}).get("ready", True)
        for address in endpoint["addresses"][:1]
    }


def _words(addresses: set[str]) -> str:
    return ", ".join(sorted(addresses)) or "nothing"
