"""Connections whose time is nearly over: the recording machine's timers fire late, and its dumps took a moment.

A kernel timer never fires early, but by the granularity of the timer wheel late: up to 5.12 s for those of minutes, at
the machine's HZ of 100. So an entry may still be counted that the model has let go, or be gone that the model is about
to let go.
"""

from __future__ import annotations

import re
from collections import Counter

import attrs

from replay.kubeproxy_node import Node

LATE_S, DUMP_S = 5.2, 1.0
_ACTIVE = ("SYN_SENT", "SYN_RECV", "ESTABLISHED", "SYNACK")
_ENTRY = re.compile(r"(\w+)\s+(\d+):(\d+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)")


@attrs.frozen
class Entry:
    """A line of `ipvsadm -Lnc` without its time; `service` is protocol and virtual address."""

    service: str
    client: str
    server: str
    active: bool


def entries(listing: str) -> dict[Entry, int]:
    """Entries -> seconds left; templates, which count nowhere, left out."""
    found = {}
    for line in listing.splitlines():
        if match := _ENTRY.match(line):
            protocol, minutes, seconds, state, client, virtual, server = match.groups()
            if not client.endswith(":0"):
                active = protocol == "TCP" and state in _ACTIVE
                found[Entry(f"{protocol} {virtual}", client, server, active)] = int(minutes) * 60 + int(seconds)
    return found


class Expiries:
    """Follows which entries ran out, and when."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.gone: list[tuple[float, Entry]] = []

    def _entries(self) -> dict[Entry, int]:
        return entries(self.node.run(["ipvsadm", "-Lnc"]))

    def advance(self, seconds: float) -> None:
        """Let time pass and note what ran out in it."""
        if seconds <= 0:
            return
        before, then_s = self._entries(), self.node.clock.now_s
        self.node.clock.advance(seconds)
        after = self._entries()
        now_s = self.node.clock.now_s
        found = [(min(then_s + left + 1, now_s), entry) for entry, left in before.items() if entry not in after]
        self.gone = [(when, entry) for when, entry in self.gone if now_s - when < LATE_S] + found

    def slack(self) -> Slack:
        """How far the counters of a dump made now may be off."""
        now_s = self.node.clock.now_s
        late = Counter((e.service, e.server, e.active) for when, e in self.gone if now_s - when < LATE_S)
        early = Counter((e.service, e.server, e.active) for e, left in self._entries().items() if left <= DUMP_S)
        return Slack(late, early)


@attrs.frozen
class Slack:
    """By (service, real server, active): entries that may still be there, and that may be gone already."""

    late: Counter[tuple[str, str, bool]] = attrs.field(factory=Counter)
    early: Counter[tuple[str, str, bool]] = attrs.field(factory=Counter)

    def allows(self, service: str, want: str, have: str) -> bool:
        """Whether two lines of `ipvsadm -Ln` or `--persistent-conn` differ by no more than that."""
        if want == have:
            return True
        (*settings, want_active, want_inactive), (*others, active, inactive) = want.split(), have.split()
        if settings != others:
            return False
        key = (" ".join(service.split()[:2]), settings[1])
        return all(
            found - self.early[*key, kind] <= wanted <= found + self.late[*key, kind]
            for kind, wanted, found in (
                (True, int(want_active), int(active)),
                (False, int(want_inactive), int(inactive)),
            )
        )
