"""The pcapng that a replay writes: packets of known ways as the writer of single packets writes them."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from typing import Any

import attrs
import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from fakecluster.fabric.links import Port
from fakecluster.fabric.network import DECISIONS, InFlight
from fakecluster.fabric.pcapng import PcapngWriter
from fakecluster.kernel.effects import Transmit
from fakecluster.replay import passages
from fakecluster.replay.passages import Layout, passage
from fakecluster.replay.writing import AnnotatedWriter
from fakecluster.sim import Clock
from fakecluster.trace import Decisions, Hop, Recalled, Rewrite, RuleStep, Translation, Verdict

TIME_NS = 1_700_000_000_123_456_789


@attrs.frozen
class Changes:
    """What a step needs to have of its flow."""

    ttl_step: int
    ip_change: int
    l4_change: int
    ends: bytes


@attrs.frozen
class Host:
    flow: Changes


def words(data: bytes) -> int:
    """The one's complement sum of 16-bit words, the long way."""
    total = sum(data[at] << 8 | data[at + 1] for at in range(0, len(data), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def gained(before: bytes, after: bytes) -> int:
    return (words(after) - words(before)) % 0xFFFF or 0xFFFF * (before != after)


def hosts(packets: list[bytes]) -> Any:
    """Steps that make each of these packets of the one before."""
    found = []
    ttl, ends = (8, slice(12, 24)) if packets[0][0] >> 4 == 4 else (7, slice(8, 44))
    for before, after in pairwise(packets):
        ip_change = gained(before[8:10] + before[12:20], after[8:10] + after[12:20])
        found.append(Host(Changes(before[ttl] - after[ttl], ip_change, gained(before[ends], after[ends]), after[ends])))
    return tuple(found)


def at_every_port(family: int, data: bytes, ack: int, count: int) -> list[bytes]:
    """A segment as it comes to the first `count` ports of a way, by Scapy: one host translates, one the port only."""
    fields = [("10.96.0.1", 80, 64), ("10.244.1.5", 8080, 63), ("10.244.1.5", 8081, 62), ("10.244.1.5", 8081, 61)]
    found = []
    for dst, port, ttl in fields[:count]:
        ip = IP(src="203.0.113.9", dst=dst, ttl=ttl, id=7)
        if family == 6:
            ip = IPv6(src="2001:db8::9", dst=f"fd00::{dst.replace('.', ':')}", hlim=ttl)
        found.append(bytes(ip / TCP(sport=5000, dport=port, seq=9, ack=ack, flags="PA") / data))
    return found


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize(("captured_ack", "shift"), [(77, 0), (77, 1000), (0xFFFFFFF0, 0x1000), (77, 0xFFFFFF00)])
def test_a_packet_of_a_known_way_is_written_as_one_at_every_port(
    family: int, count: int, captured_ack: int, shift: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passages, "SIZES_KEPT", 3)
    file, expected = BytesIO(), BytesIO()
    writers = PcapngWriter(file), PcapngWriter(expected)
    stamps = [
        [writer.stamp(f"port {n}", direction="in", comment="why " * n) for n in range(count)] for writer in writers
    ]
    first = at_every_port(family, b"", captured_ack, count)
    layout = Layout(tuple(stamps[0]))
    known = passage(layout, hosts(first))
    for data in [b"", b"a", b"ab", b"abc", b"", bytes(1400)]:
        packet = at_every_port(family, data, captured_ack, 1)[0]
        file.write(known.blocks(TIME_NS, packet, shift))
        for stamp, seen in zip(
            stamps[1], at_every_port(family, data, captured_ack + shift & 0xFFFFFFFF, count), strict=True
        ):
            writers[1].write(stamp, TIME_NS, seen)
    assert file.getvalue() == expected.getvalue()
    assert len(layout.around) == 3


def test_what_is_recalled_is_written_as_what_was_recorded() -> None:
    rule = RuleStep("FORWARD", "ip t", "c", 1, "tcp dport { 80, 8080 } meta mark set 0x1 accept", "accept")
    recorded = (
        Translation("PREROUTING", 4, (1, 2, 3, 4), (1, 2, 3, 4), True, "dnat"),
        Rewrite("PREROUTING", "ttl", "64", "63", "forwarding"), rule,
        Translation("POSTROUTING", 4, (1, 2, 3, 4), (1, 2, 3, 4), True, "snat"),
    )  # fmt: skip
    came, left = (0x0A000001, 1000, 0x0A600001, 80), (0x0A000009, 1000, 0x0AF40005, 8080)
    lines = [
        "transmitted in node/a by podB",
        "PREROUTING dnat: dst 10.96.0.1 -> 10.244.0.5",
        "PREROUTING dnat: dport 80 -> 8080",
        "PREROUTING forwarding: ttl 10 -> 9",
        "FORWARD ip t c #1: tcp dport { 80, 8080 } meta mark set 0x1 accept => accept",
        "POSTROUTING snat: src 10.0.0.1 -> 10.0.0.9",
    ]
    known = Decisions(recorded)
    for ends in ((came, left), (came, came), (came, left)):
        recalled = Recalled(known, 4, *ends, 9)
        hop = Hop("node/a", "eth0", "podB", b"", b"", recalled.steps, Verdict("transmitted", "podB"))
        written = []
        for told in (recalled, hop):
            file = BytesIO()
            writer = AnnotatedWriter(file, Port("node/a", "eth0"), Clock())
            for _ in range(2):
                arriving = InFlight(Port("node/a", "eth0"), b"E" * 41, DECISIONS)
                writer.arrived(arriving, [Transmit("podB", b"", 0, hop=told)])
            written.append(file.getvalue())
        assert written[0] == written[1]
        assert written[0].count("\n".join(lines).encode() + b"\0") == (0 if ends[1] is came else 2)


def test_many_packets_of_known_ways_are_written_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = pytest.importorskip("numpy")
    from fakecluster.replay import passage_columns

    monkeypatch.setattr(passage_columns, "ROWS", 7)
    writer = PcapngWriter(BytesIO())
    stamps = [writer.stamp(f"port {n}", direction="in", comment="why " * n) for n in range(4)]
    layouts = {count: Layout(tuple(stamps[:count])) for count in (2, 3, 4)}
    flows = [(family, count, shift) for family in (4, 6) for count in (2, 3, 4) for shift in (0, 1000, 0xFFFFFF00)]
    passages = [passage(layouts[count], hosts(at_every_port(family, b"", 1, count))) for family, count, _ in flows]
    shifts = [shift for _, _, shift in flows]
    which = [0, 3, 3, 0, 1, 1, 2, *range(len(flows)), *[4] * 21]
    packets = [
        at_every_port(flows[place][0], b"a" * (row % 3), [7, 0xFFFFFFF0, 1000][row % 3], 1)[0] if place != 4 else
        at_every_port(4, b"", row, 1)[0]
        for row, place in enumerate(which)
    ]  # fmt: skip
    times_ns = [TIME_NS + row * 10**9 for row in range(len(which))]
    expected = b"".join(
        passages[place].blocks(time_ns, packet, shifts[place])
        for place, time_ns, packet in zip(which, times_ns, packets, strict=True)
    )
    columns = passage_columns.Columns(passages, shifts)
    assert b"".join(columns.blocks(numpy.array(which), packets, numpy.array(times_ns))) == expected
