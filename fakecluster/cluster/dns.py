"""Cluster DNS in the cluster: a component that watches, and the program in the Pods that answers packets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.discovery.server import DnsServer
from fakecluster.kernel.sockets import Socket
from fakecluster.kernel.tcp_socket import TcpConnection
from fakecluster.sim import Choices, Clock

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.fabric.network import Network

TARGET = "coredns"
#: What the kubernetes plugin watches.
RESOURCES = frozenset(("services", "endpointslices.discovery.k8s.io", "pods", "namespaces"))
#: resource -> the kind that the index knows it by (list items carry none)
KINDS = {
    "services": "Service",
    "endpointslices.discovery.k8s.io": "EndpointSlice",
    "pods": "Pod",
    "namespaces": "Namespace",
}


class ClusterDns:
    """CoreDNS' view of the API, bound to the clock target `coredns`."""

    def __init__(self, api: ApiServer, clock: Clock, choices: Choices) -> None:
        self.server = DnsServer(clock, choices)
        self._inbox = api.watch(TARGET, RESOURCES)
        clock.bind(TARGET, self.handle)

    def handle(self, payload: object) -> None:
        """Take in what has changed."""
        for event in self._inbox.take():
            self.server.index.apply(KINDS[event.resource], event.object, deleted=event.type == "DELETED")

    def fork(self, api: ApiServer, clock: Clock, choices: Choices) -> ClusterDns:
        copy = ClusterDns.__new__(ClusterDns)
        copy.server = self.server.fork(clock, choices)
        copy._inbox = api.inbox(TARGET)
        clock.bind(TARGET, copy.handle)
        return copy

    def adopt(self, network: Network) -> None:
        """Let the DNS programs of a copied network answer from this copy's server."""
        program = DnsProgram(self.server)
        for netns in network.namespaces.values():
            if "sockets" in netns.__dict__:
                for sock in netns.sockets:
                    if isinstance(sock.program, DnsProgram):
                        sock.program = program


@attrs.frozen(eq=False)
class DnsProgram:
    """Answers DNS over UDP and TCP (RFC 1035 4.2.2: two bytes of length first); keeps a connection open for more."""

    server: DnsServer

    def on_accept(self, connection: TcpConnection) -> None:
        connection.context["received"] = b""

    def on_data(self, connection: TcpConnection, data: bytes) -> None:
        received: bytes = connection.context.get("received", b"") + data
        while len(received) >= 2 and len(received) >= 2 + int.from_bytes(received[:2]):
            size = int.from_bytes(received[:2])
            answer = self.server.answer(received[2 : 2 + size], source=_text(connection.remote[0]), tcp=True)
            if answer is not None:
                connection.send(len(answer).to_bytes(2) + answer)
            received = received[2 + size :]
        connection.context["received"] = received

    def on_close(self, connection: TcpConnection) -> None:
        connection.close()

    def on_error(self, connection: TcpConnection, error: str) -> None:
        return None

    def on_datagram(self, sock: Socket, data: bytes, source: tuple[int, int], target: int) -> None:
        answer = self.server.answer(data, source=_text(source[0]))
        if answer is not None:
            sock.send_to(answer, *source, source=target)


def _text(address: int) -> str:
    from ipaddress import IPv4Address, IPv6Address

    return str(IPv4Address(address) if address < 1 << 32 else IPv6Address(address))


def program_of(dns: ClusterDns) -> Any:
    """How a container of CoreDNS' image is started (see `cni.runtime.Programs`)."""
    program = DnsProgram(dns.server)
    return lambda pod, container: program
