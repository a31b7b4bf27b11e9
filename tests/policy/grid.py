"""Three namespaces of three Pods, and packets between all of them."""

from __future__ import annotations

import struct
from functools import lru_cache
from ipaddress import ip_address
from itertools import count
from typing import Any

import attrs
from scapy.layers.inet import IP
from scapy.layers.sctp import SCTP

from fakecluster import Cluster
from fakecluster.fabric.links import Port
from fakecluster.policy.definitions import policy_definitions

Json = dict[str, Any]
SPACES, NAMES = ("x", "y", "z"), ("a", "b", "c")
PODS = tuple(f"{space}/{name}" for space in SPACES for name in NAMES)
PROBES = (("TCP", 80), ("TCP", 81), ("UDP", 80), ("UDP", 81))
#: c runs on both nodes' border: whoever talks to it from its namespace is on the other node
NODES = {"a": "a", "b": "b", "c": "a"}
KINDS = {
    "Namespace": "namespaces",
    "Node": "nodes",
    "Pod": "pods",
    "NetworkPolicy": "networkpolicies.networking.k8s.io",
    "AdminNetworkPolicy": "adminnetworkpolicies.policy.networking.k8s.io",
    "BaselineAdminNetworkPolicy": "baselineadminnetworkpolicies.policy.networking.k8s.io",
    "ClusterNetworkPolicy": "clusternetworkpolicies.policy.networking.k8s.io",
}
_PROTOCOL = {"TCP": 6, "UDP": 17, "SCTP": 132}


def namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"ns": name}}}


def pod(space: str, name: str, *, node: str = "", host_network: bool = False, **labels: str) -> Json:
    """A Pod that serves 80 and 81 over TCP and UDP; c's ports 80 and 81 have each other's names."""
    names = {80: "serve-80", 81: "serve-81"} if name != "c" else {80: "serve-81", 81: "serve-80"}
    ports = [
        {"containerPort": port, "protocol": protocol, "name": f"{names[port]}-{protocol.lower()}"}
        for protocol, port in PROBES
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": {"pod": name, **labels}},
        "spec": {
            "nodeName": node or NODES.get(name, "a"),
            "hostNetwork": host_network,
            "containers": [{"name": "main", "image": "example.com/server:1", "ports": ports}],
        },
    }


@lru_cache(maxsize=8)
def _template(cni: str, proxy: str, ip_family: str) -> Cluster:
    cluster = Cluster(nodes=2, cni=cni, proxy=proxy, ip_family=ip_family, dns=False)
    cluster.apply([*policy_definitions(), *(namespace(space) for space in SPACES)])
    cluster.apply([pod(space, name) for space in SPACES for name in NAMES])
    return cluster


@attrs.define
class Grid:
    """The cluster with those Pods, to be asked whether a packet arrives."""

    cluster: Cluster
    family: int = 4
    _sports: Any = attrs.field(factory=lambda: count(20000))

    @classmethod
    def of(cls, *policies: Json, cni: str = "iptables", proxy: str = "iptables", ip_family: str = "ipv4") -> Grid:
        cluster = _template(cni, proxy, ip_family).fork()
        if policies:
            cluster.apply(list(policies))
        return cls(cluster, 6 if ip_family == "ipv6" else 4)

    @property
    def objects(self) -> list[Json]:
        """The API's objects that decide."""
        found = []
        for kind, resource in KINDS.items():
            found += [{**one, "kind": kind} for one in self.cluster.parts.server.store.list(resource)]
        return found

    def arrives(self, source: str, target: str, protocol: str, port: int) -> bool:
        """Whether a new packet from one Pod ("x/a") gets to another one."""
        address = self.cluster.pod(*reversed(target.split("/"))).object["status"]["podIPs"]
        ip = next(one["ip"] for one in address if (":" in one["ip"]) == (self.family == 6))
        if source == target:
            return True  # never leaves the Pod
        network = self.cluster.network
        port_of = Port(f"pod/{target}", "eth0")
        taken = network.taps[port_of] = []
        netns = network.namespaces[f"pod/{source}"]
        own = next(one.address for one in netns.interfaces["eth0"].addresses if one.family == self.family)
        packet = raw_packet(self.family, own, int(ip_address(ip)), protocol, next(self._sports), port)
        network.record(netns, netns.send_local(packet))
        network.run()
        del network.taps[port_of]
        return bool(taken)


def raw_packet(family: int, source: int, target: int, protocol: str, sport: int, dport: int) -> bytes:
    """A SYN, a datagram of two bytes, or SCTP's INIT, with right checksums."""
    if protocol == "SCTP":
        init = struct.pack("!BBHIIHHI", 1, 0, 20, 1, 65535, 1, 1, 1)
        transport = bytes(SCTP(sport=sport, dport=dport) / init)
        return bytes(
            IP(src=str(ip_address(source)), dst=str(ip_address(target)), proto=132) / transport
        )  # only over IPv4
    if protocol == "TCP":
        transport = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 0x50, 0x02, 65535, 0, 0)
    else:
        transport = struct.pack("!HHHH", sport, dport, 10, 0) + b"hi"
    width, number = (4, 16)[family == 6], _PROTOCOL[protocol]
    addresses = source.to_bytes(width) + target.to_bytes(width)
    checksum = _sum16(addresses + struct.pack("!II", number, len(transport)) + transport)
    place = 16 if protocol == "TCP" else 6
    transport = transport[:place] + struct.pack("!H", checksum) + transport[place + 2 :]
    if family == 6:
        return struct.pack("!IHBB", 6 << 28, len(transport), number, 64) + addresses + transport
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(transport), 1, 0, 64, number, 0) + addresses
    return head[:10] + struct.pack("!H", _sum16(head)) + head[12:] + transport


def _sum16(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
