"""A router with an uplink and two Pods' interfaces, and packets for it."""

from __future__ import annotations

from ipaddress import ip_address

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

from fakecluster.kernel.effects import Deliver, Effect, Transmit
from fakecluster.kernel.netns import Netns
from fakecluster.sim import Choices, Seeded

NEIGHBOURS = ("192.168.1.1", "10.244.0.2", "10.244.0.3", "fd00:1::1", "fd00:2::2", "fd00:2::3")


def router(*, choices: Choices | None = None) -> Netns:
    netns = Netns("node", choices=choices or Seeded(1))
    for name in ("eth0", "podA", "podB"):
        netns.add_interface(name, mac=bytes((2, 0, 0, 0, 0, ord(name[-1]))))
    for command in (
        "ip address add 192.168.1.10/24 dev eth0",
        "ip address add 10.244.0.1/32 dev podA",
        "ip route add default via 192.168.1.1",
        "ip route add 10.244.0.2 dev podA",
        "ip route add 10.244.0.3 dev podB",
        "ip address add fd00:1::10/64 dev eth0",
        "ip -6 route add fd00:2::2 dev podA",
        "ip -6 route add fd00:2::3 dev podB",
        "sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
    ):
        netns.run(command)
    for text in NEIGHBOURS:
        address = ip_address(text)
        netns.neighbours[address.version, int(address)] = b"\2\0\0\0\0\1"
    return netns


def wire(src: str, dst: str, transport: Packet, **fields: object) -> bytes:
    return bytes((IP if "." in src else IPv6)(src=src, dst=dst, **fields) / transport)


def sent(effects: list[Effect]) -> list[tuple[str, Packet]]:
    """(interface, packet) of everything that left."""
    return [
        (e.iface, IP(e.packet) if e.packet[0] >> 4 == 4 else IPv6(e.packet)) for e in effects if isinstance(e, Transmit)
    ]


def delivered(effects: list[Effect]) -> list[Packet]:
    return [IP(e.packet) if e.packet[0] >> 4 == 4 else IPv6(e.packet) for e in effects if isinstance(e, Deliver)]
