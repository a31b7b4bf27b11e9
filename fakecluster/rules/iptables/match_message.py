"""Matches on other headers behind IP's: icmp, icmp6, esp, frag, tcpmss; and the packet's length.

Sources: extensions/libxt_icmp.h, libxt_tcpmss.c, libip6t_frag.c and kin.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from fakecluster.rules.iptables.match_transport import Range
from fakecluster.rules.iptables.numbers import U16, U32, number
from fakecluster.rules.iptables.option import (
    Extension,
    Given,
    Option,
    Place,
    Read,
    integer,
    integer_range,
    range_text,
    spelled,
)
from fakecluster.rules.iptables.problem import RuleProblem


@attrs.frozen
class IcmpMatch:
    """icmp and icmp6: a type and a range of codes; type 255 of ICMPv4 means any, whatever the codes."""

    option: str
    type: int
    codes: Range
    inverted: bool = False

    @property
    def is_any(self) -> bool:
        return self.option == "icmp-type" and self.type == 255


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
            raise RuleProblem(f"Unknown {version} type `{text}'", token=text)
        if not slash:
            return value, 0, 255
        low, colon, high = code.partition(":")
        first = number(low, 0, 255)
        last = number(high, 0, 255) if colon else first
        if first is None or last is None:
            raise RuleProblem(f"Unknown {version} code `{text}'", token=text)
        return value, first, last

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
        text += f"/{value.codes[0]}"  # of a range too (as of 1.8.9)
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


_FRAG_OPTIONS = (
    Option("fragid", integer_range(U32), invertible=True),
    Option("fraglen", integer(), invertible=True),
    Option("fragres"),
    Option("fragfirst"),
    Option("fragmore", excludes=("fraglast",)),
    Option("fraglast", excludes=("fragmore",)),
)


def _type_option(name: str, names: dict[str, tuple[int, int, int]], version: str) -> tuple[Option, ...]:
    return (Option(name, _icmp_type(names, version), invertible=True, required=True),)


def _in_range(name: str, describe: str, option: str, highest: int) -> Extension[RangeMatch]:
    options = (Option(option, integer_range(highest), invertible=True, required=True),)
    return Extension(name, describe, options, _range(option), _range_text(option), RangeMatch)


def _by_spi(name: str, describe: str, option: str) -> Extension[RangeMatch]:
    options = (Option(option, integer_range(U32), invertible=True),)
    return Extension(name, describe, options, _spi(option), _spi_text(option), RangeMatch)


MSS_OPTIONS = (Option("mss", integer_range(U16), invertible=True, required=True),)


MESSAGE_MATCHES = (
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
