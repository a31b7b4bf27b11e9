"""How fast the kernel model is: `python benchmarks/kernel.py [--quick]`.

Packets per second of an established flow and of new flows through rule sets of kube-proxy's shape, with 10, 1,000 and
10,000 Services, beside the rate at which Scapy dissects the same packets; how much 10,000 Services cost compared with
10; and how fast rules load. Ratios are what counts: absolute figures are this machine's.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from itertools import islice
from pathlib import Path

import attrs
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fakecluster.kernel.effects import Transmit
from fakecluster.kernel.netns import Netns
from fakecluster.sim import Seeded

ENDPOINTS = 10
#: Services that new flows go to: as many as the smallest rule set has, so that only the rules grow.
SPREAD = 10
#: First packets that are sent at a time, and before all others.
BATCH, WARMING = 50, 3000
#: First packets that are made beforehand.
MOST_PER_SECOND = 80_000
CLIENT, OUTSIDE = "10.244.0.2", "203.0.113.7"
MODES = ("iptables", "nftables")


def node() -> Netns:
    """A node with an uplink and a bridge for Pods."""
    netns = Netns("node", choices=Seeded(1))
    netns.sysctls["net.ipv4.ip_forward"] = "1"
    for name, address in (("eth0", "192.168.1.10/24"), ("pods", "10.244.0.1/16")):
        netns.add_interface(name, noarp=True)
        netns.run(f"ip address add {address} dev {name}")
    netns.run("ip route add default via 192.168.1.1 dev eth0")
    return netns


def service_address(number: int) -> str:
    return str(ip_address(0x0A600001 + number))


def endpoint_address(number: int, endpoint: int) -> str:
    return str(ip_address(0x0AF40100 + (number * ENDPOINTS + endpoint) % 60000))


def iptables_rules(services: int, endpoints: int = ENDPOINTS) -> str:
    """What iptables-restore gets: a chain for each Service and endpoint, as kube-proxy writes them."""
    chains, rules = [], []
    for number in range(services):
        name, vip = f"KUBE-SVC-{number:016d}", service_address(number)
        comment = f'-m comment --comment "bench/s{number}:http cluster IP"'
        chains.append(f":{name} - [0:0]")
        rules.append(f"-A KUBE-SERVICES {comment} -m tcp -p tcp -d {vip} --dport 80 -j {name}")
        rules.append(f"-A {name} {comment} -m tcp -p tcp -d {vip} --dport 80 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ")
        for endpoint in range(endpoints):
            sep, address = f"KUBE-SEP-{number:011d}{endpoint:05d}", endpoint_address(number, endpoint)
            left, own = endpoints - endpoint, f"bench/s{number}:http"
            chance = f" -m statistic --mode random --probability {1 / left:.10f}" if left > 1 else ""
            chains.append(f":{sep} - [0:0]")
            rules.append(f'-A {name} -m comment --comment "bench/s{number}:http -> {address}:8080"{chance} -j {sep}')
            rules.append(f"-A {sep} -m comment --comment {own} -s {address} -j KUBE-MARK-MASQ")
            rules.append(f"-A {sep} -m comment --comment {own} -m tcp -p tcp -j DNAT --to-destination {address}:8080")
    head = ["*nat", ":PREROUTING ACCEPT [0:0]", ":INPUT ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]",
    ":POSTROUTING ACCEPT [0:0]",
            ":KUBE-SERVICES - [0:0]", ":KUBE-MARK-MASQ - [0:0]", ":KUBE-POSTROUTING - [0:0]"]  # fmt: skip
    fixed = ["-A PREROUTING -j KUBE-SERVICES", "-A OUTPUT -j KUBE-SERVICES", "-A POSTROUTING -j KUBE-POSTROUTING",
             "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
             "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
             "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000", "-A KUBE-POSTROUTING -j MASQUERADE"]  # fmt: skip
    return "\n".join((*head, *chains, *fixed, *rules, "COMMIT", ""))


def nftables_rules(services: int, endpoints: int = ENDPOINTS) -> str:
    """What nft -f gets: one verdict map of all Services, a chain for each Service and endpoint."""
    lines = ["add table ip kube", "add chain ip kube mark { }", "add rule ip kube mark mark set mark or 0x4000",
             "add map ip kube service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }"]  # fmt: skip
    chains, elements, rules = [], [], []
    for number in range(services):
        name, vip = f"service-{number}", service_address(number)
        chains.append(f"add chain ip kube {name}")
        elements.append(f"add element ip kube service-ips {{ {vip} . tcp . 80 : goto {name} }}")
        targets = []
        for endpoint in range(endpoints):
            address, chain = endpoint_address(number, endpoint), f"endpoint-{number}-{endpoint}"
            chains.append(f"add chain ip kube {chain}")
            rules.append(f"add rule ip kube {chain} ip saddr {address} jump mark")
            rules.append(f"add rule ip kube {chain} meta l4proto tcp dnat to {address}:8080")
            targets.append(f"{endpoint} : goto {chain}")
        rules.append(f"add rule ip kube {name} ip daddr {vip} tcp dport 80 ip saddr != 10.244.0.0/16 jump mark")
        rules.append(f"add rule ip kube {name} numgen random mod {endpoints} vmap {{ {', '.join(targets)} }}")
    hooks = [
        "add chain ip kube services",
        "add rule ip kube services ip daddr . meta l4proto . th dport vmap @service-ips",
        "add chain ip kube pre { type nat hook prerouting priority dstnat ; }",
        "add rule ip kube pre jump services",
        "add chain ip kube post { type nat hook postrouting priority srcnat ; }",
        "add rule ip kube post meta mark & 0x4000 != 0 masquerade",
    ]
    return "\n".join((*lines, *chains, *elements, *rules, *hooks, ""))


LOADERS: dict[str, tuple[str, Callable[[int], str]]] = {
    "iptables": ("iptables-restore --noflush", iptables_rules),
    "nftables": ("nft -f -", nftables_rules),
}


def segment(src: str, dst: str, sport: int, dport: int, flags: str, seq: int, ack: int, load: bytes = b"") -> bytes:
    from scapy.layers.inet import IP, TCP

    header = TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack, window=8000)
    return bytes(IP(src=src, dst=dst) / header / load)


def syn(source_port: int, vip: str) -> bytes:
    return segment(CLIENT, vip, source_port, 80, "S", 1, 0)


def rate(action: Callable[[], int], *, least_s: float) -> float:
    """Calls per second; `action` says how many it made."""
    done, started = 0, time.process_time()
    while (passed := time.process_time() - started) < least_s:
        done += action()
    return done / passed


def dissection_rate(packets: list[bytes], least_s: float) -> float:
    """Scapy's rate."""
    from scapy.layers.inet import IP

    def dissect() -> int:
        for packet in packets:
            IP(packet)
        return len(packets)

    return rate(dissect, least_s=least_s)


