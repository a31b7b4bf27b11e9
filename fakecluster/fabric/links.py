"""What joins namespaces: ports on segments. A veth pair is a segment of two ports, the nodes' network one of many."""

from __future__ import annotations

from fractions import Fraction

import attrs


@attrs.frozen(order=True)
class Port:
    """One interface of one namespace."""

    namespace: str
    interface: str

    def __str__(self) -> str:
        return f"{self.namespace}:{self.interface}"


@attrs.frozen
class Segment:
    """A broadcast domain: `delay_s` one way, `loss` and `duplicate` probabilities of each packet.

    `cut` has the pairs (from, to) between which nothing passes.
    """

    name: str
    ports: tuple[Port, ...]
    delay_s: float = 0.0
    loss: Fraction = Fraction(0)
    duplicate: Fraction = Fraction(0)
    cut: frozenset[tuple[Port, Port]] = frozenset()

    def others(self, port: Port) -> list[Port]:
        """The ports that a frame from `port` can reach."""
        return [other for other in self.ports if other != port and (port, other) not in self.cut]
