"""Hypothesis strategies for the packets of a scenario: few addresses and ports, so that rules and flows meet them."""

from __future__ import annotations

import random

from hypothesis import strategies as st
from scapy.layers.inet import (
    ICMP,
    IP,
    TCP,
    UDP,
    IPOption_LSRR,
    IPOption_NOP,
    IPOption_Router_Alert,
    IPOption_RR,
    fragment,
)
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    PadN,
    fragment6,
)
from scapy.layers.sctp import (
    SCTP,
    SCTPChunkAbort,
    SCTPChunkCookieAck,
    SCTPChunkData,
    SCTPChunkInit,
    SCTPChunkShutdown,
)
from scapy.packet import Packet, Raw
from scenario import Inject, React, Send, Step

from fakecluster.strategies.rule_addresses import OUTSIDE, OWN, PODS, PORTS, SOURCE_PORTS, VIPS

#: destinations and sources that no host should have; the IPv6 ones are multicast or the unspecified address
ODD_TARGETS = {
    4: (
        "127.0.0.1",
        "224.0.0.5",
        "255.255.255.255",
        "192.168.1.255",
        "192.168.1.99",
        "240.0.0.1",
        "0.0.0.0",
        "10.244.9.9",
    ),
    6: ("ff02::5", "ff05::2", "::1", "fd00:1::99", "fd00:10:244::9"),
}
ODD_SOURCES = {
    4: ("127.0.0.1", "0.0.0.0", "224.0.0.5", "192.168.1.255", "8.8.8.8"),
    6: ("::1", "::", "ff02::1", "2001:db8::8"),
}
SCTP_CHUNKS = (
    SCTPChunkInit(init_tag=7, a_rwnd=1500, n_out_streams=1, init_tsn=1), SCTPChunkData(data=b"data", tsn=1, stream_id=0),
    SCTPChunkAbort(), SCTPChunkShutdown(), SCTPChunkCookieAck(),
)  # fmt: skip
FLAGS = ("S", "S", "S", "A", "PA", "SA", "FA", "R", "RA", "F", "", "SAPU", "FPU")
SYN_OPTIONS = (
    (), (), (("MSS", 1460),), (("MSS", 536),), (("NOP", None), ("WScale", 7)),
    (("MSS", 1400), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 3)),
)  # fmt: skip
#: what a frame carries after its packet
BEHIND_THE_END = b"behind the end"
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
        options = draw(st.sampled_from(SYN_OPTIONS if "S" in flags else ((), (), (("Timestamp", (5, 6)),))))
        seq = draw(st.sampled_from((1000, 1000, 1000, 1001, 900, 70000, 5_000_000)))
        return TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=2000, options=list(options)) / payload
    if kind == "udp":
        return UDP(sport=sport, dport=dport) / payload
    if kind == "sctp":
        chunk = draw(st.sampled_from(SCTP_CHUNKS))
        return SCTP(sport=sport, dport=dport, tag=0 if isinstance(chunk, SCTPChunkInit) else 7) / chunk
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
    odd = draw(st.integers(0, 29))
    if odd >= 28 and isinstance(transport, TCP | UDP):
        transport.chksum = draw(st.sampled_from((0x1234, 0)))
    if odd == 27 and family == 4:
        header.options = draw(st.sampled_from(IP_OPTIONS))
    if odd == 26 and family == 4:
        header.flags = draw(st.sampled_from(("DF", "MF", "evil")))
    if odd == 25:
        return bytes(header / transport) + BEHIND_THE_END
    if odd in (23, 24) and family == 6:
        kind = header.nh if isinstance(transport, Raw) else {TCP: 6, UDP: 17, SCTP: 132}.get(type(transport), 58)
        return bytes(header / draw(st.sampled_from(_extensions(kind))) / transport)
    packet = bytes(header / transport)
    if odd == 22:  # cut short
        return _shortened(packet, draw(st.sampled_from((1, 3, 4, 8, 12))), family)
    if odd == 21 and isinstance(transport, UDP):
        return bytes(header / (transport / Raw(b"z" * 1340)))
    return packet


def _extensions(kind: int) -> list[Packet]:
    """IPv6 extension headers before a header of this kind."""
    return [
        IPv6ExtHdrHopByHop(nh=kind, options=[PadN(optdata=b"\0" * 4)]),
        IPv6ExtHdrDestOpt(nh=kind, options=[PadN(optdata=b"\0" * 4)]),
        IPv6ExtHdrFragment(nh=kind, offset=0, m=0, id=7),
        IPv6ExtHdrDestOpt(nh=60) / IPv6ExtHdrDestOpt(nh=kind),
    ]


