"""Packets towards what a cluster offers, and beside it: Scapy packets whose source address the sender fills in."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

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


@st.composite
def packets(draw: st.DrawFn, *, towards: Cluster, beside: bool = True) -> Any:
    """A TCP SYN or a UDP datagram to something that `towards` offers, or (with `beside`) to the port next to it."""
    offers = destinations(towards)
    if not offers:
        raise InvalidArgument("the cluster offers nothing to send packets to: it needs a Service or a Pod with ports")
    protocol, address, port = draw(st.sampled_from(offers))
    if beside and draw(st.booleans()):
        port = port % 65535 + 1
    return packet(protocol, address, port, sport=draw(st.integers(32768, 60999)))


def packet(protocol: str, address: str, port: int, *, sport: int) -> Any:
    """A Scapy packet to one destination."""
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.packet import Raw

    network = IPv6(dst=address) if ip_address(address).version == 6 else IP(dst=address)
    if protocol == "tcp":
        return network / TCP(sport=sport, dport=port, flags="S")
    return network / UDP(sport=sport, dport=port) / Raw(b"hello")
