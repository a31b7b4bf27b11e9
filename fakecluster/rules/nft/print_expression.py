"""Expressions back to text, as `nft list ruleset` of nft 1.0.6 writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.rules.nft.datatypes import Datatype, Raw, show, show_end, show_time_ms
from fakecluster.rules.nft.expressions import (
    AnonymousSet,
    Bitwise,
    Concat,
    Const,
    Ct,
    Element,
    Exthdr,
    Fib,
    Hash,
    MapLookup,
    Meta,
    Numgen,
    Payload,
    Prefix,
    Range,
    Rt,
    SetRef,
    Shift,
    Socket,
    TcpOption,
    Verdict,
    width,
)  # fmt: skip
from fakecluster.rules.nft.selectors import UNQUALIFIED


def expression(value: Any) -> str:
    """The text of any expression."""
    return _PRINTERS[type(value)](value)


def _const(value: Const) -> str:
    return constant(value.raw, value.datatype)


def constant(raw: Raw, datatype: Datatype) -> str:
    """A single value; flags within sets are joined by bars."""
    if datatype.kind == "bitmask" and isinstance(raw, int):
        return show(raw, datatype).replace(",", " | ")
    return show(raw, datatype)


def _prefix(value: Prefix) -> str:
    return f"{show(value.raw, value.datatype)}/{value.length}"


def _range(value: Range) -> str:
    return f"{show_end(value.low, value.datatype)}-{show_end(value.high, value.datatype)}"


def _concat(value: Concat) -> str:
    return " . ".join(expression(part) for part in value.parts)


def verdict(value: Verdict) -> str:
    return f"{value.kind} {value.chain}" if value.chain else value.kind


def _payload(value: Payload) -> str:
    if not value.protocol:
        return f"@{value.field},{value.offset},{value.bits}"
    return f"{value.protocol} {value.field}"


def _meta(value: Meta) -> str:
    return value.key if value.key in UNQUALIFIED else f"meta {value.key}"


def _ct(value: Ct) -> str:
    return f"ct {value.direction} {value.key}" if value.direction else f"ct {value.key}"


def _fib(value: Fib) -> str:
    return f"fib {' . '.join(value.flags)} {'oif' if value.result == 'exists' else value.result}"


def _numgen(value: Numgen) -> str:
    return f"numgen {value.mode} mod {value.modulus}" + (f" offset {value.offset}" if value.offset else "")


def _hash(value: Hash) -> str:
    offset = f" offset {value.offset}" if value.offset else ""
    if value.of is None:
        return f"symhash mod {value.modulus}{offset}"
    seed = f" seed {value.seed:#x}" if value.seed is not None else ""
    return f"jhash {expression(value.of)} mod {value.modulus}{seed}{offset}"


def _socket(value: Socket) -> str:
    return f"socket {value.key}"


def _rt(value: Rt) -> str:
    return f"rt {value.family} {value.key}" if value.family else f"rt {value.key}"


def _tcp_option(value: TcpOption) -> str:
    return f"tcp option {value.option}" + (f" {value.field}" if value.field else "")


def _exthdr(value: Exthdr) -> str:
    return f"{value.header} {value.field}" if value.field else f"exthdr {value.header}"


def operations_of(value: Bitwise) -> list[tuple[str, int, Datatype]]:
    """``(left & mask) ^ xor`` taken apart into &, ^ and | as nft does when it reads it back from the kernel."""
    full = (1 << width(value.left)) - 1
    set_bits = value.xor & ~value.mask & full
    mask, xor = value.mask | set_bits, value.xor & ~set_bits
    datatype = _mask_type(value)
    found = (("&", mask, mask != full), ("^", xor, bool(xor)), ("|", set_bits, bool(set_bits)))
    return [(operator, number, datatype) for operator, number, is_needed in found if is_needed]


def _bitwise(value: Bitwise) -> str:
    text = expression(value.left)
    for operator, number, datatype in operations_of(value):
        text += f" {operator} {_mask(number, datatype)}"
    return text


def _mask(number: int, datatype: Datatype) -> str:
    if datatype.kind != "bitmask":
        return show(number, datatype)
    text = constant(number, datatype)
    return f"({text})" if "|" in text else text


def _mask_type(value: Bitwise) -> Datatype:
    from fakecluster.rules.nft.expressions import datatypes_of

    return datatypes_of(value.left)[0]


def _shift(value: Shift) -> str:
    return f"{expression(value.left)} {value.operator} {value.count}"


def _set_reference(value: SetRef) -> str:
    return f"@{value.name}"


def anonymous(value: AnonymousSet) -> str:
    return f"{{ {', '.join(element(member) for member in value.elements)} }}"


def _lookup(value: MapLookup) -> str:
    return f"{expression(value.key)} map {expression(value.source)}"


def element(value: Element) -> str:
    """A member of a set or map with everything that hangs on it."""
    from fakecluster.rules.nft.print_statement import statement

    parts = ["*" if value.key is None else expression(value.key)]
    parts += [statement(each, "ip") for each in value.statements]
    if value.timeout_ms:
        parts.append(f"timeout {show_time_ms(value.timeout_ms)}")
    if value.expires_ms:
        parts.append(f"expires {show_time_ms(value.expires_ms)}")
    if value.comment:
        parts.append(f'comment "{value.comment}"')
    if value.data is not None:
        parts.append(f": {expression(value.data)}")
    return " ".join(parts)


_PRINTERS: dict[type, Callable[[Any], str]] = {
    Const: _const,
    Prefix: _prefix,
    Range: _range,
    Concat: _concat,
    Verdict: verdict,
    Payload: _payload,
    Meta: _meta,
    Ct: _ct,
    Fib: _fib,
    Numgen: _numgen,
    Hash: _hash,
    Socket: _socket,
    Rt: _rt,
    TcpOption: _tcp_option,
    Exthdr: _exthdr,
    Bitwise: _bitwise,
    Shift: _shift,
    SetRef: _set_reference,
    AnonymousSet: anonymous,
    MapLookup: _lookup,
}
