"""A packet that was sent, followed to its end: a Trace with names and Scapy packets on top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.trace import Hop, Trace

if TYPE_CHECKING:
    from fakecluster.handles.host import Host
    from fakecluster.handles.world import World


class PacketTrace:
    """What became of one packet, and of what it caused. `str()` is every hop, hook, rule and rewrite."""

    def __init__(self, world: World, journey: int, sender: str) -> None:
        self._world, self._journey, self._sender = world, journey, sender

    @property
    def sender(self) -> str:
        """The namespace that sent the packet."""
        return self._sender

    @property
    def trace(self) -> Trace:
        """The hops so far, and what kube-proxies on the way had to say; links with a delay add hops later."""
        found = self._so_far
        return attrs.evolve(found, events=self._world.said(found.hops))

    @property
    def _so_far(self) -> Trace:
        return self._world.network.trace(self._journey)

    @property
    def hops(self) -> tuple[Hop, ...]:
        return self._so_far.hops

    @property
    def headline(self) -> str:
        return self._so_far.headline

    @property
    def end(self) -> Hop | None:
        """The last hop of the packet itself (None while nothing has happened)."""
        way = self._so_far.way
        return way[-1] if way else None

    @property
    def delivered_to(self) -> Host | None:
        """The Pod, Node or Outside whose socket layer got the packet; None when it did not arrive."""
        end = self.end
        return self._world.host_of(end.namespace) if end and end.verdict.what == "delivered" else None

    @property
    def received(self) -> Any:
        """The packet as it arrived, as a Scapy packet (None when it did not)."""
        end = self.end
        return as_scapy(end.packet_out) if end and end.verdict.what == "delivered" else None

    @property
    def replies(self) -> list[Any]:
        """Every packet that came back to the sender, as Scapy packets, after its own kernel's translations."""
        way = self._so_far.way
        back = [
            hop
            for hop in self.hops
            if hop.namespace == self._sender and hop.verdict.what == "delivered" and hop not in way
        ]
        return [as_scapy(hop.packet_out) for hop in back]

    @property
    def reply(self) -> Any:
        """The first of `replies`, or None."""
        return next(iter(self.replies), None)

    def __str__(self) -> str:
        return str(self.trace)

    def __repr__(self) -> str:
        return f"<PacketTrace {self.headline}>"


def as_scapy(packet: bytes) -> Any:
    """L3 bytes as a Scapy packet."""
    if packet[:1] and packet[0] >> 4 == 6:
        from scapy.layers.inet6 import IPv6

        return IPv6(packet)
    from scapy.layers.inet import IP

    return IP(packet)
