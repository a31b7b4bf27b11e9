"""The rules that a packet passed by, and why each did not match: asked of the compiled rules themselves, one match a time.

A chain is gone through as the walk did; what lies between two matching rules was passed by with the packet as it was then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fakecluster.explaining.explanation import Neighbour
from fakecluster.explaining.iptables_reasons import Reasons, Unasked, iptables_rules
from fakecluster.explaining.moments import moments
from fakecluster.explaining.nft_reasons import nft_rules
from fakecluster.kernel.hooks import Hook
from fakecluster.kernel.netns import Netns
from fakecluster.trace import ChainEnd, Hop, RuleStep, Trace

#: Rules of a chain whose reasons are given: those of which most held.
SHOWN = 4
#: How much less may hold of a rule that is told beside the nearest.
FARTHER = 2


def neighbours(namespaces: Mapping[str, Netns], trace: Trace) -> Iterator[Neighbour]:
    """The nearest rules that the packet itself passed by, chain by chain, in the order of the walk."""
    for hop in trace.way:
        netns = namespaces.get(hop.namespace)
        if netns is not None:
            yield from _of_hop(netns, hop, next(n for n, one in enumerate(trace.hops) if one is hop))


def _of_hop(netns: Netns, hop: Hop, number: int) -> Iterator[Neighbour]:
    last: dict[tuple[str, str, str], int] = {}
    done: set[tuple[str, str, str]] = set()
    for at, step, skb in moments(netns, hop):
        if not isinstance(step, RuleStep | ChainEnd) or (isinstance(step, ChainEnd) and step.end == "policy"):
            continue
        place = (step.hook, step.table, step.chain)
        if place in done:
            continue
        begin = last.get(place, 0)
        if isinstance(step, RuleStep):
            if step.rule <= begin:
                done.add(place)  # the chain is entered a second time
                continue
            end = last[place] = step.rule
        else:
            end = 0
            done.add(place)
        found = [
            Neighbour(step.hook, step.table, step.chain, rule, text, why, held, number, at)
            for rule, text, held, why in _asking(netns, step.table, step.chain)(skb, Hook[step.hook], begin, end)
        ]
        yield from _nearest(found)


def _nearest(found: list[Neighbour]) -> list[Neighbour]:
    """Those that come close, in order, and those that chance passed over; rules about other packets are left out."""
    best = max((one.near for one in found), default=0)
    close = (one for one in found if one.near >= best - FARTHER or isinstance(one.why, Unasked))
    near = sorted(close, key=lambda one: -one.near)[:SHOWN]
    return sorted(near, key=lambda one: one.rule)


def _asking(netns: Netns, table: str, chain: str) -> Reasons:
    """What asks the rules of a chain, whoever's it is."""
    return iptables_rules(netns, table, chain) or nft_rules(netns, table, chain) or (lambda *_: iter(()))
