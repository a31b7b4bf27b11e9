"""What the model sent against what a capture shows: packets counted by what they are, apart from numbers that chance drew.

Sequence numbers, IP ids, TTLs and checksums are not compared; addresses, ports, protocol, TCP flags and payload lengths
are. Of flows that were silent for a while only differences stay in memory, and of these the first.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from fakecluster.kernel.packet import TCP
from fakecluster.replay.flows import IDLE_NS, FlowKey

#: Differences that are kept; more are only counted.
DIFFERENCES_KEPT = 1000
#: What a packet adds to the balance.
EXPECTED, SENT = 1, -1
#: The time of a ledger that is empty and may not be in its balance.
LONG_AGO = -(1 << 63)
#: Bits of a `Signature.code`.
CODE_BITS = 16
CODE_MASK = (1 << CODE_BITS) - 1
#: Entries that cancelled out and are kept in a ledger, at least.
CANCELLED_KEPT = 16


class Signature(NamedTuple):
    """What is compared of one packet; `code` is the TCP flags, or type and code of ICMP."""

    key: FlowKey
    code: int
    payload: int

    def __str__(self) -> str:
        if self.key.proto == TCP:
            flags = "".join(letter for bit, letter in enumerate("FSRPAU") if self.code >> bit & 1)
            return f"{self.key} [{flags}] {self.payload} bytes"
        return f"{self.key} {self.payload} bytes"


@attrs.frozen
class Difference:
    """Something that is not as recorded (or not as in the other cluster): `packet` is its number in the capture."""

    packet: int
    what: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"packet {self.packet}: {self.what}: expected {self.expected}, got {self.got}"


class Left(NamedTuple):
    """What did not cancel out: since which packet, the how manyth such, how often (negative: the model sent it)."""

    number: int
    order: int
    times: int
    what: Signature


class Ledger:
    """The entries of one direction of a flow: payload and code in one number -> [count, number, order].

    An entry is open while it does not cancel out; one that does stays for a while, as its like often comes again.

    It is looked up once (`Balance.ledger`) and may be kept: one that was swept comes back when it is used.
    """

    __slots__ = ("entries", "key", "last_ns", "limit")

    def __init__(self, key: FlowKey) -> None:
        self.key = key
        self.entries: dict[int, list[int]] = {}
        self.last_ns = LONG_AGO
        self.limit = CANCELLED_KEPT

    def begin(self, what: int) -> list[int]:
        """A new entry, for which those that cancelled out make room when there are many."""
        if len(self.entries) >= self.limit:
            self.entries = {other: entry for other, entry in self.entries.items() if entry[0]}
            self.limit = 2 * len(self.entries) + CANCELLED_KEPT
        entry = self.entries[what] = [0, 0, 0]
        return entry


class Balance:
    """Recorded packets minus the model's, by signature, with the number of the capture's packet where it began.

    A flow that was silent for `IDLE_NS` has ended: what is open then stays a difference.
    """

    def __init__(self) -> None:
        self._open: dict[FlowKey, Ledger] = {}
        self._left: list[Left] = []
        self._entries = 0
        self.left = 0

    def ledger(self, key: FlowKey) -> Ledger:
        """Where the packets of one direction of a flow are counted."""
        found = self._open.get(key)
        if found is None:
            found = self._open[key] = Ledger(key)
        return found

    def add(self, times: int, ledger: Ledger, code: int, payload: int, number: int, now_ns: int) -> None:
        """A packet (see `Signature`) that the capture shows (`EXPECTED`) or that the model sent (`SENT`)."""
        if now_ns - ledger.last_ns > IDLE_NS:
            ledger = self._begun(ledger, now_ns)
        ledger.last_ns = now_ns
        what = payload << CODE_BITS | code
        entry = ledger.entries.get(what)
        if entry is None:
            entry = ledger.begin(what)
        count = entry[0]
        entry[0] = count + times
        if not count:
            self._entries += 1
            entry[1], entry[2] = number, self._entries

    def _begun(self, ledger: Ledger, now_ns: int) -> Ledger:
        """Where to go on: in the ledger, with nothing open, or in its successor if it was let go of."""
        ledger = self._open.setdefault(ledger.key, ledger)
        if now_ns - ledger.last_ns > IDLE_NS:
            self._close(ledger)
        return ledger

    def _close(self, ledger: Ledger) -> None:
        for what, (count, number, order) in ledger.entries.items():
            if count:
                self.left += 1
                self._left.append(Left(number, order, count, Signature(ledger.key, what & CODE_MASK, what >> CODE_BITS)))
        ledger.entries.clear()
        if len(self._left) > 2 * DIFFERENCES_KEPT:
            self._left.sort()
            del self._left[DIFFERENCES_KEPT:]

    def sweep(self, now_ns: int) -> None:
        """Let go of flows that have ended."""
        for key, ledger in list(self._open.items()):
            if now_ns - ledger.last_ns > IDLE_NS:
                self._close(ledger)
                ledger.last_ns = LONG_AGO
                del self._open[key]

    def differences(self, missing: str = "a packet that was not sent", extra: str = "extra") -> list[Difference]:
        """What did not cancel out, in order of first appearance: the first of them, of which there are `left`."""
        for ledger in self._open.values():
            self._close(ledger)
        self._open.clear()
        found = []
        for number, _, times, what in sorted(self._left)[:DIFFERENCES_KEPT]:
            packets = f"{what}" + (f", {abs(times)} times" if abs(times) > 1 else "")
            words = (missing, packets, "nothing") if times > 0 else (extra, "nothing", packets)
            found.append(Difference(number, *words))
        return found
