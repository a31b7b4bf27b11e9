"""What a sync of kube-proxy costs, by mode and number of Services (10 endpoints each).

Run: python benchmarks/proxy.py [SIZE...]; sizes are numbers of Services, by default 100 1000 5000 10000. Times are
this process's own.

"render" is kube-proxy's own work, "load" what the node's tools take to read its text (or to be asked for theirs). "one"
is one endpoint replaced in one EndpointSlice, from the watch event on: the median of several. The columns "x" say how
much dearer each got when the cluster grew. "real" is what the real kube-proxy 1.36.2 took on a machine with two CPUs
and Linux 6.18 (its full sync with iptables 1.8.9 on nf_tables and nft 1.0.6; one endpoint at best).

The second table is what a Pod's first packet to the last Service costs the node: the rules that the real kernel would
have walked, and this model's time.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from time import process_time
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table
from scapy.layers.inet import IP, TCP

from fakecluster.apps.relay import Relays
from fakecluster.kernel.effects import Transmit
from fakecluster.kernel.netns import Netns
from fakecluster.proxy import config
from fakecluster.proxy.process import KubeProxy
from fakecluster.sim import Clock, Seeded

Json = dict[str, Any]

SIZES = (100, 1000, 5000, 10000)
#: The real one: (mode, Services) -> seconds of a full sync, milliseconds of one endpoint's change.
REAL = {
    ("iptables", 100): (0.20, 77),
    ("iptables", 1000): (5.95, 120),
    ("iptables", 5000): (151, 490),
    ("nftables", 100): (0.085, 36),
    ("nftables", 1000): (0.29, 240),
    ("nftables", 5000): (3.7, 1440),
    ("nftables", 10000): (13.4, 4400),
}
MODES = ("iptables", "nftables", "ipvs", "userspace")
#: userspace mode asks for each rule by itself, among all others: it was never meant for more.
LARGEST = {"userspace": 1000}
ENDPOINTS = 10
CHANGES = 9
#: Characters of a line, whatever the terminal: the tables are kept in files, too.
WIDTH = 110
CONNECTIONS = 2000
SLICES = "endpointslices.discovery.k8s.io"


@attrs.define
class TimedNode:
    """Passes commands to a namespace and adds up how long they take."""

    netns: Netns
    load_s: float = 0.0

    def run(self, command: Sequence[str], stdin: str = "") -> str:
        begin = process_time()
        try:
            return self.netns.run(command, stdin)
        finally:
            self.load_s += process_time() - begin


def service(number: int) -> Json:
    address = f"10.{96 + number // 65536}.{number // 256 % 256}.{number % 256}"
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    spec = {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": ports}
    return {"kind": "Service", "metadata": {"namespace": "bench", "name": f"s{number}"}, "spec": spec, "status": {}}


def endpoint_slice(number: int, *, replaced: int = -1) -> Json:
    """Endpoints of one Service; the one numbered `replaced` has another address."""
    first = number * ENDPOINTS
    addresses = [
        f"10.{(250 if n == replaced else 200) + (first + n) // 65536}.{(first + n) // 256 % 256}.{(first + n) % 256}"
        for n in range(ENDPOINTS)
    ]
    labels = {"kubernetes.io/service-name": f"s{number}"}
    return {
        "kind": "EndpointSlice",
        "metadata": {"namespace": "bench", "name": f"s{number}-1", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [ip], "conditions": {"ready": True}} for ip in addresses],
    }


@attrs.frozen
class Cost:
    """Seconds: first sync, one endpoint's change (each render, load); a new connection, and rules walked for it."""

    render_s: float
    load_s: float
    one_render_s: float
    one_load_s: float
    connection_s: float
    rules_walked: int

    @property
    def full_s(self) -> float:
        return self.render_s + self.load_s

    @property
    def one_s(self) -> float:
        return self.one_render_s + self.one_load_s


