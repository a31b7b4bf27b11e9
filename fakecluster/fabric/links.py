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
    """A broadcast domain: `delay_s` one way, `loss` the probability that a packet is lost, `cut` the severed pairs."""

    name: str
    ports: tuple[Port, ...]
    delay_s: float = 0.0
    loss: Fraction = Fraction(0)
    cut: frozenset[frozenset[Port]] = frozenset()

    def others(self, port: Port) -> list[Port]:
        """The ports that a frame from `port` can reach."""
        return [other for other in self.ports if other != port and frozenset((port, other)) not in self.cut]
