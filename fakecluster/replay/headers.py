"""What a replay reads of a packet, once: whose it is, and what it is compared and fitted by."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from fakecluster.kernel.packet import FRAGMENT, ICMP, ICMPV6, TCP, UDP, Skb
from fakecluster.replay.flows import FlowKey

# length, fragment bits, protocol, addresses, ports, offset and flags
_READ4 = Struct("!xxHxxHxBxxLLHH8xH").unpack_from
# length, next header, ports, offset and flags
_READ6 = Struct("!4xHB33xHH8xH").unpack_from
_number = int.from_bytes
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


class Headers(NamedTuple):
    """What is read of a packet; `packet` are its bytes, without those behind its end.

    `code` is the TCP flags, or type and code of ICMP; `payload` counts the bytes behind the transport header. `at` is where
    a TCP header begins of which all is there, else 0. `plain`: TCP, not a fragment, right behind the bare IP header.
    """

    packet: bytes
    key: FlowKey
    code: int
    payload: int
    at: int
    plain: bool


def read(packet: bytes) -> Headers:
    """Read a packet's headers. Raises `BadPacket`."""
    size = len(packet)
    if size >= 40 and packet[0] == 0x45:
        total, fragment, proto, src, dst, sport, dport, bits = _READ4(packet)
        if total == size and proto == TCP and not fragment & FRAGMENT:
            key, payload = _new(FlowKey, (4, TCP, src, dst, sport, dport)), size - 20 - (bits >> 10 & 0x3C)
            return _new(Headers, (packet, key, bits & 0xFF, payload if payload > 0 else 0, 20, True))
    elif size >= 60 and packet[0] >> 4 == 6:
        total, proto, sport, dport, bits = _READ6(packet)
        if total + 40 == size and proto == TCP:
            src, dst = _number(packet[8:24]), _number(packet[24:40])
            key, payload = _new(FlowKey, (6, TCP, src, dst, sport, dport)), size - 40 - (bits >> 10 & 0x3C)
            return _new(Headers, (packet, key, bits & 0xFF, payload if payload > 0 else 0, 40, True))
    return _read_closely(Skb(packet))


def _read_closely(skb: Skb) -> Headers:
    """The headers of any packet."""
    proto, data, l4 = skb.proto, bytes(skb.data), skb.l4
    head, code, at = 0, skb.tcp_flags, 0
    if proto == TCP:
        head = (data[l4 + 12] >> 4) * 4 if len(data) > l4 + 12 else 0
        at = l4 if not skb.frag_offset and len(data) >= l4 + 20 else 0
    elif proto == UDP:
        head = 8
    elif proto in (ICMP, ICMPV6) and len(data) >= l4 + 2:
        code = data[l4] << 8 | data[l4 + 1]
    key = FlowKey(skb.family, proto, skb.src, skb.dst, skb.sport, skb.dport)
    plain = proto == TCP and not skb.is_fragment and l4 == (20 if skb.family == 4 else 40)
    return Headers(data, key, code, max(0, len(data) - l4 - head), at, plain)
