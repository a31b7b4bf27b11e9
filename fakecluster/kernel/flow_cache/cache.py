"""The flows of a namespace: finding them, learning them, forgetting them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fakecluster.kernel.conntrack.entry import ASSURED, FIXED_TIMEOUT, SEEN_REPLY, Conn
from fakecluster.kernel.conntrack.tcp_state import ESTAB, SYN_RECV
from fakecluster.kernel.effects import Deliver, Effect, Transmit
from fakecluster.kernel.flow_cache.flow import Flow, flow_of
from fakecluster.kernel.flow_cache.kin import SYN_ACK, Answers, Kin, Thrift, answered, joined, learn_kin
from fakecluster.kernel.flow_cache.lanes import LANES, NOT_PSH, REWRITES, Flows, flow_key
from fakecluster.kernel.flow_cache.opening import Recipes, learn_opening, opened
from fakecluster.kernel.packet import ACK, FRAGMENT, PSH, SYN, TCP, UDP
from fakecluster.kernel.plain_segment import Segment, read
from fakecluster.kernel.tcp_input import straight
from fakecluster.kernel.trail import Trail

if TYPE_CHECKING:
    from fakecluster.kernel.ip_output import Exit
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.packet import Skb
    from fakecluster.kernel.routing import Route

#: What the routing of a received packet depends on: its device, addresses, mark, first two bytes (family, TOS).
InputKey = tuple[str, int, int, int, bytes]
#: Flows that one namespace remembers; with more it starts anew rather than grow. An entry takes about 600 bytes.
MAX_FLOWS = 65_536
#: Recipes, and entries that serve kin, likewise; most are of no more use when there are that many clients.
MAX_RECIPES = 16_384
OPEN = ASSURED | SEEN_REPLY
#: What may come of a TCP segment of no known flow, by its flags.
UNKNOWN: dict[int, Callable[[FlowCache, Segment, bytes, str, bytes, bool], list[Effect] | None]] = {
    SYN: opened,
    SYN_ACK: answered,
    ACK: joined,
    ACK | PSH: joined,
}


class FlowCache:
    """The flows that a namespace remembers."""

    def __init__(self, netns: Netns) -> None:
        self.netns = netns
        self.flows: Flows = {}
        self.recipes: Recipes = {}
        self.answers: Answers = {}
        self.kin: Kin = {}
        self.thrift = Thrift()
        #: routes of packets that came in and were let through by their addresses, local or forwarded
        self.input_routes: dict[InputKey, Route] = {}
        #: how what sockets send leaves, by family, destination, source and mark
        self.exits: dict[tuple[int, int, int, int], Exit] = {}
        self._enabled = True
        self._plain: dict[int, bool] = {}
        self.generation = self._recipe_count = 0
        #: told when everything was forgotten
        self.on_change: Callable[[], None] | None = None

    def receive(
        self, packet: bytes, iface: str, dst_mac: bytes, *, decisions: bool = False
    ) -> list[Effect] | None:  # fmt: skip
        """What comes of a packet of a known flow; None, and nothing changed, when it must go the long way.

        With `decisions` effects have hops that say what decided and was rewritten: flows do not know it, recipes may.
        """
        if len(packet) < 28:
            return None
        if not (self.flows or self.recipes or self.answers or self.kin):
            if not self.input_routes or (decisions and not self.is_plain(4 if packet[0] >> 4 == 4 else 6)):
                return None
            return straight(self.netns, packet, iface, dst_mac)
        lane = LANES.get(packet[9] if packet[0] == 0x45 else packet[6] if packet[0] >> 4 == 6 else 0)
        if lane is None:
            return None
        effects = None if decisions else lane(self.netns, self.flows, packet, iface, dst_mac)
        if effects is None and lane is LANES[TCP]:
            at = 33 if packet[0] == 0x45 else 53
            meet = UNKNOWN.get(packet[at]) if len(packet) > at else None
            segment = read(packet) if meet is not None else None
            if meet is not None and segment is not None:
                return meet(self, segment, packet, iface, dst_mac, decisions)
        return effects

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one more flow."""
        return len(self.flows) >= MAX_FLOWS

    @property
    def enabled(self) -> bool:
        """Whether flows are remembered; may be switched off and on at any time."""
        return self._enabled

    @enabled.setter
    def enabled(self, on: bool) -> None:
        self._enabled = on
        self.changed()

    def changed(self) -> None:
        """Something that packets' ways depend on is different now: forget everything."""
        self.generation += 1
        self.flows.clear()
        self._forget_recipes()
        self.input_routes.clear()
        self.exits.clear()
        self._plain.clear()
        if self.on_change is not None:
            self.on_change()

    def _forget_recipes(self) -> None:
        self.recipes.clear()
        self.answers.clear()
        self.kin.clear()
        self.thrift.met.clear()
        self._recipe_count = 0

    def remember_route(self, key: InputKey, route: Route) -> None:
        """Packets like this one go by that route."""
        if self.enabled:
            if len(self.input_routes) >= MAX_FLOWS:
                self.input_routes.clear()
            self.input_routes[key] = route

    def remember_exit(self, key: tuple[int, int, int, int], way_out: Exit) -> None:
        """What sockets send like that leaves so."""
        if self.enabled:
            if len(self.exits) >= MAX_FLOWS:
                self.exits.clear()
            self.exits[key] = way_out

    def forget(self, ct: Conn) -> None:
        """A connection is over: its flows go with it."""
        for key in ct.shortcuts:
            found = self.flows.get(key)
            if found is not None and found.ct is ct:
                del self.flows[key]
        ct.shortcuts = ()

    # --- learning

    def is_plain(self, family: int) -> bool:
        """Whether the long way is as short: no hooks to meet, nothing is forwarded."""
        plain = self._plain.get(family)
        if plain is None:
            sysctl = "net.ipv4.ip_forward" if family == 4 else "net.ipv6.conf.all.forwarding"
            met = any(self.netns.hooks.entries[family].values()) or self.netns.sysctls.number(sysctl)
            plain = self._plain[family] = not met
        return plain

    def begin(self, packet: bytes, iface: str) -> Trail | None:
        """The trail for a packet that goes the long way, if its flow might be remembered."""
        size = len(packet)
        if not self._enabled or size < 28 or self.is_plain(4 if packet[0] >> 4 == 4 else 6):
            return None
        if packet[0] == 0x45:
            l4, proto = 20, packet[9]
            sound = packet[2] << 8 | packet[3] == size and not (packet[6] << 8 | packet[7]) & FRAGMENT
        else:
            l4, proto = 40, packet[6]
            sound = packet[0] >> 4 == 6 and (packet[4] << 8 | packet[5]) + 40 == size
        if not sound or proto not in (TCP, UDP):
            return None
        if proto == TCP:
            if size < l4 + 20:
                return None
            flags = packet[l4 + 13]
            if flags == SYN:
                return Trail(packet, iface, self.generation, opening=True)
            if flags == SYN_ACK and packet is not self.thrift.passed_over:
                return Trail(packet, iface, self.generation, answers=True)
            if flags & NOT_PSH != ACK:
                return None
        return Trail(packet, iface, self.generation) if size >= l4 + 8 else None

    def learn(self, skb: Skb, effects: list[Effect]) -> None:
        """The walk is over: remember its flow when nothing but its key decided."""
        trail = skb.trail
        if trail is None or trail.generation != self.generation or not effects:
            return
        end = effects[0]  # what a socket did in reaction comes after it
        if not isinstance(end, Deliver) and (type(end) is not Transmit or len(effects) > 1):
            return
        if end.generated or len(end.packet) != len(trail.packet):
            return
        if skb.pkttype != "unicast" or skb.iif == "lo":
            return
        if trail.opening:
            if isinstance(end, Transmit):
                learn_opening(self, trail, skb, end)
            return
        if not _is_settled(trail, skb):
            return
        flow = flow_of(self.netns, trail, skb, end)
        if REWRITES[skb.family, skb.proto](flow, trail.packet) != end.packet:
            return
        if not trail.answers:
            self._remember(trail, flow)
        learn_kin(self, trail, skb, flow)

    def make_room(self) -> None:
        """There is going to be one more recipe, or entry for kin."""
        if self._recipe_count >= MAX_RECIPES:
            self._forget_recipes()
        self._recipe_count += 1

    def _remember(self, trail: Trail, flow: Flow) -> None:
        if self.is_full:
            self.changed()
        key = flow_key(trail.packet, trail.iface)
        self.flows[key] = flow
        if flow.ct is not None:
            flow.ct.add_shortcut(key)


def _is_settled(trail: Trail, skb: Skb) -> bool:
    """Whether the next packet finds the connection as this one did; after a SYN-ACK, the next one of kin."""
    ct = trail.ct
    if ct is not skb.ct:
        return False
    if ct is None:
        return not trail.answers
    if ct.status != trail.status or ct.mark != trail.ct_mark or ct.status & FIXED_TIMEOUT:
        return False
    if trail.answers:
        return ct.status & OPEN == SEEN_REPLY and bool(ct.proto_info.state == SYN_RECV)
    return skb.proto != TCP or (ct.status & OPEN == OPEN and ct.proto_info.state == ESTAB)
