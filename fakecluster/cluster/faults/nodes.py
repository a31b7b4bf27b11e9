"""Nodes that crash, boot again, or tell the wrong time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.cluster import policies, proxies
from fakecluster.cluster.faults import names
from fakecluster.cni.nodes import NODE_NETWORK, namespace_of_node
from fakecluster.fabric.links import Port
from fakecluster.kernel.tcp_socket import TcpConnection
from fakecluster.sim import numbers

if TYPE_CHECKING:
    from fakecluster.cluster.cluster import Cluster

#: What a process that was killed leaves as its exit code: 128 + SIGKILL.
KILLED = 137


def crash(cluster: Cluster, node: str) -> None:
    """No packet leaves or reaches the node, its kubelet and kube-proxy stand still."""
    names.node_port(cluster, node)
    cluster.parts.wake(node)
    _isolate(cluster, names.node_port(cluster, node))
    cluster.parts.kubelets[node].stop()
    for component in _components(cluster, node):
        cluster.hold(component)


def boot(cluster: Cluster, node: str) -> None:
    """The node begins anew: connections are forgotten, containers restart, the kubelet reports."""
    own = names.node_port(cluster, node)
    cluster.parts.wake(node)
    _isolate(cluster, own)  # nobody hears the last words of what ends here
    network = cluster.network
    network.namespaces[own.namespace].run("conntrack -F")
    _end_programs(cluster, node)
    cut = network.segments[NODE_NETWORK].cut
    network.change(NODE_NETWORK, cut=frozenset(pair for pair in cut if own not in pair))
    for component in _components(cluster, node):
        cluster.release(component)
    cluster.parts.kubelets[node].start()


def clock_jump(cluster: Cluster, node: str, seconds: float) -> None:
    """The node's clock is off by so much more: what its kubelet stamps is. Timers run on (CLOCK_MONOTONIC)."""
    names.node_port(cluster, node)
    cluster.parts.kubelets[node].clock_skew_s += round(numbers.finite("seconds", seconds))


def is_down(cluster: Cluster, node: str) -> bool:
    return cluster.parts.kubelets[node].is_silent


def _isolate(cluster: Cluster, own: Port) -> None:
    segment = cluster.network.segments[NODE_NETWORK]
    others = {port for port in segment.ports if port != own}
    cut = {(own, other) for other in others} | {(other, own) for other in others}
    cluster.network.change(NODE_NETWORK, cut=segment.cut | cut)


def _end_programs(cluster: Cluster, node: str) -> None:
    """Kill every container of a node, and every connection that begins or ends there."""
    runtime, network = cluster.runtime, cluster.network
    here = {sandbox.namespace for sandbox in runtime.sandboxes.values() if sandbox.node == node}
    for namespace in sorted(here | {namespace_of_node(node)}):
        for sock in list(network.namespaces[namespace].sockets):
            if isinstance(sock, TcpConnection):
                sock.reset()
    network.run()
    for pod in cluster.parts.server.store.list("pods"):
        if pod["spec"].get("nodeName") == node and pod["metadata"]["uid"] in runtime.sandboxes:
            handle = cluster.pod(pod["metadata"]["name"], pod["metadata"]["namespace"])
            for container in pod["spec"]["containers"]:
                handle.exit(KILLED, container=container["name"])


def _components(cluster: Cluster, node: str) -> list[str]:
    found = (proxies.target(node), policies.target(node))
    return [name for name in found if name in cluster.clock.targets]
