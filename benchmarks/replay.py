"""How fast captures are read and replayed: `python benchmarks/replay.py [--quick] [--packets N --flows N --services N]`.

A generated capture is replayed at a node's uplink into kube-proxy's rules, beside Scapy's reading of the same file with
dissection (measured on a part), in seconds of CPU of one run, so that ratios mean something on any machine. There are three
captures, whose flows are interleaved. In "acks" every flow is a handshake and acknowledgments whose windows change. In
"data" it is a handshake and requests with answers, recorded both ways: data in, its acknowledgment out, the answer out,
its acknowledgment in. Both are as tcpdump writes them on a Linux host's eth0: Ethernet frames, TCP options in SYNs (MSS,
SACK, timestamps, window scale) and timestamps in the rest. "bare acks" are the first as raw IP without any options, which is
what Scapy dissects fastest. Memory is the peak of what Python allocated during the replay of a half, and of all.
"""

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc
from collections.abc import Callable, Generator, Iterable
from functools import partial
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from struct import Struct
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from fakecluster import Cluster
from fakecluster.apps.echo import answer, peer_text
from fakecluster.cluster.capturing import port_of
from fakecluster.fabric.captures import open_capture
from fakecluster.fabric.link_layer import ETHERNET
from fakecluster.fabric.pcap import MAGIC_NS, SNAPLEN, write_pcap
from fakecluster.kernel.checksums import checksum
from fakecluster.kernel.icmp import ipv4_header
from fakecluster.kernel.packet import ACK, PSH, SYN
from fakecluster.replay import replay
from fakecluster.replay.preparing import AddressMap
from fakecluster.replay.replaying import Replayer, run

PROXY_MODES = ("iptables", "nftables")
SCAPY_PACKETS = 5_000
CLIENTS = 0xC6336400  # 198.51.100.0
MASK = 0xFFFFFFFF
REQUEST_SIZE = 200
TCP_HEADER = Struct("!HHIIHHHH").pack
RECORD = Struct("<IIII").pack
ETHERNET_HEADER = b"\2\0\0\0\0\1" b"\2\0\0\0\0\2" b"\x08\0"
NS_PER_S = 1_000_000_000
Generate = Callable[[Cluster, int, int], Iterable[tuple[int, bytes]]]
START_NS, STEP_NS = 1_767_225_600_000_000_000, 2_000


