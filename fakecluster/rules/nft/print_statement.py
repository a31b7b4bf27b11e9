"""Statements and rules back to text, as `nft list ruleset` of nft 1.0.6 writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.rules.nft import symbols
from fakecluster.rules.nft.datatypes import show
from fakecluster.rules.nft.expressions import Bitwise, Concat, Const, Element, Expression, Verdict, datatypes_of
from fakecluster.rules.nft.objects import Rule
from fakecluster.rules.nft.print_expression import expression, verdict
from fakecluster.rules.nft.statements import (
    Assign,
    ConnLimit,
    Counter,
    Limit,
    Log,
    MapName,
    Match,
    Named,
    Nat,
    Notrack,
    Quota,
    Reject,
    SetUpdate,
    Tproxy,
    Vmap,
)  # fmt: skip

_DEFAULT_PACKET_BURST = 5


def rule(value: Rule, family: str) -> str:
    """One rule on one line, without its handle."""
    parts = [statement(each, family) for each in value.statements if not (isinstance(each, Match) and each.implicit)]
    if value.comment:
        parts.append(f'comment "{value.comment}"')
    return " ".join(parts)


def statement(value: Any, family: str) -> str:
    """One statement; the table's family decides what goes without saying."""
    if isinstance(value, Reject):
        return _reject(value, family)
    if isinstance(value, Nat):
        return _nat(value, family)
    return _PRINTERS[type(value)](value)


def _match(value: Match) -> str:
    left, right, operator = value.left, value.right, value.operator
    if operator in ("any", "none"):
        assert isinstance(right, Const)
        bang = "! " if operator == "none" else ""
        return f"{expression(left)} {bang}{show(right.raw, right.datatype)}"
    if isinstance(right, Const) and right.datatype.kind == "bitmask":
        return _flags(left, operator, right)
    shown = "" if operator == "==" and not _needs_equals(left) else f"{operator} "
    return f"{expression(left)} {shown}{expression(right)}"


def _needs_equals(left: Expression) -> bool:
    return isinstance(left, Bitwise)


def _flags(left: Expression, operator: str, right: Const) -> str:
    if isinstance(left, Bitwise) and not left.xor and left.mask & left.mask - 1 and isinstance(right.raw, int):
        bang = "!= " if operator == "!=" else ""
        mask = show(left.mask, right.datatype)
        return f"{expression(left.left)} {bang}{show(right.raw, right.datatype)} / {mask}"
    single = isinstance(right.raw, int) and not right.raw & right.raw - 1
    if datatypes_of(left)[0].name == "tcp_flag" and operator == "!=" and not single:
        return f"{expression(left)} != {right.raw:#x}"
    shown = "" if operator == "==" and not single and not isinstance(left, Bitwise) else f"{operator} "
    return f"{expression(left)} {shown}{expression(right)}"


def _vmap(value: Vmap) -> str:
    return f"{expression(value.key)} vmap {expression(value.source)}"


def _counter(value: Counter) -> str:
    return f"counter packets {value.packets} bytes {value.bytes}"


def amount(number: int) -> tuple[int, str]:
    """Bytes in the largest unit that divides them."""
    for unit, size in (("mbytes", 1 << 20), ("kbytes", 1 << 10)):
        if number and not number % size:
            return number // size, unit
    return number, "bytes"


def limit(value: Limit) -> str:
    over = "over " if value.over else ""
    if value.kind == "packets":
        burst = f" burst {value.burst} packets" if value.burst != _DEFAULT_PACKET_BURST else ""
        return f"limit rate {over}{value.rate}/{value.unit}{burst}"
    number, unit = amount(value.rate)
    burst = ""
    if value.burst:
        burst_number, burst_unit = amount(value.burst)
        burst = f" burst {burst_number} {burst_unit}"
    return f"limit rate {over}{number} {unit}/{value.unit}{burst}"


def quota(value: Quota) -> str:
    number, unit = amount(value.limit)
    text = f"quota {'over ' if value.over else ''}{number} {unit}"
    if value.used:
        used, used_unit = amount(value.used)
        text += f" used {used} {used_unit}"
    return text


def _connlimit(value: ConnLimit) -> str:
    return f"ct count {'over ' if value.over else ''}{value.count}"


def _named(value: Named) -> str:
    if isinstance(value.name, MapName):
        return f"{value.kind} name {expression(value.name.key)} map {expression(value.name.source)}"
    return f'{value.kind} name "{value.name}"'


