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


class Follower:
    """Watches a network's arrivals for one packet at a time."""

    def __init__(self) -> None:
        self.expected: bytes | None = None
        self.fate = LOST

    def follow(self, packet: bytes) -> None:
        self.expected, self.fate = packet, LOST

    def __call__(self, arriving: InFlight, effects: list[Effect]) -> None:
        if arriving[1] == self.expected:
            self.fate, self.expected = end_of(arriving[0][0], effects)


def end_of(namespace: str, effects: list[Effect]) -> tuple[Fate, bytes | None]:
    """What a namespace did with a packet (and not with what that caused), and the packet that it sent on."""
    for effect in effects:
        if isinstance(effect, Transmit):
            if not effect.generated:
                return _new(Fate, ("transmitted", namespace, effect.iface, "")), effect.packet
        elif isinstance(effect, Deliver):
            if not effect.generated:
                where = effect.socket.name if effect.socket is not None else "the host"
                return _new(Fate, ("delivered", namespace, where, "")), None
        elif isinstance(effect, Drop):
            return Fate("dropped", namespace, effect.where, effect.reason), None
        elif isinstance(effect, Arp):
            return Fate("unresolved", namespace, effect.iface, "the next hop is no known neighbour"), None
    return Fate("consumed", namespace), None
