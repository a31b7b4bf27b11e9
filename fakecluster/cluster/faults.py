"""Faults on demand: links that lose, delay or double packets, partitions, nodes that crash, tables that are full.

    cluster.faults.partition("a", "b")            until cluster.faults.heal("a", "b")
    cluster.faults.link("node-network", delay_s=0.05)
    cluster.faults.crash("b"); cluster.advance(60); cluster.faults.boot("b")

Whatever is broken is kept by the parts that it belongs to (segments, clock, sysctls), so that a fork inherits it.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from fakecluster.cluster import policies, proxies
from fakecluster.cni.nodes import NODE_NETWORK, OUTSIDE, namespace_of_node
from fakecluster.fabric.links import Port
from fakecluster.fabric.network import Network
from fakecluster.kernel.tcp_socket import TcpConnection

if TYPE_CHECKING:
    from fakecluster.cluster.cluster import Cluster

#: What a process that was killed leaves as its exit code: 128 + SIGKILL.
KILLED = 137


@attrs.frozen(eq=False)
class Faults:
    """The faults of one cluster. Names of what does not exist raise LookupError with those that do."""

    cluster: Cluster

    # --- links

    def link(
        self,
        place: str = NODE_NETWORK,
        *,
        loss: Fraction | float | None = None,
        delay_s: float | None = None,
        duplicate: Fraction | float | None = None,
    ) -> None:
        """Make a link worse: `node-network`, or a Pod's own (`pod/web-1`). What is not given stays; 0 makes it well.

        `loss` and `duplicate` are probabilities of each packet (a float is read as its decimal text: 0.1 is 1/10);
        `delay_s` is one way. Raises ValueError for probabilities outside 0..1 and negative times.
        """
        changes: dict[str, Fraction | float] = {}
        for name, probability in (("loss", loss), ("duplicate", duplicate)):
            if probability is not None:
                changes[name] = _probability(name, probability)
        if delay_s is not None:
            if delay_s < 0:
                raise ValueError(f"delay_s={delay_s}: packets do not arrive before they are sent")
            changes["delay_s"] = delay_s
        self._network.change(self._segment(place), **changes)

    def partition(self, a: str | Iterable[str], b: str | Iterable[str], *, one_way: bool = False) -> None:
        """Let no packet pass between two nodes (or groups of them, or `outside`); `one_way`: none from `a` to `b`.

        What the control plane does is not packets here: cut a node off from it with `crash` or `hold("kubelet@a")`.
        """
        pairs = self._pairs(a, b)
        directed = pairs if one_way else pairs | {(there, here) for here, there in pairs}
        self._cut(self._network.segments[NODE_NETWORK].cut | directed)

    def heal(self, a: str | Iterable[str] = (), b: str | Iterable[str] = ()) -> None:
        """End the partition between two sides; without arguments, every partition."""
        if not a and not b:
            self._cut(frozenset())
            return
        pairs = self._pairs(a, b)
        self._cut(self._network.segments[NODE_NETWORK].cut - pairs - {(there, here) for here, there in pairs})

    # --- nodes

    def crash(self, node: str) -> None:
        """The node is dead: no packet leaves or reaches it, kubelet and kube-proxy stand still, its lease runs out."""
        self._isolate(self._port(node))
        self.cluster.parts.kubelets[node].stop()
        for component in self._components(node):
            self.cluster.hold(component)

    def boot(self, node: str) -> None:
        """A node that crashed is back: connections are forgotten, containers start anew, the kubelet reports.

        Rules are taken to be back before the first packet; partitions of this node are healed.
        """
        own = self._port(node)
        self._isolate(own)  # nobody hears the last words of what ends here
        self._network.namespaces[own.namespace].run("conntrack -F")
        self._end_programs(node)
        self._cut(frozenset(pair for pair in self._network.segments[NODE_NETWORK].cut if own not in pair))
        for component in self._components(node):
            self.cluster.release(component)
        self.cluster.parts.kubelets[node].start()
        self.cluster.settle()

    def _isolate(self, own: Port) -> None:
        others = {port for port in self._network.segments[NODE_NETWORK].ports if port != own}
        cut = {(own, other) for other in others} | {(other, own) for other in others}
        self._cut(self._network.segments[NODE_NETWORK].cut | cut)

    def _end_programs(self, node: str) -> None:
        """Kill every container of a node, and every connection that begins or ends there."""
        runtime = self.cluster.runtime
        here = {sandbox.namespace for sandbox in runtime.sandboxes.values() if sandbox.node == node}
        for namespace in sorted(here | {namespace_of_node(node)}):
            for sock in list(self._network.namespaces[namespace].sockets):
                if isinstance(sock, TcpConnection):
                    sock.reset()
        self._network.run()
        for pod in self.cluster.api.list("pods", field_selector=f"spec.nodeName={node}"):
            if pod["metadata"]["uid"] in runtime.sandboxes:
                handle = self.cluster.pod(pod["metadata"]["name"], pod["metadata"]["namespace"])
                for container in pod["spec"]["containers"]:
                    handle.exit(KILLED, container=container["name"])

    def restart_kube_proxy(self, node: str) -> None:
        """Kill a node's kube-proxy and start it again; until it has listed, the old rules stay in force."""
        self._port(node)
        parts = self.cluster.parts
        parts.proxies.pop(node).stop()
        parts.start_proxy(node)
        self.cluster.settle()

    # --- tables

    def conntrack_limit(self, node: str, entries: int) -> None:
        """Let a node's connection table hold so many entries and no more (nf_conntrack_max)."""
        if entries < 1:
            raise ValueError(f"entries={entries}: expected 1 or more (the kernel reads 0 as no limit)")
        self._network.namespaces[self._port(node).namespace].run(f"sysctl -w net.netfilter.nf_conntrack_max={entries}")

    def ephemeral_ports(self, namespace: str, count: int) -> None:
        """Leave a host (`pod/client`, `node/a`) so many source ports and no more (ip_local_port_range)."""
        netns = self._network.namespaces.get(namespace)
        if netns is None:
            raise LookupError(f"no host {namespace!r}; there are {', '.join(self._network.namespaces)}")
        if not 1 <= count <= 28232:
            raise ValueError(f"count={count}: expected 1 to 28232")
        netns.run(["sysctl", "-w", f"net.ipv4.ip_local_port_range=32768 {32768 + count - 1}"])

    # --- names

    @property
    def _network(self) -> Network:
        return self.cluster.network

    def _port(self, node: str) -> Port:
        if node not in self.cluster.runtime.nodes:
            raise LookupError(f"no node {node!r}; there are {', '.join(self.cluster.runtime.nodes)}")
        return Port(namespace_of_node(node), "eth0")

    def _ports(self, names: str | Iterable[str]) -> set[Port]:
        listed = [names] if isinstance(names, str) else names
        return {Port(OUTSIDE, "eth0") if name == OUTSIDE else self._port(name) for name in listed}

    def _pairs(self, a: str | Iterable[str], b: str | Iterable[str]) -> frozenset[tuple[Port, Port]]:
        here, there = self._ports(a), self._ports(b)
        if not here or not there or here & there:
            raise ValueError(f"a partition needs two sides that have no node in common: {a!r}, {b!r}")
        return frozenset((one, other) for one in here for other in there)

    def _segment(self, place: str) -> str:
        for name, segment in self._network.segments.items():
            own = place.startswith("pod/") and Port(place, "eth0") in segment.ports
            if name == place or own:
                return name
        pods = [port.namespace for one in self._network.segments.values() for port in one.ports if "pod/" in str(port)]
        raise LookupError(f"no link {place!r}; there are {', '.join([NODE_NETWORK, *sorted(pods)])}")

    def _components(self, node: str) -> list[str]:
        names = (proxies.target(node), policies.target(node))
        return [name for name in names if name in self.cluster.clock.targets]

    def _cut(self, cut: frozenset[tuple[Port, Port]]) -> None:
        self._network.change(NODE_NETWORK, cut=cut)


def _probability(name: str, value: Fraction | float) -> Fraction:
    exact = Fraction(str(value))
    if not 0 <= exact <= 1:
        raise ValueError(f"{name}={value}: expected a probability from 0 to 1")
    return exact
