"""What a walk by recipe tells of itself: the rules that decided, as the walk met them that it was learned from, and what
was rewritten this time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fakecluster.trace import Ends, Hop, Rewrite, Step, Translation, Verdict, steps_of

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.packet import Skb

#: As a brief `Tracer` recorded them.
Decisions = tuple[Step | Translation, ...]


def decisions_of(skb: Skb) -> Decisions | None:
    """What decided on a packet's walk; None when nobody wanted to know."""
    return tuple(skb.tracer.steps) if skb.tracer is not None else None


def ends_of(skb: Skb) -> Ends:
    """A packet's addresses and ports."""
    return skb.src, skb.sport, skb.dst, skb.dport


def told(netns: Netns, decisions: Decisions, packet: bytes, skb: Skb, ends: Sequence[Ends], verdict: Verdict) -> Hop:
    """The hop of `packet`, which was forwarded as `skb`; its `ends` as it came, behind the routing and as it left."""
    steps = steps_of(_anew(decisions, ends, skb.ttl))
    return Hop(netns.name, skb.iif, skb.oif, packet, bytes(skb.data), steps, verdict, time_ns=netns.clock.now_ns)


def _anew(decisions: Decisions, ends: Sequence[Ends], ttl: int) -> Iterator[Step | Translation]:
    came, routed, left = ends
    for step in decisions:
        if isinstance(step, Translation):
            before, after = (came, routed) if step.why == "dnat" else (routed, left)
            yield step._replace(before=before, after=after)
        elif isinstance(step, Rewrite):
            yield Rewrite(step.hook, step.field, str(ttl + 1), str(ttl), step.why)
        else:
            yield step