def measured(mode: str, services: int) -> Cost:
    """The cost of a sync in a cluster of that size."""
    clock = Clock()
    netns = Netns("node", clock=clock, choices=Seeded(0))
    netns.add_interface("eth0")
    netns.run("ip address add 192.168.1.10/24 dev eth0")
    netns.run("ip route add default via 192.168.1.1")
    node = TimedNode(netns)
    section = "iptables" if mode == "userspace" else mode
    document = {"apiVersion": config.API_VERSION, "kind": config.KIND, "mode": mode, "clusterCIDR": "10.200.0.0/14"}
    proxy = KubeProxy(
        "node", config.parse({**document, section: {"minSyncPeriod": "0s"}}), node, clock, relays=Relays(netns)
    )
    for number in range(services):
        proxy.on_object("services", service(number))
        proxy.on_object(SLICES, endpoint_slice(number))
    gc.collect()
    begin = process_time()
    proxy.start()
    clock.settle()
    full_s, load_s = process_time() - begin, node.load_s
    gc.collect()
    changes = sorted(one_change(proxy, clock, node, number) for number in range(CHANGES))
    one_s, one_load_s = changes[len(changes) // 2]
    return Cost(full_s - load_s, load_s, one_s - one_load_s, one_load_s, *new_connections(netns, services))


def new_connections(netns: Netns, services: int) -> tuple[float, int]:
    """Seconds for each of many SYNs of a Pod to the last Service, and the rules walked for one of them."""
    netns.add_interface("veth1")
    netns.run("sysctl -w net.ipv4.ip_forward=1")
    netns.run("ip route add 10.200.255.1/32 dev veth1")
    for address in ("192.168.1.1", "10.200.255.1"):
        netns.neighbours[4, int(ip_address(address))] = bytes(6)
    packets = [syn(services - 1, port) for port in range(20000, 20000 + CONNECTIONS)]
    hops = [effect.hop for effect in netns.receive(packets.pop(), "veth1", trace=True) if isinstance(effect, Transmit)]
    begin = process_time()
    for packet in packets:
        netns.receive(packet, "veth1")
    each_s = (process_time() - begin) / len(packets)
    return each_s, hops[0].rules_walked if hops and hops[0] else -1


def syn(number: int, port: int) -> bytes:
    """A SYN from a Pod's port to a Service."""
    target = service(number)["spec"]["clusterIP"]
    return bytes(IP(src="10.200.255.1", dst=target) / TCP(sport=port, dport=80, flags="S"))


def one_change(proxy: KubeProxy, clock: Clock, node: TimedNode, number: int) -> tuple[float, float]:
    """Seconds of one endpoint's change, and those of them that loading took."""
    changed = endpoint_slice(number, replaced=ENDPOINTS // 2)
    begin, load_s = process_time(), node.load_s
    proxy.on_object(SLICES, changed)
    clock.settle()
    return process_time() - begin, node.load_s - load_s


def print_connections(costs: Mapping[tuple[str, int], Cost]) -> None:
    table = Table(title="A Pod's first packet to the last Service")
    for heading in ("mode", "Services", "rules walked", "µs"):
        table.add_column(heading, justify="left" if heading == "mode" else "right")
    for (mode, size), cost in costs.items():
        table.add_row(mode, str(size), str(cost.rules_walked), f"{cost.connection_s * 1e6:.0f}")
    Console(width=WIDTH).print(table)


def figures(cost: Cost, first: Cost, real: tuple[float, float] | None) -> list[str]:
    """The figures of one row: those of the smallest cluster are the measure of growth."""
    return [
        *[f"{seconds:.2f}" for seconds in (cost.render_s, cost.load_s, cost.full_s)],
        f"{cost.full_s / first.full_s:.1f}",
        f"{real[0]:g}" if real else "",
        f"{cost.one_s * 1000:.1f}",
        f"{cost.one_load_s * 1000:.1f}",
        f"{cost.one_s / first.one_s:.1f}",
        f"{real[1]:g}" if real else "",
    ]


def main(sizes: Sequence[int]) -> None:
    costs: dict[tuple[str, int], Cost] = {}
    for mode in MODES:
        measured(mode, 1)  # what is imported and compiled once
    table = Table(title=f"kube-proxy syncs, {ENDPOINTS} endpoints a Service")
    headings = ("render s", "load s", "full s", "full x", "real s", "one ms", "of it load", "one x", "real ms")
    for heading in ("mode", "Services", *headings):
        table.add_column(heading, justify="left" if heading == "mode" else "right")
    for mode in MODES:
        first: Cost | None = None
        for size in sizes:
            if size > LARGEST.get(mode, size):
                continue
            cost = costs[mode, size] = measured(mode, size)
            first = first or cost
            table.add_row(mode, str(size), *figures(cost, first, REAL.get((mode, size))))
        table.add_section()
    Console(width=WIDTH).print(table)
    print_connections({place: cost for place, cost in costs.items() if place[0] != "userspace"})


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or SIZES)
