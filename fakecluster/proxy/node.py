"""The node that one single-family proxier programs: who it is, how it was configured, and how it is reached."""

from __future__ import annotations

from collections import deque
from functools import cached_property

import attrs

from fakecluster.proxy.config import KubeProxyConfiguration
from fakecluster.proxy.config_check import NODE_PORT_ADDRESSES_PRIMARY
from fakecluster.proxy.detect_local import LocalDetector, local_detector
from fakecluster.proxy.log import LINES_KEPT, LogLine, structured
from fakecluster.proxy.node_addresses import NodePortAddresses, node_port_addresses
from fakecluster.proxy.program import NodeKernel, NodeRelays, NoRelays
from fakecluster.proxy.versions import CURRENT, Behaviours
from fakecluster.proxy.view import Family, JsonObject, canonical_ip, family_of
from fakecluster.sim import Choices, Clock, Seeded

_UNSPECIFIED = ("0.0.0.0", "::")
_LOOPBACK: dict[Family, str] = {"IPv4": "127.0.0.1", "IPv6": "::1"}


@attrs.frozen
class ProxyNode:
    """Everything a rules writer may ask that does not change while kube-proxy runs."""

    family: Family
    name: str
    #: the node's IP of this family; loopback when the node has none
    ip: str
    config: KubeProxyConfiguration
    kernel: NodeKernel
    clock: Clock
    pod_cidrs: tuple[str, ...] = ()
    behaviours: Behaviours = CURRENT
    #: what the order of a Go set is left to
    choices: Choices = attrs.field(factory=Seeded)
    relays: NodeRelays = attrs.field(factory=NoRelays)
    #: failed syncs and odd input, in kube-proxy's words; the last `LINES_KEPT`
    log: deque[LogLine] = attrs.field(factory=lambda: deque(maxlen=LINES_KEPT), repr=False)

    def note(self, text: str, service: str = "") -> None:
        """Log a line, about a Service (``namespace/name``) or about none."""
        self.log.append(LogLine(self.clock.now_s, text, service))

    @property
    def detector(self) -> LocalDetector:
        return local_detector(self.config, self.family, self.pod_cidrs)

    @cached_property
    def node_port_addresses(self) -> NodePortAddresses:
        entries = self.config.node_port_addresses
        if not entries and self.config.mode == "nftables":
            entries = (NODE_PORT_ADDRESSES_PRIMARY,)  # this mode's own default (server_linux.go, platformApplyDefaults)
        return node_port_addresses(entries, self.family, self.ip)

    def on(self, kernel: NodeKernel, clock: Clock, choices: Choices, relays: NodeRelays) -> ProxyNode:
        """The same node, copied: reached through `kernel`, at the time of `clock`."""
        return attrs.evolve(self, kernel=kernel, clock=clock, choices=choices, relays=relays, log=self.log.copy())


def node_ip(node: JsonObject | None, family: Family, bind_address: str) -> str:
    """kube-proxy's idea of its node's IP: bindAddress when it is specific, else the first InternalIP, else ExternalIP.

    Source: cmd/kube-proxy/app/server.go detectNodeIPs and pkg/util/node GetNodeHostIPs.
    """
    if bind_address not in _UNSPECIFIED and family_of(bind_address) == family:
        return canonical_ip(bind_address)
    addresses = ((node or {}).get("status") or {}).get("addresses") or ()
    for kind in ("InternalIP", "ExternalIP"):
        for entry in addresses:
            if entry.get("type") == kind and family_of(entry["address"]) == family:
                return canonical_ip(entry["address"])
    return _LOOPBACK[family]


def primary_family(node: JsonObject | None, bind_address: str) -> Family:
    """The family of bindAddress when it is specific, else of the node's first InternalIP (ExternalIP without one)."""
    if bind_address not in _UNSPECIFIED:
        return family_of(bind_address)
    addresses = ((node or {}).get("status") or {}).get("addresses") or ()
    kinds = ("InternalIP", "ExternalIP")
    found = (entry["address"] for kind in kinds for entry in addresses if entry.get("type") == kind)
    return family_of(next(found, _LOOPBACK["IPv4"]))


def pod_cidrs(node: JsonObject | None) -> tuple[str, ...]:
    spec = (node or {}).get("spec") or {}
    return tuple(spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else ()))


def host_ips(node: JsonObject | None) -> tuple[str, ...]:
    """The node's first address of each family, InternalIPs before ExternalIPs (pkg/util/node GetNodeHostIPs)."""
    addresses = ((node or {}).get("status") or {}).get("addresses") or ()
    found = [entry["address"] for kind in ("InternalIP", "ExternalIP") for entry in addresses if entry["type"] == kind]
    first = {family_of(address): canonical_ip(address) for address in reversed(found)}
    return tuple(dict.fromkeys(first[family_of(address)] for address in found))


def what_changed(before: JsonObject | None, now: JsonObject, node_name: str, *, watches_pod_cidrs: bool) -> str:
    """The last line of a kube-proxy whose node changed so that it has to start anew; "" when it may go on.

    Source: Kubernetes pkg/proxy/node.go.
    """
    old_ips, new_ips = host_ips(before), host_ips(now)
    if old_ips != new_ips:
        values = {"node": node_name, "newNodeIPs": list(new_ips), "oldNodeIPs": list(old_ips)}
        return structured("NodeIPs changed for the node", **values)
    old_cidrs, new_cidrs = pod_cidrs(before), pod_cidrs(now)
    if watches_pod_cidrs and old_cidrs != new_cidrs:
        said = "Using NodeCIDR LocalDetector mode, current PodCIDRs are different than previous PodCIDRs, restarting"
        values = {"node": node_name, "newPodCIDRs": list(new_cidrs), "oldPodCIDRs": list(old_cidrs)}
        return structured(said, **values)
    return ""
