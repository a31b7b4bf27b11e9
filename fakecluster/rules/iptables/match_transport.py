"""Matches on ports and what stands beside them: tcp, udp, sctp, dccp, multiport.

Sources: extensions/libxt_tcp.c, libxt_udp.c, libxt_sctp.c, libxt_multiport.c.
"""

from __future__ import annotations

import attrs

from fakecluster.errors import Unsupported
from fakecluster.rules.iptables.numbers import U16, number, port, port_range
from fakecluster.rules.iptables.option import (
    Extension,
    Given,
    Option,
    Place,
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


def _tcp_ports(text: str, _place: Place) -> Range:
    return port_range(text)


PORT_OPTIONS = (
    Option(
        "sport", _tcp_ports, invertible=True, aliases=("source-port",), only_one="Only one `--source-port' allowed"
    ),
    Option(
        "dport", _tcp_ports, invertible=True, aliases=("destination-port",),
        only_one="Only one `--destination-port' allowed",
    ),
)  # fmt: skip
_UDP_OPTIONS = (
    Option("sport", _tcp_ports, invertible=True, aliases=("source-port",), title="source-port"),
    Option("dport", _tcp_ports, invertible=True, aliases=("destination-port",), title="destination-port"),
)
_STRICT_PORT_OPTIONS = (
    Option("sport", ports, invertible=True, aliases=("source-port",), title="source-port"),
    Option("dport", ports, invertible=True, aliases=("destination-port",), title="destination-port"),
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


def _tcp_option(text: str, _place: Place) -> int:
    value = number(text, 1, 255)
    if value is None:
        raise RuleProblem(f'Bad TCP option "{text}"', token=text)
    return value


def _tcp(given: Given) -> TcpMatch:
    flags, inverted = given.value("tcp-flags", (0, 0)), given.inverted("tcp-flags")
    if given.has("syn"):
        if given.has("tcp-flags"):
            raise RuleProblem(_ONE_FLAGS)
        flags, inverted = (23, 2), given.inverted("syn")
    return TcpMatch(
        given.value("sport", EVERY_PORT), given.value("dport", EVERY_PORT), given.inverted("sport"),
        given.inverted("dport"), flags, inverted, given.value("tcp-option", 0), given.inverted("tcp-option"),
    )  # fmt: skip


def flags_text(bits: int) -> str:
    return ",".join(name for name, bit in TCP_FLAGS.items() if bits & bit) or "NONE"


def _tcp_text(value: TcpMatch) -> str:
    text = ports_text(value)
    if value.option:
        text += spelled("tcp-option", value.option, inverted=value.not_option)
    if value.flags[0] or value.not_flags:
        both = f"{flags_text(value.flags[0])} {flags_text(value.flags[1])}"
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


#: protocols that multiport knows
_WITH_PORTS = (6, 17, 33, 132, 136)


def _port_list(text: str, place: Place) -> tuple[Range, ...]:
    if not place.protocol and not place.not_protocol:
        raise RuleProblem("multiport needs `-p tcp', `-p udp', `-p udplite', `-p sctp' or `-p dccp'", token=text)
    if place.protocol not in _WITH_PORTS:
        raise RuleProblem("multiport only works with TCP, UDP, UDPLITE, SCTP and DCCP", token=text)
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


def _multiport(given: Given) -> MultiportMatch:
    if not given.options:
        raise RuleProblem("multiport expection an option")
    if len(given.options) > 1:
        first, second = (_LIST_TITLES[name] for name in list(given.options)[:2])
        raise RuleProblem(f'multiport: option "--{second}" cannot be used together with "--{first}".\n')
    side, (inverted, ranges) = next(iter(given.options.items()))
    assert isinstance(ranges, tuple)
    return MultiportMatch(side, ranges, inverted)


def _multiport_text(value: MultiportMatch) -> str:
    return spelled(value.side, ",".join(range_text(*each) for each in value.ranges), inverted=value.inverted)


_DCCP_OPTIONS = (
    *_STRICT_PORT_OPTIONS,
    Option("dccp-types", _tcp_ports, invertible=True, refused="types of DCCP packets"),
    Option("dccp-option", _tcp_option, invertible=True, refused="options of DCCP packets"),
)
_LIST_TITLES = {"sports": "source-ports", "dports": "destination-ports", "ports": "ports"}
_LIST_OPTIONS = tuple(
    Option(
        name, _port_list, invertible=True, aliases=() if title == name else (title,), title=title
    )
    for name, title in _LIST_TITLES.items()
)  # fmt: skip
_ONE_FLAGS = "Only one of `--syn' or `--tcp-flags'  allowed"
_TCP_OPTIONS = (
    *PORT_OPTIONS,
    Option("syn", invertible=True, only_one=_ONE_FLAGS),
    Option("tcp-flags", _tcp_flags, invertible=True, words=2, only_one=_ONE_FLAGS),
    Option("tcp-option", _tcp_option, invertible=True, only_one="Only one `--tcp-option' allowed"),
)
_SCTP_OPTIONS = (
    *PORT_OPTIONS,
    Option("chunk-types", _chunks, invertible=True, words=2, only_one="Only one `--chunk-types' allowed"),
)


TRANSPORT_MATCHES = (
    Extension("tcp", "TCP ports, flags and the presence of an option", _TCP_OPTIONS, _tcp, _tcp_text, TcpMatch),
    Extension("udp", "UDP ports", _UDP_OPTIONS, _udp, ports_text, PortsMatch),
    Extension("sctp", "SCTP ports and chunk types", _SCTP_OPTIONS, _sctp, _sctp_text, SctpMatch),
    Extension("dccp", "DCCP ports (packet types and options: refused)", _DCCP_OPTIONS, _udp, ports_text, PortsMatch),
    Extension("multiport", "up to 15 ports or ranges", _LIST_OPTIONS, _multiport, _multiport_text, MultiportMatch),
)  # fmt: skip
