"""Connections: states, time-outs, marks, zones, the conntrack command."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from kernel.kernel_node import router, sent, wire
from scapy.layers.inet import GRE, ICMP, TCP, UDP

from fakecluster.errors import CommandError, Unsupported
from fakecluster.kernel.conntrack import tool
from fakecluster.kernel.conntrack.entry import Conn, Tuple
from fakecluster.kernel.conntrack.tcp import TcpTimeouts, follow
from fakecluster.kernel.conntrack.tcp_state import ESTAB, MAXACK_SET, UNACKNOWLEDGED, Flags, Side, TcpInfo
from fakecluster.kernel.conntrack.tcp_window import count_repeats, judge, slide
from fakecluster.kernel.netns import Netns
from fakecluster.rules import iproute


def tracked() -> Netns:
    netns = router()
    netns.run("iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP")
    return netns


def listing(netns: Netns) -> list[str]:
    return [" ".join(line.split()) for line in netns.run("conntrack -L").splitlines()]


def pass_by(netns: Netns, *flags: tuple[str, int, int]) -> None:
    """Segments (flags, seq, ack); those of the server have an upper-case @ in front."""
    for text, seq, ack in flags:
        back = text.startswith("@")
        ends = ("10.244.0.3", "10.244.0.2") if back else ("10.244.0.2", "10.244.0.3")
        ports = {"sport": 80, "dport": 1000} if back else {"sport": 1000, "dport": 80}
        packet = wire(*ends, TCP(**ports, flags=text.removeprefix("@"), seq=seq, ack=ack, window=8000))
        netns.receive(packet, "podB" if back else "podA")


HANDSHAKE = (("S", 100, 0), ("@SA", 500, 101), ("A", 101, 501))


def test_nothing_is_tracked_until_a_rule_asks() -> None:
    netns = router()
    netns.receive(wire("10.244.0.2", "10.244.0.3", UDP()), "podA")
    assert len(netns.conntrack) == 0


def test_not_tracking_needs_no_tracking() -> None:
    netns = router()
    netns.run("iptables -t raw -A PREROUTING -j NOTRACK")
    netns.receive(wire("10.244.0.2", "10.244.0.3", UDP()), "podA")
    assert len(netns.conntrack) == 0
    netns.run("iptables -t raw -A PREROUTING -j CT --zone 3")
    netns.receive(wire("10.244.0.2", "10.244.0.3", UDP(sport=9)), "podA")
    assert len(netns.conntrack) == 0  # the first rule came first


def test_a_handshake_makes_an_assured_connection() -> None:
    netns = tracked()
    pass_by(netns, *HANDSHAKE)
    assert listing(netns) == [
        "ipv4 2 tcp 6 432000 ESTABLISHED src=10.244.0.2 dst=10.244.0.3 sport=1000 dport=80 "
        "src=10.244.0.3 dst=10.244.0.2 sport=80 dport=1000 [ASSURED] mark=0"
    ]


def test_both_ends_closing_leads_to_time_wait() -> None:
    netns = tracked()
    pass_by(netns, *HANDSHAKE, ("FA", 101, 501), ("@FA", 501, 102), ("A", 102, 502))
    assert " 120 TIME_WAIT " in listing(netns)[0]


def test_a_refused_connection_is_forgotten_at_once() -> None:
    netns = tracked()
    pass_by(netns, ("S", 100, 0), ("@RA", 0, 101))
    assert listing(netns) == []


def test_a_repeated_syn_does_not_renew_the_time_out() -> None:
    netns = tracked()
    pass_by(netns, ("S", 100, 0))
    netns.clock.advance(50)
    pass_by(netns, ("S", 100, 0))
    assert " 70 SYN_SENT " in listing(netns)[0]


def test_data_far_beyond_the_window_is_invalid_and_dropped() -> None:
    netns = tracked()
    pass_by(netns, *HANDSHAKE)
    far = wire("10.244.0.2", "10.244.0.3", TCP(sport=1000, dport=80, flags="PA", seq=10_000_000, ack=501) / b"x")
    assert sent(netns.receive(far, "podA")) == []


def test_udp_becomes_a_stream_after_two_seconds_of_talk() -> None:
    netns = tracked()
    ask = wire("10.244.0.2", "10.244.0.3", UDP(sport=1000, dport=53))
    answer = wire("10.244.0.3", "10.244.0.2", UDP(sport=53, dport=1000))
    netns.receive(ask, "podA")
    netns.receive(answer, "podB")
    assert " 30 " in listing(netns)[0]
    netns.clock.advance(3)
    netns.receive(ask, "podA")
    assert " 120 " in listing(netns)[0]
    assert "[ASSURED]" in listing(netns)[0]


def test_an_entry_is_gone_when_its_time_is_up() -> None:
    netns = tracked()
    netns.receive(wire("10.244.0.2", "10.244.0.3", UDP()), "podA")
    netns.clock.advance(29.9)
    assert len(listing(netns)) == 1
    netns.clock.advance(0.2)
    assert listing(netns) == []


def test_gre_has_keys_and_its_own_time_outs() -> None:
    netns = tracked()
    netns.receive(wire("10.244.0.2", "10.244.0.3", GRE()), "podA")
    assert listing(netns) == [
        "ipv4 2 gre 47 30 src=10.244.0.2 dst=10.244.0.3 srckey=0x0 dstkey=0x0 [UNREPLIED] "
        "src=10.244.0.3 dst=10.244.0.2 srckey=0x0 dstkey=0x0 mark=0"
    ]


def test_an_echo_is_tracked_by_its_id() -> None:
    netns = tracked()
    netns.receive(wire("10.244.0.2", "10.244.0.3", ICMP(type=8, id=77)), "podA")
    assert "type=8 code=0 id=77" in listing(netns)[0]


def test_accounting_counts_packets_and_bytes_but_no_repeated_syn() -> None:
    netns = tracked()
    netns.run("sysctl -w net.netfilter.nf_conntrack_acct=1")
    pass_by(netns, ("S", 100, 0), ("S", 100, 0), ("@SA", 500, 101))
    assert "packets=1 bytes=40" in listing(netns)[0]


def test_zones_keep_equal_flows_apart() -> None:
    netns = router()
    netns.run("iptables -t raw -A PREROUTING -i podA -j CT --zone 5")
    netns.run("iptables -A FORWARD -m conntrack --ctstate NEW -j ACCEPT")
    packet = wire("10.244.0.2", "203.0.113.7", UDP(sport=1000, dport=53))
    netns.receive(packet, "podA")
    netns.receive(packet, "podB")
    assert sorted("zone=5" in line for line in listing(netns)) == [False, True]


def test_a_full_table_gives_up_an_unassured_entry() -> None:
    netns = tracked()
    netns.run("sysctl -w net.netfilter.nf_conntrack_max=2")
    for port in (1, 2, 3):
        netns.receive(wire("10.244.0.2", "10.244.0.3", UDP(sport=port, dport=53)), "podA")
    assert len(netns.conntrack) == 2
    assert any("sport=3 " in line for line in listing(netns))


def test_a_full_table_of_assured_entries_drops_newcomers() -> None:
    netns = tracked()
    netns.run("sysctl -w net.netfilter.nf_conntrack_max=1")
    pass_by(netns, *HANDSHAKE)
    assert sent(netns.receive(wire("10.244.0.2", "10.244.0.3", UDP()), "podA")) == []


def test_deleting_what_is_not_there_fails_as_the_tool_does() -> None:
    netns = tracked()
    netns.receive(wire("10.244.0.2", "10.244.0.3", UDP(sport=1000, dport=53)), "podA")
    with pytest.raises(CommandError, match="0 flow entries have been deleted"):
        netns.run("conntrack -D -p udp --dport 54")
    netns.run("conntrack -D -p udp --dport 53")
    assert len(netns.conntrack) == 0


#: What is odd about a segment or its connection: a number's name, and how far it is from where it should be.
_ODD = st.tuples(
    st.sampled_from(("end", "maxend", "maxack", "other end", "other maxend", "seq", "ack", "ack", "sack")),
    st.sampled_from(
        (-1, 1, -100, 100, 8000, -8000, 8001, -8001, -66_000, -66_001, 1 << 29, 1 << 30, 1 << 31, -1 << 30)
    ),
)
_WIDTHS = st.sampled_from((8000, 8000, 8000, 8000, 0, 1, 70_000, 1 << 29, 1 << 31, 1 << 32))
_FLAGS = st.one_of(st.just(MAXACK_SET), st.integers(0, 63))
_STARTS = st.sampled_from((0, 5000, 0x7FFFFFF0, 0xFFFFFFF0, 0xFFFFFFFF))


@given(st.data(), _STARTS, _STARTS, st.integers(0, 1), st.sampled_from((0, 1, 100)), st.sampled_from((0, 1, 8000)))
def test_a_segment_of_an_open_connection_is_taken_in_at_once_as_in_turn(
    data: st.DataObject, sent: int, acknowledged: int, way: int, load: int, window: int
) -> None:
    odd: dict[str, int] = dict(data.draw(st.lists(_ODD, max_size=3)))

    def at(name: str, number: int) -> int:
        return number + odd.get(name, 0) & 0xFFFFFFFF

    scale = data.draw(st.sampled_from((0, 0, 7, 14)))
    sender = Side(at("end", sent), at("maxend", sent + 8000), data.draw(_WIDTHS), at("maxack", acknowledged), scale)
    receiver = Side(at("other end", acknowledged), at("other maxend", acknowledged + window), data.draw(_WIDTHS))
    sender.flags, receiver.flags = data.draw(_FLAGS), data.draw(_FLAGS)
    seq, ack, pair = at("seq", sent), at("ack", acknowledged), (sender, receiver)
    end, sack = seq + load & 0xFFFFFFFF, at("sack", ack)
    info = TcpInfo(pair if way == 0 else pair[::-1], ESTAB, retrans=data.draw(st.integers(0, 3)))
    if data.draw(st.booleans()):
        info.last_dir, info.last_seq, info.last_ack, info.last_end, info.last_win = way, seq, ack, end, window
    flow = Tuple(4, 6, 1, 2, 3, 4)
    ct = Conn(flow, flow)
    ct.proto_info = deepcopy(info)
    timeouts = TcpTimeouts(tuple(range(100, 110)), retransmitted=50, unacknowledged=70, max_retrans=3)
    taken = bool(sender.td_maxwin) and judge(sender, receiver, seq, end, sack) == "accept"
    assert follow(timeouts, ct, way, seq, ack, sack, end, window, 1000) == taken
    if taken:
        slide(sender, receiver, ack, sack, end, window << sender.td_scale, acks=True)
        count_repeats(info, way, seq, ack, end, window)
        info.last_index = Flags.ACK
    assert ct.proto_info == info
    event(f"taken: {taken}")
    unacknowledged = (sender.flags | receiver.flags) & UNACKNOWLEDGED
    lifetime = 50 if info.retrans >= 3 else 70 if unacknowledged else 103 if window else 50
    assert ct.expires_ns == (1000 + lifetime if taken else 0)


def test_what_conntrack_and_ip_rule_have_and_the_model_not_is_refused() -> None:
    commands = [f"conntrack {action}" for action in tool.REFUSED_ACTIONS]
    commands += [f"conntrack -L {option} 1" for option in tool.REFUSED_OPTIONS]
    commands += [f"conntrack {action} {table}" for table in tool.REFUSED_TABLES for action in ("-L", "-F", "-C", "-D")]
    commands += [f"ip rule add {word} 1 table 100" for word in iproute.REFUSED_RULE_WORDS]
    node = Netns()
    for command in commands:
        with pytest.raises(Unsupported):
            node.run(command)
    assert {"conntrack -L -z 1", "conntrack -E", "conntrack -F expect", "ip rule add not 1 table 100"} <= set(commands)
