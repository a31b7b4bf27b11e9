"""A node's network namespace, and the world outside the cluster: interfaces, addresses, routes, masquerading.

    outside (172.18.0.1, 203.0.113.1) ── node network ── node/a (172.18.0.2) ── veth ── pod/web-1 (10.244.0.2)
                                                    └─── node/b (172.18.0.3)

Nodes reach each other's Pods by routes over the node network, as kindnet sets them up; traffic that leaves for anything
but a Pod is masqueraded by the node, as kindnet's ip-masq agent does in iptables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_network

from fakecluster.cni.addressing import AddressPlan, NodeAddresses
from fakecluster.fabric.namespaces import awake
from fakecluster.fabric.network import Network
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.routing import Route

NODE_NETWORK = "node-network"
OUTSIDE = "outside"
MASQUERADE_CHAIN = "KIND-MASQ-AGENT"
_WORD = {4: "-4", 6: "-6"}
_BITS = {4: 32, 6: 128}
_RESTORE = {4: "iptables-restore", 6: "ip6tables-restore"}


def family_of(address: str) -> int:
    return 6 if ":" in address else 4


def namespace_of_node(name: str) -> str:
    return f"node/{name}"


def add_outside(network: Network, plan: AddressPlan) -> Netns:
    """The router beyond the node network, which is also a host of the internet."""
    netns = network.add(OUTSIDE)
    network.plug(NODE_NETWORK, OUTSIDE, "eth0")
    netns.run("sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
    for family in plan.families:
        prefix = plan.nodes[family].partition("/")[2]
        netns.run(f"ip {_WORD[family]} address add {plan.gateway(family)}/{prefix} dev eth0")
        netns.run(f"ip {_WORD[family]} address add {plan.outside[family]}/{_BITS[family]} dev lo")
    return netns


def add_node(network: Network, plan: AddressPlan, name: str, own: NodeAddresses) -> Netns:
    """A node's namespace: its addresses, the way out, and masquerading of what its Pods send outside."""
    namespace = namespace_of_node(name)
    netns = network.add(namespace)
    network.plug(NODE_NETWORK, namespace, "eth0")
    netns.run("sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
    for family, ip in zip(plan.families, own.ips, strict=True):
        word = _WORD[family]
        netns.run(f"ip {word} address add {ip}/{plan.nodes[family].partition('/')[2]} dev eth0")
        netns.run(f"ip {word} route add default via {plan.gateway(family)} dev eth0")
        netns.run([_RESTORE[family], "--noflush"], masquerade_rules(plan.pods[family], family))
    return netns


def masquerade_rules(pod_range: str, family: int) -> str:
    """The nat rules of kindnet's masquerade agent (kindnetd/masq.go), in iptables-restore form."""
    to_pods = "kind-masq-agent: local traffic is not subject to MASQUERADE"
    outside = "kind-masq-agent: outbound traffic is subject to MASQUERADE (must be last in chain)"
    ensure = "kind-masq-agent: ensure nat POSTROUTING directs all non-LOCAL destination traffic to our custom "
    jump = f'-m addrtype ! --dst-type LOCAL -m comment --comment "{ensure}{MASQUERADE_CHAIN} chain"'
    return (
        f"*nat\n:{MASQUERADE_CHAIN} - [0:0]\n"
        f"-A POSTROUTING {jump} -j {MASQUERADE_CHAIN}\n"
        f'-A {MASQUERADE_CHAIN} -d {pod_range} -m comment --comment "{to_pods}" -j RETURN\n'
        f'-A {MASQUERADE_CHAIN} -m comment --comment "{outside}" -j MASQUERADE\n'
        "COMMIT\n"
    )


def announce(network: Network, nodes: Mapping[str, NodeAddresses], name: str) -> None:
    """Routes from every other node that has been made to a new one's Pods."""
    for there in awake(network.namespaces):
        other = there.name.removeprefix("node/")
        if other != name and other in nodes:
            route_to_pods(there, nodes[name])


def learn_ways(network: Network, nodes: Mapping[str, NodeAddresses], name: str) -> None:
    """Routes from a node that has just been made to the Pods of all others."""
    here = network.namespaces[namespace_of_node(name)]
    here.routes.add_all(way for other, theirs in nodes.items() if other != name for way in ways_to_pods(theirs))


def ways_to_pods(node: NodeAddresses) -> Iterator[Route]:
    """The routes that `route_to_pods` makes; the same objects for every other node."""
    for ip, cidr in zip(node.ips, node.pod_cidrs, strict=True):
        yield _way(ip, cidr)


@lru_cache(maxsize=8192)
def _way(ip: str, cidr: str) -> Route:
    to = ip_network(cidr)
    metric = 1024 if to.version == 6 else 0
    start = int(to.network_address)
    return Route(to.version, start, to.prefixlen, oif="eth0", gateway=int(ip_address(ip)), metric=metric)


def part(network: Network, nodes: Mapping[str, NodeAddresses], name: str) -> None:
    """Forget the ways to a node that goes."""
    for other in nodes:
        netns = network.namespaces.get(namespace_of_node(other)) if other != name else None
        if netns is not None:
            for cidr in nodes[name].pod_cidrs:
                netns.run(f"ip {_WORD[family_of(cidr)]} route del {cidr}")


def route_to_pods(netns: Netns, node: NodeAddresses) -> None:
    for ip, cidr in zip(node.ips, node.pod_cidrs, strict=True):
        netns.run(f"ip {_WORD[family_of(cidr)]} route add {cidr} via {ip} dev eth0")
