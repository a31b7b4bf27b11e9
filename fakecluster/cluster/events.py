"""What programs of the cluster said that matters to a packet: log lines of the kube-proxies on its way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from fakecluster.cluster.proxies import ProxyComponent, target
from fakecluster.cni.nodes import namespace_of_node
from fakecluster.trace import Event, Hop

if TYPE_CHECKING:
    from fakecluster.api.client import Client

JsonObject = dict[str, Any]
#: Lines of kube-proxies that a packet's trace shows at most: the last ones.
EVENTS_SHOWN = 20


def said(proxies: Mapping[str, ProxyComponent], api: Client, hops: Sequence[Hop]) -> tuple[Event, ...]:
    """What the kube-proxies of the nodes on a packet's way logged about the Service that it was for, or about none."""
    places = {hop.namespace for hop in hops}
    logs = {node: proxy.process.log for node, proxy in proxies.items() if namespace_of_node(node) in places}
    if not any(logs.values()):
        return ()
    about = {"", *services_at(api.list("services"), hops[0].packet_in)}
    events = [
        Event(target(node), line.time_s, line.text)
        for node, lines in logs.items()
        for line in lines
        if line.service in about
    ]
    return tuple(sorted(dict.fromkeys(events), key=lambda event: event.time_s)[-EVENTS_SHOWN:])


def services_at(services: Iterable[JsonObject], packet: bytes) -> Iterator[str]:
    """The Services (``namespace/name``) that have the packet's destination as an address, or its port as a node port."""
    address, port = destination(packet)
    for service in services:
        spec, status = service["spec"], service.get("status") or {}
        ingress = (status.get("loadBalancer") or {}).get("ingress") or ()
        addresses = [*(spec.get("clusterIPs") or ()), *(spec.get("externalIPs") or ()), *(i.get("ip") for i in ingress)]
        node_ports = [entry.get("nodePort") for entry in spec.get("ports") or ()]
        if address in addresses or port in node_ports:
            yield f"{service['metadata']['namespace']}/{service['metadata']['name']}"


def destination(packet: bytes) -> tuple[str, int]:
    """Destination address and port of an IP packet; port 0 where there is none."""
    if packet[0] >> 4 == 4:
        address, proto, l4 = str(IPv4Address(packet[16:20])), packet[9], packet[(packet[0] & 15) * 4 :]
    else:
        address, proto, l4 = str(IPv6Address(packet[24:40])), packet[6], packet[40:]
    return address, int.from_bytes(l4[2:4]) if proto in (6, 17, 132) else 0
