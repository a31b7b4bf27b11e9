"""Header fields by name: where they are, how wide, of which type. Source: nft(8), "PAYLOAD EXPRESSIONS"; the RFCs."""

from __future__ import annotations

from collections.abc import Mapping

from fakecluster.rules.nft.datatypes import (
    BOOLEAN,
    DSCP,
    ECN,
    ETHER_ADDR,
    ETHER_TYPE,
    ICMP_CODE,
    ICMP_TYPE,
    ICMPV6_CODE,
    ICMPV6_TYPE,
    INET_PROTO,
    INET_SERVICE,
    IPV4_ADDR,
    IPV6_ADDR,
    TCP_FLAG,
    Datatype,
    integer,
    raw_integer,
)  # fmt: skip
from fakecluster.rules.nft.expressions import Exthdr, Payload, TcpOption

Fields = Mapping[str, Payload]


def _fields(protocol: str, base: str, *fields: tuple[str, int, int, Datatype | None]) -> Fields:
    return {
        name: Payload(protocol, name, datatype or integer(bits), base, offset, bits)
        for name, offset, bits, datatype in fields
    }


def _ports(protocol: str, *more: tuple[str, int, int, Datatype | None]) -> Fields:
    return _fields(protocol, "transport", ("sport", 0, 16, INET_SERVICE), ("dport", 16, 16, INET_SERVICE), *more)


HEADERS: Mapping[str, Fields] = {
    "ether": _fields(
        "ether", "link", ("daddr", 0, 48, ETHER_ADDR), ("saddr", 48, 48, ETHER_ADDR), ("type", 96, 16, ETHER_TYPE)
    ),
    "ip": _fields(
        "ip", "network", ("version", 0, 4, None), ("hdrlength", 4, 4, None), ("dscp", 8, 6, DSCP), ("ecn", 14, 2, ECN),
        ("length", 16, 16, None), ("id", 32, 16, None), ("frag-off", 48, 16, None), ("ttl", 64, 8, None),
        ("protocol", 72, 8, INET_PROTO), ("checksum", 80, 16, None), ("saddr", 96, 32, IPV4_ADDR),
        ("daddr", 128, 32, IPV4_ADDR),
    ),
    "ip6": _fields(
        "ip6", "network", ("version", 0, 4, None), ("dscp", 4, 6, DSCP), ("ecn", 10, 2, ECN), ("flowlabel", 12, 20,
        None),
        ("length", 32, 16, None), ("nexthdr", 48, 8, INET_PROTO), ("hoplimit", 56, 8, None), ("saddr", 64, 128,
        IPV6_ADDR),
        ("daddr", 192, 128, IPV6_ADDR),
    ),
    "tcp": _ports(
        "tcp", ("sequence", 32, 32, None), ("ackseq", 64, 32, None), ("doff", 96, 4, None), ("reserved", 100, 4, None),
        ("flags", 104, 8, TCP_FLAG), ("window", 112, 16, None), ("checksum", 128, 16, None), ("urgptr", 144, 16, None),
    ),
    "udp": _ports("udp", ("length", 32, 16, None), ("checksum", 48, 16, None)),
    "udplite": _ports("udplite", ("csumcov", 32, 16, None), ("checksum", 48, 16, None)),
    "sctp": _ports("sctp", ("vtag", 32, 32, None), ("checksum", 64, 32, None)),
    "dccp": _ports("dccp"),
    "th": _ports("th"),
    "icmp": _fields(
        "icmp", "transport", ("type", 0, 8, ICMP_TYPE), ("code", 8, 8, ICMP_CODE), ("checksum", 16, 16, None),
        ("id", 32, 16, None), ("sequence", 48, 16, None), ("gateway", 32, 32, None), ("mtu", 48, 16, None),
    ),
    "icmpv6": _fields(
        "icmpv6", "transport", ("type", 0, 8, ICMPV6_TYPE), ("code", 8, 8, ICMPV6_CODE), ("checksum", 16, 16, None),
        ("parameter-problem", 32, 32, None), ("packet-too-big", 32, 32, None), ("id", 32, 16, None),
        ("sequence", 48, 16, None), ("mtu", 32, 32, None), ("max-delay", 32, 16, None),
    ),
    "ah": _fields(
        "ah", "transport", ("nexthdr", 0, 8, INET_PROTO), ("hdrlength", 8, 8, None), ("reserved", 16, 16, None),
        ("spi", 32, 32, None), ("sequence", 64, 32, None),
    ),
    "esp": _fields("esp", "transport", ("spi", 0, 32, None), ("sequence", 32, 32, None)),
    "comp": _fields(
        "comp", "transport", ("nexthdr", 0, 8, INET_PROTO), ("flags", 8, 8, None), ("cpi", 16, 16, None)
    ),
    "igmp": _fields(
        "igmp", "transport", ("type", 0, 8, None), ("mrt", 8, 8, None), ("checksum", 16, 16, None), ("group", 32, 32,
        IPV4_ADDR)
    ),
}  # fmt: skip

