"""The node's own addresses, and those of them that answer node ports (`nodePortAddresses`).

Addresses are read from the node, in the order of its interfaces.
Source: Kubernetes pkg/proxy/util/nodeport_addresses.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address, ip_network

import attrs

from fakecluster.proxy.config_check import NODE_PORT_ADDRESSES_PRIMARY
from fakecluster.proxy.program import NodeKernel
from fakecluster.proxy.view import Family, canonical_ip, family_of

_ZERO_CIDR = {"IPv4": "0.0.0.0/0", "IPv6": "::/0"}
_WORD = {"IPv4": "inet", "IPv6": "inet6"}


def addresses_by_device(kernel: NodeKernel, family: Family) -> dict[str, list[str]]:
    """Every address of the family on each of the node's devices, loopback included."""
    found: dict[str, list[str]] = {}
    device = ""
    for line in kernel.run(["ip", "address", "show"]).splitlines():
        word, _, rest = line.strip().partition(" ")
        if not line.startswith(" "):
            device = rest.partition(":")[0].partition("@")[0]
            found[device] = []
        elif word == _WORD[family]:
            found[device].append(canonical_ip(rest.partition(" ")[0].partition("/")[0]))
    return found


def node_addresses(kernel: NodeKernel, family: Family) -> tuple[str, ...]:
    """Every address of the family on any interface of the node, in the order of the interfaces."""
    return tuple(ip for addresses in addresses_by_device(kernel, family).values() for ip in addresses)


@attrs.frozen
class NodePortAddresses:
    """The address filter of one family; without CIDRs of the family every address answers."""

    cidrs: tuple[str, ...]

    @property
    def match_all(self) -> bool:
        return any(ip_network(cidr, strict=False).prefixlen == 0 for cidr in self.cidrs)

    @property
    def contains_ipv4_loopback(self) -> bool:
        """Whether node ports on 127.0.0.1 are asked for: the filter overlaps 127.0.0.0/8."""
        return any(_overlaps_loopback(cidr) for cidr in self.cidrs if family_of(cidr) == "IPv4")

    def matching(self, addresses: Iterable[str]) -> tuple[str, ...]:
        networks = [ip_network(cidr, strict=False) for cidr in self.cidrs]
        return tuple(dict.fromkeys(a for a in addresses if any(ip_address(a) in network for network in networks)))


@lru_cache(maxsize=256)  # of few texts, and asked at every sync
def _overlaps_loopback(cidr: str) -> bool:
    return ip_network(cidr, strict=False).overlaps(ip_network("127.0.0.0/8"))


def node_port_addresses(entries: Iterable[str], family: Family, node_ip: str) -> NodePortAddresses:
    """Read the configured list for one family; ``primary`` stands for the node's IP, if it has one of the family."""
    cidrs = []
    for entry in entries:
        if entry == NODE_PORT_ADDRESSES_PRIMARY:
            if not ip_address(node_ip).is_loopback:
                cidrs.append(f"{node_ip}/{128 if ':' in node_ip else 32}")
        elif family_of(entry) == family:
            cidrs.append(entry)
    return NodePortAddresses(tuple(cidrs) or (_ZERO_CIDR[family],))
