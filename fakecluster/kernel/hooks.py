"""The netfilter hooks of one namespace: per family and hook one list of (priority, name, function), run in order.

Priorities and verdict numbers are the kernel's (include/uapi/linux/netfilter.h, netfilter_ipv4.h).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.packet import Skb

DROP, ACCEPT, STOLEN = 0, 1, 2


class Hook(IntEnum):
    """Where a packet can be stopped, in the kernel's numbering."""

    PREROUTING = 0
    INPUT = 1
    FORWARD = 2
    OUTPUT = 3
    POSTROUTING = 4


#: For what every packet passes: looking a member up in its class takes as long as a small function.
PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = Hook


class Priority:
    """NF_IP_PRI_*: what stands before what on a hook."""

    RAW_BEFORE_DEFRAG = -450
    CONNTRACK_DEFRAG = -400
    RAW = -300
    CONNTRACK = -200
    MANGLE = -150
    NAT_DST = -100
    FILTER = 0
    SECURITY = 50
    NAT_SRC = 100
    CONNTRACK_HELPER = 300
    CONNTRACK_CONFIRM = 2**31 - 1


@attrs.define(eq=False)
class HookContext:
    """What a hook function sees besides the packet: the namespace, the hook, the IP family (4 or 6)."""

    netns: Netns
    hook: Hook
    family: int


#: Takes the packet and the context; returns DROP, ACCEPT (the next function goes on) or STOLEN (it keeps the packet).
HookFunction = Callable[["Skb", HookContext], int]


@attrs.frozen
class HookEntry:
    """One function on one hook; of equal priorities the last registered runs first (nf_hook_entries_grow).

    `steady` says that the function keeps the packet's `trail`, so that what it decides for one packet of a flow can be
    remembered for the next (see flow_cache).
    """

    priority: int
    sequence: int
    name: str
    function: HookFunction
    steady: bool = False


def hook_order(entry: HookEntry) -> tuple[int, int]:
    """The key by which the functions of one hook are sorted."""
    return entry.priority, entry.sequence


class Hooks:
    """All hook functions of a namespace: `entries[family][hook]` is the ordered list that packets run through.

    `unsteady` are those (family, hook) on which some function keeps no trail. `on_change` is told of every change.
    """

    def __init__(self) -> None:
        self.on_change: Callable[[], None] | None = None
        self._waiting: list[Callable[[], None]] = []
        self.unsteady: set[tuple[int, Hook]] = set()
        self._sequence = 0

    @cached_property
    def entries(self) -> dict[int, dict[Hook, list[HookEntry]]]:
        # in place before it is returned: what waits registers, and so asks for it
        entries = self.__dict__["entries"] = {family: {hook: [] for hook in Hook} for family in (4, 6)}
        on_change, self.on_change = self.on_change, None  # it was so all the time
        for register in self._waiting:
            register()
        self._waiting, self.on_change = [], on_change
        return entries

    def later(self, register: Callable[[], None]) -> None:
        """Have a fork's part register what its original had registered, when a hook is first looked at.

        Most namespaces of most forks never see a packet.
        """
        if "entries" in self.__dict__:
            register()
        else:
            self._waiting.append(register)

    def register(
        self, family: int, hook: Hook, priority: int, name: str, function: HookFunction, *, steady: bool = False
    ) -> None:
        """Add `function` to a hook; `name` says who it is and is unique there (a second one replaces)."""
        self.unregister(family, hook, name)
        self._sequence -= 1
        entries = self.entries[family][hook]
        entries.append(HookEntry(priority, self._sequence, name, function, steady))
        entries.sort(key=hook_order)
        self._look_for_unsteady(family, hook)

    def _look_for_unsteady(self, family: int, hook: Hook) -> None:
        if all(entry.steady for entry in self.entries[family][hook]):
            self.unsteady.discard((family, hook))
        else:
            self.unsteady.add((family, hook))

    def is_registered(self, family: int, hook: Hook, name: str) -> bool:
        return any(entry.name == name for entry in self.entries[family][hook])

    def unregister(self, family: int, hook: Hook, name: str) -> None:
        """Remove the function called `name`; harmless when it is not there."""
        entries = self.entries[family][hook]
        entries[:] = [entry for entry in entries if entry.name != name]
        self._look_for_unsteady(family, hook)
        if self.on_change is not None:
            self.on_change()
