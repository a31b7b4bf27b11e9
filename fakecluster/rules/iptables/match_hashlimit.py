"""The hashlimit match (extensions/libxt_hashlimit.c, revision 3): a token bucket per combination of packet fields."""

from __future__ import annotations

import re

import attrs

from fakecluster.rules.iptables.match_rate import period_of, rate_text
from fakecluster.rules.iptables.numbers import U32, bits, number
from fakecluster.rules.iptables.option import Extension, Given, Option, Place, integer, string
from fakecluster.rules.iptables.problem import RuleProblem

SCALE = 1_000_000
BYTE_SHIFT = 4
#: how long, in milliseconds, an unused bucket is kept when bytes are counted: without and with a burst
BYTE_EXPIRE, BYTE_EXPIRE_BURST = 15_000, 60_000
BURST_LIMIT = 1_000_000
FIELDS = ("srcip", "srcport", "dstip", "dstport")
_UNITS = (("m", 2**20), ("k", 2**10), ("", 1))
_EXPIRE = {"day": 86_400_000, "hour": 3_600_000, "min": 60_000, "sec": 1000}


@attrs.frozen
class HashlimitMatch:
    """hashlimit: `cost` is the period in microseconds or, `by_bytes`, the kernel's cost of 16 bytes."""

    name: str
    above: bool
    cost: int
    burst: int
    by_bytes: bool
    mode: tuple[str, ...]
    size: int
    maximum: int
    gc_interval: int
    expire: int
    srcmask: int
    dstmask: int
    rate_match: bool
    interval: int
    family: int


def bytes_to_cost(count: int) -> int:
    return U32 // ((count >> BYTE_SHIFT) + 1)


