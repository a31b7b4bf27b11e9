"""In which order kube-proxy adds the real servers of a virtual server: as Go iterates over a set of strings.

The kernel puts each new one at the head of its list, on which the schedulers depend. A Go map of up to 8 strings,
filled in sorted order, is read cyclically from a random one of 8 slots, empty slots skipped; a larger one in an order
that cannot be told. Source: Go internal/runtime/maps (swiss tables, one group of 8 slots).
"""

from __future__ import annotations

from collections.abc import Sequence

from fakecluster.sim import Choices

SLOTS = 8


def set_order(sorted_items: Sequence[str], choices: Choices, of_what: str) -> list[str]:
    """The items in an order that a Go set may be read in.

    The start in a small set is one choice, the order of a large one as many as it has items.
    """
    count = len(sorted_items)
    if count < 2:
        return list(sorted_items)
    if count <= SLOTS:
        start = choices.pick([SLOTS - count + 1, *[1] * (count - 1)], f"first of the real servers added to {of_what}")
        return [*sorted_items[start:], *sorted_items[:start]]
    left = list(sorted_items)
    return [
        left.pop(choices.pick([1] * len(left), f"next of the real servers added to {of_what}")) for _ in range(count)
    ]
