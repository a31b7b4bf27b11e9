"""Known ways against going step by step: the same ends, counters, connections and captures, whatever comes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fakecluster import Cluster
from fakecluster.cluster.capturing import port_of
from fakecluster.explaining.packet_words import PacketWords
from fakecluster.fabric.captures import Captured
from fakecluster.fabric.express import Express
from fakecluster.fabric.links import Port
from fakecluster.fabric.network import Network
from fakecluster.kernel.flow_cache import FlowCache
from fakecluster.kernel.packet import Skb
from fakecluster.replay import Replay, replaying, trains
from fakecluster.replay.lanes import Lanes
from fakecluster.replay.preparing import AddressMap
from fakecluster.replay.replaying import Replayer, run
from fakecluster.replay.writing import AnnotatedWriter

SHOP = Path(__file__).resolve().parents[2] / "examples" / "shop.yaml"
ACK, SYN, FIN, RST, PSH = 16, 2, 1, 4, 8
NS = 1_000_000_000
NO_MAP: Mapping[str, str] = {}
OF_CONNECTIONS = ("snd_nxt", "rcv_nxt", "unacknowledged", "out_of_order", "incoming", "due_ns", "rto_ns", "attempts")
COMMANDS = ("conntrack -L", "iptables-save -c", "ip6tables-save -c", "nft list ruleset", "ipvsadm -Ln --stats")


def shop(proxy: str) -> Cluster:
    cluster = Cluster(nodes=2, proxy=proxy, ip_family="dual", seed=5)
    cluster.apply(SHOP)
    cluster.node("a").run("sysctl -w net.netfilter.nf_conntrack_acct=1")
    return cluster


@pytest.fixture(scope="module", params=["iptables", "nftables", "ipvs"])
def template(request: pytest.FixtureRequest) -> Cluster:
    return shop(request.param)


@pytest.fixture(scope="module", params=["iptables", "nftables"])
def forwarding(request: pytest.FixtureRequest) -> Cluster:
    """Nodes that ways lead through: IPVS sends on by itself."""
    return shop(request.param)


@contextmanager
def step_by_step() -> Iterator[None]:
    """No way is learned, nor anything else, recorded packets are looked at closely, and what is to be explained is traced."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Express, "learn", lambda self, packet, seen, checked: None)
        patch.setattr(Lanes, "expects", lambda self, captured, ends: False)
        patch.setattr(FlowCache, "begin", lambda self, packet, iface: None)
        patch.setattr(Network, "inject_and_run", traced_instead)
        yield


_inject_and_run = Network.inject_and_run


def traced_instead(network: Network, port: Port, packet: bytes, *, decisions: bool = False) -> None:
    with network.recorded() if decisions else nullcontext():
        _inject_and_run(network, port, packet)


