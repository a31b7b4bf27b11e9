"""Segments that are cut, and the options of a SYN."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP

from fakecluster.kernel.packet import ACK, FIN, PSH, SYN, Skb
from fakecluster.kernel.tcp_segments import Outgoing, options_in, options_of, peer_mss


def test_options_are_found_up_to_one_that_is_cut_off() -> None:
    assert list(options_in(bytes.fromhex("020405b4 0101 0402 0303"))) == [(2, 0, 4), (4, 6, 2)]


def test_nothing_is_read_behind_the_end_of_options() -> None:
    assert list(options_in(bytes.fromhex("0402 00 020405b4"))) == [(4, 0, 2)]


@pytest.mark.parametrize(("options", "mss"), [([("MSS", 1460)], 1460), ([("NOP", None), ("MSS", 1)], 88), ([], 536)])
def test_a_peer_asks_for_segments_of_a_size(options: list[tuple[str, int | None]], mss: int) -> None:
    skb = Skb(bytes(IP(src="10.0.0.1", dst="10.0.0.2") / TCP(flags="S", options=options)))
    assert peer_mss(options_of(skb), 536) == mss


def test_a_segment_is_cut_and_its_fin_goes_last() -> None:
    segment = Outgoing.of(0xFFFFFFFE, ACK | PSH | FIN, b"abcde")
    assert segment.cut(2) == [
        Outgoing(0xFFFFFFFE, ACK | PSH, b"ab", 0),
        Outgoing(0, ACK | PSH, b"cd", 2),
        Outgoing(2, ACK | PSH | FIN, b"e", 4),
    ]


def test_a_syn_is_not_cut() -> None:
    assert Outgoing.of(7, SYN, b"").cut(88) == [Outgoing(7, SYN, b"", 8)]
