"""First packets of connections by recipe: what the walk of an earlier one to the same address and port has shown.

A TCP SYN that comes by the same interface, from the same address, to the same address and port as one before, meets the
same rules, unless one of them looks at what such packets do not share (the source port, options, a rate, time: see
`xtables.steady`, `nftables.steady`). What rules leave to chance is asked anew, in the same order and words: a recipe is
a tree of questions, and behind every way of answering them that was met stands what comes of it.

Conntrack and NAT take no part in the memory: the entry is made, its port found and its tuples checked as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fakecluster.kernel.conntrack import tcp_handshake
from fakecluster.kernel.conntrack.entry import (
    CONFIRMED,
    DST_NAT,
    DST_NAT_DONE,
    NEW,
    ORIGINAL,
    SRC_NAT,
    SRC_NAT_DONE,
    Conn,
    Tuple,
)
from fakecluster.kernel.effects import Drop, Effect, Transmit
from fakecluster.kernel.flow_cache.decisions import decisions_of, told
from fakecluster.kernel.flow_cache.flow import ip_change, neighbour_of
from fakecluster.kernel.flow_cache.leaving import ends_behind, readdressed, sent
from fakecluster.kernel.hooks import POSTROUTING
from fakecluster.kernel.packet import TCP
from fakecluster.kernel.plain_segment import Segment, after_syn, checksum_is_right, read
from fakecluster.trace import Decisions

if TYPE_CHECKING:
    from fakecluster.kernel.flow_cache.cache import FlowCache
    from fakecluster.kernel.nat_range import NatRange
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.packet import Skb
    from fakecluster.kernel.trail import Trail

#: The hook's function that drops a packet whose connection is another's by now.
CONFIRM = "conntrack confirm"
#: First packets are small. What fits everywhere needs no look at the MTU, which depends on what chance decides.
MTU_LEAST = 576
#: Interface, first 16 bits without the flow label, addresses, destination port.
OpeningKey = tuple[str, int, int, int, int]
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


@attrs.define(eq=False)
class Recipe:
    """What comes of a first packet: `counters` count it, it leaves by `oif` (see Flow for the rest).

    `dst` is where it is translated to, (address, port), None for nowhere; `src` the range for its source. Both only mean
    something with SRC_NAT_DONE or DST_NAT_DONE among `done`. `ct_mark` is the mark that rules leave the connection with.
    `decisions`: why, if that was wanted.
    """

    counters: list[list[int]]
    oif: str
    next_hop: int
    mark: int
    neighbour: tuple[int, int] | None
    ip_change: int
    ttl_step: int
    done: int
    dst: tuple[int, int] | None
    src: NatRange | None
    masq_oif: str
    ct_mark: int
    decisions: Decisions | None


@attrs.frozen(eq=False)
class Question:
    """Something that is left to chance, and what follows from each answer that was met."""

    weights: tuple[int, ...]
    why: str
    answers: dict[int, Recipe | Question]


Recipes = dict[OpeningKey, Recipe | Question]


def opening_key(segment: Segment, iface: str) -> OpeningKey:
    """Under what the recipe of a SYN is kept."""
    return iface, segment[1], segment[3], segment[4], segment[6]


def opened(
    cache: FlowCache, segment: Segment, packet: bytes, iface: str, dst_mac: bytes, wanted: bool
) -> list[Effect] | None:  # fmt: skip
    """What comes of a first packet, and why if that is `wanted`; None when it must go the long way.

    There answers that were given count.
    """
    netns = cache.netns
    found = cache.recipes.get(opening_key(segment, iface))
    if found is None or len(packet) > MTU_LEAST or (dst_mac and dst_mac != netns.interfaces[iface].mac):
        return None
    ct = _tracked(netns, segment, packet) if segment.ttl >= 2 else None
    if ct is None:
        return None
    given = []
    while type(found) is Question:
        answer = netns.choices.pick(found.weights, found.why)
        given.append(answer)
        found = found.answers.get(answer)
    if not isinstance(found, Recipe) or (wanted and found.decisions is None):
        found = None
    if found is not None and _has_neighbour(netns, found) and _mapped(netns, found, ct):
        return [_ended(netns, found, packet, ct, tells=wanted)]
    netns.given.extend(given)  # the long way asks the same: what would stop the packet before was looked at above
    return None


def _tracked(netns: Netns, segment: Segment, packet: bytes) -> Conn | None:
    """A new entry for the packet, not yet in the table; None for everything that is not plain."""
    conntrack = netns.conntrack
    family, _first, _ttl, src, dst, sport, dport, _seq, _ack, _bits, _window = segment
    orig = _new(Tuple, (family, TCP, src, dst, sport, dport))
    if (0, orig) in conntrack.by_tuple or conntrack.is_full:
        return None
    if netns.sysctls.number("net.netfilter.nf_conntrack_checksum") and not checksum_is_right(packet, family):
        return None
    ct = Conn(orig, _new(Tuple, (family, TCP, dst, src, dport, sport)))
    tcp_handshake.begin(conntrack.tcp_timeouts(), ct, *after_syn(segment, packet))
    return ct


def _has_neighbour(netns: Netns, recipe: Recipe) -> bool:
    return recipe.neighbour is None or recipe.neighbour in netns.neighbours


def _mapped(netns: Netns, recipe: Recipe, ct: Conn) -> bool:
    """Translate the entry's tuples; False, and nothing changed, when one is taken that was to stay as it is."""
    conntrack, reply = netns.conntrack, ct.reply
    if recipe.done & DST_NAT_DONE:
        if recipe.dst is not None and recipe.dst != (reply.src, reply.sport):
            address, port = recipe.dst
            ct.reply = _new(Tuple, (reply[0], TCP, address, reply[3], port, reply[5]))
            ct.status |= DST_NAT
        ct.status |= DST_NAT_DONE
    if recipe.done & SRC_NAT_DONE:
        if recipe.src is None:
            if conntrack.taken(ct.reply, ct):
                return False
            netns.nat.bind_source(ct)
        else:
            ct.masq_oif = recipe.masq_oif
            netns.nat.map_end(ct, recipe.src, source=True)
    ct.mark = recipe.ct_mark
    return True


