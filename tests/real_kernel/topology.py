"""The machine that the differential tests use, for the real kernel and for the model."""

from __future__ import annotations

from ipaddress import ip_address

import attrs
from scenario import Inject

from fakecluster.kernel.effects import Effect
from fakecluster.kernel.netns import Netns
from fakecluster.sim import Choices
from fakecluster.strategies.rule_addresses import OUTSIDE, PODS, VIPS


@attrs.frozen
class Link:
    """One veth pair: the node's end, the far end, and an IPv4 address of the node on it."""

    mac: str
    peer_mac: str
    address: str
    mtu: int = 1500


GATEWAYS = {4: ("192.168.1.1",), 6: ()}
INTERFACES = {
    "eth0": Link("02:aa:00:00:00:01", "02:bb:00:00:00:01", "192.168.1.10"),
    "vethA": Link("02:aa:00:00:00:0a", "02:bb:00:00:00:0a", "10.244.0.1"),
    "vethB": Link("02:aa:00:00:00:0b", "02:bb:00:00:00:0b", "10.244.0.1"),
}
ADDRESSES = (
    ("eth0", "192.168.1.10/24"),
    ("vethA", "10.244.0.1/32"),
    ("vethB", "10.244.0.1/32"),
    ("eth0", "fd00:1::10/64"),
    ("vethA", "fd00:10:244::1/128"),
    ("vethB", "fd00:10:244::1/128"),
)
ROUTES = (
    "default via 192.168.1.1 dev eth0",
    "10.244.0.2 dev vethA",
    "10.244.0.3 dev vethB",
    "default via fd00:1::1 dev eth0",
    "fd00:10:244::2 dev vethA",
    "fd00:10:244::3 dev vethB",
)
#: Everybody can be reached by every device, wherever routes lead.
NEIGHBOURS = tuple(
    (address, link.peer_mac, name)
    for name, link in INTERFACES.items()
    for family in (4, 6)
    for address in (*PODS[family], *VIPS[family], *OUTSIDE[family], *GATEWAYS[family])
)
SYSCTLS = {
    "net.ipv6.conf.all.accept_dad": "0",
    "net.ipv6.conf.default.accept_dad": "0",
    "net.ipv6.conf.default.accept_ra": "0",
    "net.ipv6.conf.default.router_solicitations": "0",
    "net.ipv4.ip_forward": "1",
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
    "net.ipv4.icmp_ratelimit": "0",
    "net.ipv6.icmp.ratelimit": "0",
    "net.ipv4.icmp_msgs_per_sec": "100000",
    "net.ipv4.icmp_msgs_burst": "100000",
}


def model(choices: Choices) -> Netns:
    """The same machine in the model."""
    netns = Netns("node", choices=choices)
    for name, link in INTERFACES.items():
        netns.add_interface(name, mac=bytes.fromhex(link.mac.replace(":", "")), mtu=link.mtu)
    for name, value in SYSCTLS.items():
        netns.sysctls[name] = value
    for name, address in ADDRESSES:
        netns.run(f"ip address add {address} dev {name}")
    for route in ROUTES:
        netns.run(f"ip {'-6 ' if ':' in route else ''}route add {route}")
    for address, mac, _name in NEIGHBOURS:
        ip = ip_address(address)
        netns.neighbours[ip.version, int(ip)] = bytes.fromhex(mac.replace(":", ""))
    return netns


def arrive(netns: Netns, inject: Inject) -> list[Effect]:
    """The packet arrives in the model as it does in the real machine."""
    link = INTERFACES[inject.iface]
    macs = [bytes.fromhex(mac.replace(":", "")) for mac in (link.peer_mac, link.mac)]
    return netns.receive(inject.packet, inject.iface, src_mac=macs[0], dst_mac=macs[1])
