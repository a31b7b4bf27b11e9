"""How fast captures are read and replayed: `python benchmarks/replay.py [--packets N --flows N --services N]`.

A generated capture is replayed at a node's uplink into kube-proxy's rules, beside Scapy's reading of the same file with
dissection (measured on a part), in seconds of CPU. Memory is the peak of what Python allocated during the replay of a
tenth, and of all.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from fakecluster import Cluster
from fakecluster.cluster.capturing import port_of
from fakecluster.explaining.packet_words import PacketWords
from fakecluster.fabric.captures import open_capture
from fakecluster.fabric.pcap import write_pcap
from fakecluster.replay import replay
from fakecluster.replay.preparing import AddressMap
from fakecluster.replay.replaying import Replayer, run

PROXY_MODES = ("iptables", "nftables")
SCAPY_PACKETS = 5_000
CLIENTS = 0xC6336400  # 198.51.100.0
START_NS, STEP_NS = 1_767_225_600_000_000_000, 20_000


def manifests(services: int) -> list[dict[str, object]]:
    """Services that share one Pod, so that the rules are many and the Pods few."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app": "web"}},
           "spec": {"containers": [{"name": "web", "image": "x", "ports": [{"containerPort": 80}]}]}}  # fmt: skip
    made = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{n}"},
         "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
        for n in range(services)
    ]  # fmt: skip
    return [pod, *made]


def packets(addresses: list[str], count: int, flows: int) -> Iterable[tuple[int, bytes]]:
    """Every flow is a SYN, then acknowledgments; flows are interleaved."""
    targets = [int(ip_address(address)) for address in addresses]

    def one(n: int, flags: int) -> bytes:
        source, port = CLIENTS + n % 250, 1024 + n // 250 * 7
        return PacketWords(6, 4, source, targets[n % len(targets)], port, 80, flags).packet()

    kinds = [[one(n, flags) for n in range(flows)] for flags in (2, 16)]
    for n in range(count):
        yield START_NS + n * STEP_NS, kinds[n >= flows][n % flows]


def scapy_rate(path: Path) -> float:
    """Packets per second of reading with dissection."""
    from scapy.layers.inet import IP  # noqa: F401  (so that raw IP is dissected)
    from scapy.utils import PcapReader

    reader = PcapReader(str(path))
    begin = time.process_time()
    for number, _ in enumerate(reader, 1):
        if number == SCAPY_PACKETS:
            break
    return number / (time.process_time() - begin)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--packets", type=int, default=100_000)
    parser.add_argument("--flows", type=int, default=2_000)
    parser.add_argument("--services", type=int, default=1_000)
    chosen = parser.parse_args()
    table = Table(title=f"{chosen.packets} packets, {chosen.flows} flows, {chosen.services} Services")
    for column in ("what", "packets/s", "times Scapy", "peak MB"):
        table.add_column(column, justify="left" if column == "what" else "right")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "in.pcap"
        for mode in PROXY_MODES:
            cluster = Cluster(nodes=1, proxy=mode)
            cluster.apply(manifests(chosen.services))
            addresses = [one.cluster_ip for one in cluster.services]
            write_pcap(path, packets(addresses, chosen.packets, chosen.flows))
            if mode == PROXY_MODES[0]:
                scapy = scapy_rate(path)
                table.add_row("Scapy reads and dissects", f"{scapy:.0f}", "1.0", "")
                rate = timed(lambda: sum(1 for _ in open_capture(path)), chosen.packets)
                table.add_row("reading alone", f"{rate:.0f}", f"{rate / scapy:.1f}", "")
            for words, output in (("", None), (", pcapng written", Path(folder) / "out.pcapng")):
                copy = cluster.fork()
                rate = timed(lambda c=copy, o=output: replay(c, path, at="a:eth0", output=o), chosen.packets)
                table.add_row(f"replay, {mode}{words}", f"{rate:.0f}", f"{rate / scapy:.1f}", "")
            for part in (10, 1):
                peak = memory(cluster.fork(), path, chosen.packets // part)
                table.add_row(f"memory of {chosen.packets // part} packets, {mode}", "", "", f"{peak / 1e6:.1f}")
    Console().print(table)


def timed(run: Callable[[], object], count: int) -> float:
    """Packets per second."""
    begin = time.process_time()
    run()
    return count / (time.process_time() - begin)


def memory(cluster: Cluster, path: Path, count: int) -> int:
    """The peak of allocations while `count` packets are replayed."""
    replayer = Replayer(cluster, port_of(cluster.network, "a:eth0"), addresses=AddressMap.of(cluster, {}))
    tracemalloc.start()
    run(islice(open_capture(path), count), replayer)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


if __name__ == "__main__":
    main()
