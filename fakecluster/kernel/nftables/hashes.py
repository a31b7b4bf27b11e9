"""jhash and symhash. jhash is Bob Jenkins' lookup3 as in include/linux/jhash.h; nft_hash.c scales it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fakecluster.kernel.nftables.program import Value
from fakecluster.rules.nft.datatypes import Datatype
from fakecluster.rules.nft.expressions import Concat, Expression, datatypes_of, width

if TYPE_CHECKING:
    from fakecluster.kernel.nftables.program import Packet

_M = 0xFFFFFFFF
_INITIAL = 0xDEADBEEF
Sizes = Sequence[tuple[int, bool]]


def sizes(expression: Expression) -> list[tuple[int, bool]]:
    """(bytes, whether in host order) of each part of a key."""
    parts = expression.parts if isinstance(expression, Concat) else (expression,)
    found: list[tuple[int, bool]] = []
    for part in parts:
        datatype: Datatype = datatypes_of(part)[0]
        found.append((((width(part) or 32) + 7) // 8, datatype.order == "host"))
    return found


def registers(value: Value, layout: Sizes) -> bytes:
    """The bytes of a key as they stand in the kernel's registers: each part padded to four bytes."""
    parts = value if isinstance(value, tuple) else (value,)
    out = bytearray()
    for index, (part, (size, host)) in enumerate(zip(parts, layout, strict=True)):
        raw = (
            part.encode().ljust(size, b"\0")
            if isinstance(part, str)
            else part.to_bytes(size, "little" if host else "big")
        )
        out += raw
        if index < len(layout) - 1:
            out += bytes(-len(raw) % 4)
    return bytes(out)


def _rol(value: int, count: int) -> int:
    return (value << count | value >> 32 - count) & _M


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = (a - c & _M) ^ _rol(c, 4)
    c = c + b & _M
    b = (b - a & _M) ^ _rol(a, 6)
    a = a + c & _M
    c = (c - b & _M) ^ _rol(b, 8)
    b = b + a & _M
    a = (a - c & _M) ^ _rol(c, 16)
    c = c + b & _M
    b = (b - a & _M) ^ _rol(a, 19)
    a = a + c & _M
    c = (c - b & _M) ^ _rol(b, 4)
    b = b + a & _M
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    c = (c ^ b) - _rol(b, 14) & _M
    a = (a ^ c) - _rol(c, 11) & _M
    b = (b ^ a) - _rol(a, 25) & _M
    c = (c ^ b) - _rol(b, 16) & _M
    a = (a ^ c) - _rol(c, 4) & _M
    b = (b ^ a) - _rol(a, 14) & _M
    return (c ^ b) - _rol(b, 24) & _M


def jhash(data: bytes, seed: int) -> int:
    """jhash() of the bytes."""
    a = b = c = _INITIAL + len(data) + seed & _M
    at, left = 0, len(data)
    while left > 12:
        a = a + int.from_bytes(data[at : at + 4], "little") & _M
        b = b + int.from_bytes(data[at + 4 : at + 8], "little") & _M
        c = c + int.from_bytes(data[at + 8 : at + 12], "little") & _M
        a, b, c = _mix(a, b, c)
        at, left = at + 12, left - 12
    if not left:
        return c
    tail = data[at:].ljust(12, b"\0")
    a = a + int.from_bytes(tail[:4], "little") & _M
    b = b + int.from_bytes(tail[4:8], "little") & _M
    c = c + int.from_bytes(tail[8:], "little") & _M
    return _final(a, b, c)


def scaled(number: int, modulus: int) -> int:
    """reciprocal_scale(): a 32-bit number brought into [0, modulus)."""
    return number * modulus >> 32


def symmetric(packet: Packet, modulus: int) -> int:
    """symhash: the same number for both directions of a flow, otherwise arbitrary (the kernel's key is random)."""
    skb = packet.skb
    ends = tuple(sorted(((skb.src, skb.sport), (skb.dst, skb.dport))))
    netns = packet.ruleset.netns
    return packet.ruleset.flow_choice(
        (skb.proto, ends, modulus), lambda: netns.choices.pick([1] * modulus, f"symhash mod {modulus}")
    )
