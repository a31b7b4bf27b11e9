"""A recording's node as a network namespace of the model, built from its `topology`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from fakecluster.kernel.netns import Netns
from fakecluster.sim import Choices, Clock, Seeded

#: The switches that the recordings' topology names.
SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
    "net.ipv4.icmp_ratelimit": "0",
    "net.ipv6.icmp.ratelimit": "0",
}
_PORT = re.compile(r"(\w+)\(port (\w+)\)")


class Node:
    """The namespace, which choices steer at the moment, and what of it a capture would see."""

    def __init__(self, topology: dict[str, Any], clock: Clock) -> None:
        self.clock = clock
        self.netns = Netns("kp-node", clock=clock, choices=Seeded(0))
        #: address of a Pod behind the bridge -> the bridge port that a capture sees its packets on
        self.bridge_ports: dict[str, str] = {}
        self.bridge = ""
        for key, value in SYSCTLS.items():
            self.netns.run(["sysctl", "-w", f"{key}={value}"])
        self._add_interfaces(topology)
        self._add_routes(topology["routes"])

    def run(self, command: Sequence[str], stdin: str = "") -> str:
        return self.netns.run(command, stdin)

    def _add_interfaces(self, topology: dict[str, Any]) -> None:
        for name, addresses in topology["nodeInterfaces"].items():
            if name == "lo":
                continue
            self.netns.add_interface(name, mac=_mac(len(self.netns.interfaces)))
            for address in addresses:
                self.netns.run(["ip", "address", "add", address, "dev", name])
        if topology.get("bridge"):
            self._add_bridge(topology["bridge"].split())
        for name, addresses in topology["podInterfaces"].items():
            port = _PORT.match(name)
            device = self.netns.add_interface(
                port[2] if port else name, kind="veth", mac=_mac(len(self.netns.interfaces))
            )
            if port:
                device.master = port[1]
                self.bridge_ports.update(dict.fromkeys(addresses, port[2]))

    def _add_bridge(self, words: list[str]) -> None:
        self.bridge, *addresses = words
        self.netns.add_interface(self.bridge, kind="bridge", mac=_mac(99))
        for address in addresses:
            self.netns.run(["ip", "address", "add", address, "dev", self.bridge])

    def _add_routes(self, routes: list[str]) -> None:
        for route in routes:
            self.netns.run(["ip", *(["-6"] if ":" in route else []), "route", "add", *route.split()])

    def know_neighbours(self, addresses: set[str]) -> None:
        """All neighbours are static: gateways, Pods and every address that packets go to."""
        for address in addresses:
            found = ip_address(address)
            self.netns.neighbours.setdefault((found.version, int(found)), _mac(int(found) & 0xFFFF))

    def fork(self, choices: Choices) -> Netns:
        return self.netns.fork(self.clock.fork(), choices)


def addresses_in(value: Any) -> set[str]:
    """Every IP address that occurs in some JSON text."""
    found = set()
    for word in re.findall(r"[0-9a-fA-F:.]{3,}", value if isinstance(value, str) else str(value)):
        try:
            found.add(str(ip_address(word.strip("."))))
        except ValueError:
            continue
    return found


def on_link(node: Node) -> list[Any]:
    """Networks whose neighbours the node asks directly."""
    return [
        ip_network((address.address, address.prefix), strict=False)
        for device in node.netns.interfaces.values()
        for address in device.addresses
    ]


def _mac(number: int) -> bytes:
    return bytes((2, 0, 0, 0)) + (number & 0xFFFF).to_bytes(2)
