"""healthCheckNodePorts: one small HTTP server per Service of policy Local, asked by load balancers.

Source: Kubernetes pkg/proxy/healthcheck/service_health.go.
"""

from __future__ import annotations

import json

import attrs

from fakecluster.errors import CommandError
from fakecluster.proxy.node import ProxyNode
from fakecluster.proxy.node_addresses import node_addresses
from fakecluster.proxy.program import NodePorts
from fakecluster.proxy.view import NodeView, ServiceName


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
        """Open and close ports as Services ask, and count the local ready endpoints of each."""
        wanted = {
            name.service: port.health_check_node_port
            for name, port in view.services.items()
            if port.health_check_node_port
        }
        for service in [s for s, port in self.servers.items() if wanted.get(s) != port]:
            self._close(service)
        failures = [failure for service in wanted if (failure := self._open(service, wanted[service]))]
        self.local_endpoints = dict.fromkeys(self.servers, 0)
        if self.servers:
            self._count(view)
        if failures:
            raise failures[0]

    def _count(self, view: NodeView) -> None:
        addresses: dict[ServiceName, set[str]] = {service: set() for service in self.servers}
        for name, endpoints in view.endpoints.items():
            found = addresses.get(name.service)
            if found is not None:
                found.update(endpoint.ip for endpoint in endpoints if endpoint.is_ready and endpoint.is_local)
        self.local_endpoints = {service: len(found) for service, found in addresses.items()}

    def _open(self, service: ServiceName, port: int) -> CommandError | None:
        if service in self.servers:
            return None
        opened: list[str] = []
        try:
            for address in self._listen_addresses():
                self.ports.listen(address, port, self.target)
                opened.append(address)
        except CommandError as error:
            for address in opened:
                self.ports.close(address, port)
            return error
        self.servers[service], self._addresses[service] = port, tuple(opened)
        return None

    def _close(self, service: ServiceName) -> None:
        port = self.servers.pop(service)
        for address in self._addresses.pop(service):
            self.ports.close(address, port)

    def _listen_addresses(self) -> tuple[str, ...]:
        wanted = self.node.node_port_addresses
        if wanted.match_all:
            return ("0.0.0.0" if self.node.family == "IPv4" else "::",)
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
