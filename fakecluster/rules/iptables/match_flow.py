"""Matches on connections and marks: conntrack, state, mark, connmark, connbytes, connlimit, helper.

Sources: extensions/libxt_conntrack.c, libxt_connbytes.c, libxt_connlimit.c and kin.
"""

from __future__ import annotations

from typing import cast

import attrs

from fakecluster.rules.iptables.numbers import U32, U64, address_text, bits, mask_of, mask_text
from fakecluster.rules.iptables.numbers import protocol as protocol_number
from fakecluster.rules.iptables.option import (
    Extension,
    Given,
    Option,
    Place,
    Read,
    host_mask,
    integer,
    integer_range,
    length_or_mask,
    mark,
    ports,
    range_text,
    spelled,
    string,
)
from fakecluster.rules.iptables.problem import RuleProblem
from fakecluster.rules.iptables.words import quote

#: in the order in which iptables-save prints them
CT_STATES = ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT")
CT_STATUSES = ("NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED")


@attrs.frozen
class Test:
    """One test of the conntrack match on a field of the entry, perhaps inverted."""

    value: object
    inverted: bool = False


@attrs.frozen
class ConntrackMatch:
    """conntrack and state: tests by option name (ctstate, ctproto, ctorigsrc, ..., ctdir), all of which must hold."""

    tests: tuple[tuple[str, Test], ...]
    family: int
    is_state: bool = False


@attrs.frozen
class MarkMatch:
    """mark and connmark: (mark & mask) == value."""

    value: int
    mask: int
    inverted: bool = False


@attrs.frozen
class ConnbytesMatch:
    """connbytes: a counter (bytes, packets or avgpkt) of a direction (original, reply, both) within a range."""

    low: int
    high: int
    mode: str
    direction: str
    inverted: bool = False


@attrs.frozen
class ConnlimitMatch:
    """connlimit: more than `limit` (`above`) or at most `limit` connections of one masked address."""

    limit: int
    above: bool
    mask: int
    by_destination: bool = False


@attrs.frozen
class HelperMatch:
    """helper: the conntrack helper's name."""

    helper: str
    inverted: bool = False


def _state_set(names: tuple[str, ...], option: str) -> Read:
    def read(text: str, _place: Place) -> frozenset[str]:
        chosen: set[str] = set()
        rest: str | None = text
        while rest is not None:
            part, comma, after = rest.partition(",")
            found = [name for name in names if part and name.startswith(part.upper())]
            exact = [name for name in found if name == part.upper()]
            if not found:
                raise RuleProblem(f'Bad {option} "{rest}"', token=part)
            rest = after if comma else None
            chosen.add((exact or found)[0])
        return frozenset(chosen)

    return read


def _direction(text: str, _place: Place) -> str:
    for name in ("ORIGINAL", "REPLY"):
        if name.lower() == text.lower():
            return name
    raise RuleProblem('conntrack: bad value for option "--ctdir"', token=text)


def _ct_proto(text: str, _place: Place) -> int:
    return protocol_number(text.lower())


CT_ADDRESSES = ("ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst")
_PORT_TESTS = ("ctorigsrcport", "ctorigdstport", "ctreplsrcport", "ctrepldstport")
#: in the order in which iptables-save prints them
CT_TESTS = ("ctstate", "ctproto", *CT_ADDRESSES, *_PORT_TESTS, "ctstatus", "ctexpire", "ctdir")
_CT_OPTIONS = (
    Option("ctstate", _state_set(CT_STATES, "ctstate"), invertible=True),
    Option("ctproto", _ct_proto, invertible=True),
    *(Option(name, host_mask, invertible=True) for name in CT_ADDRESSES),
    *(Option(name, ports, invertible=True) for name in _PORT_TESTS),
    Option("ctstatus", _state_set(CT_STATUSES, "ctstatus"), invertible=True),
    Option("ctexpire", integer_range(U32), invertible=True),
    Option("ctdir", _direction),
)


def _conntrack(given: Given) -> ConntrackMatch:
    if not given.options:
        raise RuleProblem("conntrack: At least one option is required")
    tests = []
    for name in CT_TESTS:
        if given.has(name):
            inverted, value = given.options[name]
            tests.append((name, Test(value, inverted)))
    return ConntrackMatch(tuple(tests), given.family)


def _state(given: Given) -> ConntrackMatch:
    test = Test(given.value("state", frozenset()), given.inverted("state"))
    return ConntrackMatch((("ctstate", test),), given.family, is_state=True)


def ct_value(name: str, value: object, family: int) -> str:
    """One test's value as it is printed."""
    if isinstance(value, frozenset):
        named = [each for each in (*CT_STATES, *CT_STATUSES) if each in value]
        return ",".join(each for each in named if each != "NONE" or len(named) == 1)
    if name in CT_ADDRESSES:
        assert isinstance(value, tuple)
        whole = value[1] == mask_of(bits(family), family)
        return address_text(value[0], family) + ("" if whole else f"/{mask_text(value[1], family)}")
    return range_text(*value) if isinstance(value, tuple) else str(value)