def _log(value: Log) -> str:
    parts = ["log"]
    if value.prefix:
        parts.append(f'prefix "{value.prefix}"')
    for word, number in (
        ("group", value.group),
        ("snaplen", value.snaplen),
        ("queue-threshold", value.queue_threshold),
    ):
        if number is not None:
            parts.append(f"{word} {number}")
    if value.level:
        parts.append(f"level {value.level}")
    parts += _log_flags(value.flags)
    return " ".join(parts)


def _log_flags(flags: tuple[str, ...]) -> list[str]:
    if "all" in flags:
        return ["flags all"]
    found = []
    tcp = [flag.partition(" ")[2] for flag in flags if flag.startswith("tcp ")]
    if tcp:
        found.append(f"flags tcp {','.join(word for word in ('sequence', 'options') if word in tcp)}")
    if "ip options" in flags:
        found.append("flags ip options")
    found += [f"flags {flag}" for flag in ("skuid", "ether") if flag in flags]
    return found


_CODES = {"icmp": symbols.ICMP_CODE, "icmpv6": symbols.ICMPV6_CODE, "icmpx": symbols.ICMPX_CODE}
_DEFAULT_CODE = {"ip": ("icmp", 3), "ip6": ("icmpv6", 4), "inet": ("icmpx", 1)}


def _reject(value: Reject, family: str) -> str:
    if value.kind == "tcp":
        return "reject with tcp reset"
    if (value.kind, value.code) == _DEFAULT_CODE[family]:
        return "reject"
    return "reject with {} {}".format(*reject_words(value))


def reject_words(value: Reject) -> tuple[str, str]:
    """("icmp", "host-unreachable"), or ("tcp reset", "")."""
    if value.kind == "tcp":
        return "tcp reset", ""
    codes = _CODES[value.kind]
    return value.kind, next((word for word, number in codes.items() if number == value.code), str(value.code))


def _nat(value: Nat, family: str) -> str:
    parts = [value.kind]
    if value.family:
        parts.append(value.family)
    if isinstance(value.address, Concat):
        parts.append("addr . port")
    if value.address is not None or value.port is not None:
        parts.append("to")
        parts.append(_target(value, family))
    if value.flags:
        parts.append(",".join(value.flags))
    return " ".join(parts)


def _target(value: Nat, family: str) -> str:
    port = f":{expression(value.port)}" if value.port is not None else ""
    if value.address is None:
        return port
    address = expression(value.address)
    six = value.family == "ip6" or (not value.family and family == "ip6")
    if port and six and isinstance(value.address, Const):
        address = f"[{address}]"
    elif port and six and "-" in address:
        low, _dash, high = address.partition("-")
        address = f"[{low}]-[{high}]"
    return address + port


def _assign(value: Assign) -> str:
    return f"{expression(value.target)} set {expression(value.value)}"


def _notrack(_value: Notrack) -> str:
    return "notrack"


def _update(value: SetUpdate) -> str:
    member = value.element
    shown = [expression(member.key)]
    if member.timeout_ms:
        from fakecluster.rules.nft.datatypes import show_time_ms

        shown.append(f"timeout {show_time_ms(member.timeout_ms)}")
    # the values belong to the elements, so that nft shows none here
    shown += ["counter" if isinstance(each, Counter) else statement(each, "ip") for each in member.statements]
    if member.data is not None:
        shown.append(f": {expression(member.data)}")
    return f"{value.action} @{value.name} {{ {' '.join(shown)} }}"


def _tproxy(value: Tproxy) -> str:
    family = f" {value.family}" if value.family else ""
    address = expression(value.address) if value.address is not None else ""
    port = f":{expression(value.port)}" if value.port is not None else ""
    if port and ":" in address:
        address = f"[{address}]"
    return f"tproxy{family} to {address}{port}"


_PRINTERS: dict[type, Callable[[Any], str]] = {
    Match: _match,
    Vmap: _vmap,
    Verdict: verdict,
    Counter: _counter,
    Limit: limit,
    Quota: quota,
    ConnLimit: _connlimit,
    Named: _named,
    Log: _log,
    Assign: _assign,
    Notrack: _notrack,
    SetUpdate: _update,
    Tproxy: _tproxy,
}
__all__ = ["Element", "limit", "quota", "rule", "statement"]