def conversation(netns: Netns, vip: str) -> list[tuple[bytes, str]]:
    """Open a connection to a Service; then what its ends send: data and acknowledgments, with their interfaces."""
    from scapy.layers.inet import IP, TCP

    [sent] = netns.receive(segment(CLIENT, vip, 1000, 80, "S", 1, 0), "pods")
    assert isinstance(sent, Transmit)
    there = IP(sent.packet)
    server = (there.dst, there.src, there[TCP].dport, there[TCP].sport)
    client = (CLIENT, vip, 1000, 80)
    netns.receive(segment(*server, "SA", 1000, 2), sent.iface)
    request, answer = b"x" * 100, b"y" * 1200
    packets = [
        (segment(*client, "A", 2, 1001), "pods"),
        (segment(*client, "PA", 2, 1001, request), "pods"),
        (segment(*server, "A", 1001, 102), sent.iface),
        (segment(*server, "PA", 1001, 102, answer), sent.iface),
        (segment(*client, "A", 102, 2201), "pods"),
    ]
    for packet, iface in packets * 2:
        netns.receive(packet, iface)
    return packets


def established_rate(
    netns: Netns, packets: list[tuple[bytes, str]], least_s: float, *, trace: bool = False
) -> float:  # fmt: skip
    """Packets of one open connection, both ways."""

    def send() -> int:
        receive = netns.receive
        for _ in range(20):
            for packet, iface in packets:
                receive(packet, iface, trace=trace)
        return 20 * len(packets)

    return rate(send, least_s=least_s)