IP_OPTIONS = (
    [IPOption_NOP()], [IPOption_RR(length=11, routers=["0.0.0.0", "0.0.0.0"])], [IPOption_Router_Alert()],
    [IPOption_LSRR(routers=["10.244.0.3"])],
)  # fmt: skip


def _shortened(packet: bytes, left: int, family: int) -> bytes:
    """Only so much of the transport header, with lengths and checksum to match."""
    size = 20 if family == 4 else 40
    cut = bytearray(packet[: size + left])
    if family == 6:
        cut[4:6] = left.to_bytes(2)
        return bytes(cut)
    cut[2:4] = len(cut).to_bytes(2)
    header = IP(bytes(cut))
    header.chksum = None
    return bytes(header)


@st.composite
def arrivals(draw: st.DrawFn, family: int) -> Inject:
    """A packet that comes in by an interface, mostly from an address that lives there."""
    iface = draw(st.sampled_from(("vethA", "vethA", "vethB", "eth0")))
    home = PODS[family][BEHIND[iface] :][:1] if iface in BEHIND else OUTSIDE[family]
    src = draw(st.sampled_from(home * 6 + PODS[family] + OUTSIDE[family] + OWN[family]))
    dst = draw(st.sampled_from(PODS[family] + OUTSIDE[family] + VIPS[family] * 2 + OWN[family]))
    odd = draw(st.integers(0, 19))
    if odd == 19:
        dst = draw(st.sampled_from(ODD_TARGETS[family]))
    if odd == 18:
        src = draw(st.sampled_from(ODD_SOURCES[family]))
    return Inject(draw(raw_packets(family, src, dst)), iface)


@st.composite
def departures(draw: st.DrawFn, family: int) -> Send:
    """A packet that a process of the node sends."""
    dst = draw(st.sampled_from(PODS[family] + OUTSIDE[family] + VIPS[family] + OWN[family]))
    packet = draw(raw_packets(family, draw(st.sampled_from(OWN[family])), dst)).removesuffix(BEHIND_THE_END)
    return Send(packet, draw(st.sampled_from((0, 0, 1))))


@st.composite
def fragmented(draw: st.DrawFn) -> tuple[Inject, ...]:
    """A UDP datagram in two or three fragments, in some order."""
    dst = draw(st.sampled_from(VIPS[4] + PODS[4][1:] + OUTSIDE[4] + OWN[4]))
    whole = IP(src=PODS[4][0], dst=dst, id=draw(st.integers(1, 60000))) / UDP(sport=4000, dport=80) / Raw(b"y" * 120)
    pieces = [bytes(piece) for piece in _fragments(whole)]
    return tuple(Inject(piece, "vethA") for piece in draw(st.permutations(pieces)))


@st.composite
def fragmented6(draw: st.DrawFn) -> tuple[Inject, ...]:
    """An IPv6 UDP datagram in two fragments, in some order."""
    dst = draw(st.sampled_from(VIPS[6] + PODS[6][1:] + OUTSIDE[6] + OWN[6]))
    kind = draw(st.sampled_from((0, 1)))
    inner = UDP(sport=4000, dport=80) / Raw(b"y" * 1000) if kind else ICMPv6EchoRequest(id=7, data=b"y" * 1000)
    whole = IPv6(src=PODS[6][0], dst=dst) / IPv6ExtHdrFragment(id=draw(st.integers(1, 60000))) / inner
    pieces = [bytes(piece) for piece in _fragments6(IPv6(bytes(whole)))]
    return tuple(Inject(piece, "vethA") for piece in draw(st.permutations(pieces)))


def _fragments6(whole: Packet) -> list[Packet]:
    state = random.getstate()
    try:
        return fragment6(whole, 600)  # type: ignore[no-any-return]
    finally:
        random.setstate(state)  # it draws an identification, which it does not use, as the packet has one


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
        elif kind == 6:
            steps += draw(fragmented() if family == 4 else fragmented6())
        elif kind == 7:
            steps.append(draw(st.sampled_from([step for step in steps if not isinstance(step, React)])))
        else:
            how = draw(st.sampled_from(("answer",) * 4 + ("refuse", "error", "again", "expired", "too big")))
            steps.append(React(draw(st.integers(0, 9)), how))
    return tuple(steps)
