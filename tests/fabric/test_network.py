"""Namespaces joined by segments: what is carried where, lost, delayed, recorded and copied."""

from __future__ import annotations

from fractions import Fraction

import pytest
from scapy.layers.inet import ICMP, IP

from fakecluster.apps.echo import Echo
from fakecluster.errors import SettleError
from fakecluster.fabric.links import Port
from fakecluster.fabric.network import Network
from fakecluster.sim import Clock, Scripted, Seeded


@pytest.fixture
def lan() -> Network:
    """Three hosts 10.0.0.1-3 on one segment; the second echoes on TCP 80."""
    network = Network(Clock(), Seeded(0))
    for number in (1, 2, 3):
        netns = network.add(f"h{number}")
        network.plug("lan", f"h{number}", "eth0")
        netns.run(f"ip address add 10.0.0.{number}/24 dev eth0")
    network.namespaces["h2"].sockets.bind("tcp", 80, Echo("h2"))
    return network


def connect(network: Network, address: int = 0x0A000002) -> str:
    connection = network.namespaces["h1"].sockets.connect(address, 80)
    network.run()
    return connection.state


def test_a_frame_goes_to_whoever_answers_for_the_next_hop(lan: Network) -> None:
    with lan.recorded(lan.namespaces["h1"]) as journey:
        assert connect(lan) == "ESTABLISHED"
    assert {hop.namespace for hop in lan.trace(journey).hops} == {"h1", "h2"}


def test_a_next_hop_that_nobody_has_loses_the_packet_and_the_trace_says_so(lan: Network) -> None:
    with lan.recorded(lan.namespaces["h1"]) as journey:
        assert connect(lan, 0x0A000009) == "SYN_SENT"
    last = lan.trace(journey).hops[-1]
    assert (last.namespace, last.verdict.reason) == ("lan", "nobody answers for the next hop")


def test_a_delay_makes_packets_wait_for_the_clock(lan: Network) -> None:
    lan.change("lan", delay_s=0.5)
    connection = lan.namespaces["h1"].sockets.connect(0x0A000002, 80)
    lan.run()
    assert connection.state == "SYN_SENT"
    lan.clock.advance(0.99)
    assert connection.state == "SYN_SENT"
    lan.clock.advance(0.01)
    assert connection.state == "ESTABLISHED"


def test_loss_is_a_choice(lan: Network) -> None:
    lan.change("lan", loss=Fraction(1, 4))
    lan.choices = Scripted([1])
    assert connect(lan) == "SYN_SENT"
    assert lan.choices.taken[0].probability == Fraction(1, 4)
    lan.clock.advance(1)  # the SYN is sent again, and arrives
    assert [sock.state for sock in lan.namespaces["h2"].sockets.connections.values()] == ["ESTABLISHED"]


def test_a_cut_pair_does_not_hear_each_other(lan: Network) -> None:
    lan.change(
        "lan", cut=frozenset({(Port("h1", "eth0"), Port("h2", "eth0")), (Port("h2", "eth0"), Port("h1", "eth0"))})
    )
    assert connect(lan) == "SYN_SENT"


def test_removing_a_namespace_removes_the_other_end_of_its_veth() -> None:
    network = Network(Clock(), Seeded(0))
    network.add("node")
    network.add("pod")
    network.veth(Port("pod", "eth0"), Port("node", "veth1"))
    network.remove("pod")
    assert "veth1" not in network.namespaces["node"].interfaces
    assert network.segments == {}


def test_taps_keep_what_passes_with_its_time(lan: Network) -> None:
    lan.taps[Port("h1", "eth0")] = seen = []
    connect(lan)
    flags = [packet[33] for _, _, packet in seen]
    assert flags == [0x02, 0x12, 0x10]  # SYN, SYN+ACK, ACK


def test_forks_share_nothing_that_changes(lan: Network) -> None:
    copy = lan.fork(lan.clock.fork(), Seeded(1))
    assert connect(copy) == "ESTABLISHED"
    assert list(lan.namespaces["h1"].sockets.connections) == []


def test_two_programs_that_answer_each_other_for_ever_are_a_loop(lan: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakecluster.fabric.network.RUN_LIMIT", 100)
    for host in ("h1", "h2"):
        lan.namespaces[host].sockets.bind("udp", 7, Echo(host))
    lan.namespaces["h1"].sockets.bind("udp", 9).send_to(b"x", 0x0A000002, 7)
    lan.run()  # the echo answers port 9, where nobody sends it back
    lan.inject(Port("h2", "eth0"), _from_echo_port())
    with pytest.raises(SettleError, match="packets still in flight after 100"):
        lan.run()


def _from_echo_port() -> bytes:
    from scapy.layers.inet import IP, UDP

    return bytes(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=7, dport=7) / b"x")


def test_what_is_injected_and_run_leaves_the_clock_nothing_to_do(lan: Network) -> None:
    packet = bytes(IP(src="10.0.0.1", dst="10.0.0.2") / ICMP())
    arrived = []
    lan.on_arrival = lambda arriving, _effects: arrived.append(str(arriving.port))
    lan.inject_and_run(Port("h2", "eth0"), packet)
    assert arrived == ["h2:eth0", "h1:eth0"]
    assert lan.clock.next_ns is None
    assert connect(lan) == "ESTABLISHED"