def cost_to_bytes(cost: int) -> int:
    return ((U32 // cost if cost else U32) - 1) << BYTE_SHIFT


def _rate(text: str, place: Place) -> tuple[int, bool, int]:
    """(cost, by bytes, expiry in ms) of `3/sec` or `10kb/s`."""
    found = re.match(r"(\d+)([km]?)b/s", text)
    if found and (amount := number(found[1], 1, 2**32)):
        cost = bytes_to_cost(amount * {"": 1, "k": 1024, "m": 1024**2}[found[2]])
        if not cost:
            raise RuleProblem(f'Rate too high "{text}"', token=text)
        return cost, True, BYTE_EXPIRE
    period = period_of(text, SCALE)
    if not period:
        raise RuleProblem(f'hashlimit: Bad value for "--{place.option}" option: "{text}"', token=text)
    unit = text.partition("/")[2].lower() or "s"
    return period, False, next(length for name, length in _EXPIRE.items() if name.startswith(unit[:1]))


def _burst(text: str, place: Place) -> tuple[int, bool]:
    found = re.fullmatch(r"(\d+)([km]?)b", text)
    if found and len(found[1]) < 16:
        return int(found[1]) * {"": 1, "k": 1024, "m": 1024**2}[found[2]], True
    value = number(text, 1, BURST_LIMIT)
    if value is None:
        words = f'bad value for option "--hashlimit-burst", or out of range (1-{BURST_LIMIT}).'
        raise RuleProblem(words, token=text)
    return value, False


def _mode(text: str, place: Place) -> tuple[str, ...]:
    chosen = text.split(",")
    if any(name not in FIELDS for name in chosen):
        raise RuleProblem(f'hashlimit: Bad value for "--{place.option}" option: "{text}"', token=text)
    return tuple(name for name in FIELDS if name in chosen)


def _prefix(text: str, place: Place) -> int:
    value = number(text, 0, bits(place.family))
    if value is None:
        raise place.bad(0, bits(place.family))
    return value


def _bursts(given: Given, cost: int, by_bytes: bool, expire: int) -> tuple[int, int]:
    """The burst as stored (packets, or multiples of the rate in bytes) and the default expiry."""
    burst, _in_bytes = given.value("hashlimit-burst", (0 if by_bytes else 5, False))
    if not by_bytes:
        return burst, expire
    if not given.has("hashlimit-burst"):
        return 0, expire
    rate = cost_to_bytes(cost)
    if burst < rate:
        raise RuleProblem(f"burst cannot be smaller than {rate}b")
    return -(-burst // rate), BYTE_EXPIRE_BURST


def _build(given: Given) -> HashlimitMatch:
    name = "hashlimit-above" if given.has("hashlimit-above") else "hashlimit-upto"
    if not given.has(name):
        raise RuleProblem("You have to specify --hashlimit")
    cost, by_bytes, expire = given.value(name, (0, False, 0))
    burst, expire = _bursts(given, cost, by_bytes, expire)
    return HashlimitMatch(
        name=given.value("hashlimit-name", ""),
        above=(name == "hashlimit-above") != given.inverted(name),
        cost=cost,
        burst=burst,
        by_bytes=by_bytes,
        mode=given.value("hashlimit-mode", ()),
        size=given.value("hashlimit-htable-size", 0),
        maximum=given.value("hashlimit-htable-max", 0),
        gc_interval=given.value("hashlimit-htable-gcinterval", 1000),
        expire=given.value("hashlimit-htable-expire", expire),
        srcmask=given.value("hashlimit-srcmask", bits(given.family)),
        dstmask=given.value("hashlimit-dstmask", bits(given.family)),
        rate_match=given.has("hashlimit-rate-match"),
        interval=given.value("hashlimit-rate-interval", 1),
        family=given.family,
    )


def rate_words(value: HashlimitMatch) -> tuple[str, str, int]:
    """(rate, burst or "", expiry of that unit in ms) as they are printed."""
    if value.by_bytes:
        return _byte_words(value)
    rate = rate_text(value.cost, SCALE)
    return rate, str(value.burst), _EXPIRE[rate.partition("/")[2]]


def bucket_words(value: HashlimitMatch, quantum: int) -> list[tuple[str, int]]:
    """(option, number) of the table's properties that are not the default; `quantum` is the default expiry."""
    width = bits(value.family)
    properties = (
        ("htable-size", value.size, 0), ("htable-max", value.maximum, 0),
        ("htable-gcinterval", value.gc_interval, 1000), ("htable-expire", value.expire, quantum),
        ("srcmask", value.srcmask, width), ("dstmask", value.dstmask, width),
    )  # fmt: skip
    return [(option, number_) for option, number_, default in properties if number_ != default]


def _byte_words(value: HashlimitMatch) -> tuple[str, str, int]:
    rate = cost_to_bytes(value.cost)
    for name, size in _UNITS:
        if not name or (rate >= size and bytes_to_cost(rate & ~(size - 1)) == value.cost):
            break
    text = f"{rate // size}{name}b/s"
    if not value.burst:
        return text, "", BYTE_EXPIRE
    burst = rate * value.burst
    name, size = next((name, size) for name, size in _UNITS if burst >= size or not name)
    return text, f"{burst // size}{name}b", BYTE_EXPIRE_BURST


def _text(value: HashlimitMatch) -> str:
    rate, burst, quantum = rate_words(value)
    text = f" --hashlimit-{'above' if value.above else 'upto'} {rate}"
    text += f" --hashlimit-burst {burst}" if burst else ""
    if value.mode:
        text += f" --hashlimit-mode {','.join(value.mode)}"
    text += f" --hashlimit-name {value.name}"
    text += "".join(f" --hashlimit-{option} {number_}" for option, number_ in bucket_words(value, quantum))
    if value.rate_match:
        text += " --hashlimit-rate-match"
        text += f" --hashlimit-rate-interval {value.interval}" if value.interval != 1 else ""
    return text


_OPTIONS = (
    Option("hashlimit-upto", _rate, invertible=True, excludes=("hashlimit-above",), aliases=("hashlimit",)),
    Option("hashlimit-above", _rate, invertible=True, excludes=("hashlimit-upto",)),
    Option("hashlimit-burst", _burst),
    Option("hashlimit-mode", _mode),
    Option("hashlimit-name", string(254, 1), required=True),
    Option("hashlimit-htable-size", integer()),
    Option("hashlimit-htable-max", integer()),
    Option("hashlimit-htable-gcinterval", integer()),
    Option("hashlimit-htable-expire", integer()),
    Option("hashlimit-srcmask", _prefix),
    Option("hashlimit-dstmask", _prefix),
    Option("hashlimit-rate-match"),
    Option("hashlimit-rate-interval", integer(1)),
)
HASHLIMIT = Extension("hashlimit", "a token bucket per combination of fields", _OPTIONS, _build, _text, HashlimitMatch)
