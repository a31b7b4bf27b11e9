"""What addresses are to a host, as counted by a real kernel's rules."""

from __future__ import annotations

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6

from fakecluster.kernel.netns import Netns

#: kinds of rules -> the destinations that they match
MATCHED = {
    "UNICAST": ["fd00:1::10", "fd00:2::1", "2001:db8::1"],
    "LOCAL": ["fd00:1::10", "fd00:2::1"],
    "LOCAL,UNICAST": ["fd00:1::10", "fd00:2::1"],
    "MULTICAST": [],
    "UNREACHABLE": [],
    "LOCAL --limit-iface-in": ["fd00:2::1"],
    "UNREACHABLE --limit-iface-in": ["fd00:1::10", "2001:db8::1"],
}


@pytest.mark.parametrize("kinds", MATCHED)
def test_an_own_address_is_unicast_too_in_ipv6(kinds: str) -> None:
    node = Netns("node")
    for name, address in (("eth0", "fd00:1::10/64"), ("eth1", "fd00:2::1/64")):
        node.add_interface(name)
        node.run(f"ip address add {address} dev {name}")
    node.run("ip -6 route add default via fd00:1::1 dev eth0")
    node.run(f"ip6tables -t raw -A PREROUTING -m addrtype --dst-type {kinds}")
    matched = []
    for target in ("fd00:1::10", "fd00:2::1", "2001:db8::1"):
        node.run("ip6tables -t raw -Z")
        node.receive(IPv6(src="fd00:2::2", dst=target) / UDP(sport=1, dport=2), "eth1")
        if "-c 1 " in node.run("ip6tables -t raw -v -S PREROUTING 1"):
            matched.append(target)
    assert matched == MATCHED[kinds]
