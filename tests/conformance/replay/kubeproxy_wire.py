"""Packets of the recordings as bytes: ports, the text of a capture line, and masking what is random in them."""

from __future__ import annotations

from ipaddress import ip_address
from struct import pack_into

from fakecluster.kernel.packet import BadPacket, Skb

TCP, UDP, SCTP, ICMP, ICMPV6 = 6, 17, 132, 1, 58
PROTOCOLS = {TCP: "TCP", UDP: "UDP", SCTP: "SCTP"}
_L4_CHECKSUM = {TCP: (16, 2), UDP: (6, 2), SCTP: (8, 4)}
_RST = 4
#: ICMP errors, which carry the packet that they are about.
_ERRORS = {ICMP: (3, 4, 5, 11, 12), ICMPV6: (1, 2, 3, 4)}
_ERROR_HEADER = 8
_ECHO_REPLY = 0


def ports_of(packet: bytes) -> tuple[int, int]:
    """Source and destination port; zeros for ICMP."""
    skb = Skb(packet)
    return (skb.sport, skb.dport) if skb.proto in PROTOCOLS else (0, 0)


def patched_ports(packet: bytes, *, sport: int | None = None, dport: int | None = None) -> bytes:
    """The same packet with other ports and right checksums."""
    skb = Skb(packet)
    if sport is not None:
        skb.set_sport(sport)
    if dport is not None:
        skb.set_dport(dport)
    skb.refresh_l4_checksum()
    return bytes(skb.data)


def describe(iface: str, packet: bytes, client_port: int) -> str:
    """One emitted packet as the recordings name it."""
    skb = Skb(packet)
    src, dst = (_address(skb.family, value) for value in (skb.src, skb.dst))
    if skb.proto in (ICMP, ICMPV6):
        name = "ICMP" if skb.proto == ICMP else "ICMPv6"
        return f"{iface}: {name} type {packet[skb.l4]} code {packet[skb.l4 + 1]} {src} > {dst}"
    if skb.proto == TCP and skb.tcp_flags & _RST:
        return f"{iface}: RST {src} > {dst}"
    sport = "same" if skb.sport == client_port else "changed"
    return f"{iface}: {PROTOCOLS[skb.proto]} src={src} sport={sport} dst={dst}:{skb.dport}"


def _address(family: int, value: int) -> str:
    return str(ip_address(value.to_bytes(4 if family == 4 else 16)))


def masked(packet: bytes, random_port: int | None) -> bytes:
    """The packet without what chance decided: the masqueraded port, identification and flow label of own packets."""
    data = bytearray(packet)
    _mask(data, 0, random_port)
    return bytes(data)


def _mask(data: bytearray, start: int, random_port: int | None) -> None:
    try:
        skb = Skb(data[start:])
    except BadPacket:
        return
    l4 = start + skb.l4
    if skb.proto in PROTOCOLS:
        _mask_ports(data, l4, skb, random_port)
        if skb.proto == TCP and skb.tcp_flags & _RST:
            _mask_own_header(data, start, skb.family)
    elif skb.proto == ICMP and data[l4] == _ECHO_REPLY:
        _mask_own_header(data, start, skb.family)
    elif data[l4] in _ERRORS.get(skb.proto, ()):
        _mask_own_header(data, start, skb.family)
        data[l4 + 2 : l4 + 4] = b"\0\0"
        _mask(data, l4 + _ERROR_HEADER, random_port)


def _mask_ports(data: bytearray, l4: int, skb: Skb, random_port: int | None) -> None:
    if random_port is None or random_port not in (skb.sport, skb.dport):
        return
    for offset, port in ((0, skb.sport), (2, skb.dport)):
        if port == random_port:
            pack_into("!H", data, l4 + offset, 0)
    at, length = _L4_CHECKSUM[skb.proto]
    if l4 + at + length <= len(data):
        data[l4 + at : l4 + at + length] = bytes(length)


def _mask_own_header(data: bytearray, start: int, family: int) -> None:
    if family == 4:
        data[start + 4 : start + 6] = b"\0\0"  # identification
        data[start + 10 : start + 12] = b"\0\0"
    else:
        data[start + 1 : start + 4] = bytes([data[start + 1] & 0xF0, 0, 0])


def has_right_checksum(packet: bytes) -> bool:
    return Skb(packet).l4_checksum_ok()


def is_protocol_unreachable(packet: bytes) -> bool:
    """The host's own "nobody speaks that protocol here" of IPv4."""
    skb = Skb(packet)
    return skb.proto == ICMP and tuple(packet[skb.l4 : skb.l4 + 2]) == (3, 2)
