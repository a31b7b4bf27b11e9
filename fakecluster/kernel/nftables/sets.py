"""Sets and maps as the kernel holds them: hash look-ups for plain keys, bisection for ranges.

A key is an int or str, or a tuple of them for a concatenation. Ranges of one type are kept sorted and found by
bisection; concatenations with ranges are grouped by which of their parts are exact, looked up by these, and then
compared (nft_set_hash, nft_set_rbtree, nft_set_pipapo). Elements may expire: that is seen when they are looked at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from fakecluster.rules.nft.expressions import Concat, Const, Element, Expression
from fakecluster.rules.nft.intervals import bounds
from fakecluster.rules.nft.objects import SetSpec

Key = Any  # int | str | tuple[int | str, ...]; a pair (low, high) per part in sets of ranges


class SetState:
    """A named (or anonymous) set: its elements by key, and what hangs on some of them.

    `elements`: key -> Element; `expires`: key -> virtual time in ns; `states`: key -> running values of the
    element's counters and limits.
    """

    __slots__ = ("catch_all", "elements", "expires", "groups", "handle", "interval", "lows", "owner", "spec", "states")

    def __init__(self, spec: SetSpec, handle: int, owner: object) -> None:
        self.spec, self.handle, self.owner = spec, handle, owner
        self.interval = "interval" in spec.flags
        self.elements: dict[Key, Element] = {}
        self.expires: dict[Key, int] = {}
        self.states: dict[Key, list[list[int]]] = {}
        self.catch_all: Element | None = None
        self.lows: list[tuple[int, int]] | None = None
        self.groups: dict[tuple[bool, ...], dict[Key, list[Key]]] | None = None

    def copy(self, owner: object) -> SetState:
        twin = SetState(self.spec, self.handle, owner)
        twin.elements, twin.expires = self.elements.copy(), self.expires.copy()
        twin.states = {key: [values.copy() for values in found] for key, found in self.states.items()}
        twin.catch_all, twin.lows, twin.groups = self.catch_all, self.lows, self.groups
        return twin

    def key_of(self, expression: Expression) -> Key:
        """The key under which an element with this expression is kept."""
        if not self.interval:
            return plain_key(expression)
        bits = self.spec.key_bits
        if isinstance(expression, Concat):
            return tuple(bounds(part, width) for part, width in zip(expression.parts, bits, strict=True))
        return bounds(expression, bits[0])

    def put(self, key: Key, element: Element) -> None:
        self.elements[key] = element
        self.lows = self.groups = None

    def remove(self, key: Key) -> None:
        del self.elements[key]
        self.expires.pop(key, None)
        self.states.pop(key, None)
        self.lows = self.groups = None

    def find(self, key: Key, now_ns: int) -> Key | None:
        """The stored key that a packet's key falls into, None when there is none that lives."""
        found = self._find(key)
        if found is None:
            return None
        if self.expires:
            expires = self.expires.get(found)
            if expires is not None and expires <= now_ns:
                return None
        return found

    def _find(self, key: Key) -> Key | None:
        if not self.interval:
            return key if key in self.elements else None
        if len(self.spec.key) == 1:
            return self._find_range(key)
        return self._find_concatenation(key)

    def _find_range(self, key: Key) -> Key | None:
        lows = self.lows
        if lows is None:
            lows = self.lows = sorted(self.elements)
        number = key if isinstance(key, int) else name_number(key)
        index = bisect_right(lows, (number, 1 << 129)) - 1
        if index < 0 or lows[index][1] < number:
            return None
        return lows[index]

    def _find_concatenation(self, key: Key) -> Key | None:
        groups = self.groups
        if groups is None:
            groups = self.groups = self._grouped()
        numbers = tuple(part if isinstance(part, int) else name_number(part) for part in key)
        for exact, members in groups.items():
            fixed = tuple(number for number, is_exact in zip(numbers, exact, strict=True) if is_exact)
            for candidate in members.get(fixed, ()):
                if all(low <= number <= high for number, (low, high) in zip(numbers, candidate, strict=True)):
                    return candidate
        return None

    def _grouped(self) -> dict[tuple[bool, ...], dict[Key, list[Key]]]:
        groups: dict[tuple[bool, ...], dict[Key, list[Key]]] = {}
        for key in self.elements:
            exact = tuple(low == high for low, high in key)
            fixed = tuple(low for low, high in key if low == high)
            groups.setdefault(exact, {}).setdefault(fixed, []).append(key)
        return groups

    def overlapping(self, key: Key) -> Key | None:
        """A stored range (of one type) that shares values with `key`."""
        lows = self.lows
        if lows is None:
            lows = self.lows = sorted(self.elements)
        index = bisect_right(lows, (key[1], 1 << 129)) - 1
        if index >= 0 and lows[index][1] >= key[0]:
            return lows[index]
        return None

    def targets(self) -> list[str]:
        """The chains that a verdict map leads to."""
        found = [*self.elements.values(), *([self.catch_all] if self.catch_all is not None else ())]
        return [chain for element in found if (chain := getattr(element.data, "chain", ""))]

    def live(self, now_ns: int) -> Iterator[tuple[Key, Element]]:
        """All elements that have not expired."""
        for key, element in self.elements.items():
            expires = self.expires.get(key)
            if expires is None or expires > now_ns:
                yield key, element

    def drop_expired(self, now_ns: int) -> None:
        """Forget the elements whose time is over (the kernel's garbage collection)."""
        for key in [key for key, expires in self.expires.items() if expires <= now_ns]:
            self.remove(key)


def plain_key(expression: Expression) -> Key:
    """The key of an element without ranges."""
    if isinstance(expression, Concat):
        return tuple(part.raw for part in expression.parts if isinstance(part, Const))
    assert isinstance(expression, Const), expression
    return expression.raw


def name_number(name: str) -> int:
    """An interface name as the kernel compares it: sixteen bytes."""
    return int.from_bytes(name.encode()[:16].ljust(16, b"\0"))
