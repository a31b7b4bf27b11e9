"""What a far end sends in reaction to a packet that reached it."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    _ICMPv6,
)
from scapy.packet import Packet, Raw

SERVER_ISN = 5_000


def react(packet: bytes, how: str) -> bytes | None:
    """The reaction's L3 bytes, None when this packet causes none."""
    if how == "again":
        return packet
    layer: Packet = IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)
    made = _error(layer, packet, kind=how) if how in _ERRORS else _REACTIONS[how](layer, packet)
    return bytes(made) if made is not None else None


def _back(layer: Packet) -> Packet:
    cls = IP if layer.version == 4 else IPv6
    return cls(src=layer.dst, dst=layer.src)


def _answer(layer: Packet, packet: bytes) -> Packet | None:
    back = _back(layer)
    if TCP in layer:
        return back / _segment(layer[TCP])
    if UDP in layer:
        return back / UDP(sport=layer[UDP].dport, dport=layer[UDP].sport) / b"pong"
    if ICMP in layer and layer[ICMP].type == 8:
        return back / ICMP(type=0, id=layer[ICMP].id, seq=layer[ICMP].seq) / bytes(layer[ICMP].payload)
    if ICMPv6EchoRequest in layer:
        asked = layer[ICMPv6EchoRequest]
        return back / ICMPv6EchoReply(id=asked.id, seq=asked.seq, data=asked.data)
    if ICMP in layer or _is_icmp6(layer):
        return None
    if layer.version == 4 and not layer.frag and layer.proto not in (1, 6, 17, 132):
        return IP(src=layer.dst, dst=layer.src, proto=layer.proto) / Raw(bytes(layer.payload))
    return None


def _segment(asked: Packet) -> Packet:
    flags = str(asked.flags)
    length = len(bytes(asked.payload)) + ("S" in flags) + ("F" in flags)
    seq = asked.ack if "A" in flags else SERVER_ISN
    answer = "SA" if "S" in flags and "A" not in flags else "FA" if "F" in flags else "A"
    return TCP(
        sport=asked.dport, dport=asked.sport, flags=answer, seq=seq, ack=(asked.seq + length) % 2**32, window=8192
    )


def _refuse(layer: Packet, packet: bytes) -> Packet | None:
    if TCP in layer:
        asked = layer[TCP]
        flags = str(asked.flags)
        length = len(bytes(asked.payload)) + ("S" in flags) + ("F" in flags)
        if "A" in flags:
            return _back(layer) / TCP(sport=asked.dport, dport=asked.sport, flags="R", seq=asked.ack)
        return _back(layer) / TCP(sport=asked.dport, dport=asked.sport, flags="RA", seq=0, ack=asked.seq + length)
    return _error(layer, packet, kind="refused")


#: kind -> (from a router?, ICMP header, ICMPv6 header)
_ERRORS = {
    "refused": (False, ICMP(type=3, code=3), ICMPv6DestUnreach(code=4)),
    "error": (True, ICMP(type=3, code=1), ICMPv6DestUnreach(code=4)),
    "expired": (True, ICMP(type=11, code=0), ICMPv6TimeExceeded(code=0)),
    "too big": (True, ICMP(type=3, code=4, nexthopmtu=1400), ICMPv6PacketTooBig(mtu=1400)),
}


def _error(layer: Packet, packet: bytes, *, kind: str) -> Packet | None:
    router, header4, header6 = _ERRORS[kind]
    if ICMP in layer and layer[ICMP].type not in (0, 8):
        return None
    if layer.version == 4:
        if layer.frag:
            return None
        source = "198.51.100.99" if router else layer.dst
        return IP(src=source, dst=layer.src, ttl=60) / header4 / Raw(packet[:548])
    if _is_icmp6(layer) and ICMPv6EchoRequest not in layer:
        return None
    source = "2001:db8::99" if router else layer.dst
    return IPv6(src=source, dst=layer.src, hlim=60) / header6 / Raw(packet[:1200])


def _is_icmp6(layer: Packet) -> bool:
    return layer.version == 6 and isinstance(layer.payload, _ICMPv6)


_REACTIONS = {"answer": _answer, "refuse": _refuse}
