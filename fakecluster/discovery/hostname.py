"""A Pod's host name and hosts file, as the kubelet makes them (pkg/kubelet/kubelet_pods.go)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from fakecluster.discovery.records import Record

MAX_HOSTNAME, MAX_FQDN = 63, 64
_MANAGED = """\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""
_MANAGED_HOST_NETWORK = "# Kubernetes-managed hosts file (host network).\n"


@attrs.frozen
class Hostname:
    """The short name, the domain below which it is known ("" for none), and what the kernel is told."""

    hostname: str
    domain: str
    kernel_hostname: str


def pod_hostname(pod: Mapping[str, Any], *, cluster_domain: str = "cluster.local") -> Hostname:
    """Raises ValueError, in the kubelet's words, when setHostnameAsFQDN makes a name that is too long."""
    spec, metadata = pod["spec"], pod["metadata"]
    if spec.get("hostnameOverride"):
        return Hostname(spec["hostnameOverride"], "", spec["hostnameOverride"])
    hostname = spec.get("hostname") or metadata["name"][:MAX_HOSTNAME].rstrip("-.")
    subdomain = spec.get("subdomain")
    domain = f"{subdomain}.{metadata['namespace']}.svc.{cluster_domain}" if subdomain else ""
    if not (domain and spec.get("setHostnameAsFQDN")):
        return Hostname(hostname, domain, hostname)
    fqdn = f"{hostname}.{domain}"
    if len(fqdn) > MAX_FQDN:
        raise ValueError(
            f"Failed to construct FQDN from Pod hostname and cluster domain, FQDN {fqdn} is too long "
            f"({MAX_FQDN} characters is the max, {len(fqdn)} characters requested)"
        )
    return Hostname(hostname, domain, fqdn)


def hosts_file(pod: Mapping[str, Any], pod_ips: Sequence[str], name: Hostname, *, node_hosts: str = "") -> str:
    """The text of a Pod's /etc/hosts; a Pod on the host network gets the node's file."""
    spec = pod["spec"]
    aliases = "".join(
        f"{alias['ip']}\t" + "\t".join(alias.get("hostnames") or ()) + "\n" for alias in spec.get("hostAliases") or ()
    )
    tail = f"\n# Entries added by HostAliases.\n{aliases}" if aliases else ""
    if spec.get("hostNetwork"):
        return _MANAGED_HOST_NETWORK + node_hosts + tail
    names = f"{name.hostname}.{name.domain}\t{name.hostname}" if name.domain else name.hostname
    return _MANAGED + "".join(f"{ip}\t{names}\n" for ip in pod_ips) + tail


def listed(text: str, name: str, types: Sequence[str]) -> tuple[Record, ...]:
    """The addresses that a hosts file has for a name, as records of the wanted types (hosts(5))."""
    wanted, found = name.rstrip(".").lower(), list[Record]()
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or ("",)
        if wanted in [one.rstrip(".").lower() for one in names]:
            found.append(Record(name, 0, "AAAA" if ":" in address else "A", address))
    return tuple(record for record in found if record.type in types)
