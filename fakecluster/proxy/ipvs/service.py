"""What one service port asks of the node in ipvs mode: virtual servers, entries of sets, addresses to bind.

Source: Kubernetes pkg/proxy/ipvs/proxier.go, the loop over services in syncProxyRules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network

import attrs

from fakecluster.proxy.ipvs import sets
from fakecluster.proxy.ipvs.chains import BlockedAddress
from fakecluster.proxy.ipvs.servers import Scheduling, ServerKey
from fakecluster.proxy.topology import UsableEndpoints
from fakecluster.proxy.view import Endpoint, ServiceName, ServicePort

#: Schedulers that kube-proxy sets a flag for.
_SCHEDULER_FLAGS = {"mh": ("mh-port",)}


@attrs.frozen
class WantedServer:
    """A virtual server to be: real servers as ``ip:port``, sorted."""

    scheduling: Scheduling
    real_servers: tuple[str, ...]


@attrs.define
class Wanted:
    """Everything that the node is to have for one family, collected service port by service port."""

    scheduler: str
    node_ip: str
    #: addresses of the node that are not on the dummy device; those of them (or others) that answer node ports
    other_addresses: frozenset[str]
    node_port_ips: Sequence[str]
    servers: dict[ServerKey, WantedServer] = attrs.field(factory=dict)
    #: in the order in which they are bound
    bound: dict[str, None] = attrs.field(factory=dict)
    entries: sets.Entries = attrs.field(factory=sets.no_entries)
    blocked: list[BlockedAddress] = attrs.field(factory=list)
    #: traffic policy -> Services that have endpoints, but none on this node
    lacking: dict[str, set[ServiceName]] = attrs.field(factory=lambda: {"internal": set(), "external": set()})

    def add(self, port: ServicePort, usable: UsableEndpoints, endpoints: Iterable[Endpoint]) -> None:
        """One more service port; `endpoints` are all it has, usable or not."""
        _ServicePort(self, port, usable).add(endpoints)


class _ServicePort:
    def __init__(self, wanted: Wanted, port: ServicePort, usable: UsableEndpoints) -> None:
        self.wanted, self.port, self.usable = wanted, port, usable
        self.entries = wanted.entries
        self.protocol = port.protocol.lower()
        flags = _SCHEDULER_FLAGS.get(wanted.scheduler, ())
        self.scheduling = Scheduling(wanted.scheduler, port.affinity_timeout_s, flags)

    def add(self, endpoints: Iterable[Endpoint]) -> None:
        self._hairpins(endpoints)
        self._cluster_ip()
        self._external_ips()
        self._load_balancer_ips()
        if self.port.node_port:
            if not self.wanted.node_port_ips:
                return  # kube-proxy gives up on the rest of this service port, its health check port included
            self._node_port()
        if self.port.health_check_node_port:
            self._enter(sets.HEALTH_CHECK_NODE_PORT, str(self.port.health_check_node_port))

    def _enter(self, name: str, entry: str) -> None:
        self.entries[name][entry] = None

    def _at(self, ip: str) -> str:
        return f"{ip},{self.protocol}:{self.port.port}"

    def _hairpins(self, endpoints: Iterable[Endpoint]) -> None:
        """Every endpoint on this node, whatever its conditions."""
        for endpoint in endpoints:
            if endpoint.is_local:
                self._enter(sets.LOOP_BACK, f"{endpoint.ip},{self.protocol}:{endpoint.port},{endpoint.ip}")

    def _cluster_ip(self) -> None:
        ip = self.port.cluster_ip
        self._enter(sets.CLUSTER_IP, self._at(ip))
        self._serve(ip, self.port.port, local=self.port.internal_local, bind=True)

    def _external_ips(self) -> None:
        name = sets.EXTERNAL_IP_LOCAL if self.port.external_local else sets.EXTERNAL_IP
        for ip in self.port.external_ips:
            self._enter(name, self._at(ip))
            self._serve_outside(ip)

    def _load_balancer_ips(self) -> None:
        for ip in self.port.load_balancer_ips:
            self._enter(sets.LOAD_BALANCER, self._at(ip))
            if self.port.external_local:
                self._enter(sets.LOAD_BALANCER_LOCAL, self._at(ip))
            if self.port.source_ranges:
                self._restrict(ip)
            self._serve_outside(ip)

    def _restrict(self, ip: str) -> None:
        self._enter(sets.LOAD_BALANCER_FW, self._at(ip))
        node_ip = ip_address(self.wanted.node_ip)
        allows_node = False
        for source in self.port.source_ranges:
            network = ip_network(source)
            text = str(network.network_address) if network.prefixlen == network.max_prefixlen else source
            self._enter(sets.LOAD_BALANCER_SOURCE_CIDR, f"{self._at(ip)},{text}")
            allows_node = allows_node or node_ip in network
        if allows_node:
            self._enter(sets.LOAD_BALANCER_SOURCE_IP, f"{self._at(ip)},{ip}")
        else:
            self.wanted.blocked.append(BlockedAddress(ip, self.port.protocol, self.port.port))

    def _node_port(self) -> None:
        protocol, number, ips = self.port.protocol, self.port.node_port, self.wanted.node_port_ips
        entries = [f"{ip},sctp:{number}" for ip in ips] if protocol == "SCTP" else [str(number)]
        names = [sets.NODE_PORT[protocol]] + ([sets.NODE_PORT_LOCAL[protocol]] if self.port.external_local else [])
        for name in names:
            for entry in entries:
                self._enter(name, entry)
        for ip in ips:
            self._serve(ip, number, local=self.port.external_local, bind=False)

    def _serve_outside(self, ip: str) -> None:
        """An address that another device has already is left there."""
        bind = ip not in self.wanted.other_addresses
        self._serve(ip, self.port.port, local=self.port.external_local, bind=bind)

    def _serve(self, ip: str, port: int, *, local: bool, bind: bool) -> None:
        if bind:
            self.wanted.bound[ip] = None
        endpoints = self._endpoints(local=local)
        key = ServerKey.of(self.port.protocol, ip, port)
        self.wanted.servers[key] = WantedServer(self.scheduling, tuple(endpoint.text for endpoint in endpoints))

    def _endpoints(self, *, local: bool) -> tuple[Endpoint, ...]:
        """Policy Local without a local endpoint falls back to the cluster's: there is nothing else to do with it."""
        if not local:
            return self.usable.cluster
        if self.usable.local:
            return self.usable.local
        lacking = self.wanted.lacking
        if self.usable.anywhere and self.port.internal_local:
            lacking["internal"].add(self.port.name.service)
        if self.usable.anywhere and self.port.external_local:
            lacking["external"].add(self.port.name.service)
        return self.usable.cluster