def new_flow_rate(netns: Netns, packets: Iterator[bytes], least_s: float) -> float:
    """First packets of connections, to some Services in turn, wherever they stand."""
    for packet in islice(packets, WARMING):
        netns.receive(packet, "pods")  # every endpoint of these Services has its chain compiled when one comes by
    made = iter(list(islice(packets, int(least_s * MOST_PER_SECOND))))

    def send() -> int:
        sent = 0
        for packet in islice(made, BATCH):
            netns.receive(packet, "pods")
            sent += 1
        return sent

    return max(rate(send, least_s=least_s / ROUNDS) for _ in range(ROUNDS))


def _syns(services: int) -> Iterator[bytes]:
    """The first packets of connections from one host, from the next one when it has no more ports, and so on."""
    template, count = bytearray(syn(1, "10.96.0.1")), 0
    while True:
        template[14:16] = (2 + count // 60000).to_bytes(2)
        vip = int(ip_address(service_address(count % SPREAD * 7919 % services)))
        template[16:20] = vip.to_bytes(4)
        template[20:22] = (1024 + count % 60000).to_bytes(2)
        template[10:12] = template[36:38] = b"\0\0"
        yield _with_checksums(template)
        count += 1


def _with_checksums(packet: bytearray) -> bytes:
    def fold(total: int) -> bytes:
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return (~total & 0xFFFF).to_bytes(2)

    words = [packet[at] << 8 | packet[at + 1] for at in range(0, len(packet), 2)]
    packet[10:12] = fold(sum(words[:10]))
    packet[36:38] = fold(sum(words[6:]) + 6 + len(packet) - 20)
    return bytes(packet)


def loaded(mode: str, services: int) -> tuple[Netns, float, int]:
    """A node with the rules, how long they took to load, and how many lines they were."""
    command, make = LOADERS[mode]
    text, netns = make(services), node()
    started = time.process_time()
    netns.run(command, text)
    return netns, time.process_time() - started, text.count("\n")


def bytes_per_rule(services: int = 500) -> float:
    """Memory of a loaded iptables rule with its share of chains and tables."""
    text, netns = iptables_rules(services), node()
    gc.collect()
    tracemalloc.start()
    netns.run("iptables-restore --noflush", text)
    held, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / text.count("\n-A ")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes and short measurements")
    options = parser.parse_args(argv)
    sizes, least_s = ((10, 1000), 0.3) if options.quick else ((10, 1000, 10_000), 1.0)
    table, cold = Table(*COLUMNS), []
    for mode in MODES:
        cold.append(f"{loaded(mode, 1)[1] * 1000:.0f} ms ({mode})")
        first: Figures | None = None
        for services in sizes:
            figures = measure(mode, services, least_s)
            first = first or figures
            table.add_row(*row(mode, services, figures, first))
    console = Console(width=WIDTH)
    console.print(table)
    console.print(EXPLANATION)
    console.print(
        f"The very first load of a process takes {' and '.join(cold)} more: modules are imported, patterns compiled."
    )
    console.print(f"an iptables rule takes {bytes_per_rule():,.0f} bytes")
    return 0


COLUMNS = (
    "rules", "Services", "Scapy", "open flow", "the long way", "traced", "new flows", "the long way", "growth",
    "lines/s loaded", "change",
)  # fmt: skip
WIDTH = 172
#: Turns that Scapy and the model take; the best of each counts.
ROUNDS = 5
EXPLANATION = """Packets per second of CPU; (n x) is the ratio to Scapy's dissection of the same packets, measured with them.
open flow: data and acknowledgments of one connection to a Service, both ways, as the flow cache forwards them; the long
way: the same without the cache; traced: the same with a trace (which takes the long way), and its cost in those of the
long way and of the cache. new flows: first packets, by recipe, and the long way.
growth: what a packet of an open and of a new flow costs, beside the fewest Services.
change: milliseconds to load what kube-proxy writes when one Service gets another endpoint. What is loaded is left out of
garbage collections (gc.freeze), as the command line and the pytest plugin do."""


@attrs.frozen
class Figures:
    """Rates per second."""

    scapy: float
    opened: float
    long_way: float
    traced: float
    new: float
    new_long: float
    lines: float
    change_ms: float


def measure(mode: str, services: int, least_s: float) -> Figures:
    netns, seconds, lines = loaded(mode, services)
    gc.collect()
    gc.freeze()
    try:
        return measure_loaded(netns, mode, services, least_s, lines / seconds)
    finally:
        gc.unfreeze()


def measure_loaded(netns: Netns, mode: str, services: int, least_s: float, lines: float) -> Figures:
    packets = conversation(netns, service_address(services // 2))
    raw = [packet for packet, _iface in packets]
    scapy = opened = 0.0
    for _ in range(ROUNDS):  # in turn, so that what else the machine does meets both
        scapy = max(scapy, dissection_rate(raw, least_s / ROUNDS))
        opened = max(opened, established_rate(netns, packets, least_s / ROUNDS))
    netns.flow_cache.enabled = False
    long_way = established_rate(netns, packets, least_s)
    netns.flow_cache.enabled = True
    traced = established_rate(netns, packets, least_s, trace=True)
    syns = _syns(services)
    new = new_flow_rate(netns, syns, least_s)
    netns.conntrack.flush()
    netns.flow_cache.enabled = False
    new_long = new_flow_rate(netns, syns, least_s)
    netns.flow_cache.enabled = True
    return Figures(scapy, opened, long_way, traced, new, new_long, lines, change_ms(netns, mode, services))


def change_ms(netns: Netns, mode: str, services: int) -> float:
    """Milliseconds for a partial sync, the best of some."""
    times = []
    for number in range(5):
        command, text = LOADERS[mode][0], CHANGES[mode](services, number)
        started = time.process_time()
        netns.run(command, text)
        times.append(time.process_time() - started)
    return min(times) * 1000


def iptables_change(services: int, number: int) -> str:
    """All of KUBE-SERVICES, and the chains of the Service that changed."""
    name, sep = f"KUBE-SVC-{number:016d}", f"KUBE-SEP-{number:011d}99999"
    lines = iptables_rules(services, 1).split("\n")
    kept = [line for line in lines if line.startswith(("-A KUBE-SERVICES ", f"-A {name} "))]
    heads = ["*nat", ":KUBE-SERVICES - [0:0]", f":{name} - [0:0]", f":{sep} - [0:0]"]
    new = [f"-A {name} -j {sep}", f"-A {sep} -m tcp -p tcp -j DNAT --to-destination 10.244.255.9:8080"]
    return "\n".join((*heads, *kept[:-1], *new, "COMMIT", ""))


def nftables_change(services: int, number: int) -> str:
    """The chains of the Service that changed."""
    name, new = f"service-{number}", f"endpoint-{number}-new"
    lines = [f"{verb} chain ip kube {chain}" for chain in (name, new) for verb in ("add", "flush")]
    lines += [f"add rule ip kube {new} meta l4proto tcp dnat to 10.244.255.9:8080",
              f"add rule ip kube {name} ip daddr {service_address(number)} tcp dport 80 jump mark",
              f"add rule ip kube {name} numgen random mod 2 vmap {{ 0 : goto endpoint-{number}-0, 1 : goto {new} }}",
              f"flush chain ip kube endpoint-{number}-1"]  # fmt: skip
    return "\n".join((*lines, ""))


CHANGES: dict[str, Callable[[int, int], str]] = {"iptables": iptables_change, "nftables": nftables_change}


def row(mode: str, services: int, figures: Figures, first: Figures) -> list[str]:
    def ratio(value: float) -> str:
        return f"{value:,.0f} ({value / figures.scapy:.1f} x)"

    traced = f"{figures.traced:,.0f} ({figures.long_way / figures.traced:.1f}, {figures.opened / figures.traced:.0f})"
    growth = f"{first.opened / figures.opened:.2f} / {first.new / figures.new:.2f}"
    return [
        mode, f"{services:,}", f"{figures.scapy:,.0f}", ratio(figures.opened), ratio(figures.long_way), traced,
        ratio(figures.new), ratio(figures.new_long), growth, f"{figures.lines:,.0f}", f"{figures.change_ms:.1f} ms",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
