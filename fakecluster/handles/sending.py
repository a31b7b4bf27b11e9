"""Finishing a packet that a test wrote: what the kernel fills in, and a port that takes the answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fakecluster.kernel.effects import SendError
from fakecluster.kernel.ip_output import route_output, source_for
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import TCP, UDP, BadPacket, Skb, as_bytes
from fakecluster.kernel.sockets import Socket

_PORTS = {"TCP": TCP, "UDP": UDP}


def finished(netns: Netns, packet: Any) -> bytes:
    """L3 bytes of a packet. In a Scapy packet, a source address and a source port that were not set are filled in.

    Raises `BadPacket` (a ValueError) for what is no IP packet.
    """
    if isinstance(packet, bytes | bytearray | Skb) or not hasattr(packet, "fields"):
        data = as_bytes(packet)
        Skb(data)
        return data
    packet = (packet.payload if packet.name == "Ethernet" else packet).copy()
    names = {"IP": 4, "IPv6": 6}
    family = names.get(type(packet).__name__)
    if family is None:
        raise BadPacket(f"expected an IP or IPv6 packet, not {type(packet).__name__}")
    if "src" not in packet.fields:
        packet.src = "0.0.0.0" if family == 4 else "::"  # and not an address of the machine that this runs on
        packet.src = _source(netns, family, bytes(packet))
    transport = packet.payload
    while transport and type(transport).__name__ not in _PORTS and hasattr(transport, "payload"):
        transport = transport.payload
    if transport and "sport" not in transport.fields:
        source = int.from_bytes(bytes(packet)[12:16] if family == 4 else bytes(packet)[8:24])
        transport.sport = netns.sockets.ephemeral_port(_PORTS[type(transport).__name__], family, source)
    return bytes(packet)


def _source(netns: Netns, family: int, data: bytes) -> str:
    from ipaddress import IPv4Address, IPv6Address

    destination = Skb(data).dst
    try:
        source = source_for(netns, route_output(netns, family, destination), destination)
    except SendError:
        source = 0  # the send will fail with the kernel's own error
    return str(IPv4Address(source) if family == 4 else IPv6Address(source))


@contextmanager
def quiet_port(netns: Netns, data: bytes) -> Iterator[None]:
    """While inside, answers to the packet's source port are taken silently instead of refused."""
    skb = Skb(data)
    sock: Socket | None = None
    if skb.has_ports and skb.proto in _PORTS.values() and (skb.proto, skb.sport) not in netns.sockets.bound:
        sock = netns.sockets.attach(Socket(netns, skb.family, skb.proto, skb.src, skb.sport, None, "the sender"))
    try:
        yield
    finally:
        if sock is not None:
            netns.sockets.unbind(sock)
