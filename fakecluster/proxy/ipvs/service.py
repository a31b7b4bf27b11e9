"""What one service port asks of the node in ipvs mode: virtual servers, entries of sets, addresses to bind.

Source: Kubernetes pkg/proxy/ipvs/proxier.go, the loop over services in syncProxyRules.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from ipaddress import ip_address, ip_network

import attrs

from fakecluster.proxy.ipvs import sets
from fakecluster.proxy.ipvs.chains import BlockedAddress
from fakecluster.proxy.ipvs.servers import Scheduling, ServerKey
from fakecluster.proxy.topology import UsableEndpoints
from fakecluster.proxy.view import Endpoint, ServicePort

#: Schedulers that kube-proxy sets a flag for.
_SCHEDULER_FLAGS = {"mh": ("mh-port",)}


@attrs.frozen(slots=False)
class WantedServer:
    """A virtual server to be: real servers as ``ip:port``, sorted."""

    scheduling: Scheduling
    real_servers: tuple[str, ...]

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(self.real_servers)


@attrs.frozen
class Surroundings:
    """What all service ports depend on: configuration and the node's addresses of the family.

    `other_addresses` are those that are not on the dummy device; `node_port_ips` answer node ports.
    """

    scheduler: str
    node_ip: str
    other_addresses: tuple[str, ...]
    node_port_ips: tuple[str, ...]


@attrs.frozen
class Needs:
    """What one service port needs. `entries` are (set, entry); `bound` are addresses for the dummy device.

    `lacking` names the traffic policies for which there are endpoints, but none on this node.
    """

    servers: tuple[tuple[ServerKey, WantedServer], ...]
    bound: tuple[str, ...]
    entries: tuple[tuple[str, str], ...]
    blocked: tuple[BlockedAddress, ...]
    lacking: frozenset[str]


def needs_of(
    port: ServicePort, usable: UsableEndpoints, endpoints: Iterable[Endpoint], surroundings: Surroundings
) -> Needs:
    """The needs of a service port; `endpoints` are all it has, usable or not."""
    return _ServicePort(port, usable, surroundings).needs(endpoints)


class _ServicePort:
    def __init__(self, port: ServicePort, usable: UsableEndpoints, surroundings: Surroundings) -> None:
        self.port, self.usable, self.surroundings = port, usable, surroundings
        self.protocol = port.protocol.lower()
        flags = _SCHEDULER_FLAGS.get(surroundings.scheduler, ())
        scheduling = Scheduling(surroundings.scheduler, port.affinity_timeout_s, flags)
        cluster, local = (tuple(endpoint.text for endpoint in chosen) for chosen in (usable.cluster, usable.local))
        self.cluster = WantedServer(scheduling, cluster)
        # policy Local without a local endpoint falls back to the cluster's: there is nothing else to do with it
        self.local = WantedServer(scheduling, local) if local else self.cluster
        self.servers: list[tuple[ServerKey, WantedServer]] = []
        self.bound: list[str] = []
        self.entries: list[tuple[str, str]] = []
        self.blocked: list[BlockedAddress] = []
        self.lacking: set[str] = set()

    def needs(self, endpoints: Iterable[Endpoint]) -> Needs:
        self._hairpins(endpoints)
        self._cluster_ip()
        self._external_ips()
        self._load_balancer_ips()
        if not self.port.node_port or self.surroundings.node_port_ips:
            self._node_port()
            self._health_check()
        # without addresses for node ports the rest of the service port is given up, its health check port included
        return Needs(
            tuple(self.servers), tuple(self.bound), tuple(self.entries), tuple(self.blocked), frozenset(self.lacking)
        )

    def _enter(self, name: str, entry: str) -> None:
        self.entries.append((name, entry))

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
        self.bound.append(ip)
        self._serve(ip, self.port.port, local=self.port.internal_local)

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
        node_ip = ip_address(self.surroundings.node_ip)
        allows_node = False
        for source in self.port.source_ranges:
            network = ip_network(source)
            text = str(network.network_address) if network.prefixlen == network.max_prefixlen else source
            self._enter(sets.LOAD_BALANCER_SOURCE_CIDR, f"{self._at(ip)},{text}")
            allows_node = allows_node or node_ip in network
        if allows_node:
            self._enter(sets.LOAD_BALANCER_SOURCE_IP, f"{self._at(ip)},{ip}")
        else:
            self.blocked.append(BlockedAddress(ip, self.port.protocol, self.port.port))

    def _node_port(self) -> None:
        protocol, number = self.port.protocol, self.port.node_port
        if not number:
            return
        ips = self.surroundings.node_port_ips
        names = [sets.NODE_PORT[protocol]] + ([sets.NODE_PORT_LOCAL[protocol]] if self.port.external_local else [])
        for name in names:
            for entry in [f"{ip},sctp:{number}" for ip in ips] if protocol == "SCTP" else [str(number)]:
                self._enter(name, entry)
        for ip in ips:
            self._serve(ip, number, local=self.port.external_local)

    def _health_check(self) -> None:
        if self.port.health_check_node_port:
            self._enter(sets.HEALTH_CHECK_NODE_PORT, str(self.port.health_check_node_port))

    def _serve_outside(self, ip: str) -> None:
        """An address that another device has already is left there."""
        if ip not in self.surroundings.other_addresses:
            self.bound.append(ip)
        self._serve(ip, self.port.port, local=self.port.external_local)

    def _serve(self, ip: str, port: int, *, local: bool) -> None:
        if local and not self.usable.local and self.usable.anywhere:
            self._note_lack()
        key = ServerKey.of(self.port.protocol, ip, port)
        self.servers.append((key, self.local if local else self.cluster))

    def _note_lack(self) -> None:
        if self.port.internal_local:
            self.lacking.add("internal")
        if self.port.external_local:
            self.lacking.add("external")