#: Transport protocols by their number, and the other way round.
PROTOCOL_NUMBERS: Mapping[str, int] = {
    "tcp": 6, "udp": 17, "udplite": 136, "sctp": 132, "dccp": 33, "icmp": 1, "icmpv6": 58, "ah": 51, "esp": 50,
    "comp": 108, "igmp": 2,
}  # fmt: skip
PROTOCOL_BY_NUMBER = {number: name for name, number in PROTOCOL_NUMBERS.items()}
#: ICMP fields that exist for some types only: nft adds a match on the type.
ICMP_TYPES_WITH: Mapping[tuple[str, str], tuple[int, ...]] = {
    ("icmp", "id"): (0, 8),
    ("icmp", "sequence"): (0, 8),
    ("icmp", "gateway"): (5,),
    ("icmp", "mtu"): (3,),
    ("icmpv6", "id"): (128, 129),
    ("icmpv6", "sequence"): (128, 129),
    ("icmpv6", "parameter-problem"): (4,),
    ("icmpv6", "packet-too-big"): (2,),
    ("icmpv6", "mtu"): (2,),
    ("icmpv6", "max-delay"): (130,),
}
RAW_BASES = {"ll": "link", "nh": "network", "th": "transport"}


def raw_payload(base: str, offset: int, bits: int) -> Payload:
    """``@th,0,16``: bits of the packet without a name."""
    return Payload("", base, raw_integer(bits), RAW_BASES[base], offset, bits)


def named(payload: Payload, protocol: str) -> Payload:
    """The field of `protocol` that is at the same place, else the payload itself."""
    for field in HEADERS.get(protocol, {}).values():
        if (field.base, field.offset, field.bits) == (payload.base, payload.offset, payload.bits):
            return field
    return payload


#: name -> (kind number, {field: (offset, bits)})
_TCP_OPTIONS: Mapping[str, tuple[int, Mapping[str, tuple[int, int]]]] = {
    "eol": (0, {}),
    "nop": (1, {}),
    "maxseg": (2, {"length": (8, 8), "size": (16, 16)}),
    "window": (3, {"length": (8, 8), "count": (16, 8)}),
    "sack-perm": (4, {"length": (8, 8)}),
    "sack": (5, {"length": (8, 8), "left": (16, 32), "right": (48, 32)}),
    "timestamp": (8, {"length": (8, 8), "tsval": (16, 32), "tsecr": (48, 32)}),
    "fastopen": (34, {"length": (8, 8)}),
    "md5sig": (19, {"length": (8, 8)}),
}
_TCP_OPTION_ALIASES = {"sack-permitted": "sack-perm", "mss": "maxseg"}


def tcp_option(name: str, field: str) -> TcpOption | None:
    """``tcp option NAME [FIELD]``; None when there is no such option or field."""
    name = _TCP_OPTION_ALIASES.get(name, name)
    known = _TCP_OPTIONS.get(name)
    if known is None:
        return None
    kind, fields = known
    if not field:
        return TcpOption(name, "", kind, BOOLEAN, 0, 8)
    if field not in fields:
        return None
    offset, bits = fields[field]
    return TcpOption(name, field, kind, integer(bits), offset, bits)


_EXTENSION_HEADERS: Mapping[str, tuple[int, Mapping[str, tuple[int, int]]]] = {
    "hbh": (0, {"nexthdr": (0, 8), "hdrlength": (8, 8)}),
    "rt": (43, {"nexthdr": (0, 8), "hdrlength": (8, 8), "type": (16, 8), "seg-left": (24, 8)}),
    "frag": (
        44,
        {"nexthdr": (0, 8), "reserved": (8, 8), "frag-off": (16, 13), "more-fragments": (31, 1), "id": (32, 32)},
    ),
    "dst": (60, {"nexthdr": (0, 8), "hdrlength": (8, 8)}),
    "mh": (135, {"nexthdr": (0, 8), "hdrlength": (8, 8), "type": (16, 8)}),
}


def extension_header(name: str, field: str) -> Exthdr | None:
    """An IPv6 extension header's field (`field` empty: its presence); None when unknown."""
    known = _EXTENSION_HEADERS.get(name)
    if known is None:
        return None
    protocol, fields = known
    if not field:
        return Exthdr(name, "", protocol, BOOLEAN, 0, 8)
    if field not in fields:
        return None
    offset, bits = fields[field]
    return Exthdr(name, field, protocol, INET_PROTO if field == "nexthdr" else integer(bits), offset, bits)
