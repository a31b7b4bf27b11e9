"""What one walk shows about the packets that will follow it in the same flow.

A walk that may be worth remembering carries a `Trail` on its packet. Whoever decides by something that the next packet
of the flow need not share (its length, the time, chance, a list that packets change) sets `skb.trail` to None, and the
walk is forgotten. What is left at the end is the same for every such packet: the rules that count it, its connection.

Most of it is the same for kin, too: connections between the same addresses that differ in the client's port only. The
trail knows whether the port of either end was looked at (`Trail.kin`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakecluster.kernel.conntrack.entry import Conn
    from fakecluster.kernel.nat_range import NatRange
    from fakecluster.kernel.packet import Skb

#: Directions of a connection, as in conntrack.entry.
ORIGINAL, REPLY = 0, 1
#: What a rule's answers may have to be alike for: the packets of a flow, the first packets of connections to one port, the
#: packets of kin in either direction (they differ in the port of their source, or of their destination).
FLOW, OPENING, SOURCES, DESTINATIONS = KINDS = range(4)
#: By kind: how many of the things that a rule asks and does, from the first, are alike.
Steady = tuple[int, int, int, int]


class Trail:
    """The walk of `packet`, which came in by `iface`; `generation` says what the namespace was like.

    `counters` are the [packets, bytes] of everything that counted it. `status` and `ct_mark` are the connection's as
    conntrack gave it to the packet (`ct` None: untracked).

    With `opening` the packet is a connection's first, and what counts is what other connections' first packets share
    with it (see flow_cache.opening). `picks` are the questions that were left to chance, each with its answer; `mapped`
    is what NAT was told, ("src" or "dst", range), None for a range where it had to change nothing.

    With `answers` it is a SYN-ACK, whose walk may serve kin but no flow.

    Without `opening`, `kin` says whether the walk would be the same for packets that have another port at their source, and at
    their destination: where the client is, by the packet's direction.
    """

    __slots__ = (
        "answers", "counters", "ct", "ct_mark", "generation", "iface", "kin", "mapped", "opening", "packet", "picks", "status",
    )  # fmt: skip

    def __init__(
        self, packet: bytes, iface: str, generation: int, *, opening: bool = False, answers: bool = False
    ) -> None:  # fmt: skip
        self.answers = answers
        self.packet, self.iface, self.generation, self.opening = packet, iface, generation, opening
        self.counters: list[list[int]] = []
        self.ct: Conn | None = None
        self.status = self.ct_mark = 0
        self.kin = [True, True]
        self.picks: list[tuple[tuple[int, ...], str, int]] = []
        self.mapped: list[tuple[str, NatRange | None]] = []

    @property
    def ttl(self) -> int:
        """What the packet came in with."""
        return self.packet[8] if self.packet[0] == 0x45 else self.packet[7]

    def holds(self, steady: Steady, asked: int) -> bool:
        """A rule was asked so many things; False when the walk cannot be remembered for that."""
        flow, opening, sources, destinations = steady
        if asked > (opening if self.opening else flow):
            return False
        if asked > sources:
            self.kin[ORIGINAL] = False
        if asked > destinations:
            self.kin[REPLY] = False
        return True


def tracked(skb: Skb) -> None:
    """Conntrack has found the packet's connection: a new one, or none, says nothing about later packets of the flow."""
    trail, ct = skb.trail, skb.ct
    if trail is None:
        return
    if trail.opening:
        if ct is None or ct.confirmed or skb.zone_tmpl is not None:
            skb.trail = None
        trail.ct = ct
    elif ct is None or not ct.confirmed:
        skb.trail = None
    else:
        trail.ct, trail.status, trail.ct_mark = ct, ct.status, ct.mark
        if skb.zone_tmpl is not None:
            trail.kin = [False, False]


def picked(skb: Skb, weights: tuple[int, ...], why: str, answer: int) -> None:
    """Chance has answered a rule's question; after a mapped source NAT may have looked for a port by chance before it."""
    trail = skb.trail
    if trail is None:
        return
    if trail.mapped and trail.mapped[-1][0] == "src":
        skb.trail = None
    trail.picks.append((weights, why, answer))


def mapped(skb: Skb, end: str, nat_range: NatRange | None) -> None:
    """NAT was told to map an end of a packet's new connection into a range.

    Only what gives the same for every such connection is remembered: a source may get any port, for it is looked for
    anew; a destination must be one.
    """
    trail = skb.trail
    if trail is None:
        return
    if nat_range is not None:
        one_address = nat_range.min_addr == nat_range.max_addr
        one_port = nat_range.min_port == nat_range.max_port and not nat_range.randomised
        if not one_address or nat_range.netmap or (end == "dst" and not one_port):
            skb.trail = None
            return
    trail.mapped.append((end, nat_range))
