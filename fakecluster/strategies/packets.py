"""Packets and flows towards what a cluster offers, and beside it; the sender fills in a packet's source address."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from fakecluster.strategies import arguments

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster
    from fakecluster.handles import Connection, Host, Outcomes

Destination = tuple[str, str, int]


def destinations(cluster: Cluster) -> list[Destination]:
    """(protocol, address, port) of everything that the cluster's Services and Pods offer."""
    return sorted(set(_offers(cluster)), key=lambda offer: (offer[0], int(ip_address(offer[1])), offer[2]))


def _offers(cluster: Cluster) -> Iterator[Destination]:
    for service in cluster.services:
        spec = service.object["spec"]
        for port in spec.get("ports") or ():
            protocol = port.get("protocol", "TCP").lower()
            for address in (*service.cluster_ips, *service.load_balancer_ips, *(spec.get("externalIPs") or ())):
                if address != "None":
                    yield protocol, address, port["port"]
            if port.get("nodePort"):
                yield from ((protocol, node.ip, port["nodePort"]) for node in cluster.nodes)
    for pod in cluster.pods:
        for container in pod.object["spec"]["containers"]:
            for port in container.get("ports") or ():
                if pod.ip:
                    yield port.get("protocol", "TCP").lower(), pod.ip, port["containerPort"]


#: How a destination is missed: its protocol, address and port, changed by little.
BESIDE: tuple[Callable[[str, str, int], Destination], ...] = (
    lambda protocol, address, port: (protocol, address, port % 65535 + 1),
    lambda protocol, address, port: (protocol, str(ip_address(address) + 1), port),
    lambda protocol, address, port: ("udp" if protocol == "tcp" else "tcp", address, port),
)


@st.composite
def _destinations(draw: st.DrawFn, towards: Cluster, beside: bool) -> Destination:
    arguments.cluster("towards", towards)
    offers = [offer for offer in destinations(towards) if offer[0] in ("tcp", "udp")]
    if not offers:
        raise InvalidArgument(
            "the cluster offers nothing to send packets to: apply a Service, or a Pod whose containers declare ports"
        )
    offer = draw(st.sampled_from(offers))
    missed = draw(st.sampled_from((None, *BESIDE))) if beside else None
    return offer if missed is None else missed(*offer)


@st.composite
def packets(draw: st.DrawFn, *, towards: Cluster, beside: bool = True) -> Any:
    """A TCP SYN or a UDP datagram to something that `towards` offers.

    With `beside`, also to the port or the address next to it, or by the other protocol.
    """
    protocol, address, port = draw(_destinations(towards, beside))
    return packet(protocol, address, port, sport=draw(st.integers(32768, 60999)))


@attrs.frozen
class Flow:
    """A conversation that can be tried: from a host named as in traces (`pod/client`, `node/a`, `outside`) to a target."""

    source: str
    target: str

    def outcomes(self, cluster: Cluster) -> Outcomes:
        """Every end that it can have in this cluster (or in a fork of it), with its exact probability."""
        return cluster.host_of(self.source).outcomes(self.target)

    def connect(self, cluster: Cluster) -> Connection:
        """Open it. Raises `ConnectFailed`."""
        return cluster.host_of(self.source).connect(self.target)


@st.composite
def flows(draw: st.DrawFn, *, towards: Cluster, beside: bool = True) -> Flow:
    """A flow from a Pod, a node or the outside to something that `towards` offers, or (with `beside`) to what is next."""
    protocol, address, port = draw(_destinations(towards, beside))
    hosts: list[Host] = [*towards.pods, *towards.nodes, towards.outside]
    running = [host.namespace for host in hosts if host.namespace in towards.network.namespaces]
    end = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return Flow(draw(st.sampled_from(running)), f"{protocol}://{end}")


def packet(protocol: str, address: str, port: int, *, sport: int) -> Any:
    """A Scapy packet to one destination."""
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.packet import Raw

    network = IPv6(dst=address) if ip_address(address).version == 6 else IP(dst=address)
    if protocol == "tcp":
        return network / TCP(sport=sport, dport=port, flags="S")
    return network / UDP(sport=sport, dport=port) / Raw(b"hello")
