"""The rows of area `dns` that come from the kubelet's own code: resolv.conf, host names, hosts files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fakecluster.discovery.hostname import Hostname, hosts_file, pod_hostname
from fakecluster.discovery.resolvconf import pod_dns
from replay.result import Difference


def rows(found: list[dict[str, Any]]) -> Iterator[Difference]:
    for number, row in enumerate(found):
        expected = row["output"]
        try:
            got = {**OPERATIONS[row["input"]["op"]](row["input"]), "error": None}
        except ValueError as wrong:
            got = {"error": str(wrong)}
        for key, value in expected.items():
            if (got.get(key) or None) != (value or None):
                yield Difference(f"{number} {row['group']}", f"{key} is {got.get(key)!r} instead of {value!r}")


def poddns(row: dict[str, Any]) -> dict[str, Any]:
    dns = pod_dns(
        row["pod"],
        cluster_dns=row["clusterDNS"],
        cluster_domain=row["clusterDomain"],
        node_resolv_conf=row["nodeResolvConf"],
        node_ips=row["nodeIPs"],
    )
    conf = dns.resolv_conf
    return {
        "events": list(dns.events),
        "optionsSorted": sorted(conf.options),
        "searches": list(conf.searches),
        "servers": list(conf.nameservers),
    }


def hostname(row: dict[str, Any]) -> dict[str, Any]:
    name = pod_hostname(row["pod"], cluster_domain=row["clusterDomain"])
    return {"hostname": name.hostname, "hostDomain": name.domain, "kernelHostname": name.kernel_hostname}


def hosts(row: dict[str, Any]) -> dict[str, Any]:
    name = Hostname(row["hostname"], row["hostDomain"], row["hostname"])
    return {"content": hosts_file(row["pod"], row["podIPs"], name, node_hosts=row["nodeHosts"])}


OPERATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "poddns": poddns,
    "hostname": hostname,
    "hosts": hosts,
}
