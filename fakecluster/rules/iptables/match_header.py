"""Matches on fields of the IP header: addrtype, iprange, ttl, hl, dscp, tos.

Sources: extensions/libxt_addrtype.c, libxt_iprange.c, libxt_tos.c and kin.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from fakecluster.rules.iptables.numbers import address, address_text, number
from fakecluster.rules.iptables.option import (
    Extension,
    Given,
    Option,
    Place,
    Read,
    integer,
    spelled,
)
from fakecluster.rules.iptables.problem import RuleProblem

#: in the order in which iptables-save prints them
ADDRESS_TYPES = (
    "UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT",
    "THROW", "NAT", "XRESOLVE",
)  # fmt: skip


DSCP_CLASSES = {
    "CS0": 0, "CS1": 8, "CS2": 16, "CS3": 24, "CS4": 32, "CS5": 40, "CS6": 48, "CS7": 56, "BE": 0, "AF11": 10,
    "AF12": 12, "AF13": 14, "AF21": 18, "AF22": 20, "AF23": 22, "AF31": 26, "AF32": 28, "AF33": 30, "AF41": 34,
    "AF42": 36, "AF43": 38, "EF": 46,
}  # fmt: skip


TOS_NAMES = {
    "minimize-delay": 16, "maximize-throughput": 8, "maximize-reliability": 4, "minimize-cost": 2,
    "normal-service": 0,
}  # fmt: skip


@attrs.frozen
class AddrtypeMatch:
    """addrtype: the routing type of source and destination; `limit` is "", "in" or "out" (that interface's)."""

    src: frozenset[str] | None = None
    dst: frozenset[str] | None = None
    not_src: bool = False
    not_dst: bool = False
    limit: str = ""


@attrs.frozen
class IprangeMatch:
    """iprange: addresses from .. to, both ends included."""

    family: int
    src: tuple[int, int] | None = None
    dst: tuple[int, int] | None = None
    not_src: bool = False
    not_dst: bool = False


@attrs.frozen
class TtlMatch:
    """ttl and hl: `test` is "eq", "lt" or "gt"."""

    option: str
    test: str
    value: int
    inverted: bool = False


@attrs.frozen
class DscpMatch:
    """dscp: the six upper bits of the TOS byte."""

    value: int
    inverted: bool = False


@attrs.frozen
class TosMatch:
    """tos: (TOS & mask) == value."""

    value: int
    mask: int
    inverted: bool = False


def _types(text: str, _place: Place) -> frozenset[str]:
    chosen = set()
    for part in text.split(","):
        if part.upper() not in ADDRESS_TYPES:
            raise RuleProblem(f'addrtype: bad type "{text}"', token=part)
        chosen.add(part.upper())
    return frozenset(chosen)


def _addrtype(given: Given) -> AddrtypeMatch:
    if not given.has("src-type") and not given.has("dst-type"):
        raise RuleProblem("addrtype: you must specify --src-type or --dst-type")
    limit = "in" if given.has("limit-iface-in") else "out" if given.has("limit-iface-out") else ""
    return AddrtypeMatch(
        given.value("src-type", None), given.value("dst-type", None), given.inverted("src-type"),
        given.inverted("dst-type"), limit,
    )  # fmt: skip


def _addrtype_text(value: AddrtypeMatch) -> str:
    text = ""
    for option, types, inverted in (("src-type", value.src, value.not_src), ("dst-type", value.dst, value.not_dst)):
        if types:
            text += spelled(option, ",".join(name for name in ADDRESS_TYPES if name in types), inverted=inverted)
    return text + (f" --limit-iface-{value.limit}" if value.limit else "")


def _span(text: str, place: Place) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    low = address(first, place.family)
    high = address(last, place.family) if dash else low
    if low is None or high is None:
        raise RuleProblem(f'iprange: Bad value for "--{place.option}" option: "{text}"', token=text)
    return low, high


def _iprange(given: Given) -> IprangeMatch:
    if not given.options:
        raise RuleProblem("iprange match: You must specify `--src-range' or `--dst-range'")
    return IprangeMatch(
        given.family, given.value("src-range", None), given.value("dst-range", None), given.inverted("src-range"),
        given.inverted("dst-range"),
    )  # fmt: skip


def _iprange_text(value: IprangeMatch) -> str:
    text = ""
    for option, span, inverted in (("src-range", value.src, value.not_src), ("dst-range", value.dst, value.not_dst)):
        if span:
            ends = "-".join(address_text(end, value.family) for end in span)
            text += spelled(option, ends, inverted=inverted)
    return text


def _ttl(prefix: str) -> Callable[[Given], TtlMatch]:
    def build(given: Given) -> TtlMatch:
        for test in ("eq", "lt", "gt"):
            name = f"{prefix}-{test}"
            if given.has(name):
                return TtlMatch(prefix, test, given.value(name, 0), given.inverted(name))
        title = "TTL" if prefix == "ttl" else "HL"
        raise RuleProblem(f"{title} match: You must specify one of `--{prefix}-eq', `--{prefix}-lt', `--{prefix}-gt")

    return build


def _ttl_options(prefix: str) -> tuple[Option, ...]:
    names = [f"{prefix}-{test}" for test in ("lt", "gt", "eq")]
    return tuple(
        Option(
            name, integer(0, 255), invertible=name.endswith("eq"),
            excludes=tuple(other for other in names if other != name), aliases=(prefix,) if name.endswith("eq") else (),
        )
        for name in names
    )  # fmt: skip


def dscp_class(text: str, _place: Place) -> int:
    if text.upper() not in DSCP_CLASSES:
        raise RuleProblem(f"Invalid DSCP value `{text}'", token=text)
    return DSCP_CLASSES[text.upper()]


def _dscp(given: Given) -> DscpMatch:
    name = "dscp-class" if given.has("dscp-class") else "dscp"
    if not given.has(name):
        raise RuleProblem("DSCP match: Parameter --dscp is required")
    return DscpMatch(given.value(name, 0), given.inverted(name))


def tos_mask(default_mask: int) -> Read:
    """A TOS value, `value/mask` or a name; names have a mask of their own (xtopt_parse_tosmask)."""

    def read(text: str, _place: Place) -> tuple[int, int]:
        if text.lower() in TOS_NAMES:
            return TOS_NAMES[text.lower()], 0x3F
        first, slash, second = text.partition("/")
        if not text[:1].isdigit():
            raise RuleProblem(f'Symbolic name "{text}" is unknown', token=text)
        value, mask = number(first, 0, 255), number(second, 0, 255) if slash else default_mask
        if value is None:
            raise RuleProblem(f'Symbolic name "{text}" is unknown', token=text)
        if mask is None:
            raise RuleProblem(f'Illegal value: "{text}"', token=text)
        return value, mask

    return read


def _tos(given: Given) -> TosMatch:
    value, mask = given.value("tos", (0, 255))
    return TosMatch(value, mask, given.inverted("tos"))


def _by_prefix(name: str, describe: str, prefix: str, families: tuple[int, ...]) -> Extension[TtlMatch]:
    return Extension(
        name, describe, _ttl_options(prefix), _ttl(prefix),
        lambda value: spelled(f"{prefix}-{value.test}", value.value, inverted=value.inverted), TtlMatch, families,
    )  # fmt: skip


_ADDRTYPE_OPTIONS = (
    Option("src-type", _types, invertible=True),
    Option("dst-type", _types, invertible=True),
    Option("limit-iface-in", excludes=("limit-iface-out",)),
    Option("limit-iface-out", excludes=("limit-iface-in",)),
)


_DSCP_OPTIONS = (
    Option("dscp", integer(0, 63), invertible=True, excludes=("dscp-class",)),
    Option("dscp-class", dscp_class, invertible=True, excludes=("dscp",)),
)


_SPAN_OPTIONS = (Option("src-range", _span, invertible=True), Option("dst-range", _span, invertible=True))


HEADER_MATCHES = (
    Extension(
        "addrtype", "the routing type of an address", _ADDRTYPE_OPTIONS, _addrtype, _addrtype_text, AddrtypeMatch
    ),
    Extension("iprange", "ranges of addresses", _SPAN_OPTIONS, _iprange, _iprange_text, IprangeMatch),
    _by_prefix("ttl", "the TTL", "ttl", (4,)),
    _by_prefix("hl", "the hop limit", "hl", (6,)),
    Extension(
        "dscp", "the DSCP bits", _DSCP_OPTIONS, _dscp,
        lambda value: spelled("dscp", f"0x{value.value:02x}", inverted=value.inverted), DscpMatch,
    ),
    Extension(
        "tos", "the TOS byte", (Option("tos", tos_mask(255), invertible=True, required=True),), _tos,
        lambda value: spelled("tos", f"0x{value.value:02x}/0x{value.mask:02x}", inverted=value.inverted), TosMatch,
    ),
)  # fmt: skip
