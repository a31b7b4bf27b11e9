"""The recordings of the 1000-endpoint threshold, which keep excerpts instead of objects and whole dumps.

Their big Service is not among the recorded objects. Its endpoints were numbered by the recorder: 200 per octet from
10.244.1.5 on; the recorded chain names, hashes of these addresses, confirm it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from replay.kubeproxy_node import Node
from replay.kubeproxy_rules import canonical

Json = dict[str, Any]
_DNAT = re.compile(r"--to-destination (\S+):(\d+)")
_TITLE = re.compile(r'--comment "([^"/]+)/([^":]+):([^" ]+)')
_CLUSTER_IP = re.compile(r"-A KUBE-SERVICES -d (\S+)/32 .*--dport (\d+)")
BIG_SERVICE, BIG_CLUSTER_IP = "thr", "10.96.250.250"


def threshold_events(step: Json, data: Json) -> Iterator[tuple[str, Json, bool]]:
    """The two Services as they were at the start, read from the excerpts."""
    if data["scenario"] != "large_threshold" or data["mode"] != "iptables" or "config" not in step:
        return
    yield "services", _service("default", "kubernetes", "10.96.0.1", 443, "https"), False
    rules = step["smallService"]["iptables_save"]
    small = next(match for line in rules if (match := _CLUSTER_IP.match(line)))
    namespace, name, port_name = next(
        m for line in rules if _CLUSTER_IP.match(line) and (m := _TITLE.search(line))
    ).groups()
    own = [line for line in rules if f"{namespace}/{name}:" in line]
    endpoints = sorted({found.groups() for line in own if (found := _DNAT.search(line))})
    port = int(endpoints[0][1])
    big = step["totalEndpoints"] - len(endpoints)
    addresses = [f"10.244.{1 + number // 200}.{5 + number % 200}" for number in range(big)]
    for service, cluster_ip, service_port, ips in (
        (name, small[1], int(small[2]), [ip for ip, _ in endpoints]),
        (BIG_SERVICE, BIG_CLUSTER_IP, 80, addresses),
    ):
        yield "services", _service(namespace, service, cluster_ip, service_port, port_name), False
        yield "endpointslices.discovery.k8s.io", _slice(namespace, service, port, port_name, ips), False


def _service(namespace: str, name: str, cluster_ip: str, port: int, port_name: str) -> Json:
    ports = [{"name": port_name, "port": port, "protocol": "TCP"}]
    spec = {"type": "ClusterIP", "clusterIP": cluster_ip, "clusterIPs": [cluster_ip], "ports": ports}
    return {"kind": "Service", "metadata": {"namespace": namespace, "name": name}, "spec": spec}


def _slice(namespace: str, service: str, port: int, port_name: str, ips: list[str]) -> Json:
    labels = {"kubernetes.io/service-name": service}
    return {
        "kind": "EndpointSlice",
        "metadata": {"namespace": namespace, "name": f"{service}-1", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [ip], "conditions": {"ready": True}} for ip in ips],
    }


def threshold_differences(step: Json, node: Node) -> Iterator[str]:
    """Compare the excerpts: the first lines, how many there are, and the rules of two endpoints."""
    if "rulesHead" not in step or "iptables_save" not in step["rulesHead"]:
        return
    for name, tool in (("iptables_save", "iptables-save"), ("ip6tables_save", "ip6tables-save")):
        dump = node.run([tool])
        lines = canonical(dump)
        known = {line.partition(": ")[2] for line in lines} | {line for line in dump.splitlines() if line[:1] in "*C"}
        head = [line for line in step["rulesHead"][name] if line]
        yield from (f"{name}: missing: {line}" for line in head if line not in known)
        count = len([line for line in dump.splitlines() if line and not line.startswith("#")])
        expected = step["ruleLines"][name]
        if abs(count - expected) > 1:  # the recorder counted the empty line at the end, too
            yield f"{name}: {count} lines instead of {expected}"
        for excerpt in ("smallService", "sampleWithEndpoint"):
            for line in step[excerpt][name]:
                if line not in known and f"-d {BIG_CLUSTER_IP}" not in line:
                    yield f"{name}: {excerpt}: missing: {line}"
