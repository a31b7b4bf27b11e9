"""Recorded packets against the model's: what cancels out, what stays, and what is let go."""

from __future__ import annotations

from fakecluster.replay.flows import FlowKey
from fakecluster.replay.matching import Balance, Difference

S = 1_000_000_000
ACK = 16
KEY = FlowKey(4, 6, 0x0A000001, 0x0A000002, 80, 4000)


def test_the_same_packet_on_both_sides_cancels_out_in_whatever_order() -> None:
    balance = Balance()
    balance.got(KEY, ACK, 0, 1, 0)
    balance.got(KEY, ACK, 5, 1, 0)
    balance.expect(KEY, ACK, 5, 2, 1 * S)
    balance.expect(KEY, ACK, 5, 3, 119 * S)
    balance.got(KEY, ACK, 5, 4, 238 * S)
    assert balance.differences() == [
        Difference(1, "extra", "nothing", "tcp 10.0.0.1:80 > 10.0.0.2:4000 [A] 0 bytes"),
    ]


def test_what_is_open_when_a_flow_has_been_silent_stays_a_difference_swept_or_not() -> None:
    for swept in (False, True):
        balance = Balance()
        balance.got(KEY, ACK, 0, 1, 0)
        if swept:
            balance.sweep(121 * S)
        balance.expect(KEY, ACK, 0, 2, 122 * S)
        text = "tcp 10.0.0.1:80 > 10.0.0.2:4000 [A] 0 bytes"
        assert balance.differences() == [
            Difference(1, "extra", "nothing", text),
            Difference(2, "a packet that was not sent", text, "nothing"),
        ]


def test_of_flows_that_are_over_only_the_first_differences_are_kept() -> None:
    balance = Balance()
    for n in range(5000, 0, -1):
        balance.got(KEY._replace(sport=n), ACK, 0, n, 0)
    balance.sweep(121 * S)
    assert (len(balance._open), balance.left, len(balance._left) <= 2000) == (0, 5000, True)
    assert [difference.packet for difference in balance.differences()] == list(range(1, 1001))
