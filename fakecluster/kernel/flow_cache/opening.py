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

from fakecluster.kernel.conntrack import tcp
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
    packet_tuple,
)
from fakecluster.kernel.effects import Drop, Effect, Transmit
from fakecluster.kernel.flow_cache.decisions import Decisions, decisions_of, ends_of, told
from fakecluster.kernel.hooks import POSTROUTING, PREROUTING
from fakecluster.kernel.nat import NO_CONTEXT
from fakecluster.kernel.packet import FRAGMENT, SYN, TCP, Skb, is_group
from fakecluster.trace import Verdict

if TYPE_CHECKING:
    from fakecluster.kernel.nat_range import NatRange
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.trail import Trail

#: The hook's function that drops a packet whose connection is another's by now.
CONFIRM = "conntrack confirm"
#: First packets are small. What fits everywhere needs no look at the MTU, which depends on what chance decides.
MTU_LEAST = 576
#: Interface, first 16 bits without the flow label, addresses, destination port.
OpeningKey = tuple[str, int, bytes, bytes]


@attrs.frozen
class Recipe:
    """What comes of a first packet: `counters` count it, it leaves by `oif` (see Flow for the rest).

    `dst` is where it is translated to, (address, port), None for nowhere; `src` the range for its source. Both only mean
    something with SRC_NAT_DONE or DST_NAT_DONE among `done`.
    """

    counters: list[list[int]]
    done: int
    dst: tuple[int, int] | None
    src: NatRange | None
    masq_oif: str
    ct_mark: int
    oif: str
    next_hop: int
    mark: int
    neighbour: tuple[int, int] | None
    decisions: Decisions | None


@attrs.frozen(eq=False)
class Question:
    """Something that is left to chance, and what follows from each answer that was met."""

    weights: tuple[int, ...]
    why: str
    answers: dict[int, Recipe | Question]


Recipes = dict[OpeningKey, Recipe | Question]


def key_of(packet: bytes, iface: str) -> OpeningKey | None:
    """The key of a packet that may open a connection by itself: a whole TCP SYN without IP options; else None."""
    size, first = len(packet), packet[0] << 8 | packet[1]
    if packet[0] == 0x45:
        if size < 40 or packet[9] != TCP or packet[33] != SYN or (packet[6] << 8 | packet[7]) & FRAGMENT:
            return None
        return (iface, first, packet[12:20], packet[22:24]) if packet[2] << 8 | packet[3] == size else None
    if size < 60 or packet[0] >> 4 != 6 or packet[6] != TCP or packet[53] != SYN:
        return None
    return (iface, first & 0xFFF0, packet[8:40], packet[42:44]) if packet[4] << 8 | packet[5] == size - 40 else None


def opened(
    netns: Netns, recipes: Recipes, packet: bytes, iface: str, dst_mac: bytes, *, decisions: bool
) -> list[Effect] | None:  # fmt: skip
    """What comes of a first packet; None when it must go the long way, where answers that were given count."""
    key = key_of(packet, iface)
    found = recipes.get(key) if key is not None else None
    if found is None or len(packet) > MTU_LEAST or (dst_mac and dst_mac != netns.interfaces[iface].mac):
        return None
    if packet[0] == 0x45 and int.from_bytes(packet[:20]) % 0xFFFF:
        return None
    skb = Skb(packet, iif=iface)
    if skb.ttl < 2:
        return None
    ct = _tracked(netns, skb)
    if ct is None:
        return None
    given = []
    while type(found) is Question:
        answer = netns.choices.pick(found.weights, found.why)
        given.append(answer)
        found = found.answers.get(answer)
    if not isinstance(found, Recipe) or (decisions and found.decisions is None):
        found = None
    if found is not None and _has_neighbour(netns, found) and _mapped(netns, found, skb, ct):
        return [_ended(netns, found, skb, ct, packet if decisions else b"")]
    netns.given.extend(given)  # the long way asks the same: what would stop the packet before was looked at above
    return None


