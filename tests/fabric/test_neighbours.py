"""Who answers for an address on a segment."""

from __future__ import annotations

from fakecluster.fabric.links import Port, Segment
from fakecluster.fabric.neighbours import Neighbours, answers_for
from fakecluster.kernel.netns import Netns


def test_arp_is_answered_for_any_local_address_unless_arp_ignore_is_set() -> None:
    netns = Netns()
    netns.add_interface("eth0")
    netns.run("ip address add 10.0.0.3/24 dev eth0")
    netns.run("ip link add vip0 type dummy")
    netns.run("ip address add 10.0.0.99/32 dev vip0")
    assert answers_for(netns, "eth0", 4, 0x0A000063)
    netns.run("sysctl -w net.ipv4.conf.all.arp_ignore=1")
    assert not answers_for(netns, "eth0", 4, 0x0A000063)
    assert answers_for(netns, "eth0", 4, 0x0A000003)


def test_whoever_has_the_address_now_is_found_on_a_segment_of_many_ports() -> None:
    namespaces = {f"h{number}": Netns() for number in range(40)}
    for netns in namespaces.values():
        netns.add_interface("eth0")
    ports = [Port(name, "eth0") for name in namespaces]
    segment, neighbours = Segment("lan", tuple(ports)), Neighbours()
    assert neighbours.find(namespaces, segment, ports, 4, 0x0A000007) is None
    namespaces["h7"].run("ip address add 10.0.0.7/24 dev eth0")
    assert neighbours.find(namespaces, segment, ports, 4, 0x0A000007) == ("h7", "eth0")
    namespaces["h7"].run("ip address del 10.0.0.7/24 dev eth0")
    namespaces["h9"].run("ip address add 10.0.0.7/24 dev eth0")
    assert neighbours.find(namespaces, segment, ports, 4, 0x0A000007) == ("h9", "eth0")
