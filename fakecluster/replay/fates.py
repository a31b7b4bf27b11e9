"""What became of one injected packet: followed through the namespaces by what each of them did with it."""

from __future__ import annotations

from typing import NamedTuple

from fakecluster.fabric.network import InFlight
from fakecluster.kernel.effects import Arp, Deliver, Drop, Effect, Transmit


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


class Follower:
    """Watches a network's arrivals for one packet at a time."""

    def __init__(self) -> None:
        self.expected: bytes | None = None
        self.fate = Fate("lost", "")

    def follow(self, packet: bytes) -> None:
        self.expected = packet
        self.fate = Fate("lost", "")

    def __call__(self, arriving: InFlight, effects: list[Effect]) -> None:
        if arriving.packet != self.expected:
            return
        self.fate, self.expected = end_of(arriving.port.namespace, effects)


def end_of(namespace: str, effects: list[Effect]) -> tuple[Fate, bytes | None]:
    """What a namespace did with a packet (and not with what that caused), and the packet that it sent on."""
    for effect in effects:
        if isinstance(effect, Transmit):
            if not effect.generated:
                return Fate("transmitted", namespace, effect.iface), effect.packet
        elif (found := _end(namespace, effect)) is not None:
            return found, None
    return Fate("consumed", namespace), None


def _end(namespace: str, effect: Effect) -> Fate | None:
    """The end that an effect is for the packet itself; None when it is none."""
    match effect:
        case Deliver(generated=False, socket=socket):
            return Fate("delivered", namespace, socket.name if socket is not None else "the host")
        case Drop(where=where, reason=reason):
            return Fate("dropped", namespace, where, reason)
        case Arp(iface=iface):
            return Fate("unresolved", namespace, iface, "the next hop is no known neighbour")
    return None
