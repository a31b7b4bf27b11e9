"""Recorded packets against the model's: what cancels out, what stays, and what is let go."""

from __future__ import annotations

from fakecluster.replay.flows import FlowKey
from fakecluster.replay.matching import EXPECTED, SENT, Balance, Difference

S = 1_000_000_000
ACK = 16
KEY = FlowKey(4, 6, 0x0A000001, 0x0A000002, 80, 4000)


def test_the_same_packet_on_both_sides_cancels_out_in_whatever_order() -> None:
    balance = Balance()
    balance.add(SENT, balance.ledger(KEY), ACK, 0, 1, 0)
    balance.add(SENT, balance.ledger(KEY), ACK, 5, 1, 0)
    balance.add(EXPECTED, balance.ledger(KEY), ACK, 5, 2, 1 * S)
    balance.add(EXPECTED, balance.ledger(KEY), ACK, 5, 3, 119 * S)
    balance.add(SENT, balance.ledger(KEY), ACK, 5, 4, 238 * S)
    assert balance.differences() == [
        Difference(1, "extra", "nothing", "tcp 10.0.0.1:80 > 10.0.0.2:4000 [A] 0 bytes"),
    ]


def test_what_is_open_when_a_flow_has_been_silent_stays_a_difference_swept_or_not() -> None:
    for swept in (False, True):
        balance = Balance()
        balance.add(SENT, balance.ledger(KEY), ACK, 0, 1, 0)
        if swept:
            balance.sweep(121 * S)
        balance.add(EXPECTED, balance.ledger(KEY), ACK, 0, 2, 122 * S)
        text = "tcp 10.0.0.1:80 > 10.0.0.2:4000 [A] 0 bytes"
        assert balance.differences() == [
            Difference(1, "extra", "nothing", text),
            Difference(2, "a packet that was not sent", text, "nothing"),
        ]


def test_of_flows_that_are_over_only_the_first_differences_are_kept() -> None:
    balance = Balance()
    for n in range(5000, 0, -1):
        balance.add(SENT, balance.ledger(KEY._replace(sport=n)), ACK, 0, n, 0)
    balance.sweep(121 * S)
    assert (len(balance._open), balance.left, len(balance._left) <= 2000) == (0, 5000, True)
    assert [difference.packet for difference in balance.differences()] == list(range(1, 1001))


def test_a_ledger_that_was_kept_goes_on_when_it_was_swept_with_its_successor_if_there_is_one() -> None:
    balance = Balance()
    kept = balance.ledger(KEY)
    balance.add(SENT, kept, ACK, 1, 1, 0)
    balance.sweep(121 * S)
    balance.add(SENT, kept, ACK, 2, 2, 119 * S)  # the clock may be behind the sweep
    assert balance.ledger(KEY) is kept
    balance.sweep(240 * S)
    later = balance.ledger(KEY)
    assert later is not kept
    balance.add(SENT, later, ACK, 3, 3, 241 * S)
    balance.add(SENT, kept, ACK, 4, 4, 242 * S)
    balance.add(EXPECTED, later, ACK, 4, 5, 243 * S)
    balance.add(EXPECTED, kept, ACK, 3, 6, 244 * S)
    text = "tcp 10.0.0.1:80 > 10.0.0.2:4000 [A]"
    assert balance.differences() == [
        Difference(1, "extra", "nothing", f"{text} 1 bytes"),
        Difference(2, "extra", "nothing", f"{text} 2 bytes"),
    ]


def test_what_cancelled_out_makes_room_and_what_did_not_stays() -> None:
    balance, number = Balance(), 0
    ledger = balance.ledger(KEY)
    for payload in range(1000):
        for times in (SENT, EXPECTED) if payload % 50 else (SENT, SENT):
            number += 1
            balance.add(times, ledger, ACK, payload, number, number)
    assert len(ledger.entries) < 80
    balance.add(EXPECTED, ledger, ACK, 50, 3000, number)
    balance.add(EXPECTED, ledger, ACK, 7, 3001, number)
    found = balance.differences()
    assert (len(found), found[1].packet, found[1].got) == (21, 101, "tcp 10.0.0.1:80 > 10.0.0.2:4000 [A] 50 bytes")
    assert (found[0].got[-7:], found[20].packet, found[20].expected[-7:]) == ("2 times", 3001, "7 bytes")
