"""What the model sent against what a capture shows: packets counted by what they are, apart from numbers that chance drew.

Sequence numbers, IP ids, TTLs and checksums are not compared; addresses, ports, protocol, TCP flags and payload lengths
are. Only flows that differ stay in memory.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from fakecluster.kernel.packet import ICMP, ICMPV6, TCP, UDP, BadPacket, Skb
from fakecluster.replay.flows import FlowKey

#: Differences that are kept; more are only counted.
DIFFERENCES_KEPT = 1000


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


def signature(skb: Skb) -> Signature:
    """What is compared of a packet."""
    proto, data, l4 = skb.proto, skb.data, skb.l4
    head, code = 0, skb.tcp_flags
    if proto == TCP:
        head = (data[l4 + 12] >> 4) * 4 if len(data) > l4 + 12 else 0
    elif proto == UDP:
        head = 8
    elif proto in (ICMP, ICMPV6) and len(data) >= l4 + 2:
        code = data[l4] << 8 | data[l4 + 1]
    return Signature(FlowKey.of(skb), code, max(0, len(data) - l4 - head))


def signature_of(packet: bytes) -> Signature | None:
    """None for what is no IP packet."""
    try:
        return signature(Skb(packet))
    except BadPacket:
        return None


@attrs.frozen
class Difference:
    """Something that is not as recorded (or not as in the other cluster): `packet` is its number in the capture."""

    packet: int
    what: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"packet {self.packet}: {self.what}: expected {self.expected}, got {self.got}"


class Balance:
    """Recorded packets minus the model's, by signature, with the number of the capture's packet where it began."""

    def __init__(self) -> None:
        self._open: dict[Signature, list[int]] = {}
        self.recorded = 0

    def expect(self, one: Signature | None, number: int) -> None:
        """The capture shows a packet (None: something that is not compared)."""
        self.recorded += 1
        self._add(one, number, 1)

    def got(self, one: Signature | None, number: int) -> None:
        """The model sent a packet."""
        self._add(one, number, -1)

    def _add(self, one: Signature | None, number: int, sign: int) -> None:
        if one is None:
            return
        entry = self._open.get(one)
        if entry is None:
            self._open[one] = [sign, number]
            return
        entry[0] += sign
        if not entry[0]:
            del self._open[one]

    def differences(self, missing: str = "a packet that was not sent", extra: str = "extra") -> list[Difference]:
        """What did not cancel out, in order of first appearance."""
        found = []
        for one, (count, number) in sorted(self._open.items(), key=lambda item: item[1][1]):
            times = f"{one}" + (f", {abs(count)} times" if abs(count) > 1 else "")
            what = (missing, times, "nothing") if count > 0 else (extra, "nothing", times)
            found.append(Difference(number, *what))
        return found
