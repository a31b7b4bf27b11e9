"""Matches on transport headers: tcp, udp, sctp, dccp, multiport, icmp, icmp6, tcpmss, esp, ah, frag.

Sources: extensions/libxt_tcp.c, libxt_udp.c, libxt_sctp.c, libxt_multiport.c, libxt_icmp.h, libxt_tcpmss.c and kin.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from fakecluster.errors import Unsupported
from fakecluster.rules.iptables.numbers import U16, U32, number, port, port_range
from fakecluster.rules.iptables.option import (
    Extension,
    Given,
    Option,
    Place,
    Read,
    integer,
    integer_range,
    ports,
    range_text,
    spelled,
)
from fakecluster.rules.iptables.problem import RuleProblem

Range = tuple[int, int]
EVERY_PORT = (0, U16)
TCP_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32}
SCTP_CHUNKS = {
    "DATA": 0, "INIT": 1, "INIT_ACK": 2, "SACK": 3, "HEARTBEAT": 4, "HEARTBEAT_ACK": 5, "ABORT": 6, "SHUTDOWN": 7,
    "SHUTDOWN_ACK": 8, "ERROR": 9, "COOKIE_ECHO": 10, "COOKIE_ACK": 11, "ECN_ECNE": 12, "ECN_CWR": 13,
    "SHUTDOWN_COMPLETE": 14, "I_DATA": 64, "RE_CONFIG": 130, "PAD": 132, "ASCONF": 193, "ASCONF_ACK": 128,
    "FORWARD_TSN": 192, "I_FORWARD_TSN": 194,
}  # fmt: skip
MULTIPORT_LIMIT = 15


@attrs.frozen
class PortsMatch:
    """Source and destination port ranges, each perhaps inverted (udp, and the port part of tcp, sctp, dccp)."""

    sport: Range = EVERY_PORT
    dport: Range = EVERY_PORT
    not_sport: bool = False
    not_dport: bool = False


@attrs.frozen
class TcpMatch(PortsMatch):
    """tcp: `flags` is (mask, value) over the six flags; `option` a TCP option number that must be there."""

    flags: tuple[int, int] = (0, 0)
    not_flags: bool = False
    option: int = 0
    not_option: bool = False


@attrs.frozen
class SctpMatch(PortsMatch):
    """sctp: `scope` is "all", "any" or "only" for a chunk list of (type, flags required set, flags required clear)."""

    scope: str = ""
    chunks: tuple[tuple[str, int, int], ...] = ()
    not_chunks: bool = False
    shown: str = ""


@attrs.frozen
class MultiportMatch:
    """multiport: `side` is "sports", "dports" or "ports"; single ports are ranges of one."""

    side: str
    ranges: tuple[Range, ...]
    inverted: bool = False


@attrs.frozen
class IcmpMatch:
    """icmp and icmp6: a type and a range of codes; type 255 of ICMPv4 with all codes means any."""

    option: str
    type: int
    codes: Range
    inverted: bool = False

    @property
    def is_any(self) -> bool:
        return self.option == "icmp-type" and self.type == 255 and self.codes == (0, 255)


@attrs.frozen
class RangeMatch:
    """A number within a range: tcpmss, length, esp's and ah's SPI."""

    low: int
    high: int
    inverted: bool = False


@attrs.frozen
class FragMatch:
    """frag (IPv6): identification range, length and the flag tests of the fragment header."""

    ids: Range = (0, U32)
    not_ids: bool = False
    length: int | None = None
    not_length: bool = False
    tests: tuple[str, ...] = ()


def _tcp_ports(text: str, _place: Place) -> Range:
    return port_range(text)


PORT_OPTIONS = (
    Option("sport", _tcp_ports, invertible=True, aliases=("source-port",)),
    Option("dport", _tcp_ports, invertible=True, aliases=("destination-port",)),
)
_STRICT_PORT_OPTIONS = (
    Option("sport", ports, invertible=True, aliases=("source-port",)),
    Option("dport", ports, invertible=True, aliases=("destination-port",)),
)


def ports_text(value: PortsMatch) -> str:
    text = ""
    if value.sport != EVERY_PORT:
        text += spelled("sport", range_text(*value.sport), inverted=value.not_sport)
    if value.dport != EVERY_PORT:
        text += spelled("dport", range_text(*value.dport), inverted=value.not_dport)
    return text


def _udp(given: Given) -> PortsMatch:
    return PortsMatch(
        given.value("sport", EVERY_PORT), given.value("dport", EVERY_PORT), given.inverted("sport"),
        given.inverted("dport"),
    )  # fmt: skip


def _flag_set(text: str, token: str) -> int:
    total = 0
    for name in text.split(","):
        if name in ("ALL", "NONE"):
            total |= 63 if name == "ALL" else 0
        elif name in TCP_FLAGS:
            total |= TCP_FLAGS[name]
        else:
            raise RuleProblem(f"Unknown TCP flag `{name}'", token=token)
    return total


def _tcp_flags(text: str, _place: Place) -> Range:
    mask, _, value = text.partition("\0")
    return _flag_set(mask, mask), _flag_set(value, value)


def _tcp(given: Given) -> TcpMatch:
    flags, inverted = given.value("tcp-flags", (0, 0)), given.inverted("tcp-flags")
    if given.has("syn"):
        if given.has("tcp-flags"):
            raise RuleProblem("Only one of `--syn' or `--tcp-flags'  allowed")
        flags, inverted = (23, 2), given.inverted("syn")
    return TcpMatch(
        given.value("sport", EVERY_PORT), given.value("dport", EVERY_PORT), given.inverted("sport"),
        given.inverted("dport"), flags, inverted, given.value("tcp-option", 0), given.inverted("tcp-option"),
    )  # fmt: skip


def _flags_text(bits: int) -> str:
    return ",".join(name for name, bit in TCP_FLAGS.items() if bits & bit) or "NONE"


def _tcp_text(value: TcpMatch) -> str:
    text = ports_text(value)
    if value.option:
        text += spelled("tcp-option", value.option, inverted=value.not_option)
    if value.flags[0] or value.not_flags:
        both = f"{_flags_text(value.flags[0])} {_flags_text(value.flags[1])}"
        text += spelled("tcp-flags", both, inverted=value.not_flags)
    return text


def _chunks(text: str, _place: Place) -> SctpMatch:
    scope, _, names = text.partition("\0")
    if scope not in ("all", "any", "only"):
        raise RuleProblem("--chunk-types requires two args", token=scope)
    if names == "ALL":
        return SctpMatch(scope=scope, chunks=tuple((name, 0, 0) for name in SCTP_CHUNKS), shown="ALL")
    if names == "NONE":
        return SctpMatch(scope=scope, shown="NONE")
    chunks = []
    for part in names.split(","):
        name, colon, flags = part.partition(":")
        if name not in SCTP_CHUNKS:
            raise RuleProblem(f"Unknown sctp chunk `{name}'", token=part)
        if colon:
            raise Unsupported(f"chunk flags of the sctp match ({part})", token=flags)
        chunks.append((name, 0, 0))
    chunks.sort(key=lambda chunk: SCTP_CHUNKS[chunk[0]])
    return SctpMatch(scope=scope, chunks=tuple(chunks))


def _sctp(given: Given) -> SctpMatch:
    base = given.value("chunk-types", SctpMatch())
    return attrs.evolve(
        base, sport=given.value("sport", EVERY_PORT), dport=given.value("dport", EVERY_PORT),
        not_sport=given.inverted("sport"), not_dport=given.inverted("dport"), not_chunks=given.inverted("chunk-types"),
    )  # fmt: skip


def _sctp_text(value: SctpMatch) -> str:
    text = ports_text(value)
    if value.scope:
        names = value.shown or ",".join(name for name, _set, _clear in value.chunks)
        text += spelled("chunk-types", f"{value.scope} {names}", inverted=value.not_chunks)
    return text


def _port_list(text: str, _place: Place) -> tuple[Range, ...]:
    ranges: list[Range] = []
    room = MULTIPORT_LIMIT
    for part in text.split(","):
        low, colon, high = part.partition(":")
        room -= 2 if colon else 1
        if room < 0:
            raise RuleProblem("too many ports specified", token=text)
        if colon and not high:
            raise RuleProblem("invalid portrange specified", token=part)
        first = port(low)
        last = port(high) if colon else first
        if colon and first >= last:
            raise RuleProblem("invalid portrange specified", token=part)
        ranges.append((first, last))
    return tuple(ranges)


def _refuse_dccp(text: str, place: Place) -> object:
    raise Unsupported(f"dccp --{place.option}", token=text)


def _multiport(given: Given) -> MultiportMatch:
    if not given.options:
        raise RuleProblem("multiport expection an option")
    if len(given.options) > 1:
        raise RuleProblem(
            f'multiport: option "--{list(given.options)[1]}" cannot be used together with '
            f'"--{next(iter(given.options))}".\n'
        )
    side, (inverted, ranges) = next(iter(given.options.items()))
    assert isinstance(ranges, tuple)
    return MultiportMatch(side, ranges, inverted)


def _multiport_text(value: MultiportMatch) -> str:
    return spelled(value.side, ",".join(range_text(*each) for each in value.ranges), inverted=value.inverted)


ICMP_TYPES = {
    "any": (255, 0, 255), "echo-reply": (0, 0, 255), "pong": (0, 0, 255), "destination-unreachable": (3, 0, 255),
    "network-unreachable": (3, 0, 0), "host-unreachable": (3, 1, 1), "protocol-unreachable": (3, 2, 2),
    "port-unreachable": (3, 3, 3), "fragmentation-needed": (3, 4, 4), "source-route-failed": (3, 5, 5),
    "network-unknown": (3, 6, 6), "host-unknown": (3, 7, 7), "network-prohibited": (3, 9, 9),
    "host-prohibited": (3, 10, 10), "TOS-network-unreachable": (3, 11, 11), "TOS-host-unreachable": (3, 12, 12),
    "communication-prohibited": (3, 13, 13), "host-precedence-violation": (3, 14, 14),
    "precedence-cutoff": (3, 15, 15), "source-quench": (4, 0, 255), "redirect": (5, 0, 255),
    "network-redirect": (5, 0, 0), "host-redirect": (5, 1, 1), "TOS-network-redirect": (5, 2, 2),
    "TOS-host-redirect": (5, 3, 3), "echo-request": (8, 0, 255), "ping": (8, 0, 255),
    "router-advertisement": (9, 0, 255), "router-solicitation": (10, 0, 255), "time-exceeded": (11, 0, 255),
    "ttl-exceeded": (11, 0, 255), "ttl-zero-during-transit": (11, 0, 0), "ttl-zero-during-reassembly": (11, 1, 1),
    "parameter-problem": (12, 0, 255), "ip-header-bad": (12, 0, 0), "required-option-missing": (12, 1, 1),
    "timestamp-request": (13, 0, 255), "timestamp-reply": (14, 0, 255), "address-mask-request": (17, 0, 255),
    "address-mask-reply": (18, 0, 255),
}  # fmt: skip
ICMP6_TYPES = {
    "destination-unreachable": (1, 0, 255), "no-route": (1, 0, 0), "communication-prohibited": (1, 1, 1),
    "beyond-scope": (1, 2, 2), "address-unreachable": (1, 3, 3), "port-unreachable": (1, 4, 4),
    "failed-policy": (1, 5, 5), "reject-route": (1, 6, 6), "packet-too-big": (2, 0, 255),
    "time-exceeded": (3, 0, 255), "ttl-exceeded": (3, 0, 255), "ttl-zero-during-transit": (3, 0, 0),
    "ttl-zero-during-reassembly": (3, 1, 1), "parameter-problem": (4, 0, 255), "bad-header": (4, 0, 0),
    "unknown-header-type": (4, 1, 1), "unknown-option": (4, 2, 2), "echo-request": (128, 0, 255),
    "ping": (128, 0, 255), "echo-reply": (129, 0, 255), "pong": (129, 0, 255),
    "router-solicitation": (133, 0, 255), "router-advertisement": (134, 0, 255),
    "neighbour-solicitation": (135, 0, 255), "neighbor-solicitation": (135, 0, 255),
    "neighbour-advertisement": (136, 0, 255), "neighbor-advertisement": (136, 0, 255), "redirect": (137, 0, 255),
}  # fmt: skip


def _icmp_type(names: dict[str, tuple[int, int, int]], version: str) -> Read:
    def read(text: str, _place: Place) -> tuple[int, int, int]:
        if text in names:
            return names[text]
        found = [name for name in names if name.lower().startswith(text.lower())] if text else []
        if len({names[name] for name in found}) == 1:
            return names[found[0]]
        if len(found) > 1:
            raise RuleProblem(f"Ambiguous {version} type `{text}': `{found[0]}' or `{found[1]}'?", token=text)
        kind, slash, code = text.partition("/")
        value = number(kind, 0, 255)
        if value is None:
            problem = (
                f"Unknown {version} type `{text}'" if not kind[:1].isdigit() else f"Invalid {version} type `{text}'"
            )
            raise RuleProblem(problem, token=text)
        if not slash:
            return value, 0, 255
        low, colon, high = code.partition(":")
        first, last = number(low, 0, 255), number(high if colon else low, 0, 255)
        if first is None or last is None:
            raise RuleProblem(f"cannot parse ICMP type `{text}'", token=text)
        return (255, 0, 255) if value == 255 and version == "ICMP" else (value, first, last)

    return read


def _icmp(given: Given) -> IcmpMatch:
    kind, low, high = given.value("icmp-type", (255, 0, 255))
    return IcmpMatch("icmp-type", kind, (low, high), given.inverted("icmp-type"))


def _icmp6(given: Given) -> IcmpMatch:
    kind, low, high = given.value("icmpv6-type", (255, 0, 255))
    return IcmpMatch("icmpv6-type", kind, (low, high), given.inverted("icmpv6-type"))


def _icmp_text(value: IcmpMatch) -> str:
    if value.is_any:
        return spelled(value.option, "any", inverted=value.inverted)
    text = str(value.type)
    if value.codes != (0, 255):
        text += f"/{range_text(*value.codes)}"
    return spelled(value.option, text, inverted=value.inverted)


def _range(option: str) -> Callable[[Given], RangeMatch]:
    def build(given: Given) -> RangeMatch:
        low, high = given.value(option, (0, 0))
        return RangeMatch(low, high, given.inverted(option))

    return build


def _range_text(option: str) -> Callable[[RangeMatch], str]:
    return lambda value: spelled(option, range_text(value.low, value.high), inverted=value.inverted)


def _mss(given: Given) -> RangeMatch:
    low, high = given.value("mss", (0, 0))
    if low > high:
        raise RuleProblem("tcpmss: invalid range given")
    return RangeMatch(low, high, given.inverted("mss"))


def _spi(option: str) -> Callable[[Given], RangeMatch]:
    def build(given: Given) -> RangeMatch:
        if given.protocol != 50:
            raise RuleProblem("RULE_APPEND failed (Invalid argument)", kind="commit")
        low, high = given.value(option, (0, U32))
        return RangeMatch(low, high, given.inverted(option))

    return build


def _spi_text(option: str) -> Callable[[RangeMatch], str]:
    def text(value: RangeMatch) -> str:
        if (value.low, value.high) == (0, U32):
            return ""
        return spelled(option, range_text(value.low, value.high), inverted=value.inverted)

    return text


_FRAG_TESTS = ("fragres", "fragfirst", "fragmore", "fraglast")


def _frag(given: Given) -> FragMatch:
    return FragMatch(
        given.value("fragid", (0, U32)), given.inverted("fragid"), given.value("fraglen", None),
        given.inverted("fraglen"), tuple(name for name in _FRAG_TESTS if given.has(name)),
    )  # fmt: skip


def _frag_text(value: FragMatch) -> str:
    text = spelled("fragid", range_text(*value.ids), inverted=value.not_ids) if value.ids != (0, U32) else ""
    if value.length is not None:
        text += spelled("fraglen", value.length, inverted=value.not_length)
    return text + "".join(f" --{name}" for name in value.tests)


_DCCP_OPTIONS = (
    *_STRICT_PORT_OPTIONS,
    Option("dccp-types", _refuse_dccp, invertible=True),
    Option("dccp-option", _refuse_dccp, invertible=True),
)
_LIST_OPTIONS = (
    Option("sports", _port_list, invertible=True, aliases=("source-ports",)),
    Option("dports", _port_list, invertible=True, aliases=("destination-ports",)),
    Option("ports", _port_list, invertible=True),
)
_FRAG_OPTIONS = (
    Option("fragid", integer_range(U32), invertible=True),
    Option("fraglen", integer(), invertible=True),
    Option("fragres"),
    Option("fragfirst"),
    Option("fragmore", excludes=("fraglast",)),
    Option("fraglast", excludes=("fragmore",)),
)
_TCP_OPTIONS = (
    *PORT_OPTIONS,
    Option("syn", invertible=True),
    Option("tcp-flags", _tcp_flags, invertible=True, words=2),
    Option("tcp-option", integer(1, 255), invertible=True),
)
_SCTP_OPTIONS = (*PORT_OPTIONS, Option("chunk-types", _chunks, invertible=True, words=2))


def _type_option(name: str, names: dict[str, tuple[int, int, int]], version: str) -> tuple[Option, ...]:
    return (Option(name, _icmp_type(names, version), invertible=True, required=True),)


def _in_range(name: str, describe: str, option: str, highest: int) -> Extension[RangeMatch]:
    options = (Option(option, integer_range(highest), invertible=True, required=True),)
    return Extension(name, describe, options, _range(option), _range_text(option), RangeMatch)


def _by_spi(name: str, describe: str, option: str) -> Extension[RangeMatch]:
    options = (Option(option, integer_range(U32), invertible=True),)
    return Extension(name, describe, options, _spi(option), _spi_text(option), RangeMatch)


MSS_OPTIONS = (Option("mss", integer_range(U16), invertible=True, required=True),)
TRANSPORT_MATCHES = (
    Extension("tcp", "TCP ports, flags and the presence of an option", _TCP_OPTIONS, _tcp, _tcp_text, TcpMatch),
    Extension("udp", "UDP ports", PORT_OPTIONS, _udp, ports_text, PortsMatch),
    Extension("sctp", "SCTP ports and chunk types", _SCTP_OPTIONS, _sctp, _sctp_text, SctpMatch),
    Extension("dccp", "DCCP ports (packet types and options: refused)", _DCCP_OPTIONS, _udp, ports_text, PortsMatch),
    Extension("multiport", "up to 15 ports or ranges", _LIST_OPTIONS, _multiport, _multiport_text, MultiportMatch),
    Extension(
        "icmp", "ICMP type and code", _type_option("icmp-type", ICMP_TYPES, "ICMP"), _icmp, _icmp_text, IcmpMatch, (4,)
    ),
    Extension(
        "icmp6", "ICMPv6 type and code", _type_option("icmpv6-type", ICMP6_TYPES, "ICMPv6"), _icmp6, _icmp_text,
        IcmpMatch, (6,),
    ),
    Extension(
        "tcpmss", "the MSS option of TCP", MSS_OPTIONS, _mss, _range_text("mss"), RangeMatch
    ),
    _in_range("length", "the length of the packet", "length", U16),
    _by_spi("esp", "the SPI of an ESP header", "espspi"),
    Extension("frag", "the IPv6 fragment header", _FRAG_OPTIONS, _frag, _frag_text, FragMatch, (6,)),
)  # fmt: skip
