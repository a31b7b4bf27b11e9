"""Runs of acknowledgments replayed at once, against packet by packet: the same report, captures, entries and counters."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fakecluster import Cluster
from fakecluster.cluster.capturing import port_of
from fakecluster.fabric import captures
from fakecluster.fabric.captures import Captured, CaptureError
from fakecluster.fabric.pcap import write_pcap
from fakecluster.kernel.packet import Skb
from fakecluster.replay import Replay, passage_columns, replay, trains
from fakecluster.replay.preparing import AddressMap
from fakecluster.replay.replaying import Replayer, run
from fakecluster.replay.trains import Trains, Window, windows
from fakecluster.replay.writing import AnnotatedWriter

ACK, SYN, FIN, PSH = 16, 2, 1, 8
NS = 1_000_000_000
CLIENT = {4: 0xCB007109, 6: 0x20010DB8 << 96 | 9}
COMMANDS = ("conntrack -L", "iptables-save -c", "ip6tables-save -c", "nft list ruleset")
TIMESTAMP = b"\1\1\x08\x0a" + bytes(8)


@pytest.fixture(scope="module", params=["iptables", "nftables"])
def template(request: pytest.FixtureRequest) -> Cluster:
    cluster = Cluster(nodes=1, proxy=request.param, ip_family="dual", seed=5)
    meta = {"name": "web", "labels": {"app": "web"}}
    cluster.apply([
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta,
         "spec": {"containers": [{"name": "web", "image": "x", "ports": [{"containerPort": 80}]}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
         "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], "ipFamilyPolicy": "RequireDualStack"}},
    ])  # fmt: skip
    cluster.nodes[0].run("sysctl -w net.netfilter.nf_conntrack_acct=1")
    return cluster


def segment(
    cluster: Cluster, flow: int, flags: int, sequence: int, ack: int, window: int = 64240, *,
    options: bytes = b"", data: bytes = b"", ttl: int = 64, spoil: int | None = None,
) -> bytes:  # fmt: skip
    """A segment of a flow to the Service; every third flow is IPv6."""
    family = 6 if flow % 3 == 2 else 4
    ips = cluster.service("web").object["spec"]["clusterIPs"]
    target = int(ip_address(next(ip for ip in ips if (":" in ip) == (family == 6))))
    size = 20 + len(options) + len(data)
    octets = 4 if family == 4 else 16
    ends = CLIENT[family].to_bytes(octets) + target.to_bytes(octets)
    if family == 4:
        header = bytes.fromhex("4500") + (20 + size).to_bytes(2) + bytes(4) + bytes([ttl, 6, 0, 0]) + ends
    else:
        header = bytes.fromhex("60000000") + size.to_bytes(2) + bytes([6, ttl]) + ends
    tcp = (5000 + flow).to_bytes(2) + (80).to_bytes(2) + (sequence & 0xFFFFFFFF).to_bytes(4) + (ack & 0xFFFFFFFF).to_bytes(4)
    tcp += bytes([(20 + len(options)) * 4, flags]) + window.to_bytes(2) + bytes(4)
    skb = Skb(header + tcp + options + data)
    skb.refresh_ip_checksum()
    skb.refresh_l4_checksum()
    if spoil is not None:
        skb.data[spoil % len(skb.data)] ^= 0x55
    return bytes(skb.data)


def replayed(cluster: Cluster, packets: list[Captured], *, writes: bool = False) -> tuple[Replay, bytes, list[str]]:
    out = io.BytesIO()
    port = port_of(cluster.network, "a:eth0")
    replayer = Replayer(cluster, port, addresses=AddressMap.of(cluster, {}))
    run(packets, replayer, writer=AnnotatedWriter(out, port, cluster.clock) if writes else None)
    state = [cluster.nodes[0].run(command) for command in COMMANDS]
    for _, netns in sorted(cluster.network.namespaces.items()):
        connections = netns.sockets.connections
        for _, connection in sorted(connections.items()):
            state.append(f"{connection} {connection.unacknowledged} {connection.due_ns}")
    state.append(str(cluster.clock.now_ns))
    return replayer.finish(), out.getvalue(), state


@contextmanager
def short_trains(least_run: int = 2) -> Iterator[list[int]]:
    """Trains even where they are not worth it; gives how many packets went by them each time."""
    gone: list[int] = []
    depart = Window._depart

    def counted(self: Window, begin: int, end: int, passengers: Any) -> None:
        gone.append(end - begin)
        depart(self, begin, end, passengers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trains, "LEAST_WINDOW", 1)
        patch.setattr(trains, "LEAST_RUN", least_run)
        patch.setattr(trains, "LEAST_PER_FLOW", 0)
        patch.setattr(trains, "PAUSE", 0)
        patch.setattr(passage_columns, "ROWS", 5)
        patch.setattr(Window, "_depart", counted)
        yield gone


@contextmanager
def no_trains() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trains, "LEAST_WINDOW", 1 << 40)
        yield


def at(packets: list[tuple[int, bytes]]) -> list[Captured]:
    """(gap in ns, packet) as captured."""
    time_ns, found = 1_767_225_600 * NS, []
    for gap_ns, data in packets:
        time_ns += gap_ns
        found.append(Captured(time_ns, data, len(data)))
    return found


def handshakes(cluster: Cluster, flows: int) -> list[tuple[int, bytes]]:
    opening = [(1000, segment(cluster, flow, SYN, 0, 0)) for flow in range(flows)]
    return opening + [(1000, segment(cluster, flow, ACK, 1, 1)) for flow in range(flows)]


PLAIN = st.fixed_dictionaries({"window": st.sampled_from([0, 1, 1000, 64240, 65535])})
ODD = st.one_of(
    st.fixed_dictionaries({"ttl": st.integers(1, 3)}),
    st.fixed_dictionaries({"spoil": st.integers(0, 59)}),
    st.fixed_dictionaries({"options": st.sampled_from([b"\1\1\1\1", b"\1\1\5\n" + bytes(8)])}),
    st.fixed_dictionaries({"sequence": st.sampled_from([-1, 2, 70_000, -70_000, 1 << 31])}),
    st.fixed_dictionaries({"ack": st.sampled_from([-1, 1, 2, 70_000, -66_001, 1 << 31])}),
    st.fixed_dictionaries({"data": st.binary(min_size=1, max_size=40)}),
    st.fixed_dictionaries({"flags": st.sampled_from([SYN, FIN | ACK, 4, ACK | 32])}),
)
LIKE = st.one_of(PLAIN, PLAIN, PLAIN, PLAIN, st.just({"options": TIMESTAMP}), st.just({"flags": ACK | PSH}), ODD)
GAPS = st.sampled_from([0, 1000, 1000, 1000, 1000, 1000, NS // 2, 2 * NS, 130 * NS, 310 * NS, -5])
BURST = st.tuples(st.lists(st.tuples(st.integers(0, 3), GAPS, LIKE), min_size=1, max_size=3), st.integers(1, 7))


ONE = [(0, 1000, {})]
HELLO = [(0, 9, {"data": b"hello"})]
HASTY = {"tcp_timeout_established": 5, "tcp_timeout_max_retrans": 3}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    flows=st.integers(1, 4), writes=st.booleans(), hasty=st.booleans(), drawn=st.lists(BURST, min_size=2, max_size=12)
)  # fmt: skip
@example(flows=1, writes=False, hasty=False, drawn=[(ONE, 6)])
@example(flows=1, writes=False, hasty=False, drawn=[(ONE, 3), ([(0, -5, {}), (0, 9, {})], 2)])
@example(flows=1, writes=False, hasty=False, drawn=[(ONE, 3), ([(0, 1000, {"ttl": 1}), (0, 1000, {"ttl": 2})], 2)])
@example(flows=1, writes=False, hasty=False, drawn=[(HELLO, 1), ([(0, 9, {"sequence": 5, "ack": 48})], 3)])
@example(flows=2, writes=False, hasty=False, drawn=[(ONE, 3), ([(1, 130 * NS, {"data": b"x"})], 1), (ONE, 3)])
@example(flows=2, writes=False, hasty=True, drawn=[(ONE, 3), ([(1, 6 * NS, {"data": b"x"})], 1), (ONE, 3)])
@example(flows=1, writes=False, hasty=True, drawn=[([(0, 2 * NS, {}), (0, 9, {"window": 0}), (0, 4 * NS, {})], 1)])
@example(
    flows=2, writes=True, hasty=False, drawn=[([(flow, 1000, {"window": n}) for n in range(3) for flow in (0, 1)], 3)]
)
@example(
    flows=3, writes=True, hasty=False,
    drawn=[(HELLO, 1), ([(flow, 9, {"options": TIMESTAMP[: 12 * (n % 2)], "sequence": 5 * (flow == 0), "ack": 48 * (flow == 0)})
                         for n in range(2) for flow in (2, 0, 1)], 4)],
)  # fmt: skip
def test_trains_are_not_noticed(
    template: Cluster, flows: int, writes: bool, hasty: bool, drawn: list[tuple[list[tuple[int, int, dict[str, Any]]], int]]
) -> None:
    packets = handshakes(template, flows)
    for flow, gap_ns, like in [one for some, times in drawn for one in some * times]:
        words = {"flags": ACK, "sequence": 0, "ack": 0, **like}
        flags, sequence, ack = words.pop("flags"), 1 + words.pop("sequence"), 1 + words.pop("ack")
        packets.append((gap_ns, segment(template, flow, flags, sequence, ack, **words)))
    cluster = template.fork()
    for name, value in HASTY.items() if hasty else ():
        cluster.nodes[0].run(f"sysctl -w net.netfilter.nf_conntrack_{name}={value}")
    with no_trains():
        expected: Any = replayed(cluster.fork(), at(packets), writes=writes)
    with short_trains():
        assert replayed(cluster, at(packets), writes=writes) == expected


def acknowledgments(cluster: Cluster, flows: int, rounds: int) -> list[tuple[int, bytes]]:
    return [(1000, segment(cluster, flow, ACK, 1, 1, 1000 + n)) for n in range(rounds) for flow in range(flows)]


def test_acknowledgments_go_by_train_from_the_second_on(template: Cluster) -> None:
    packets = at(handshakes(template, 5) + acknowledgments(template, 5, 8))
    with short_trains(least_run=5) as gone:
        report, _, _ = replayed(template.fork(), packets)
    assert (gone, report.injected) == ([40], 50)
    assert [(flow.packets, flow.octets) for flow in report.flows] == [(10, 400), (10, 400), (10, 600), (10, 400), (10, 400)]


def test_what_is_due_comes_in_between(template: Cluster) -> None:
    """The third flow's handshake is not completed: its SYN-ACK is sent again after a second."""
    packets = [*handshakes(template, 2), (1000, segment(template, 3, SYN, 0, 0))]
    packets += [(NS // 10, data) for _, data in acknowledgments(template, 2, 9)]
    with no_trains():
        expected: Any = replayed(template.fork(), at(packets))
    with short_trains() as gone:
        found = replayed(template.fork(), at(packets))
    assert (found, gone, found[0].sent) == (expected, [9, 8], 4)


def test_a_flow_that_went_astray_goes_by_itself(template: Cluster) -> None:
    late = [(1000, segment(template, 1, ACK, 1, 1)), *acknowledgments(template, 1, 5)]
    late[2:2] = [(1000, segment(template, 1, ACK, 90_000, 1))]
    packets = handshakes(template, 2) + acknowledgments(template, 2, 3) + late
    with no_trains():
        expected: Any = replayed(template.fork(), at(packets))
    with short_trains() as gone:
        found = replayed(template.fork(), at(packets))
    assert (found, gone) == (expected, [4])


def test_rules_that_changed_are_met(template: Cluster) -> None:
    cluster = template.fork()
    replayer = Replayer(cluster, port_of(cluster.network, "a:eth0"), addresses=AddressMap.of(cluster, {}))
    packets = at(handshakes(template, 1) + acknowledgments(template, 1, 40))
    with short_trains() as gone, replayer.attached():
        replayer.take_all(packets[:20])
        cluster.nodes[0].run("iptables -t mangle -A PREROUTING -p tcp --dport 80 -j DROP")
        replayer.take_all(packets[20:])
    assert gone == [18]
    assert {fate[0]: count for fate, count in replayer.finish().fates.items()} == {"delivered": 20, "dropped": 22}


def test_windows_keep_what_was_read_before_an_error() -> None:
    def damaged() -> Iterator[Captured]:
        for n in range(5):
            yield Captured(n, b"", 0)
        raise CaptureError("cut off")

    found: list[list[int]] = []
    with pytest.raises(CaptureError):
        found.extend([captured.time_ns for captured in window] for window in windows(damaged(), 3))
    assert found == [[0, 1, 2], [3, 4]]


def test_a_file_is_read_in_columns(template: Cluster, tmp_path: Path) -> None:
    """In three pieces, of which the last breaks off."""
    packets = at(handshakes(template, 4) + acknowledgments(template, 4, 30))
    path = tmp_path / "acks.pcap"
    write_pcap(path, [(captured.time_ns, captured.packet) for captured in packets])
    path.write_bytes(path.read_bytes() + bytes(9))
    found: dict[str, Replay] = {}
    for name, context in (("in turn", no_trains), ("trains", short_trains)):
        with context() as gone, pytest.MonkeyPatch.context() as patch, pytest.raises(CaptureError) as damaged:
            patch.setattr(trains, "WINDOW_OCTETS", 3000)
            patch.setattr(captures, "CHUNK", 1000)
            replay(template.fork(), path, at="a:eth0")
        assert (damaged.value.offset, damaged.value.packets) == (path.stat().st_size - 9, 128)
        assert isinstance(damaged.value.replay, Replay)
        found[name] = damaged.value.replay
    assert found["trains"] == found["in turn"]
    assert gone is not None
    assert (len(gone), sum(gone), found["trains"].injected) == (3, 120, 128)


def test_a_generator_is_not_read_ahead(template: Cluster) -> None:
    cluster = template.fork()
    seen = []

    def packets() -> Iterator[bytes]:
        for flow in range(3):
            yield segment(template, flow, SYN, 0, 0)
            seen.append(len(cluster.pod("web").netns.sockets.connections))

    replay(cluster, packets(), at="a:eth0")
    assert seen == [1, 2, 3]


def test_without_numpy_packets_go_in_their_turn(template: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    packets = at(handshakes(template, 2) + acknowledgments(template, 2, 9))
    with short_trains() as gone:
        expected: Any = replayed(template.fork(), packets)
        monkeypatch.setattr(trains, "find_spec", lambda name: None)
        assert replayed(template.fork(), packets) == expected
    assert gone == [18]


def test_without_passengers_there_are_no_trains_for_a_while(template: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first window has a handshake and damaged packets, the next two pass in turn, the fourth goes again."""
    packets = at(handshakes(template, 1) + [(9, segment(template, 0, ACK, 1, 1, spoil=36))] * 6)
    with short_trains() as gone:
        monkeypatch.setattr(trains, "PAUSE", 9)
        monkeypatch.setattr(trains, "WINDOW", 8)
        cluster = template.fork()
        replayer = Replayer(cluster, port_of(cluster.network, "a:eth0"), addresses=AddressMap.of(cluster, {}))
        each = Trains(replayer)
        acks = at([*handshakes(template, 1), *acknowledgments(template, 1, 24)])[2:]
        with replayer.attached():
            aheads = [each.ahead]
            for window in (packets, acks[:8], acks[8:16], acks[16:]):
                each.take(window)
                aheads.append(each.ahead)
    assert (gone, [bool(ahead) for ahead in aheads]) == ([8], [True, False, False, True, True])
