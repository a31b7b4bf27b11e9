"""Tables that iptables-nft made, which are nft's as well: nft removes and empties them.

In the kernel both tools share them. Here iptables' tables are kept in iptables' own language; nft does not list them, and
to change single chains or rules of them by nft is refused. iptables-nft in its turn shows tables that nft made under one
of its names (see `xtables.foreign`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from fakecluster.errors import Unsupported
from fakecluster.rules.nft.objects import Command, TableName

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

FAMILIES = {"ip": 4, "ip6": 6}


def managed(netns: Netns) -> Iterator[TableName]:
    """The tables of iptables-nft."""
    if "xtables" in netns.__dict__:
        for word, family in FAMILIES.items():
            yield from (TableName(word, name) for name in netns.xtables.of(family).tables)


def change(netns: Netns, command: Command) -> Callable[[], None] | None:
    """What a command does to a table of iptables-nft once all is well; None when it is about no such table.

    Raises `Unsupported` for what would change a part of one.
    """
    name = command.table
    if name is None or not name.name or name not in set(managed(netns)):
        return None
    if command.noun == "table" and command.verb in ("delete", "destroy"):
        return partial(netns.xtables.remove, FAMILIES[name.family], name.name)
    if command.noun == "table" and command.verb == "flush":
        return partial(netns.xtables.flush, FAMILIES[name.family], name.name)
    if command.noun == "table" and command.verb == "add":
        return lambda: None  # it is there
    place, line = command.place, 0
    if place is not None:
        cursor, first, last = place.cursor.unfolded(place.first, place.last)
        line = cursor.text.count("\n", 0, cursor.span(first, last).start) + 1
    raise Unsupported(f"nft {command.verb} {command.noun} in table {name}, which is iptables'", line=line)
