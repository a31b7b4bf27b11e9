"""NodeLocal DNSCache: a caching DNS server on every node, at an address that exists on each of them.

    Pod ──► 169.254.20.10 on its node ──(TCP)──► Service kube-dns-upstream ──► CoreDNS

Pods are given that address as their name server, as in IPVS clusters; taking over the cluster IP of kube-dns as well,
which is the other way to run it, is not modelled. Source: kubernetes/dns cmd/node-cache, addons/dns/nodelocaldns.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from fakecluster.cluster.dns_objects import COREFILE, DNS_NAMESPACE, config_map, dns_service
from fakecluster.discovery.index import DnsIndex
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.sockets import Program

JsonObject = dict[str, Any]
NAME, ADDRESS, INTERFACE = "node-local-dns", "169.254.20.10", "nodelocaldns"
UPSTREAM_SERVICE = "kube-dns-upstream"
IMAGE = "registry.k8s.io/dns/k8s-dns-node-cache"
DNS_PORT = 53
COREFILE_TEXT = """\
cluster.local:53 {
    errors
    cache {
        success 9984 30
        denial 9984 5
    }
    reload
    loop
    bind 169.254.20.10
    forward . __PILLAR__CLUSTER__DNS__ {
        force_tcp
    }
    prometheus :9253
    health 169.254.20.10:8080
}
in-addr.arpa:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10
    forward . __PILLAR__CLUSTER__DNS__ {
        force_tcp
    }
    prometheus :9253
}
ip6.arpa:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10
    forward . __PILLAR__CLUSTER__DNS__ {
        force_tcp
    }
    prometheus :9253
}
.:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10
    forward . __PILLAR__UPSTREAM__SERVERS__
    prometheus :9253
}
"""
_COMMENT = '-m comment --comment "NodeLocal DNS Cache: skip conntrack"'
_ALLOW = '-m comment --comment "NodeLocal DNS Cache: allow DNS traffic"'


def objects() -> list[tuple[str, JsonObject]]:
    """(resource, object) of what it consists of, in the order in which they are made."""
    return [
        ("services", dns_service(UPSTREAM_SERVICE, "")),
        ("configmaps", config_map(NAME, COREFILE_TEXT)),
        ("daemonsets.apps", daemon_set()),
    ]


def daemon_set() -> JsonObject:
    """The DaemonSet. It declares no ports: the process binds its own address."""
    labels = {"k8s-app": NAME}
    container = {
        "name": "node-cache",
        "image": f"{IMAGE}:1.26.4",
        "args": ["-localip", ADDRESS, "-conf", "/etc/Corefile", "-upstreamsvc", UPSTREAM_SERVICE],
        "volumeMounts": [{"name": "config-volume", "mountPath": "/etc/coredns"}],
    }
    items = [{"key": COREFILE, "path": "Corefile.base"}]
    pod = {
        "containers": [container],
        "hostNetwork": True,
        "dnsPolicy": "Default",
        "tolerations": [{"operator": "Exists", "effect": effect} for effect in ("NoSchedule", "NoExecute")],
        "volumes": [{"name": "config-volume", "configMap": {"name": NAME, "items": items}}],
    }
    spec = {
        "selector": {"matchLabels": labels},
        "updateStrategy": {"rollingUpdate": {"maxUnavailable": "10%"}},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    metadata = {"name": NAME, "namespace": DNS_NAMESPACE, "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": spec}


def filled_in(text: str, index: DnsIndex) -> str:
    """A Corefile with the words replaced that node-cache replaces before it starts CoreDNS."""
    if "__PILLAR__" not in text:
        return text
    service = index.services.get((DNS_NAMESPACE, UPSTREAM_SERVICE))
    if service is not None and service.cluster_ips:
        text = text.replace("__PILLAR__CLUSTER__DNS__", service.cluster_ips[0])
    return text.replace("__PILLAR__UPSTREAM__SERVERS__", "/etc/resolv.conf")


def set_up(netns: Netns, program: Program, *, owner: tuple[str, str]) -> None:
    """The interface with the address, the rules around conntrack, and the sockets. Raises `SendError`."""
    if INTERFACE not in netns.interfaces:
        netns.run(f"ip link add {INTERFACE} type dummy")
        netns.run(f"ip address add {ADDRESS}/32 dev {INTERFACE}")
        netns.run("iptables-restore --noflush", rules())
    for protocol in ("udp", "tcp"):
        address = int(ip_address(ADDRESS))
        sock = netns.sockets.bind(protocol, DNS_PORT, program, address=address, name=f"{NAME} ({protocol}:{DNS_PORT})")
        sock.context["container"] = owner


def rules() -> str:
    """What node-cache adds to the node's iptables: its traffic is not tracked, and let through."""
    lines = {"raw": list[str](), "filter": list[str]()}
    for protocol in ("udp", "tcp"):
        asked = f"-d {ADDRESS}/32 -p {protocol} -m {protocol} --dport {DNS_PORT}"
        answered = f"-s {ADDRESS}/32 -p {protocol} -m {protocol} --sport {DNS_PORT}"
        lines["raw"] += [f"-A {chain} {asked} {_COMMENT} -j NOTRACK" for chain in ("PREROUTING", "OUTPUT")]
        lines["raw"].append(f"-A OUTPUT {answered} {_COMMENT} -j NOTRACK")
        lines["filter"] += [f"-A INPUT {asked} {_ALLOW} -j ACCEPT", f"-A OUTPUT {answered} {_ALLOW} -j ACCEPT"]
    return "".join(
        f"*{table}\n" + "".join(f"{line}\n" for line in found) + "COMMIT\n" for table, found in lines.items()
    )


def tear_down(netns: Netns | None) -> None:
    """The process ends: its interface goes, and its rules with it."""
    if netns is None or INTERFACE not in netns.interfaces:
        return
    netns.run(f"ip link delete {INTERFACE}")
    for table in ("raw", "filter"):
        for line in netns.run(f"iptables-save -t {table}").splitlines():
            if "NodeLocal DNS Cache" in line:
                netns.run(f"iptables -t {table} -D {line.removeprefix('-A ')}")