def _conntrack_text(value: ConntrackMatch) -> str:
    return "".join(
        spelled("state" if value.is_state else name, ct_value(name, test.value, value.family), inverted=test.inverted)
        for name, test in value.tests
    )


def _mark(given: Given) -> MarkMatch:
    value, mask = given.value("mark", (0, U32))
    return MarkMatch(value, mask, given.inverted("mark"))


def mark_text(value: int, mask: int) -> str:
    return f"{value:#x}" + ("" if mask == U32 else f"/{mask:#x}")


def _mark_text(value: MarkMatch) -> str:
    return spelled("mark", mark_text(value.value, value.mask), inverted=value.inverted)


def _word(option: str, allowed: tuple[str, ...]) -> Read:
    def read(text: str, _place: Place) -> str:
        if text not in allowed:
            raise RuleProblem(f"Unknown --{option} `{text}'", token=text)
        return text

    return read


def _connbytes(given: Given) -> ConnbytesMatch:
    low, high = given.value("connbytes", (0, U64))
    if low > high:
        raise RuleProblem(f"{low} should be less than {high}")
    return ConnbytesMatch(
        low, high, given.value("connbytes-mode", ""), given.value("connbytes-dir", ""), given.inverted("connbytes")
    )


def _low_and_high(text: str, place: Place) -> tuple[int, int]:
    low, high = cast("tuple[int, int]", integer_range(U64)(text, place))
    return (low, high) if ":" in text else (low, U64)


def _connbytes_text(value: ConnbytesMatch) -> str:
    span = f"{value.low}:{value.high}" if value.high != U64 else str(value.low)
    return spelled("connbytes", span, inverted=value.inverted) + (
        f" --connbytes-mode {value.mode} --connbytes-dir {value.direction}"
    )


def _connlimit(given: Given) -> ConnlimitMatch:
    if not given.has("connlimit-above") and not given.has("connlimit-upto"):
        raise RuleProblem('You must specify "--connlimit-above" or "--connlimit-upto".')
    name = "connlimit-above" if given.has("connlimit-above") else "connlimit-upto"
    above = (name == "connlimit-above") != given.inverted(name)
    mask = given.value("connlimit-mask", mask_of(bits(given.family), given.family))
    return ConnlimitMatch(given.value(name, 0), above, mask, given.has("connlimit-daddr"))


def _connlimit_text(value: ConnlimitMatch) -> str:
    side = "daddr" if value.by_destination else "saddr"
    what = "above" if value.above else "upto"
    ones = bin(value.mask).count("1")
    return f" --connlimit-{what} {value.limit} --connlimit-mask {ones} --connlimit-{side}"


_CONNLIMIT_OPTIONS = (
    Option("connlimit-upto", integer(), invertible=True, excludes=("connlimit-above",)),
    Option("connlimit-above", integer(), invertible=True, excludes=("connlimit-upto",)),
    Option("connlimit-mask", length_or_mask),
    Option("connlimit-saddr", excludes=("connlimit-daddr",)),
    Option("connlimit-daddr", excludes=("connlimit-saddr",)),
)


FLOW_MATCHES = (
    Extension(
        "conntrack", "conntrack state, status, tuples, expiry and direction", _CT_OPTIONS, _conntrack,
        _conntrack_text, ConntrackMatch,
    ),
    Extension(
        "state", "conntrack state", (Option("state", _state_set(CT_STATES[:5], "state"), invertible=True,
        required=True),),
        _state, _conntrack_text, ConntrackMatch,
    ),
    Extension(
        "connmark", "the connection's mark", (Option("mark", mark, invertible=True, required=True),), _mark,
        _mark_text, MarkMatch,
    ),
    Extension(
        "mark", "the packet's mark", (Option("mark", mark, invertible=True, required=True),), _mark, _mark_text,
        MarkMatch,
    ),
    Extension(
        "connbytes", "packets, bytes or average size so far of a connection",
        (
            Option("connbytes", _low_and_high, invertible=True, required=True),
            Option("connbytes-dir", _word("connbytes-dir", ("original", "reply", "both")), required=True),
            Option("connbytes-mode", _word("connbytes-mode", ("packets", "bytes", "avgpkt")), required=True),
        ),
        _connbytes, _connbytes_text, ConnbytesMatch,
    ),
    Extension(
        "connlimit", "how many connections an address or network has", _CONNLIMIT_OPTIONS, _connlimit,
        _connlimit_text, ConnlimitMatch,
    ),
    Extension(
        "helper", "the conntrack helper of the connection",
        (Option("helper", string(29), invertible=True, required=True),),
        lambda given: HelperMatch(given.value("helper", ""), given.inverted("helper")),
        lambda value: spelled("helper", quote(value.helper), inverted=value.inverted), HelperMatch,
    ),
)  # fmt: skip
