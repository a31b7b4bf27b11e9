"""What a walk by recipe tells of itself: the rules that decided, as the walk met them that it was learned from, and what
was rewritten this time."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from fakecluster.trace import Decisions, Ends, Recalled

if TYPE_CHECKING:
    from fakecluster.kernel.packet import Skb

_PORTS = Struct("!HH").unpack_from
_number = int.from_bytes


def decisions_of(skb: Skb) -> Decisions | None:
    """What decided on a packet's walk; None when nobody wanted to know."""
    return Decisions(tuple(skb.tracer.steps)) if skb.tracer is not None else None


def told(decisions: Decisions, packet: bytes, leaving: bytes) -> Recalled:
    """What decided about a `packet` with ports that was forwarded as `leaving`."""
    if packet[0] >> 4 == 4:
        return Recalled(decisions, 4, _ends(packet, 12, 4), _ends(leaving, 12, 4), leaving[8])
    return Recalled(decisions, 6, _ends(packet, 8, 16), _ends(leaving, 8, 16), leaving[7])


def _ends(packet: bytes, at: int, size: int) -> Ends:
    """A packet's addresses, which begin there and have that size, and ports."""
    dst, l4 = at + size, at + 2 * size
    sport, dport = _PORTS(packet, l4)
    return _number(packet[at:dst]), sport, _number(packet[dst:l4]), dport
