"""What a rule computes with: constants, header fields, metadata, sets. All values are typed and never change.

Every expression knows its data type; `width` gives its size in bits, as keys and registers are sized. Elements and what
they are made of come by the hundred thousand; attrs does not watch over these, which halves the time to make them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fakecluster.rules.nft.datatypes import Datatype, Raw

if TYPE_CHECKING:
    from fakecluster.rules.nft.statements import Statement


@attrs.frozen
class Const:
    """One value: an int, or a str for interface names (a trailing ``*`` is a wildcard)."""

    datatype: Datatype
    raw: Raw


@attrs.frozen
class Prefix:
    """An address or number with only its first `length` bits given."""

    datatype: Datatype
    raw: int
    length: int


@attrs.frozen
class Range:
    """All values from `low` to `high`, both included."""

    datatype: Datatype
    low: int
    high: int


@attrs.define(unsafe_hash=True)
class Concat:
    """Several expressions or values one after the other: ``ip daddr . tcp dport``."""

    parts: tuple[Expression, ...]


@attrs.define(unsafe_hash=True)
class Verdict:
    """What a verdict map answers: `kind` is accept, drop, continue, return, jump or goto."""

    kind: str
    chain: str = ""


@attrs.frozen
class Payload:
    """A header field by name; `base` is link, network or transport; `offset` and `bits` from the header's start."""

    protocol: str
    field: str
    datatype: Datatype
    base: str
    offset: int
    bits: int


@attrs.frozen
class Meta:
    """Metadata of the packet (``meta mark``, ``iifname``)."""

    key: str
    datatype: Datatype
    bits: int


@attrs.frozen
class Ct:
    """Something about the packet's conntrack entry; `direction` is "", original or reply."""

    key: str
    direction: str
    datatype: Datatype
    bits: int


@attrs.frozen
class Fib:
    """A question to the routing table: `flags` out of saddr, daddr, mark, iif, oif; `result` oif, oifname or type."""

    flags: tuple[str, ...]
    result: str
    datatype: Datatype
    bits: int


@attrs.frozen
class Numgen:
    """``numgen inc|random mod N offset O``."""

    mode: str
    modulus: int
    offset: int
    datatype: Datatype


@attrs.frozen
class Hash:
    """``jhash EXPR mod N seed S offset O`` or ``symhash mod N offset O`` (then `of` is None)."""

    of: Expression | None
    modulus: int
    seed: int | None
    offset: int
    datatype: Datatype


@attrs.frozen
class Socket:
    """``socket transparent|mark|wildcard``."""

    key: str
    datatype: Datatype
    bits: int


@attrs.frozen
class Rt:
    """``rt classid|nexthop|mtu|ipsec``; `family` is "", ip or ip6."""

    key: str
    family: str
    datatype: Datatype
    bits: int


@attrs.frozen
class TcpOption:
    """A field of a TCP option, or with `field` empty whether the option is there at all."""

    option: str
    field: str
    kind: int
    datatype: Datatype
    offset: int
    bits: int


@attrs.frozen
class Exthdr:
    """A field of an IPv6 extension header, or with `field` empty whether the header is there."""

    header: str
    field: str
    protocol: int
    datatype: Datatype
    offset: int
    bits: int


@attrs.frozen
class Bitwise:
    """``(left & mask) ^ xor``: every combination of and, or, xor with constants is one of these."""

    left: Expression
    mask: int
    xor: int


@attrs.frozen
class Shift:
    """``left << count`` or ``>>``."""

    left: Expression
    operator: str
    count: int


@attrs.frozen
class SetRef:
    """A named set or map of the rule's table."""

    name: str


@attrs.define(unsafe_hash=True)
class Element:
    """One member of a set or map. Times in milliseconds; `statements` as of elements with counters or limits.

    `key` None is the catch-all element ``*``.
    """

    key: Expression | None
    data: Expression | None = None
    comment: str = ""
    timeout_ms: int = 0
    expires_ms: int = 0
    statements: tuple[Statement, ...] = ()
    flag_end: bool = False


@attrs.frozen
class AnonymousSet:
    """``{ ... }`` within a rule; `interval` when some member is a range or prefix."""

    elements: tuple[Element, ...]
    interval: bool = False


@attrs.frozen
class MapLookup:
    """``KEY map @m`` or ``KEY map { ... }`` as a value; `datatype` is that of the answer."""

    key: Expression
    source: SetRef | AnonymousSet
    datatype: Datatype


Selector = Payload | Meta | Ct | Fib | Numgen | Hash | Socket | Rt | TcpOption | Exthdr
Expression = (
    Const | Prefix | Range | Concat | Verdict | Payload | Meta | Ct | Fib | Numgen | Hash | Socket | Rt | TcpOption
    | Exthdr | Bitwise | Shift | SetRef | AnonymousSet | MapLookup
)  # fmt: skip
SELECTORS = (Payload, Meta, Ct, Fib, Numgen, Hash, Socket, Rt, TcpOption, Exthdr)


def datatypes_of(expression: Expression) -> tuple[Datatype, ...]:
    """The data types of an expression: one, or one for each part of a concatenation."""
    if isinstance(expression, Concat):
        return tuple(datatype for part in expression.parts for datatype in datatypes_of(part))
    if isinstance(expression, Bitwise | Shift):
        return datatypes_of(expression.left)
    if isinstance(expression, Verdict | SetRef | AnonymousSet):
        raise TypeError(f"{expression!r} has no data type")
    return (expression.datatype,)


def width(expression: Expression) -> int:
    """Bits of an expression's value (0: as its type says)."""
    if isinstance(expression, Payload | Meta | Ct | Fib | Socket | Rt | TcpOption | Exthdr):
        return expression.bits
    if isinstance(expression, Bitwise | Shift):
        return width(expression.left)
    if isinstance(expression, Const | Prefix | Range | Numgen | Hash | MapLookup):
        return expression.datatype.bits or 32
    return 0