def manifests(services: int) -> list[dict[str, object]]:
    """Services that share one Pod, so that the rules are many and the Pods few."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app": "web"}},
           "spec": {"containers": [{"name": "web", "image": "x", "ports": [{"containerPort": 80}]}]}}  # fmt: skip
    made = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{n}"},
         "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], "type": "NodePort", "externalTrafficPolicy": "Local"}}
        for n in range(services)
    ]  # fmt: skip
    return [pod, *made]


def acknowledgments(cluster: Cluster, count: int, flows: int, *, options: bool = True) -> Iterable[tuple[int, bytes]]:
    """Every flow is a SYN to a cluster IP, then acknowledgments with changing windows; flows are interleaved."""
    targets = [int(ip_address(service.cluster_ip)) for service in cluster.services]
    for n in range(count):
        flow, time_ns = n % flows, START_NS + n * STEP_NS
        source, port = source_of(flow)
        numbers, flags, window = ((0, 0), SYN, 64240) if n < flows else ((1, 1), ACK, 1000 + n // flows)
        with_options = options_of(flags, time_ns) if options else b""
        target = targets[flow % len(targets)]
        yield time_ns, segment(source, port, target, 80, flags, *numbers, options=with_options, window=window)


def options_of(flags: int, time_ns: int) -> bytes:
    """The TCP options of a Linux host: a timestamp (in ms; the peer's is left at 7), and in a SYN what it can."""
    timestamp = b"\x08\x0a" + (time_ns // 1_000_000 & MASK).to_bytes(4) + (7 if flags & ACK else 0).to_bytes(4)
    return b"\2\4\x05\xb4\4\2" + timestamp + b"\1\3\3\7" if flags & SYN else b"\1\1" + timestamp


def source_of(flow: int) -> tuple[int, int]:
    """The address and port of a flow's client."""
    return CLIENTS + flow % 250, 1024 + flow // 250 * 7


def requests(cluster: Cluster, count: int, flows: int) -> Iterable[tuple[int, bytes]]:
    """Every flow is a connection to a node port with requests and answers, both ways; flows are interleaved."""
    node = int(ip_address(cluster.nodes[0].ip))
    ports = [service.object["spec"]["ports"][0]["nodePort"] for service in cluster.services]
    conversations = [conversation(*source_of(n), node, ports[n % len(ports)]) for n in range(flows)]
    for conversation_ in conversations:
        next(conversation_)
    for n in range(count):
        time_ns = START_NS + n * STEP_NS
        yield time_ns, conversations[n % flows].send(time_ns)


def conversation(source: int, sport: int, node: int, port: int) -> Generator[bytes, int, None]:
    """What passes the node's interface at the times that are sent here: as the echo server in the Pod answers."""
    client, server, question = 1, 1, bytes(range(REQUEST_SIZE))
    reply = answer("web", peer_text((source, sport)), question)

    time_ns = yield b""

    def sent(flags: int, sequence: int, acknowledged: int, data: bytes = b"") -> bytes:
        options = options_of(flags, time_ns)
        return segment(source, sport, node, port, flags, sequence, acknowledged, data, options=options)

    def back(flags: int, sequence: int, acknowledged: int, data: bytes = b"") -> bytes:
        options = options_of(flags, time_ns)
        return segment(node, port, source, sport, flags, sequence, acknowledged, data, options=options)

    time_ns = yield sent(SYN, client - 1, 0)
    time_ns = yield back(SYN | ACK, server - 1, client)
    time_ns = yield sent(ACK, client, server)
    while True:
        time_ns = yield sent(ACK | PSH, client, server, question)
        client = (client + len(question)) & MASK
        time_ns = yield back(ACK, server, client)
        time_ns = yield back(ACK | PSH, server, client, reply)
        server = (server + len(reply)) & MASK
        time_ns = yield sent(ACK, client, server)


def segment(
    src: int, sport: int, dst: int, dport: int, flags: int, sequence: int, acknowledged: int, data: bytes = b"", *,
    options: bytes = b"", window: int = 64240,
) -> bytes:  # fmt: skip
    """A TCP segment in an IPv4 packet."""
    bits = 20 + len(options) << 10 | flags
    body = TCP_HEADER(sport, dport, sequence, acknowledged, bits, window & 0xFFFF, 0, 0) + options + data
    body = body[:16] + checksum(body, src + dst + 6 + len(body)).to_bytes(2) + body[18:]
    return bytes(ipv4_header(src, dst, 6, len(body), df=True)) + body


def write_frames(path: Path, packets: Iterable[tuple[int, bytes]]) -> None:
    """Write (Unix time in ns, L3 bytes) pairs as Ethernet frames."""
    with path.open("wb") as file:
        file.write(Struct("<IHHiIII").pack(MAGIC_NS, 2, 4, 0, 0, SNAPLEN, ETHERNET))
        for time_ns, packet in packets:
            size = len(packet) + len(ETHERNET_HEADER)
            file.write(RECORD(*divmod(time_ns, NS_PER_S), size, size) + ETHERNET_HEADER + packet)


#: What is replayed: its packets, and how they are written.
CAPTURES: dict[str, tuple[Generate, Callable[[Path, Iterable[tuple[int, bytes]]], object]]] = {
    "acks": (acknowledgments, write_frames),
    "data": (requests, write_frames),
    "bare acks": (partial(acknowledgments, options=False), write_pcap),
}


def scapy_rate(path: Path) -> float:
    """Packets per second of reading with dissection."""
    from scapy.layers.inet import IP  # noqa: F401  (so that IP is dissected)
    from scapy.layers.l2 import Ether  # noqa: F401
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
    parser.add_argument("--no-memory", action="store_true", help="leave out the peaks of memory, which take longest")
    parser.add_argument("--proxy", choices=PROXY_MODES, action="append", help="only this mode (repeatable)")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.packets, chosen.flows, chosen.services = 50_000, 1_000, 50
    table = Table(title=f"{chosen.packets} packets, {chosen.flows} flows, {chosen.services} Services")
    for column in ("what", "µs/packet", "packets/s", "times Scapy", "aim", "peak MB"):
        table.add_column(column, justify="left" if column == "what" else "right")
    with TemporaryDirectory() as folder:
        for mode in chosen.proxy or PROXY_MODES:
            cluster = Cluster(nodes=1, proxy=mode)
            cluster.apply(manifests(chosen.services))
            for kind, (generate, write) in CAPTURES.items():
                path, half = Path(folder) / "in.pcap", Path(folder) / "half.pcap"
                write(path, generate(cluster, chosen.packets, chosen.flows))
                write(half, islice(generate(cluster, chosen.packets, chosen.flows), chosen.packets // 2))
                gc.collect()
                gc.freeze()  # as the command line does: the cluster stays, and need not be looked through again and again
                measure(table, cluster, path, f"{mode}, {kind}", chosen)
                if not chosen.no_memory:
                    for words, part in (("a half", half), ("all", path)):
                        peak = memory(cluster.fork(), part) / 1e6
                        table.add_row(f"{mode}, {kind}: memory, {words}", "", "", "", "", f"{peak:.1f}")
                gc.unfreeze()
    Console(width=100).print(table)


def measure(table: Table, cluster: Cluster, path: Path, kind: str, chosen: argparse.Namespace) -> None:
    """The rows of one proxy mode and one kind of capture."""
    count = chosen.packets
    scapy = scapy_rate(path)

    def row(words: str, rate: float, aim: int = 0) -> None:
        aimed = f"{aim}" if aim else ""
        table.add_row(f"{kind}: {words}", f"{1e6 / rate:.2f}", f"{rate:.0f}", f"{rate / scapy:.1f}", aimed, "")

    row("Scapy reads and dissects", scapy)
    row("reading alone", timed(lambda: sum(1 for _ in open_capture(path)), count))
    opening = timed(lambda: list(replay_first(cluster.fork(), path, 3 * chosen.flows)), 3 * chosen.flows)
    row("the first 3 packets of each flow", opening)
    for words, output in (("replay", None), ("replay, pcapng written", path.with_name("out.pcapng"))):
        copy = cluster.fork()
        row(words, timed(lambda c=copy, o=output: replay(c, path, at="a:eth0", output=o), count), AIMS[words])


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


def memory(cluster: Cluster, path: Path) -> int:
    """The peak of allocations while a capture is replayed."""
    tracemalloc.start()
    replay(cluster, path, at="a:eth0")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


if __name__ == "__main__":
    main()