@contextmanager
def by_train() -> Iterator[None]:
    """Acknowledgments go at once wherever two follow each other."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("LEAST_WINDOW", 1), ("LEAST_RUN", 2), ("LEAST_PER_FLOW", 0)):
            patch.setattr(trains, name, value)
        yield


SIZES = st.one_of(st.integers(0, 30), st.integers(1400, 1470))
#: A few, so that some are what the model sends.
IS_RECORDED, IS_INJECTED = 1, 2
ANSWER_SIZES = st.sampled_from([0, 0, len("server=web-1 client=203.0.113.9:5000 bytes=0\n") + 1])


@st.composite
def captures(draw: st.DrawFn) -> list[tuple[int, int, dict[str, int]]]:
    """(flow, gap in ns, what the packet is like): handshakes, then mostly data and acknowledgments; some goes on where
    the flow was, some comes back."""
    flows = draw(st.integers(1, 3))
    packets: list[tuple[int, int, dict[str, int]]] = []
    for flow in range(flows):
        packets += [(flow, 1000, {"flags": SYN}), (flow, 1000, {"flags": ACK, "ack": 1})]
    goes_on = {"ack": st.one_of(st.just(1), st.just(1), st.just(1), st.integers(1, 99)), "goes_on": st.just(1)}
    data = st.fixed_dictionaries({"flags": st.sampled_from([ACK | PSH, ACK]), "data": SIZES, **goes_on})
    comes_back = {"flags": st.sampled_from([ACK, ACK | PSH, SYN | ACK]), "data": ANSWER_SIZES}
    cut = {"captured": st.integers(20, 80), "length": st.integers(24, 70)}
    back = st.fixed_dictionaries({**comes_back, "back": st.sampled_from([IS_RECORDED, IS_RECORDED, IS_INJECTED])}, optional=cut)
    kinds = st.one_of(
        data,
        st.fixed_dictionaries({"flags": st.just(ACK), "window": st.integers(0, 65535), **goes_on}),
        st.fixed_dictionaries({"flags": st.just(ACK), "ack": st.integers(1, 3000), "goes_on": st.just(1)}),
        st.fixed_dictionaries({"flags": st.just(ACK), "ack": st.just(1), "ttl": st.integers(1, 4)}),
        st.fixed_dictionaries({"flags": st.just(ACK), "ack": st.integers(0, 200_000), "sequence": st.integers(-2, 70_000)}),
        st.fixed_dictionaries({"flags": st.sampled_from([ACK, FIN | ACK, RST, RST | ACK, SYN, 0]), "ack": st.just(1)}),
        st.fixed_dictionaries({"flags": st.just(ACK), "ack": st.just(1), "spoil": st.sampled_from([10, 30, 36])}),
        st.fixed_dictionaries({"flags": st.just(ACK), "data": SIZES, "captured": st.integers(20, 80), **goes_on}),
        st.fixed_dictionaries({"flags": st.just(ACK), "length": st.integers(24, 45), **goes_on}),
        back, back,
    )  # fmt: skip
    gaps = st.one_of(st.just(1000), st.just(1000), st.integers(0, 3 * NS), st.just(130 * NS))
    bursts = st.lists(st.one_of(data, data, back), max_size=5)
    rest = st.lists(st.tuples(st.integers(0, flows - 1), gaps, kinds, bursts), min_size=1, max_size=6)
    for flow, gap_ns, like, burst in draw(rest):
        packets += [(flow, gap_ns, like), *[(flow, 1000, more) for more in burst]]
    return packets


def packet(cluster: Cluster, flow: int, like: dict[str, int]) -> bytes:
    family = 6 if flow == 2 else 4
    ips = [cluster.service("web").cluster_ip] if family == 4 else cluster.pod("web-1").ips
    target = int(ip_address(next(ip for ip in ips if (":" in ip) == (family == 6))))
    source = 0xCB007109 if family == 4 else 0x20010DB8 << 96 | 9
    words = PacketWords(6, family, source, target, 5000 + flow, 80 if family == 4 else 8080, like["flags"])
    data = bytearray(words.packet() + bytes(like.get("data", 0)))
    l4 = 20 if family == 4 else 40
    if family == 4:
        data[2:4] = len(data).to_bytes(2)
        data[8] = like.get("ttl", 64)
    else:
        data[4:6] = (len(data) - 40).to_bytes(2)
        data[7] = like.get("ttl", 64)
    sequence = (1 + (like["flags"] != SYN) + like.get("sequence", 0)) & 0xFFFFFFFF
    data[l4 + 4 : l4 + 8] = sequence.to_bytes(4)
    data[l4 + 8 : l4 + 12] = like.get("ack", 0).to_bytes(4)
    data[l4 + 14 : l4 + 16] = like.get("window", 64240).to_bytes(2)
    skb = Skb(data)
    if "back" in like:
        ends = skb.src, skb.sport, skb.dst, skb.dport
        for change, value in zip((skb.set_dst, skb.set_dport, skb.set_src, skb.set_sport), ends, strict=True):
            change(value)
    skb.refresh_ip_checksum()
    skb.refresh_l4_checksum()
    if "spoil" in like:
        skb.data[like["spoil"]] ^= 0x55
    return bytes(skb.data)


def replayed(
    cluster: Cluster, packets: list[Captured], *, mapping: Mapping[str, str] = NO_MAP, mend: bool = False,
    place: str = "a:eth0", writes: bool = True,
) -> tuple[Replay, bytes, list[str]]:  # fmt: skip
    out = io.BytesIO()
    port = port_of(cluster.network, place)
    replayer = Replayer(cluster, port, addresses=AddressMap.of(cluster, mapping), mend=mend)
    run(packets, replayer, writer=AnnotatedWriter(out, port, cluster.clock) if writes else None)
    state = []
    for name, netns in sorted(cluster.network.namespaces.items()):
        state += [f"{name}: {netns.run(command)}" for command in COMMANDS if name.startswith("node/")]
        state += [f"{ct} {ct.expires_ns} {ct.proto_info}" for ct in netns.conntrack]
        connections = netns.sockets.connections.values()
        state += sorted(f"{one} {[getattr(one, field) for field in OF_CONNECTIONS]}" for one in connections)
    return replayer.finish(), out.getvalue(), state


HANDSHAKE = [(0, 1000, {"flags": SYN}), (0, 1000, {"flags": ACK, "ack": 1}), (0, 1000, {"flags": ACK, "ack": 1})]
#: Requests whose answers are acknowledged: the first tells that they are not as long as the recorded ones.
ASKED = [{"flags": ACK | PSH, "data": 10, "ack": 1, "goes_on": 1}, {"flags": ACK, "ack": 500, "goes_on": 1}] * 2


def captured(template: Cluster, capture: list[tuple[int, int, dict[str, int]]]) -> list[Captured]:
    """A drawn capture as packets."""
    time_ns, packets, sent = 10 * NS, [], [0, 0, 0]
    for flow, gap_ns, like in capture:
        time_ns += gap_ns
        if "goes_on" in like:
            like = {**like, "sequence": sent[flow]}
            sent[flow] += like.get("data", 0)
        data = packet(template, flow, like)
        data = data[: like.get("length", len(data))]
        direction = "out" if like.get("back") == IS_RECORDED else ""
        packets.append(Captured(time_ns, data[: like.get("captured", len(data))], len(data), 0, direction))
    return packets


@settings(max_examples=8, deadline=None)
@given(capture=captures())
@example(capture=[*HANDSHAKE, (0, 1000, {"flags": ACK, "ack": 2}), (0, 1000, {"flags": ACK, "ack": 1, "length": 24})])
@example(capture=[*HANDSHAKE, (0, 1000, {"flags": SYN | ACK, "back": IS_INJECTED}), *[(0, 1000, {"flags": ACK, "ack": 1})] * 3])
@example(capture=[*HANDSHAKE, *[(0, 1000, like) for like in ASKED], (0, 1000, ASKED[0])])
@example(capture=[*HANDSHAKE, *[(0, 1000, like) for like in ASKED], (0, 3 * NS, ASKED[1]), (0, 1000, ASKED[0])])
def test_ways_are_not_noticed(template: Cluster, capture: list[tuple[int, int, dict[str, int]]]) -> None:
    packets = captured(template, capture)
    for writes in (True, False):
        with step_by_step():
            expected: Any = replayed(template.fork(), packets, writes=writes)
        assert replayed(template.fork(), packets, writes=writes) == expected
        with by_train():
            assert replayed(template.fork(), packets, writes=writes) == expected


#: After a second, and two more, the first flow's answer is sent again, with an identification of nobody's choice.
SENT_AGAIN = [
    *[(flow, 1000, {"flags": flags, "ack": flags == ACK}) for flow in (0, 1) for flags in (SYN, ACK)],
    (0, 1000, {"ack": 1, "flags": ACK}),
    (0, 1000, {"flags": ACK | PSH, "data": 1, "ack": 1, "goes_on": 1}),
    (1, 2_999_999_000, {"flags": ACK, "window": 0, "ack": 1, "goes_on": 1}),
    (1, 1000, {"flags": ACK | PSH, "data": 0, "ack": 1, "goes_on": 1}),
]


@settings(max_examples=4, deadline=None)
@given(capture=captures(), mend=st.booleans())
@example(capture=SENT_AGAIN, mend=False)
def test_nor_are_they_when_packets_are_readdressed_and_mended(
    template: Cluster, capture: list[tuple[int, int, dict[str, int]]], mend: bool
) -> None:
    packets = captured(template, capture)
    mapping = {"203.0.113.9": "198.51.100.77", "2001:db8::9": "2001:db8:1::77"}
    with step_by_step():
        expected: Any = replayed(template.fork(), packets, mapping=mapping, mend=mend)
    assert replayed(template.fork(), packets, mapping=mapping, mend=mend) == expected
    with by_train():
        assert replayed(template.fork(), packets, mapping=mapping, mend=mend) == expected


def test_ways_are_used_and_end_with_what_they_rest_on(template: Cluster) -> None:
    cluster = template.fork()
    port = port_of(cluster.network, "a:eth0")
    replayer = Replayer(cluster, port, addresses=AddressMap.of(cluster, {}))
    acks = [Captured(10 * NS + n, data, len(data)) for n in range(30)
            for data in [packet(template, 0, {"flags": SYN} if not n else {"flags": ACK, "ack": 1, "window": n})]]  # fmt: skip
    if cluster.spec.proxy == "ipvs":
        run(acks, replayer)
        assert not replayer.lanes.express.ways  # IPVS sends on by itself: nothing to remember
        return
    with replayer.attached():
        replayer.take_all(acks[:20])
        (way,) = replayer.lanes.express.ways.values()
        assert way.packets > 10
        replayer.lanes.express.settle()
        cluster.node("a").run("iptables -A FORWARD -p udp -j DROP")
        replayer.take_all(acks[20:])
        (again,) = replayer.lanes.express.ways.values()
        assert (again is way, way.packets) == (False, 0)
    assert replayer.finish().injected == 30


def test_a_sweep_leaves_the_ways_of_live_flows(forwarding: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "SWEEP", 4)
    cluster = forwarding.fork()
    port = port_of(cluster.network, "a:eth0")
    replayer = Replayer(cluster, port, addresses=AddressMap.of(cluster, {}))

    def packets(start_ns: int, flow: int, flags: int) -> list[Captured]:
        data = packet(forwarding, flow, {"flags": flags, "ack": flags & ACK})
        return [Captured(start_ns + n, data, len(data)) for n in range(5)]

    with replayer.attached():
        replayer.take_all(packets(10 * NS, 0, SYN)[:1] + packets(10 * NS + 1, 0, ACK))
        (way,) = replayer.lanes.express.ways.values()
        replayer.take_all(packets(11 * NS, 1, SYN))
        assert list(replayer.lanes.express.ways.values()) == [way]
        replayer.take_all(packets(140 * NS, 1, SYN))
        assert not replayer.lanes.express.ways


def test_ways_lead_through_two_nodes_and_back(forwarding: Cluster) -> None:
    client, web = forwarding.pod("client"), forwarding.pod("web-1")
    assert (client.node.name, web.node.name) == ("b", "a")
    line = next(line for line in client.node.run("ip route").splitlines() if line.startswith(f"{client.ip} "))
    place = f"b:{line.split()[2]}"
    packets, time_ns = [], 10 * NS
    for like in [{"flags": SYN}, *[{"flags": ACK | PSH, "ack": 1, "data": 9, "sequence": 9 * n} for n in range(-1, 6)]]:
        skb = Skb(packet(forwarding, 0, {**like, "data": 0} if like.get("sequence") == -9 else like))
        skb.set_src(int(ip_address(client.ip)))
        skb.set_dst(int(ip_address(web.ip)))
        skb.set_dport(8080)
        time_ns += 1000
        packets.append(Captured(time_ns, bytes(skb.data), len(skb.data), 0, "in"))
    for writes in (True, False):
        with step_by_step():
            expected: Any = replayed(forwarding.fork(), packets, place=place, writes=writes)
        assert replayed(forwarding.fork(), packets, place=place, writes=writes) == expected
    cluster = forwarding.fork()
    replayer = Replayer(cluster, port_of(cluster.network, place), addresses=AddressMap.of(cluster, {}))
    with replayer.attached():
        replayer.take_all(packets)
        (way,) = replayer.lanes.express.ways.values()
        assert [step.netns.name for step in way.steps] == ["node/b", "node/a"]
        assert way.back is not None
        assert [step.netns.name for step in way.back.steps] == ["node/a", "node/b"]
    assert [flow.answers for flow in replayer.finish().flows] == [13]


def test_the_first_answer_of_a_connection_goes_back_as_those_of_its_kin(forwarding: Cluster) -> None:
    web, packets, time_ns = forwarding.pod("web-1"), [], 10 * NS
    for flow in (0, 1):
        for like in [{"flags": SYN}, {"flags": ACK, "ack": 1}, {"flags": ACK | PSH, "ack": 1, "data": 9}]:
            skb = Skb(packet(forwarding, flow, like))
            skb.set_dst(int(ip_address(web.ip)))
            skb.set_dport(8080)
            time_ns += 1000
            packets.append(Captured(time_ns, bytes(skb.data), len(skb.data), 0, "in"))
    with step_by_step():
        expected: Any = replayed(forwarding.fork(), packets)
    assert replayed(forwarding.fork(), packets) == expected
    cluster = forwarding.fork()
    replayer = Replayer(cluster, port_of(cluster.network, "a:eth0"), addresses=AddressMap.of(cluster, {}))
    with replayer.attached():
        replayer.take_all(packets)
        first, second = replayer.lanes.express.ways.values()
        assert first.back is None
        assert second.back is not None
        assert second.back.packets == 2
    assert [flow.answers for flow in replayer.finish().flows] == [3, 3]
