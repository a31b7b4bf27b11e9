"""What one walk shows about the packets that will follow it in the same flow.

A walk that may be worth remembering carries a `Trail` on its packet. Whoever decides by something that the next packet
of the flow need not share (its length, the time, chance, a list that packets change) sets `skb.trail` to None, and the
walk is forgotten. What is left at the end is the same for every such packet: the rules that count it, its connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakecluster.kernel.conntrack.entry import Conn
    from fakecluster.kernel.packet import Skb


class Trail:
    """The walk of `packet`, which came in by `iface`; `generation` says what the namespace was like.

    `counters` are the [packets, bytes] of everything that counted it. `status` and `ct_mark` are the connection's as
    conntrack gave it to the packet (`ct` None: untracked).
    """

    __slots__ = ("counters", "ct", "ct_mark", "generation", "iface", "packet", "status")

    def __init__(self, packet: bytes, iface: str, generation: int) -> None:
        self.packet, self.iface, self.generation = packet, iface, generation
        self.counters: list[list[int]] = []
        self.ct: Conn | None = None
        self.status = self.ct_mark = 0


def tracked(skb: Skb) -> None:
    """Conntrack has found the packet's connection: a new one, or none, says nothing about later packets."""
    trail, ct = skb.trail, skb.ct
    if trail is None:
        return
    if ct is None or not ct.confirmed:
        skb.trail = None
    else:
        trail.ct, trail.status, trail.ct_mark = ct, ct.status, ct.mark
