"""The text of all service ports, in pages: a sync joins pages, and makes only those anew whose service ports changed.

A service port keeps its place when it is rendered again, so that the text of the fixed chains stays as it was but for
the lines that changed. Pages are values: a copy of a node shares them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import attrs

from fakecluster.proxy.iptables.service import ServiceRules
from fakecluster.proxy.view import ServicePortName

#: Service ports on one page: a change costs this many lines joined, and one page's text a sync.
PAGE_SIZE = 64


@attrs.frozen(slots=False, eq=False)
class Page:
    """Some service ports' rules, with what they add up to."""

    rules: Mapping[ServicePortName, ServiceRules]

    @cached_property
    def filter(self) -> str:
        return "".join([rules.filter for rules in self.rules.values()])

    @cached_property
    def shared(self) -> str:
        return "".join([rules.shared for rules in self.rules.values()])

    @cached_property
    def totals(self) -> Totals:
        return Totals.of(self.rules.values())


@attrs.frozen
class Totals:
    """Numbers of rules in the fixed chains of both tables and in Services' own chains; service ports without Pods here.

    `lacks_internal` and `lacks_external` count the service ports whose policy is Local and that have endpoints, but none
    on this node.
    """

    shared: int = 0
    filter: int = 0
    own: int = 0
    lacks_internal: int = 0
    lacks_external: int = 0

    @classmethod
    def of(cls, rules: Iterable[ServiceRules]) -> Totals:
        rows = [
            (r.shared_count, r.filter_count, r.own_count, r.lacks_local_internal, r.lacks_local_external) for r in rules
        ]
        return cls(*map(sum, zip(*rows, strict=True)))

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.shared + other.shared,
            self.filter + other.filter,
            self.own + other.own,
            self.lacks_internal + other.lacks_internal,
            self.lacks_external + other.lacks_external,
        )


class Pages:
    """The rules of all service ports that are in the kernel, in the order in which they were first written."""

    def __init__(self, rules: Mapping[ServicePortName, ServiceRules] | None = None) -> None:
        self._pages: dict[int, Page] = {}
        self._page_of: dict[ServicePortName, int] = {}
        self._next = 0
        self._is_shared = False  # with forks, until one side changes
        names = list(rules or ())
        for start in range(0, len(names), PAGE_SIZE):
            some = names[start : start + PAGE_SIZE]
            self._pages[self._next] = Page({name: rules[name] for name in some} if rules else {})
            self._page_of.update(dict.fromkeys(some, self._next))
            self._next += 1

    def get(self, name: ServicePortName) -> ServiceRules | None:
        number = self._page_of.get(name)
        return None if number is None else self._pages[number].rules[name]

    def put(self, name: ServicePortName, rules: ServiceRules) -> None:
        """In its old place, else at the end."""
        self._own()
        number = self._page_of.get(name)
        if number is None:
            number = self._last_with_room()
            self._page_of[name] = number
        self._pages[number] = Page({**self._pages[number].rules, name: rules})

    def _last_with_room(self) -> int:
        last = self._next - 1
        if last not in self._pages or len(self._pages[last].rules) >= PAGE_SIZE:
            last, self._next = self._next, self._next + 1
            self._pages[last] = Page({})
        return last

    def drop(self, name: ServicePortName) -> None:
        self._own()
        number = self._page_of.pop(name)
        rest = {other: rules for other, rules in self._pages[number].rules.items() if other != name}
        if rest:
            self._pages[number] = Page(rest)
        else:
            del self._pages[number]

    @property
    def filter(self) -> list[str]:
        """Rules of table filter, a page each."""
        return [page.filter for page in self._pages.values()]

    @property
    def shared(self) -> list[str]:
        """Rules in the fixed chains of table nat, a page each."""
        return [page.shared for page in self._pages.values()]

    @property
    def totals(self) -> Totals:
        return sum((page.totals for page in self._pages.values()), Totals())

    def _own(self) -> None:
        """Have dictionaries of its own, to be changed."""
        if self._is_shared:
            self._pages, self._page_of, self._is_shared = self._pages.copy(), self._page_of.copy(), False

    def fork(self) -> Pages:
        self._is_shared = True
        copy = Pages()
        copy._pages, copy._page_of, copy._next, copy._is_shared = self._pages, self._page_of, self._next, True
        return copy
