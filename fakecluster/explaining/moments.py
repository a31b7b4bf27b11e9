"""The packet as it was at each step of a recorded walk, so that rules can be asked again why they did not match.

packet_in ── rewrites of the steps so far ──► skb with ports, mark, interfaces and connection of that moment
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from fakecluster.kernel.conntrack import (
    DST_NAT,
    ESTABLISHED,
    ESTABLISHED_REPLY,
    NEW,
    RELATED,
    RELATED_REPLY,
    REPLY,
    SRC_NAT,
    UNTRACKED,
    Conn,
    packet_tuple,
)  # fmt: skip
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import Skb
from fakecluster.trace import ChainEnd, Hop, Note, Rewrite, RuleStep, Step

#: Hooks that run before the kernel knows where the packet goes.
_UNROUTED = frozenset(("PREROUTING", "INPUT"))
_STATES = {"NEW": NEW, "ESTABLISHED": ESTABLISHED, "RELATED": RELATED}
_ANSWERING = {ESTABLISHED: ESTABLISHED_REPLY, RELATED: RELATED_REPLY}


def moments(netns: Netns, hop: Hop) -> Iterator[tuple[int, Step, Skb]]:
    """Every step of a walk with the packet before it. The one `Skb` changes from step to step.

    `netns` is the namespace after the walk, whose table has the packet's connection.
    """
    skb = Skb(hop.packet_in, iif=hop.iif)
    for number, step in enumerate(hop.steps):
        skb.oif = "" if step.hook in _UNROUTED else hop.oif
        yield number, step, skb
        if isinstance(step, Rewrite):
            _rewrite(skb, step)
        elif isinstance(step, RuleStep | ChainEnd):
            skb.mark = step.mark
        elif step.kind == "conntrack":
            _track(netns, skb, step)


def _rewrite(skb: Skb, step: Rewrite) -> None:
    if step.field in ("src", "dst"):
        (skb.set_src if step.field == "src" else skb.set_dst)(int(ip_address(step.after)))
    elif step.field in ("sport", "dport"):
        (skb.set_sport if step.field == "sport" else skb.set_dport)(int(step.after))
    elif step.field == "ttl":
        skb.set_ttl(int(step.after))
    if step.why in ("dnat", "snat") and skb.ct is not None:
        skb.ct.status |= DST_NAT if step.why == "dnat" else SRC_NAT


def _track(netns: Netns, skb: Skb, step: Note) -> None:
    word = step.text.partition(" ")[0]
    if word == "UNTRACKED":
        skb.ctinfo = UNTRACKED
    key = packet_tuple(skb)
    if word not in _STATES or key is None:
        return
    skb.ctinfo = _STATES[word]
    found = netns.conntrack.find(0, key)
    answer = key.inverted()
    if found is not None:
        skb.ct = found.fork()  # what later steps did to it must not be known yet
        if found.reply == key and found.orig != key:
            skb.ctinfo = _ANSWERING.get(skb.ctinfo, REPLY)
        elif skb.ctinfo == NEW:
            skb.ct.status &= ~(SRC_NAT | DST_NAT)
    elif answer is not None:
        skb.ct = Conn(key, answer)  # the packet was dropped before its connection was confirmed
