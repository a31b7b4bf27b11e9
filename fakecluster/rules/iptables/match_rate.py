"""Matches with a memory of their own: limit, quota, statistic, recent, nfacct.

Sources: extensions/libxt_limit.c, libxt_recent.c, libxt_statistic.c and kin.
"""

from __future__ import annotations

import re

import attrs

from fakecluster.rules.iptables.numbers import U64, address_text, bits, mask_of, number
from fakecluster.rules.iptables.option import (
    Extension,
    Given,
    Option,
    Place,
    host,
    integer,
    spelled,
    string,
)
from fakecluster.rules.iptables.problem import RuleProblem

#: fixed point one of the random statistic match
ONE = 2**31


LIMIT_SCALE = 10_000


_PERIODS = (("day", 86400), ("hour", 3600), ("min", 60), ("sec", 1))


@attrs.frozen
class RecentMatch:
    """recent: what to do with the list `name` ("set", "rcheck", "update", "remove") for an address."""

    action: str
    name: str
    mask: int
    family: int
    seconds: int = 0
    reap: bool = False
    hitcount: int = 0
    rttl: bool = False
    by_destination: bool = False
    inverted: bool = False


@attrs.frozen
class StatisticMatch:
    """statistic: random with probability `weight` / 2^31, or every `every`-th packet starting at `packet`."""

    mode: str
    weight: int = 0
    every: int = 0
    packet: int = 0
    inverted: bool = False


LIMIT_BURST = 5


@attrs.frozen
class LimitMatch:
    """limit: one packet per `period` ten-thousandths of a second, bursts of `burst`."""

    period: int
    burst: int


@attrs.frozen
class QuotaMatch:
    """quota: matches until `bytes` have been seen."""

    bytes: int
    inverted: bool = False


@attrs.frozen
class NfacctMatch:
    """nfacct: counts the packet on a named accounting object; always matches."""

    name: str


_RECENT_ACTIONS = ("set", "rcheck", "update", "remove")


RECENT_NAME_LIMIT = 199


#: XT_RECENT_MAX_NSTAMPS - 1
RECENT_HITS_LIMIT = 65535


def _recent(given: Given) -> RecentMatch:
    actions = [name for name in _RECENT_ACTIONS if given.has(name)]
    if not actions:
        raise RuleProblem("recent: you must specify one of `--set', `--rcheck' `--update' or `--remove'")
    seconds, hits = given.value("seconds", 0), given.value("hitcount", 0)
    unasked = actions[0] in ("set", "remove") and (seconds or hits)
    if hits > RECENT_HITS_LIMIT or unasked or "/" in given.value("name", ""):
        raise RuleProblem("RULE_APPEND failed (Invalid argument)", kind="commit")
    if given.has("reap") and not seconds:
        raise RuleProblem('recent: option "--reap" also requires "--seconds".\n')
    return RecentMatch(
        actions[0], given.value("name", "DEFAULT"), given.value("mask", mask_of(bits(given.family), given.family)),
        given.family, seconds, given.has("reap"), hits, given.has("rttl"), given.has("rdest"),
        given.inverted(actions[0]),
    )  # fmt: skip


def _recent_text(value: RecentMatch) -> str:
    text = f"{' !' if value.inverted else ''} --{value.action}"
    if value.seconds:
        text += spelled("seconds", value.seconds)
    text += " --reap" if value.reap else ""
    if value.hitcount:
        text += spelled("hitcount", value.hitcount)
    text += " --rttl" if value.rttl else ""
    mask = address_text(value.mask, value.family)
    return f"{text} --name {value.name} --mask {mask} --{'rdest' if value.by_destination else 'rsource'}"


def _recent_mask(text: str, place: Place) -> int:
    return host(text, place)


_ONLY_ONE = {name: tuple(other for other in _RECENT_ACTIONS if other != name) for name in _RECENT_ACTIONS}


_RECENT_OPTIONS = (
    *(Option(name, invertible=True, excludes=_ONLY_ONE[name]) for name in _RECENT_ACTIONS),
    Option("seconds", integer(1)),
    Option("reap", needs=("seconds",)),
    Option("hitcount", integer()),
    Option("rttl", excludes=("set", "remove")),
    Option("name", string(RECENT_NAME_LIMIT, 1)),
    Option("mask", _recent_mask),
    Option("rsource", excludes=("rdest",)),
    Option("rdest", excludes=("rsource",)),
)


def _probability(text: str, place: Place) -> int:
    if not re.fullmatch(r"\s*\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", text) or len(text) > 64:
        raise RuleProblem(
            f'{place.extension}: bad value for option "--probability", or out of range (0-1).\n', token=text
        )
    value = float(text)
    if not 0 <= value <= 1:
        raise RuleProblem(
            f'{place.extension}: bad value for option "--probability", or out of range (0-1).\n', token=text
        )
    return round(value * ONE)


