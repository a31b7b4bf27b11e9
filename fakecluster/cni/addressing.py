"""Which addresses nodes and Pods get: the node network, one Pod CIDR a node, and host-local allocation inside it.

The defaults are those of kind: nodes in 172.18.0.0/16, Pods in 10.244.0.0/16 cut into /24s, the first address of each
being the node's end of its Pods' links.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import attrs

IpNetwork = IPv4Network | IPv6Network
FAMILIES: dict[str, tuple[int, ...]] = {
    "ipv4": (4,), "ipv6": (6,), "dual": (4, 6), "dual-ipv6": (6, 4),
}  # fmt: skip
#: Bits of a node's Pod CIDR (kube-controller-manager --node-cidr-mask-size-ipv4/-ipv6).
NODE_MASK = {4: 24, 6: 64}


#: Nodes that the usual Pod ranges have room for, and ranges for up to 4096.
USUAL_NODES = 256
WIDE_PODS = {4: "10.240.0.0/12", 6: "fd00:10:240::/52"}


@attrs.frozen
class AddressPlan:
    """The address ranges of one cluster; `families` in order of preference, as the cluster's Pods list their IPs."""

    families: tuple[int, ...] = (4,)
    nodes: Mapping[int, str] = attrs.field(factory=lambda: {4: "172.18.0.0/16", 6: "fc00:f853:ccd:e793::/64"})
    pods: Mapping[int, str] = attrs.field(factory=lambda: {4: "10.244.0.0/16", 6: "fd00:10:244::/56"})
    services: Mapping[int, str] = attrs.field(factory=lambda: {4: "10.96.0.0/16", 6: "fd00:10:96::/112"})
    outside: Mapping[int, str] = attrs.field(factory=lambda: {4: "203.0.113.1", 6: "2001:db8::1"})

    @classmethod
    def for_nodes(cls, families: tuple[int, ...], count: int) -> AddressPlan:
        """The usual ranges, or wider ones for Pods when so many nodes do not fit."""
        return cls(families) if count <= USUAL_NODES else cls(families, pods=dict(WIDE_PODS))

    def gateway(self, family: int) -> str:
        """The router of the node network: the way to everything outside."""
        return str(ip_network(self.nodes[family])[1])

    def node(self, index: int) -> NodeAddresses:
        """The addresses of node number `index` (0 for the first). Raises ValueError when the Pod range is used up."""
        ips, cidrs = [], []
        for family in self.families:
            ips.append(str(ip_network(self.nodes[family])[index + 2]))
            cidrs.append(str(_subnet(ip_network(self.pods[family]), NODE_MASK[family], index)))
        return NodeAddresses(tuple(ips), tuple(cidrs))

    @property
    def service_cidrs(self) -> tuple[str, ...]:
        return tuple(self.services[family] for family in self.families)

    @property
    def pod_cidrs(self) -> tuple[str, ...]:
        return tuple(self.pods[family] for family in self.families)


def _subnet(network: IpNetwork, prefix: int, index: int) -> IpNetwork:
    count = 1 << max(0, prefix - network.prefixlen)
    if index >= count:
        raise ValueError(f"{network} has only {count} node ranges of /{prefix}")
    address = network.network_address + (index << (network.max_prefixlen - prefix))
    return ip_network((int(address), prefix)) if network.version == 4 else IPv6Network((int(address), prefix))


@attrs.frozen
class NodeAddresses:
    """One node's own IPs and its Pods' ranges, in the cluster's family order."""

    ips: tuple[str, ...]
    pod_cidrs: tuple[str, ...]


@attrs.define
class HostLocal:
    """The host-local IPAM of one range: the next free address after the last one given, round the range.

    Source: containernetworking plugins/ipam/host-local (the first address is the gateway's).
    """

    network: IpNetwork
    used: dict[int, str] = attrs.field(factory=dict)
    last: int = 1

    def allocate(self, owner: str) -> str:
        """An address for `owner`. Raises ValueError when every address is in use."""
        highest = self.network.num_addresses - (2 if self.network.version == 4 else 1)
        usable = highest - 1  # offsets 2 to highest
        for step in range(min(usable, len(self.used) + 1)):
            offset = 2 + (self.last - 1 + step) % usable
            if offset not in self.used:
                self.used[offset] = owner
                self.last = offset
                return str(self.network[offset])
        raise ValueError(f"no IP addresses available in range set: {self.network[1]}-{self.network[-2]}")

    def reserve(self, address: str, owner: str) -> bool:
        """Take a given address for `owner`; False when it is outside the range or in use."""
        offset = int(ip_address(address)) - int(self.network.network_address)
        if not 1 < offset < self.network.num_addresses or offset in self.used:
            return False
        self.used[offset] = owner
        return True

    def release(self, owner: str) -> None:
        self.used = {offset: other for offset, other in self.used.items() if other != owner}

    def fork(self) -> HostLocal:
        return HostLocal(self.network, self.used.copy(), self.last)
