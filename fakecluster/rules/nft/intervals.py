"""Ranges of values: in which order nft lists members, which it merges, how a range is written.

Source: nft's interval code and `list_expr_sort`: plain values are sorted as numbers in their own byte order, members of
one type that are ranges are merged when they touch, concatenations stay as they were given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fakecluster.rules.nft.datatypes import Datatype
from fakecluster.rules.nft.expressions import Concat, Const, Element, Expression, Prefix, Range

_PREFIX_KINDS = frozenset(("address4", "address6"))
Types = Sequence[tuple[Datatype, int]]


def bounds(key: Expression, bits: int) -> tuple[int, int]:
    """The lowest and highest value of a member of one type (names count as their bytes, padded to 16)."""
    if isinstance(key, Const):
        return _const_bounds(key)
    if isinstance(key, Prefix):
        free = (bits or key.datatype.bits) - key.length
        return key.raw, key.raw | (1 << free) - 1
    if isinstance(key, Range):
        return key.low, key.high
    raise TypeError(f"{key!r} is no constant")


def _const_bounds(key: Const) -> tuple[int, int]:
    if isinstance(key.raw, int):
        return key.raw, key.raw
    if key.raw.endswith("*"):
        name = key.raw[:-1].encode()
        free = 8 * (16 - len(name))
        low = int.from_bytes(name) << free
        return low, low | (1 << free) - 1
    low = int.from_bytes(key.raw.encode()[:16].ljust(16, b"\0"))
    return low, low


def written(datatype: Datatype, bits: int, low: int, high: int) -> Expression:
    """The shortest way in which nft writes a range of values."""
    if datatype.kind == "string":
        return _name_range(datatype, low, high)
    if low == high:
        return Const(datatype, low)
    size = high - low + 1
    if datatype.kind in _PREFIX_KINDS and not size & size - 1 and not low & size - 1:
        return Prefix(datatype, low, (bits or datatype.bits) - (size.bit_length() - 1))
    return Range(datatype, low, high)


def _name_range(datatype: Datatype, low: int, high: int) -> Expression:
    name = low.to_bytes(16).rstrip(b"\0").decode(errors="replace")
    return Const(datatype, name if low == high else name + "*")


def order(key: Expression) -> int:
    """What plain members are sorted by."""
    if not isinstance(key, Const):
        return 0
    if isinstance(key.raw, int):
        return key.raw
    return int.from_bytes(key.raw.encode()[:16], "little")


def merged(elements: Iterable[Element], types: Types, *, interval: bool) -> list[Element]:
    """Members of an anonymous set or map as nft lists them."""
    members = [element for element in elements if element.key is not None]
    rest = [element for element in elements if element.key is None][:1]
    if len(types) > 1:
        return _distinct(_tidied(element, types) for element in members) + rest
    if not interval:
        distinct = _distinct(members)
        if all(isinstance(element.key, Const) for element in distinct):
            distinct.sort(key=lambda element: order(element.key))  # type: ignore[arg-type]
        return distinct + rest
    return merge_ranges(members, *types[0]) + rest


def merge_ranges(members: Iterable[Element], datatype: Datatype, bits: int) -> list[Element]:
    """Ranges sorted, those with the same answer that touch or overlap made one."""
    spans: list[tuple[int, int, Element]] = sorted(
        ((*bounds(element.key, bits), element) for element in members if element.key is not None),
        key=lambda span: span[:2],
    )
    result: list[tuple[int, int, Element]] = []
    for low, high, element in spans:
        if result and low <= result[-1][1] + 1 and result[-1][2].data == element.data and element.data is None:
            previous = result[-1]
            result[-1] = (previous[0], max(previous[1], high), previous[2])
        else:
            result.append((low, high, element))
    return [
        Element(written(datatype, bits, low, high), element.data, element.comment, element.timeout_ms)
        for low, high, element in result
    ]


def _tidied(element: Element, types: Types) -> Element:
    """A concatenation with every part written as nft would."""
    if not isinstance(element.key, Concat):
        return element
    parts = tuple(
        written(datatype, bits, *bounds(part, bits)) if isinstance(part, Range) else part
        for part, (datatype, bits) in zip(element.key.parts, types, strict=True)
    )
    return Element(Concat(parts), element.data, element.comment, element.timeout_ms)


def _distinct(elements: Iterable[Element]) -> list[Element]:
    seen: dict[Expression | None, Element] = {}
    for element in elements:
        seen.setdefault(element.key, element)
    return list(seen.values())
