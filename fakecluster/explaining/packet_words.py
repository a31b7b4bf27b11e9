"""A packet in words: `tcp 10.244.1.5:40000 > 10.96.0.10:53 in cni0`, `udp [fd00::1]:5 > [fd00::2]:53`, `icmp A > B`.

Without `in IFACE` the host sends it itself. TCP packets are SYNs unless flags are given: `[SA]`, `[.]` for a plain ACK.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from struct import pack

import attrs

from fakecluster.errors import FakeclusterError
from fakecluster.kernel.packet import ICMP, ICMPV6, SCTP, TCP, UDP, Skb

SHAPE = re.compile(r"(\w+)\s+(\S+)\s*(?:>|->)\s*(\S+?)(?:\s+\[([SAFRPU.]+)\])?(?:\s+in\s+(\S+))?\s*")
_PROTOCOLS = {"tcp": TCP, "udp": UDP, "sctp": SCTP, "icmp": ICMP, "icmp6": ICMPV6, "icmpv6": ICMPV6}
_FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, ".": 16, "U": 32}


class PacketSyntaxError(FakeclusterError):
    """A packet in words cannot be read."""


@attrs.frozen
class PacketWords:
    """What the words say: ports are 0 for ICMP, `interface` is "" for a packet that the host sends."""

    proto: int
    family: int
    src: int
    dst: int
    sport: int = 0
    dport: int = 0
    flags: int = 2
    interface: str = ""

    def packet(self) -> bytes:
        """The L3 bytes, with right checksums."""
        body = _TRANSPORT[self.proto](self)
        size = 4 if self.family == 4 else 16
        ends = self.src.to_bytes(size) + self.dst.to_bytes(size)
        if self.family == 4:
            head = pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0x4000, 64, self.proto, 0) + ends
        else:
            head = pack("!IHBB", 6 << 28, len(body), self.proto, 64) + ends
        skb = Skb(head + body)
        skb.refresh_ip_checksum()
        skb.refresh_l4_checksum()
        return bytes(skb.data)


def _tcp(words: PacketWords) -> bytes:
    ack = 1 if words.flags & 16 else 0
    return pack("!HHIIBBHHH", words.sport, words.dport, 1, ack, 0x50, words.flags, 64240, 0, 0)


def _udp(words: PacketWords) -> bytes:
    return pack("!HHHH", words.sport, words.dport, 8, 0)


def _sctp(words: PacketWords) -> bytes:
    init = pack("!BBHIIHHI", 1, 0, 20, 1, 65535, 1, 1, 1)
    return pack("!HHII", words.sport, words.dport, 0, 0) + init


def _icmp(words: PacketWords) -> bytes:
    return pack("!BBHHH", 8 if words.family == 4 else 128, 0, 0, 1, 1)


_TRANSPORT = {TCP: _tcp, UDP: _udp, SCTP: _sctp, ICMP: _icmp, ICMPV6: _icmp}


def parse_packet(text: str) -> PacketWords:
    """Read a packet in words. Raises `PacketSyntaxError` saying what is expected."""
    found = SHAPE.fullmatch(text.strip())
    if found is None:
        raise PacketSyntaxError(f"{text!r}: expected PROTOCOL SOURCE[:PORT] > TARGET[:PORT] [in INTERFACE]")
    name, source, target, flags, interface = found.groups()
    proto = _PROTOCOLS.get(name.lower())
    if proto is None:
        raise PacketSyntaxError(f"{text!r}: unknown protocol {name!r} (expected {', '.join(_PROTOCOLS)})")
    ports = proto not in (ICMP, ICMPV6)
    family, src, sport = _end(source, text, ports=ports, default=40000)
    other, dst, dport = _end(target, text, ports=ports, default=0)
    if family != other:
        raise PacketSyntaxError(f"{text!r}: one address is IPv4, the other IPv6")
    if ports and not dport:
        raise PacketSyntaxError(f"{text!r}: the target's port is missing")
    if not ports:
        proto = ICMP if family == 4 else ICMPV6
    bits = 0
    for letter in flags or "S":
        bits |= _FLAGS[letter]
    return PacketWords(proto, family, src, dst, sport, dport, bits, interface or "")


def _end(end: str, text: str, *, ports: bool, default: int) -> tuple[int, int, int]:
    """(family, address, port)"""
    bracketed = re.fullmatch(r"\[([^]]+)\](?::(\d+))?", end)
    plain = bracketed or re.fullmatch(r"([0-9.]+)(?::(\d+))?", end) or re.fullmatch(r"([0-9a-fA-F:.]+)()", end)
    try:
        if plain is None:
            raise ValueError(f"{end!r} is not ADDRESS[:PORT] (IPv6: [ADDRESS]:PORT)")
        address, port = ip_address(plain[1]), int(plain[2] or default)
        if port > 65535:
            raise ValueError(f"port {port} is above 65535")
    except ValueError as wrong:
        raise PacketSyntaxError(f"{text!r}: {wrong}") from None
    return address.version, int(address), port if ports else 0