def _ended(netns: Netns, recipe: Recipe, packet: bytes, ct: Conn, *, tells: bool) -> Effect:
    """Confirm the connection and let the packet go, and tell why."""
    if netns.sysctls.number("net.netfilter.nf_conntrack_acct"):
        ct.packets[ORIGINAL] += 1
        ct.octets[ORIGINAL] += len(packet)
    leaving = sent(recipe, packet, ct.orig.family, ends_behind(ct.reply))
    is_new, hop = netns.conntrack.insert(ct), None
    if recipe.decisions is not None and tells:
        hop = told(recipe.decisions, packet, leaving.packet)
        leaving = leaving._replace(hop=hop)
    return leaving if is_new else Drop(POSTROUTING.name, CONFIRM, leaving.packet, hop)


# --- learning


def learn_opening(cache: FlowCache, trail: Trail, skb: Skb, end: Transmit) -> None:
    """Remember the recipe of a first packet that went the way of `trail`."""
    segment = read(trail.packet)
    recipe = _recipe_of(cache.netns, trail, skb, end) if segment is not None else None
    if segment is None or recipe is None:
        return
    cache.make_room()
    _remember(cache.recipes, opening_key(segment, trail.iface), trail, recipe)


def _recipe_of(netns: Netns, trail: Trail, skb: Skb, sent: Transmit) -> Recipe | None:
    """The recipe of a packet; None when something about its connection is not plain."""
    ct: Conn | None = skb.ct
    if ct is None or ct is not trail.ct or not ct.confirmed or skb.ctinfo != NEW or ct.master is not None or skb.physin:
        return None
    mapped = {"src": SRC_NAT_DONE, "dst": DST_NAT_DONE}
    done = sum({mapped[end] for end, _range in trail.mapped})
    dst = (ct.reply.src, ct.reply.sport) if dict(trail.mapped).get("dst") is not None else None
    bits = ct.status & (DST_NAT | SRC_NAT)
    if ct.status != CONFIRMED | done | bits or skb.data[8 if skb.family == 4 else 7] != trail.ttl - 1:
        return None
    if netns.mtu_of(skb.route) < MTU_LEAST:
        return None
    recipe = Recipe(
        trail.counters, sent.iface, sent.next_hop, sent.mark, neighbour_of(netns, sent),
        ip_change(trail.packet, sent.packet), 1, done, dst, dict(trail.mapped).get("src"), ct.masq_oif, ct.mark,
        decisions_of(skb),
    )  # fmt: skip
    return recipe if readdressed(recipe, trail.packet, skb.family, ends_behind(ct.reply)) == sent.packet else None


def _remember(recipes: Recipes, key: OpeningKey, trail: Trail, recipe: Recipe) -> None:
    """Put a recipe where the answers of its walk lead to."""
    if not trail.picks:
        recipes[key] = recipe
        return
    weights, why, answer = trail.picks[0]
    found = recipes.get(key)
    if not isinstance(found, Question) or (found.weights, found.why) != (weights, why):
        found = recipes[key] = Question(weights, why, {})
    for weights, why, following in trail.picks[1:]:
        behind = found.answers.get(answer)
        if not isinstance(behind, Question) or (behind.weights, behind.why) != (weights, why):
            behind = found.answers[answer] = Question(weights, why, {})
        found, answer = behind, following
    found.answers[answer] = recipe
