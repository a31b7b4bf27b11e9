"""What became of one injected packet: followed through the namespaces by what each of them did with it."""

from __future__ import annotations

from typing import NamedTuple

from fakecluster.fabric.network import InFlight
from fakecluster.kernel.effects import Arp, Deliver, Drop, Effect, Transmit

_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


class Fate(NamedTuple):
    """The end of a packet: `what` is delivered, transmitted, dropped, unresolved, consumed, lost or unreadable.

    `namespace` is where it ended and `where` the socket, interface or hook there; `reason` is the table that dropped it.
    """

    what: str
    namespace: str
    where: str = ""
    reason: str = ""

    def __str__(self) -> str:
        words = {"delivered": "to", "transmitted": "by", "unresolved": "at"}.get(self.what, "at")
        place = f" {words} {self.where}" if self.where else ""
        return f"{self.what} in {self.namespace}{place}" + (f" ({self.reason})" if self.reason else "")


LOST = Fate("lost", "")
#: What happens to a packet, whoever made it, and what happens to those that are made as an answer, too.
_ENDS, _PASSED = frozenset((Drop, Arp)), frozenset((Transmit, Deliver))


class Follower:
    """Watches a network's arrivals for one packet at a time."""

    def __init__(self) -> None:
        self.expected: bytes | None = None
        self._at = ""
        self._own: Effect | None = None

    def follow(self, packet: bytes) -> None:
        self.expected, self._at = packet, ""

    def __call__(self, arriving: InFlight, effects: list[Effect]) -> None:
        if arriving[1] == self.expected:
            self._at, own = arriving[0][0], own_of(effects)
            self._own, self.expected = own, own.packet if type(own) is Transmit else None

    @property
    def fate(self) -> Fate:
        """What has become of the packet so far."""
        return _fate(self._at, self._own) if self._at else LOST


def end_of(namespace: str, effects: list[Effect]) -> Fate:
    """What a namespace did with a packet."""
    return _fate(namespace, own_of(effects))


def own_of(effects: list[Effect]) -> Effect | None:
    """What was done with the packet itself, and not with what that caused."""
    for effect in effects:
        kind = type(effect)
        if kind in _ENDS or (kind in _PASSED and not effect.generated):  # type: ignore[union-attr]
            return effect
    return None


def _fate(namespace: str, own: Effect | None) -> Fate:
    if isinstance(own, Transmit):
        return _new(Fate, ("transmitted", namespace, own.iface, ""))
    if isinstance(own, Deliver):
        return _new(Fate, ("delivered", namespace, own.socket.name if own.socket is not None else "the host", ""))
    if isinstance(own, Drop):
        return Fate("dropped", namespace, own.where, own.reason)
    if isinstance(own, Arp):
        return Fate("unresolved", namespace, own.iface, "the next hop is no known neighbour")
    return Fate("consumed", namespace)
