"""How fast captures are read and replayed: `python benchmarks/replay.py [--quick] [--packets N --flows N --services N]`.

A generated capture is replayed at a node's uplink into kube-proxy's rules, beside Scapy's reading of the same file with
dissection (measured on a part), in seconds of CPU of one run, so that ratios mean something on any machine. Every flow is
a handshake and acknowledgments whose windows change; flows are interleaved. Memory is the peak of what Python allocated
during the replay of a tenth, and of all.
"""

from __future__ import annotations

import argparse
import gc
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
    """Every flow is a SYN, then acknowledgments with changing windows; flows are interleaved."""
    targets = [int(ip_address(address)) for address in addresses]

    def one(n: int, flags: int) -> bytes:
        source, port = CLIENTS + n % 250, 1024 + n // 250 * 7
        return PacketWords(6, 4, source, targets[n % len(targets)], port, 80, flags).packet()

    opening, acknowledging = ([one(n, flags) for n in range(flows)] for flags in (2, 16))
    for n in range(count):
        packet = opening[n] if n < flows else with_window(acknowledging[n % flows], 1000 + n // flows)
        yield START_NS + n * STEP_NS, packet


def with_window(packet: bytes, window: int) -> bytes:
    """A TCP packet with another window, its checksum made to fit."""
    before, check = int.from_bytes(packet[34:36]), int.from_bytes(packet[36:38])
    check = (check - (window - before)) % 0xFFFF
    return packet[:34] + (window & 0xFFFF).to_bytes(2) + check.to_bytes(2) + packet[38:]


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


#: How many times Scapy's rate is aimed at.
AIMS = {"replay": 20, "replay, pcapng written": 10}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--flows", type=int, default=20_000)
    parser.add_argument("--services", type=int, default=1_000)
    parser.add_argument("--quick", action="store_true", help="a twentieth of everything")
    parser.add_argument("--proxy", choices=PROXY_MODES, action="append", help="only this mode (repeatable)")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.packets, chosen.flows, chosen.services = 50_000, 1_000, 50
    table = Table(title=f"{chosen.packets} packets, {chosen.flows} flows, {chosen.services} Services")
    for column in ("what", "µs/packet", "packets/s", "times Scapy", "aim", "peak MB"):
        table.add_column(column, justify="left" if column == "what" else "right")
    with TemporaryDirectory() as folder:
        for mode in chosen.proxy or PROXY_MODES:
            measure(table, Path(folder), mode, chosen)
    Console(width=100).print(table)


def measure(table: Table, folder: Path, mode: str, chosen: argparse.Namespace) -> None:
    """The rows of one proxy mode."""
    path, count = folder / "in.pcap", chosen.packets
    cluster = Cluster(nodes=1, proxy=mode)
    cluster.apply(manifests(chosen.services))
    write_pcap(path, packets([one.cluster_ip for one in cluster.services], count, chosen.flows))
    gc.collect()
    gc.freeze()  # as the command line does: the cluster stays, and need not be looked through again and again
    scapy = scapy_rate(path)

    def row(words: str, rate: float, aim: int = 0) -> None:
        aimed = f"{aim}" if aim else ""
        table.add_row(f"{mode}: {words}", f"{1e6 / rate:.2f}", f"{rate:.0f}", f"{rate / scapy:.1f}", aimed, "")

    row("Scapy reads and dissects", scapy)
    row("reading alone", timed(lambda: sum(1 for _ in open_capture(path)), count))
    opening = timed(lambda: list(replay_first(cluster.fork(), path, 2 * chosen.flows)), 2 * chosen.flows)
    row("opening the flows (2 packets each)", opening)
    for words, output in (("replay", None), ("replay, pcapng written", folder / "out.pcapng")):
        copy = cluster.fork()
        row(words, timed(lambda c=copy, o=output: replay(c, path, at="a:eth0", output=o), count), AIMS[words])
    for part in (10, 1):
        peak = memory(cluster.fork(), path, count // part)
        table.add_row(f"{mode}: memory of {count // part} packets", "", "", "", "", f"{peak / 1e6:.1f}")
    gc.unfreeze()


def replay_first(cluster: Cluster, path: Path, count: int) -> Iterable[object]:
    """Replay only the first packets of a capture."""
    replayer = Replayer(cluster, port_of(cluster.network, "a:eth0"), addresses=AddressMap.of(cluster, {}))
    run(islice(open_capture(path), count), replayer)
    yield replayer.finish()


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
