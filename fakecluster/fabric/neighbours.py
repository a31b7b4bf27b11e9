"""Who on a segment answers for an address, as ARP and neighbour discovery would find out."""

from __future__ import annotations

from collections.abc import Mapping

from fakecluster.fabric.links import Port, Segment
from fakecluster.kernel.netns import Netns

#: From here on a segment remembers who answers for an address; below, asking everybody costs nothing.
MANY_PORTS = 32


class Neighbours:
    """Finds who answers, and asks first who did the last time."""

    def __init__(self) -> None:
        self._answering: dict[tuple[str, int, int], Port] = {}

    def find(
        self, namespaces: Mapping[str, Netns], segment: Segment, others: list[Port], family: int, address: int
    ) -> Port | None:
        """Which of these ports of a segment answers for an address; None when none does."""
        known = self._answering.get((segment.name, family, address))
        for other in [known, *others] if known in others else others:
            if other and answers_for(namespaces[other.namespace], other.interface, family, address):
                if len(segment.ports) > MANY_PORTS:
                    self._answering[segment.name, family, address] = other
                return other
        return None


def answers_for(netns: Netns, interface: str, family: int, address: int) -> bool:
    """Whether a namespace answers ARP (or neighbour discovery) for an address on one of its interfaces.

    Any local address by default; with arp_ignore >= 1 only those configured on that very interface (ip-sysctl.rst).
    """
    if not netns.interfaces[interface].up or not netns.addresses.is_local(family, address):
        return False
    if family == 6 or netns.sysctls.number("net.ipv4.conf.all.arp_ignore"):
        return any(own.address == address for own in netns.interfaces[interface].addresses if own.family == family)
    return True
