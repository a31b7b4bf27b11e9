"""What joins namespaces: ports on segments. A veth pair is a segment of two ports, the nodes' network one of many."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple, Protocol

import attrs

from fakecluster.sim import Choices


class Port(NamedTuple):
    """One interface of one namespace."""

    namespace: str
    interface: str

    def __str__(self) -> str:
        return f"{self.namespace}:{self.interface}"


class Tap(Protocol):
    """What takes the packets of a port: (time in ns, "in" or "out", packet). A list does."""

    def append(self, seen: tuple[int, str, bytes], /) -> None: ...

    def copy(self) -> Tap:
        """What takes a fork's packets."""
        ...


@attrs.frozen
class Segment:
    """A broadcast domain: `delay_s` one way; `loss`, `duplicate`, `reorder`, `corrupt` are probabilities of each packet.

    A packet that is reordered is held back for `reorder_s`; in one that is corrupted a bit is turned. `cut` has the pairs
    (from, to) between which nothing passes.
    """

    name: str
    ports: tuple[Port, ...]
    delay_s: float = 0.0
    loss: Fraction = Fraction(0)
    duplicate: Fraction = Fraction(0)
    reorder: Fraction = Fraction(0)
    reorder_s: float = 0.01
    corrupt: Fraction = Fraction(0)
    cut: frozenset[tuple[Port, Port]] = frozenset()
    #: whether every packet arrives once, as it was sent
    is_well: bool = attrs.field(init=False, eq=False, repr=False)

    @is_well.default
    def _arrives_once(self) -> bool:
        return not (self.loss or self.duplicate or self.reorder or self.corrupt)

    def others(self, port: Port) -> list[Port]:
        """The ports that a frame from `port` can reach."""
        ports = self.ports
        if len(ports) == 2 and not self.cut:
            if port == ports[0]:
                return [ports[1]]
            if port == ports[1]:
                return [ports[0]]
        others = [other for other in ports if other != port]
        return [other for other in others if (port, other) not in self.cut] if self.cut else others


@attrs.frozen
class Fate:
    """What becomes of one packet on a segment: its copies, each with the delay that it gets; none: it is lost."""

    copies: tuple[tuple[float, bytes], ...]


def fate(segment: Segment, packet: bytes, choices: Choices) -> Fate:
    """Decide what a segment does to a packet."""
    if segment.is_well:
        return Fate(((segment.delay_s, packet),))

    def happens(what: str, probability: Fraction) -> bool:
        weights = (probability.denominator - probability.numerator, probability.numerator)
        return bool(probability) and bool(choices.pick(weights, f"{what} on {segment.name}"))

    if happens("loss", segment.loss):
        return Fate(())
    count = 2 if happens("duplicate", segment.duplicate) else 1
    if happens("corruption", segment.corrupt):
        packet = with_bit_turned(packet, choices.draw(len(packet) * 8, "corrupted bit"))
    delay_s = segment.delay_s + (segment.reorder_s if happens("reordering", segment.reorder) else 0.0)
    return Fate(((delay_s, packet),) * count)


def with_bit_turned(packet: bytes, bit: int) -> bytes:
    """The packet with one bit (counted from the first one) the other way round."""
    changed = bytearray(packet)
    changed[bit // 8] ^= 0x80 >> bit % 8
    return bytes(changed)
