"""healthCheckNodePorts: one small HTTP server per Service of policy Local, asked by load balancers.

Source: Kubernetes pkg/proxy/healthcheck/service_health.go.
"""

from __future__ import annotations

import json

import attrs

from fakecluster.errors import CommandError
from fakecluster.proxy.log import structured
from fakecluster.proxy.node import ProxyNode
from fakecluster.proxy.node_addresses import node_addresses
from fakecluster.proxy.program import NodePorts
from fakecluster.proxy.view import NodeView, ServiceName

#: What Go listens on for both families, though it looks like one of IPv4 (package net, Listen).
ANY_ADDRESS = "0.0.0.0"


@attrs.frozen
class HttpAnswer:
    """What one of kube-proxy's small HTTP servers says."""

    status: int
    body: str
    headers: tuple[tuple[str, str], ...] = ()


class ServiceHealth:
    """The health check ports of one family and the numbers of local ready endpoints they report."""

    def __init__(self, node: ProxyNode, ports: NodePorts, target: str) -> None:
        self.node, self.ports, self.target = node, ports, target
        self.servers: dict[ServiceName, int] = {}
        self.local_endpoints: dict[ServiceName, int] = {}
        self._addresses: dict[ServiceName, tuple[str, ...]] = {}

    def sync(self, view: NodeView) -> None:
        """Open and close ports as Services ask, and count the local ready endpoints of each.

        A port that cannot be opened is tried again by the next sync.
        """
        wanted = view.health_check_ports
        for service in [s for s, port in self.servers.items() if wanted.get(s) != port]:
            self._close(service)
        for service, port in wanted.items():
            if service not in self.servers:
                self._open(service, port)
        self.local_endpoints = {service: self._count(view, service) for service in self.servers}

    @staticmethod
    def _count(view: NodeView, service: ServiceName) -> int:
        """Addresses of ready endpoints on this node, whatever their port."""
        ports = view.endpoints_by_name.get(service, {})
        return len({e.ip for endpoints in ports.values() for e in endpoints if e.is_ready and e.is_local})

    def _open(self, service: ServiceName, port: int) -> None:
        opened: list[str] = []
        try:
            for address in self._listen_addresses():
                self.ports.listen(address, port, self.target)
                opened.append(address)
        except CommandError as error:
            for address in opened:
                self.ports.close(address, port)
            values = {"node": self.node.name, "service": str(service), "port": port}
            self.node.note(structured("Failed to start healthcheck", err=error.stderr, **values), str(service))
            return
        self.servers[service], self._addresses[service] = port, tuple(opened)

    def _close(self, service: ServiceName) -> None:
        port = self.servers.pop(service)
        for address in self._addresses.pop(service):
            self.ports.close(address, port)

    def _listen_addresses(self) -> tuple[str, ...]:
        """All addresses means both families', whichever this is: of a dual-stack Service only one family has the port."""
        wanted = self.node.node_port_addresses
        if wanted.match_all:
            return (ANY_ADDRESS,)
        return wanted.matching(node_addresses(self.node.kernel, self.node.family))

    def stop(self) -> None:
        for service in list(self.servers):
            self._close(service)

    def listens(self, address: str, port: int) -> ServiceName | None:
        """The Service whose health check port this is, when it is open on that address."""
        for service, open_port in self.servers.items():
            if open_port == port and any(a in (address, "0.0.0.0", "::") for a in self._addresses[service]):
                return service
        return None

    def answer(self, service: ServiceName, *, proxy_healthy: bool) -> HttpAnswer:
        count = self.local_endpoints.get(service, 0)
        body = {
            "service": {"namespace": service.namespace, "name": service.name},
            "localEndpoints": count,
            "serviceProxyHealthy": proxy_healthy,
        }
        headers = (
            ("Content-Type", "application/json"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Load-Balancing-Endpoint-Weight", str(count)),
        )
        return HttpAnswer(200 if count and proxy_healthy else 503, json.dumps(body, indent="\t"), headers)

    def fork(self, node: ProxyNode, ports: NodePorts) -> ServiceHealth:
        copy = ServiceHealth(node, ports, self.target)
        copy.servers, copy.local_endpoints = self.servers.copy(), self.local_endpoints.copy()
        copy._addresses = self._addresses.copy()
        return copy