def _statistic_mode(text: str, place: Place) -> str:
    if text not in ("random", "nth"):
        raise RuleProblem(f'Bad mode "{text}"', token=text)
    return text


def _statistic(given: Given) -> StatisticMatch:
    mode = given.value("mode", "random")
    if mode == "random":
        if not given.has("probability"):
            raise RuleProblem("--probability must be specified when using random mode")
        return StatisticMatch(mode, given.value("probability", 0), inverted=given.inverted("probability"))
    if not given.has("every"):
        raise RuleProblem("--every must be specified when using nth mode")
    every, packet = given.value("every", 1), given.value("packet", 0)
    if packet >= every:
        raise RuleProblem("the --packet p must be 0 <= p <= n-1")
    return StatisticMatch(mode, every=every, packet=packet, inverted=given.inverted("every"))


def _statistic_text(value: StatisticMatch) -> str:
    if value.mode == "random":
        shown = f"{value.weight / ONE:.11f}"
        return " --mode random" + spelled("probability", shown, inverted=value.inverted)
    return " --mode nth" + spelled("every", value.every, inverted=value.inverted) + spelled("packet", value.packet)


_STATISTIC_OPTIONS = (
    Option("mode", _statistic_mode, required=True),
    Option("probability", _probability, invertible=True, excludes=("every", "packet")),
    Option("every", integer(1), invertible=True, needs=("packet",), excludes=("probability",)),
    Option("packet", integer(0), needs=("every",), excludes=("probability",)),
)


def period_of(text: str, scale: int) -> int | None:
    """`3/sec` as the time between two packets, in fractions of `scale` of a second."""
    count, slash, unit = text.partition("/")
    length = 1
    if slash:
        if not unit:
            return None
        for name in ("second", "minute", "hour", "day"):
            if name.startswith(unit.lower()):
                length = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}[name]
                break
        else:
            return None
    amount = number(count, 1) if count.isdigit() else None
    if not amount:
        return None
    if amount // length > scale:
        raise RuleProblem(f'Rate too fast "{text}"', token=text)
    return scale * length // amount


def rate_text(period: int, scale: int) -> str:
    """The inverse of reading a rate: the longest unit that expresses it well (print_rate())."""
    index = 1
    lengths = [scale * seconds for _name, seconds in _PERIODS]
    while index < len(lengths) and not (period > lengths[index] or lengths[index] // period < lengths[index] % period):
        index += 1
    return f"{lengths[index - 1] // period}/{_PERIODS[index - 1][0]}"


def _limit_rate(text: str, place: Place) -> int:
    period = period_of(text, LIMIT_SCALE)
    if not period:
        raise RuleProblem(f'bad rate "{text}"\'', token=text)
    return period


def _limit(given: Given) -> LimitMatch:
    return LimitMatch(given.value("limit", _PERIODS[1][1] // 3 * LIMIT_SCALE), given.value("limit-burst", LIMIT_BURST))


def _limit_text(value: LimitMatch) -> str:
    burst = "" if value.burst == LIMIT_BURST else spelled("limit-burst", value.burst)
    return spelled("limit", rate_text(value.period, LIMIT_SCALE)) + burst


_ACCOUNT_NAME_LIMIT = 31


RATE_MATCHES = (
    Extension(
        "recent", "addresses seen lately, by named list", _RECENT_OPTIONS, _recent, _recent_text, RecentMatch,
    ),
    Extension(
        "statistic", "every n-th packet, or a fraction k/2^31 of them", _STATISTIC_OPTIONS, _statistic,
        _statistic_text, StatisticMatch,
    ),
    Extension(
        "limit", "a token bucket per rule",
        (Option("limit", _limit_rate), Option("limit-burst", integer(0, 10000))), _limit, _limit_text, LimitMatch,
    ),
    Extension(
        "quota", "a byte quota per rule", (Option("quota", integer(0, U64), invertible=True, required=True),),
        lambda given: QuotaMatch(given.value("quota", 0), given.inverted("quota")),
        lambda value: spelled("quota", value.bytes, inverted=value.inverted), QuotaMatch,
    ),
    Extension(
        "nfacct", "counting on a named accounting object",
        (Option("nfacct-name", string(_ACCOUNT_NAME_LIMIT, 1), required=True),),
        lambda given: NfacctMatch(given.value("nfacct-name", "")),
        lambda value: f" --nfacct-name  {value.name}", NfacctMatch,
    ),
)  # fmt: skip
