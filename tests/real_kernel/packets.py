"""Hypothesis strategies for the packets of a scenario: few addresses and ports, so that rules and flows meet them."""

from __future__ import annotations

from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, IPOption_RR, fragment
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.packet import Packet, Raw
from scenario import Inject, React, Send, Step

from fakecluster.strategies.rule_addresses import OUTSIDE, OWN, PODS, PORTS, SOURCE_PORTS, VIPS

FLAGS = ("S", "S", "S", "A", "PA", "SA", "FA", "R", "RA", "F", "", "SAPU", "FPU")
BEHIND = {"vethA": 0, "vethB": 1}


def _ip(family: int, src: str, dst: str, ttl: int, tos: int) -> Packet:
    return IP(src=src, dst=dst, ttl=ttl, tos=tos) if family == 4 else IPv6(src=src, dst=dst, hlim=ttl, tc=tos)


@st.composite
def _transports(draw: st.DrawFn, family: int) -> Packet:
    kind = draw(st.sampled_from(("tcp", "tcp", "tcp", "udp", "udp", "udp", "icmp", "sctp", "other")))
    payload = Raw(draw(st.sampled_from((b"", b"", b"ping", b"GET / HTTP/1.0", b"x" * 90))))
    sport, dport = draw(st.sampled_from(SOURCE_PORTS)), draw(st.sampled_from(PORTS))
    if kind == "tcp":
        flags = draw(st.sampled_from(FLAGS))
        options = [("MSS", draw(st.sampled_from((1460, 1400, 536))))] if "S" in flags and draw(st.booleans()) else []
        return TCP(sport=sport, dport=dport, flags=flags, seq=1000, ack=2000, options=options) / payload
    if kind == "udp":
        return UDP(sport=sport, dport=dport) / payload
    if kind == "sctp":
        return SCTP(sport=sport, dport=dport, tag=0) / SCTPChunkInit(init_tag=7, a_rwnd=1500, n_out_streams=1)
    if kind == "other":
        return Raw(b"anything" + bytes(payload))
    if family == 6:
        return ICMPv6EchoRequest(id=draw(st.sampled_from((7, 8))), seq=1, data=bytes(payload))
    return ICMP(type=draw(st.sampled_from((8, 8, 8, 0, 13, 3))), id=draw(st.sampled_from((7, 8))), seq=1) / payload


@st.composite
def raw_packets(draw: st.DrawFn, family: int, src: str, dst: str) -> bytes:
    """L3 bytes, sometimes odd: low TTL, a wrong checksum, options, a type of service."""
    transport = draw(_transports(family))
    header = _ip(
        family, src, dst, draw(st.sampled_from((64, 64, 64, 64, 1, 2))), draw(st.sampled_from((0, 0, 0, 0x10)))
    )
    if isinstance(transport, Raw):
        header.setfieldval("proto" if family == 4 else "nh", draw(st.sampled_from((47, 50, 253))))
    odd = draw(st.integers(0, 19))
    if odd == 19 and isinstance(transport, TCP | UDP):
        transport.chksum = 0x1234
    if odd == 18 and family == 4:
        header.options = draw(
            st.sampled_from(([IPOption_NOP()], [IPOption_RR(length=11, routers=["0.0.0.0", "0.0.0.0"])]))
        )
    return bytes(header / transport)


@st.composite
def arrivals(draw: st.DrawFn, family: int) -> Inject:
    """A packet that comes in by an interface, mostly from an address that lives there."""
    iface = draw(st.sampled_from(("vethA", "vethA", "vethB", "eth0")))
    home = PODS[family][BEHIND[iface] :][:1] if iface in BEHIND else OUTSIDE[family]
    src = draw(st.sampled_from(home * 6 + PODS[family] + OUTSIDE[family] + OWN[family]))
    dst = draw(st.sampled_from(PODS[family] + OUTSIDE[family] + VIPS[family] * 2 + OWN[family]))
    return Inject(draw(raw_packets(family, src, dst)), iface)


@st.composite
def departures(draw: st.DrawFn, family: int) -> Send:
    """A packet that a process of the node sends."""
    dst = draw(st.sampled_from(PODS[family] + OUTSIDE[family] + VIPS[family] + OWN[family]))
    return Send(draw(raw_packets(family, draw(st.sampled_from(OWN[family])), dst)), draw(st.sampled_from((0, 0, 1))))


@st.composite
def fragmented(draw: st.DrawFn) -> tuple[Inject, ...]:
    """A UDP datagram in two or three fragments, in some order."""
    dst = draw(st.sampled_from(VIPS[4] + PODS[4][1:] + OUTSIDE[4] + OWN[4]))
    whole = IP(src=PODS[4][0], dst=dst, id=draw(st.integers(1, 60000))) / UDP(sport=4000, dport=80) / Raw(b"y" * 120)
    pieces = [bytes(piece) for piece in _fragments(whole)]
    return tuple(Inject(piece, "vethA") for piece in draw(st.permutations(pieces)))


def _fragments(whole: Packet) -> list[Packet]:
    return fragment(IP(bytes(whole)), fragsize=64)  # type: ignore[no-any-return]


@st.composite
def scripts(draw: st.DrawFn, family: int, *, most: int = 8) -> tuple[Step, ...]:
    """Packets and reactions to what came of them."""
    steps: list[Step] = [draw(arrivals(family))]
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.integers(0, 11))
        if kind < 4:
            steps.append(draw(arrivals(family)))
        elif kind < 6:
            steps.append(draw(departures(family)))
        elif kind == 6 and family == 4:
            steps += draw(fragmented())
        elif kind == 7:
            steps.append(draw(st.sampled_from([step for step in steps if not isinstance(step, React)])))
        else:
            how = draw(st.sampled_from(("answer", "answer", "answer", "refuse", "error", "again")))
            steps.append(React(draw(st.integers(0, 9)), how))
    return tuple(steps)
