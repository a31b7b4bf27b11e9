"""What a connection costs through IPVS, beside the same services as iptables rules, from few services to many.

Run: python benchmarks/ipvs.py [--services 10 1000 10000]. Figures are ratios and microseconds of one machine; what the
real kernel would have walked is exact.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Iterator
from time import perf_counter

from rich.console import Console
from rich.table import Table

from fakecluster.kernel import icmp
from fakecluster.kernel.effects import Transmit
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import ACK, SYN, TCP, Skb
from fakecluster.sim import Seeded

SERVERS_EACH = 3
CONNECTIONS = 3000
ROUNDS = 5


def address(service: int) -> str:
    return f"10.96.{service // 250}.{service % 250 + 1}"


def servers(service: int) -> list[str]:
    return [f"10.244.{number}.{service % 250 + 1}:{8000 + service // 250}" for number in range(SERVERS_EACH)]


def node() -> Netns:
    """A host between clients and Pods, that tracks connections."""
    netns = Netns("node", choices=Seeded(1))
    for name, network in (("eth0", "192.168.0.0/16"), ("eth1", "10.244.0.0/16")):
        netns.add_interface(name, noarp=True)
        netns.run(f"ip route add {network} dev {name}")
    netns.run("sysctl -w net.ipv4.ip_forward=1 net.ipv4.vs.conntrack=1")
    netns.run("iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP")
    return netns


def ipvs(services: int) -> Netns:
    netns, lines = node(), []
    netns.add_interface("kube-ipvs0", kind="dummy", noarp=True)
    for number in range(services):
        netns.run(f"ip address add {address(number)}/32 dev kube-ipvs0")
        lines.append(f"-A -t {address(number)}:80 -s rr")
        lines += [f"-a -t {address(number)}:80 -r {server} -m -w 1" for server in servers(number)]
    netns.run("ipvsadm -R", "\n".join(lines))
    return netns


def iptables(services: int) -> Netns:
    """Chains as kube-proxy lays them out: one of services, one per service, one per endpoint."""
    netns, rules = node(), list(_iptables_rules(services))
    chains = sorted({rule.split()[1] for rule in rules} - {"PREROUTING"})
    text = ["*nat", *(f":{chain} - [0:0]" for chain in chains), "-A PREROUTING -j KUBE-SERVICES", *rules, "COMMIT", ""]
    netns.run("iptables-restore", "\n".join(text))
    return netns


def _iptables_rules(services: int) -> Iterator[str]:
    for number in range(services):
        yield f"-A KUBE-SERVICES -d {address(number)}/32 -p tcp -m tcp --dport 80 -j SVC-{number}"
        for index, server in enumerate(servers(number)):
            left = SERVERS_EACH - index
            chance = f" -m statistic --mode random --probability {1 / left:.10f}" if left > 1 else ""
            yield f"-A SVC-{number}{chance} -j SEP-{number}-{index}"
            yield f"-A SEP-{number}-{index} -p tcp -m tcp -j DNAT --to-destination {server}"


def segment(client: int, service: int, flags: int) -> bytes:
    """A client's segment: the SYN, or the ACK that ends the handshake."""
    source, host = 0xC0A80000 + client % 60000 + 1, address(service).split(".")
    target = int.from_bytes(bytes(int(part) for part in host))
    numbers = (1000, 0) if flags == SYN else (1001, 5001)
    return tcp((source, 1024 + client % 60000), (target, 80), flags, *numbers)


def answer(syn: bytes) -> bytes:
    """A server's SYN/ACK to a SYN that reached it."""
    skb = Skb(syn)
    return tcp((skb.dst, skb.dport), (skb.src, skb.sport), SYN | ACK, 5000, 1001)


def tcp(one: tuple[int, int], other: tuple[int, int], flags: int, sequence: int, acknowledged: int) -> bytes:
    (source, sport), (target, dport) = one, other
    body = sport.to_bytes(2) + dport.to_bytes(2) + sequence.to_bytes(4) + acknowledged.to_bytes(4)
    body += bytes((0x50, flags)) + (64240).to_bytes(2) + bytes(4)
    skb = Skb(bytes(icmp.ipv4_header(source, target, TCP, len(body)) + body))
    skb.refresh_l4_checksum()
    return bytes(skb.data)


def cost_us(netns: Netns, packets: list[bytes], sent: list[bytes]) -> float:
    """Microseconds per packet, of the fastest of some equal parts; what they became goes to `sent`."""
    size = len(packets) // ROUNDS
    times, effects = [], []
    gc.collect()
    gc.disable()
    for begin in range(0, size * ROUNDS, size):
        start = perf_counter()
        for packet in packets[begin : begin + size]:
            effects += netns.receive(packet, "eth0")
        times.append(perf_counter() - start)
    gc.enable()
    sent += [effect.packet for effect in effects if isinstance(effect, Transmit)]
    assert len(sent) == len(packets), "every packet reaches a server"
    return min(times) / size * 1e6


def walked(netns: Netns, service: int) -> int:
    """The rules and look-ups that a real kernel would have needed for a new connection to one of the services."""
    hops = [effect.hop for effect in netns.receive(segment(59999, service, SYN), "eth0", trace=True)]
    return sum(hop.rules_walked for hop in hops if hop is not None)


MODES: dict[str, Callable[[int], Netns]] = {"ipvs": ipvs, "iptables": iptables}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, nargs="+", default=[10, 1000, 10000])
    counts = parser.parse_args().services
    table = Table("mode", "services", "load s", "new connection us", "packet of it us", "of iptables", "walked")
    for count in counts:
        new: dict[str, float] = {}
        for mode in ("iptables", "ipvs"):
            start = perf_counter()
            netns = MODES[mode](count)
            load_s = perf_counter() - start
            syns = [segment(client, client % count, SYN) for client in range(CONNECTIONS)]
            sent: list[bytes] = []
            new[mode] = cost_us(netns, syns, sent)
            for syn in sent:
                netns.receive(answer(syn), "eth1")
            rest = cost_us(netns, [segment(client, client % count, ACK) for client in range(CONNECTIONS)], [])
            ratio = f"{new[mode] / new['iptables']:.2f}"
            table.add_row(
                mode,
                str(count),
                f"{load_s:.2f}",
                f"{new[mode]:.0f}",
                f"{rest:.0f}",
                ratio,
                str(walked(netns, count - 1)),
            )
    Console().print(table)


if __name__ == "__main__":
    main()
