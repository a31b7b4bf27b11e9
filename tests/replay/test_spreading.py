"""Captures spread by flow over an executor: the merged result is that of one process."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import attrs
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.utils import wrpcap

from fakecluster import Cluster
from fakecluster.fabric.captures import CaptureError
from fakecluster.replay import Replay, SpreadError, replay, spread

SHOP = Path(__file__).resolve().parents[2] / "examples" / "shop.yaml"


@attrs.frozen
class Done:
    value: Any

    def result(self) -> Any:
        return self.value


class Pickling:
    """Runs jobs here, through pickle both ways, as other processes would get them."""

    def submit(self, fn: Any, /, *args: Any) -> Done:
        job = pickle.loads(pickle.dumps(args))
        return Done(pickle.loads(pickle.dumps(fn(*job))))


@pytest.fixture(scope="module")
def template() -> Cluster:
    cluster = Cluster(nodes=2)
    cluster.apply(SHOP)
    return cluster


def capture(cluster: Cluster, path: Path) -> Path:
    """Clients that open and close connections, in between datagrams, a jump back in time, what is no IP."""
    ip, packets = cluster.service("web").cluster_ip, []
    for n in range(60):
        source, port = f"203.0.113.{n % 20 + 1}", 1000 + n
        packets += [
            IP(src=source, dst=ip) / TCP(sport=port, dport=80, flags=flags, seq=5) for flags in ("S", "A", "FA")
        ]
        packets.append(IP(src=source, dst="172.18.0.2") / UDP(sport=port, dport=9) / b"x")
    for n, packet in enumerate(packets):
        packet.time = 1000 + n * 1.5 if n != 100 else 900
    wrpcap(str(path), packets)
    return path


def test_parts_on_an_executor_give_the_result_of_one_process(template: Cluster, tmp_path: Path) -> None:
    path = capture(template, tmp_path / "a.pcap")
    mapping = {"203.0.113.1": "outside", "203.0.113.99": "outside"}
    whole = replay(template.fork(), path, at="a:eth0", mapping=mapping)
    parts = spread(template.fork(), path, at="a:eth0", executor=Pickling(), count=3, mapping=mapping)
    assert (whole.packets, whole.injected, whole.flow_count) == (240, 240, 120)
    assert len({fate.namespace for fate in whole.fates}) == 4
    assert whole.warnings == {
        "the capture's clock goes backwards": 1,
        "no packet has the address to map: 203.0.113.99": 1,
    }
    assert parts == whole


def test_a_cut_capture_says_where_and_what_came_before(template: Cluster, tmp_path: Path) -> None:
    path = capture(template, tmp_path / "a.pcap")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CaptureError, match="the file ends inside a packet") as caught:
        spread(template.fork(), path, at="a:eth0", executor=Pickling(), count=2)
    assert isinstance(caught.value.replay, Replay)
    assert (caught.value.replay.packets, caught.value.replay.injected) == (239, 239)


def test_a_cluster_that_workers_could_not_build_is_refused(template: Cluster, tmp_path: Path) -> None:
    path = capture(template, tmp_path / "a.pcap")
    changed = template.fork()
    changed.node("a").run("iptables -A FORWARD -s 203.0.113.7 -j DROP")
    with pytest.raises(SpreadError, match="changed in other ways"):
        spread(changed, path, at="a:eth0", executor=Pickling(), count=2)
