"""How many rules a real kernel would walk for the last of many Services."""

from __future__ import annotations

import pytest
from proxy_objects import endpoint, endpoint_slice, node, service
from scapy.layers.inet import IP, TCP

from fakecluster.kernel.effects import Transmit
from fakecluster.kernel.netns import Netns
from fakecluster.proxy import config
from fakecluster.proxy.process import KubeProxy
from fakecluster.sim import Clock, Scripted


def _rules_walked(mode: str, services: int) -> int:
    """For a Pod's SYN to the last Service, on a node that forwards it to an endpoint elsewhere."""
    clock = Clock()
    netns = Netns("node-a", clock=clock, choices=Scripted())
    for device in ("eth0", "veth1"):
        netns.add_interface(device)
    for command in (
        "ip address add 192.168.1.10/24 dev eth0", "ip route add default via 192.168.1.1",
        "ip route add 10.244.0.9/32 dev veth1", "ip neigh add 192.168.1.1 lladdr 02:00:00:00:00:01 dev eth0",
        "sysctl -w net.ipv4.ip_forward=1",
    ):  # fmt: skip
        netns.run(command)
    document = {"apiVersion": config.API_VERSION, "kind": config.KIND, "mode": mode, "clusterCIDR": "10.244.0.0/16"}
    proxy = KubeProxy("node-a", config.parse(document), netns, clock, choices=Scripted())
    proxy.on_object("nodes", node())
    for number in range(services):
        ip, name = f"10.96.1.{number}", f"s{number}"
        proxy.on_object("services", service(name, clusterIP=ip, clusterIPs=[ip]))
        found = endpoint_slice(endpoint(f"10.244.1.{number}", ready=True), service=name, name=name)
        proxy.on_object("endpointslices.discovery.k8s.io", found)
    proxy.start()
    clock.settle()
    packet = IP(src="10.244.0.9", dst=f"10.96.1.{services - 1}") / TCP(sport=5000, dport=80, flags="S")
    (sent,) = [effect for effect in netns.receive(packet, "veth1", trace=True) if isinstance(effect, Transmit)]
    assert IP(sent.packet).dst == f"10.244.1.{services - 1}"
    assert sent.hop is not None
    return sent.hop.rules_walked


def test_iptables_walks_one_rule_more_for_each_service() -> None:
    assert _rules_walked("iptables", 200) - _rules_walked("iptables", 10) == 190


@pytest.mark.parametrize("mode", ["ipvs", "nftables"])
def test_ipvs_and_nftables_look_up_as_much_whatever_the_number_of_services(mode: str) -> None:
    assert _rules_walked(mode, 200) == _rules_walked(mode, 10) < 20