def _tracked(netns: Netns, skb: Skb) -> Conn | None:
    """A new entry for the packet, not yet in the table; None for everything that is not plain."""
    conntrack = netns.conntrack
    orig = packet_tuple(skb)
    if orig is None or (0, orig) in conntrack.by_tuple or conntrack.is_full:
        return None
    if netns.sysctls.number("net.netfilter.nf_conntrack_checksum") and not skb.l4_checksum_ok():
        return None
    reply = orig.inverted()
    assert reply is not None
    ct = skb.ct = Conn(orig, reply)
    skb.ctinfo = NEW
    return ct if tcp.track(conntrack, ct, skb, ORIGINAL) == "accept" else None


def _has_neighbour(netns: Netns, recipe: Recipe) -> bool:
    return recipe.neighbour is None or recipe.neighbour in netns.neighbours


def _mapped(netns: Netns, recipe: Recipe, skb: Skb, ct: Conn) -> bool:
    """Translate the entry's tuples; False, and nothing changed, when one is taken that was to stay as it is."""
    conntrack, reply = netns.conntrack, ct.reply
    if recipe.done & DST_NAT_DONE:
        if recipe.dst is not None and recipe.dst != (reply.src, reply.sport):
            address, port = recipe.dst
            ct.reply = Tuple(reply.family, reply.proto, address, reply.dst, port, reply.dport)
            ct.status |= DST_NAT
        ct.status |= DST_NAT_DONE
    if recipe.done & SRC_NAT_DONE:
        if recipe.src is None:
            if conntrack.taken(ct.reply, ct):
                return False
            netns.nat.bind_source(ct)
        else:
            ct.masq_oif = recipe.masq_oif
            netns.nat.setup(skb, NO_CONTEXT, recipe.src, "src")
    ct.mark = recipe.ct_mark
    return True


def _ended(netns: Netns, recipe: Recipe, skb: Skb, ct: Conn, packet: bytes) -> Effect:
    """Count the packet, rewrite it and let it go; tell of it when it is given as it came."""
    size = len(skb.data)
    for pair in recipe.counters:
        pair[0] += 1
        pair[1] += size
    came = ends_of(skb)
    skb.set_ttl(skb.ttl - 1)
    if ct.status & DST_NAT:
        netns.nat.translate(skb, ct, PREROUTING)
    routed, skb.oif = ends_of(skb), recipe.oif
    if ct.status & SRC_NAT:
        netns.nat.translate(skb, ct, POSTROUTING)
    is_new, hop = netns.conntrack.insert(ct), None
    if recipe.decisions is not None and packet:
        verdict = Verdict("transmitted", recipe.oif) if is_new else Verdict("dropped", POSTROUTING.name, CONFIRM)
        hop = told(netns, recipe.decisions, packet, skb, (came, routed, ends_of(skb)), verdict)
    if not is_new:
        return Drop(POSTROUTING.name, CONFIRM, bytes(skb.data), hop)
    return Transmit(recipe.oif, bytes(skb.data), recipe.next_hop, skb.family, recipe.mark, hop=hop)


# --- learning


def recipe_of(netns: Netns, trail: Trail, skb: Skb, sent: Transmit) -> Recipe | None:
    """The recipe of a packet that went the way of `trail`; None when something about its connection is not plain."""
    ct: Conn | None = skb.ct
    if ct is None or not ct.confirmed or skb.ctinfo != NEW or ct.master is not None or skb.physin:
        return None
    mapped = {"src": SRC_NAT_DONE, "dst": DST_NAT_DONE}
    done = sum({mapped[end] for end, _range in trail.mapped})
    dst = (ct.reply.src, ct.reply.sport) if dict(trail.mapped).get("dst") is not None else None
    bits = ct.status & (DST_NAT | SRC_NAT)
    if ct.status != CONFIRMED | done | bits or skb.data[8 if skb.family == 4 else 7] != trail.ttl - 1:
        return None
    if netns.mtu_of(skb.route) < MTU_LEAST:
        return None
    device = netns.interfaces[sent.iface]
    alone = device.noarp or is_group(sent.family, sent.next_hop)
    return Recipe(
        counters=trail.counters,
        done=done,
        dst=dst,
        src=dict(trail.mapped).get("src"),
        masq_oif=ct.masq_oif,
        ct_mark=ct.mark,
        oif=sent.iface,
        next_hop=sent.next_hop,
        mark=sent.mark,
        neighbour=None if alone else (sent.family, sent.next_hop),
        decisions=decisions_of(skb),
    )


def remember(recipes: Recipes, key: OpeningKey, trail: Trail, recipe: Recipe) -> None:
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
