"""What a walk by recipe tells of itself: the rules that decided, as the walk met them that it was learned from, and what
was rewritten this time."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING

from fakecluster.trace import Ends, Hop, Rewrite, Step, Translation, Verdict, steps_of

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.packet import Skb

#: As a brief `Tracer` recorded them.
Decisions = tuple[Step | Translation, ...]
_PORTS = Struct("!HH").unpack_from


def decisions_of(skb: Skb) -> Decisions | None:
    """What decided on a packet's walk; None when nobody wanted to know."""
    return tuple(skb.tracer.steps) if skb.tracer is not None else None


def told(
    netns: Netns, decisions: Decisions, packet: bytes, leaving: bytes, way: tuple[str, str], verdict: Verdict
) -> Hop:  # fmt: skip
    """The hop of a `packet` with ports that was forwarded as `leaving`; `way` are the interfaces, in and out."""
    iif, oif = way
    iif = netns.interfaces[iif].master or iif
    (src, sport, *_), left = _ends(packet), _ends(leaving)
    ends = _ends(packet), (src, sport, *left[2:]), left  # as it came, behind the routing and as it left
    steps = steps_of(_anew(decisions, ends, leaving[8 if leaving[0] >> 4 == 4 else 7]))
    return Hop(netns.name, iif, oif, packet, leaving, steps, verdict, time_ns=netns.clock.now_ns)


def _ends(packet: bytes) -> Ends:
    """A packet's addresses and ports."""
    at, size = (12, 4) if packet[0] >> 4 == 4 else (8, 16)
    sport, dport = _PORTS(packet, at + 2 * size)
    return int.from_bytes(packet[at : at + size]), sport, int.from_bytes(packet[at + size : at + 2 * size]), dport


def _anew(decisions: Decisions, ends: tuple[Ends, Ends, Ends], ttl: int) -> Iterator[Step | Translation]:
    came, routed, left = ends
    for step in decisions:
        if isinstance(step, Translation):
            before, after = (came, routed) if step.why == "dnat" else (routed, left)
            yield step._replace(before=before, after=after)
        elif isinstance(step, Rewrite):
            yield Rewrite(step.hook, step.field, str(ttl + 1), str(ttl), step.why)
        else:
            yield step
