"""IP sets in the kernel: their elements, what tests packets against them, and the ipset command.

Source: net/netfilter/ipset (ip_set_core.c, ip_set_hash_gen.h, ip_set_getport.c, ip_set_list_set.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel.packet import ICMP, ICMPV6, Skb
from fakecluster.rules.ipset_types import PORTED, Element, SetOptions

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

NS_PER_S = 1_000_000_000
NO_SUCH_SET = "The set with the given name does not exist"


class SetProblem(Exception):
    """The kernel refuses; the text is ipset's."""


class Held:
    """An element in a set: when it ends (None: never), and its extensions."""

    __slots__ = ("bytes", "comment", "end_ns", "nomatch", "packets")

    def __init__(self, end_ns: int | None, *, nomatch: bool, comment: str, packets: int, octets: int) -> None:
        self.end_ns, self.nomatch, self.comment, self.packets, self.bytes = end_ns, nomatch, comment, packets, octets

    def fork(self) -> Held:
        return Held(self.end_ns, nomatch=self.nomatch, comment=self.comment, packets=self.packets, octets=self.bytes)


class IpSet:
    """One set. `prefixes` counts, for types with networks, how many elements have each prefix length."""

    def __init__(self, name: str, options: SetOptions) -> None:
        self.name, self.options = name, options
        self.held: dict[Element, Held] = {}
        self.members: list[IpSet] = []
        self.prefixes: dict[int, int] = {}
        self._net_at = _place_of_network(options)

    def fork(self) -> IpSet:
        twin = IpSet(self.name, self.options)
        twin.held = {element: held.fork() for element, held in self.held.items()}
        twin.prefixes = self.prefixes.copy()
        return twin

    def find(self, element: Element, now_ns: int) -> Held | None:
        held = self.held.get(element)
        if held is not None and held.end_ns is not None and held.end_ns <= now_ns:
            self.remove(element)
            return None
        return held

    def expire(self, now_ns: int) -> None:
        """Forget what has ended."""
        if self.options.timeout is None:
            return
        for element in [each for each, held in self.held.items() if held.end_ns is not None and held.end_ns <= now_ns]:
            self.remove(element)

    def put(self, element: Element, held: Held) -> None:
        if self._net_at is not None and element not in self.held:
            prefix = element[self._net_at + 1]
            self.prefixes[prefix] = self.prefixes.get(prefix, 0) + 1
        self.held[element] = held

    def remove(self, element: Element) -> None:
        del self.held[element]
        if self._net_at is not None:
            prefix = element[self._net_at + 1]
            self.prefixes[prefix] -= 1
            if not self.prefixes[prefix]:
                del self.prefixes[prefix]

    def covering(self, element: Element, now_ns: int) -> Held | None:
        """The element itself or, for networks, the longest prefix that contains it."""
        if self._net_at is None:
            return self.find(element, now_ns)
        bits, at = 32 if self.options.family == 4 else 128, self._net_at
        for prefix in sorted(self.prefixes, reverse=True):
            network = element[at] >> (bits - prefix) << (bits - prefix)
            found = self.find((*element[:at], network, prefix, *element[at + 2 :]), now_ns)
            if found is not None:
                return found
        return None

    def of_packet(self, skb: Skb, directions: tuple[str, ...]) -> Element | None:
        """The element that a packet stands for; None when it has none (a fragment has no port)."""
        values: list[int] = []
        bits = 32 if self.options.family == 4 else 128
        for part, direction in zip(self.options.type.parts, directions, strict=False):
            is_source = direction == "src"
            if part in ("ip", "net"):
                address = skb.src if is_source else skb.dst
                if self.options.netmask is not None:
                    address = address >> (bits - self.options.netmask) << (bits - self.options.netmask)
                values += [address, bits] if part == "net" else [address]
                continue
            found = packet_port(skb, is_source=is_source)
            if found is None or (part == "bareport" and found[0] not in (6, 17)):
                return None
            values += [found[1]] if part == "bareport" else found
        return tuple(values)


    def added_for(self, skb: Skb, directions: tuple[str, ...]) -> Element | None:
        """The element that SET adds or deletes for a packet; None when there is none that the set could hold.

        A network is as long as the longest prefix in the set (hash_net4_kadt).
        """
        options = self.options
        if options.type.dimension > len(directions) or (
            options.family != skb.family and options.type.name != "bitmap:port"
        ):
            return None
        element = self.of_packet(skb, directions)
        if element is None or (not options.type.is_hash and not options.range[0] <= element[0] <= options.range[1]):
            return None
        if self._net_at is None or not self.prefixes:
            return element
        at, prefix = self._net_at, max(self.prefixes)
        spare = (32 if options.family == 4 else 128) - prefix
        return (*element[:at], element[at] >> spare << spare, prefix, *element[at + 2 :])


def _place_of_network(options: SetOptions) -> int | None:
    """Where in an element its network stands."""
    at = 0
    for part in options.type.parts:
        if part == "net":
            return at
        at += 2 if part == "port" else 1
    return None


def packet_port(skb: Skb, *, is_source: bool) -> tuple[int, int] | None:
    """(protocol, port); type and code for ICMP, 0 for protocols without ports; None when it cannot be read."""
    if skb.proto in PORTED or skb.proto in (ICMP, ICMPV6):
        if skb.frag_offset or len(skb.data) < skb.l4 + 4:
            return None
        if skb.proto in PORTED:
            return skb.proto, skb.sport if is_source else skb.dport
        return skb.proto, skb.data[skb.l4] << 8 | skb.data[skb.l4 + 1]
    return skb.proto, 0


class IpSets:
    """All sets of a namespace, by name."""

    def __init__(self, netns: Netns) -> None:
        self.netns = netns
        self.sets: dict[str, IpSet] = {}

    def fork(self, netns: Netns) -> IpSets:
        twin = IpSets(netns)
        twin.sets = {name: each.fork() for name, each in self.sets.items()}
        for name, each in self.sets.items():
            twin.sets[name].members = [twin.sets[member.name] for member in each.members]
        return twin

    def get(self, name: str) -> IpSet:
        """The set called `name`. Raises `SetProblem`."""
        found = self.sets.get(name)
        if found is None:
            raise SetProblem(NO_SUCH_SET)
        return found

    def check_reference(self, name: str, family: int, directions: tuple[str, ...]) -> None:
        """What iptables says about a rule that names a set. Raises `RuleProblem`."""
        from fakecluster.rules.iptables import RuleProblem

        found = self.sets.get(name)
        if found is None:
            raise RuleProblem(f"Set {name} doesn't exist.\n", token=name)
        if found.options.type.is_hash and found.options.family != family:
            words = f"The protocol family of set {name} is IPv{found.options.family}, which is not applicable.\n"
            raise RuleProblem(words, token=name)

    def test(self, name: str, skb: Skb, directions: tuple[str, ...], *, return_nomatch: bool = False) -> bool:
        """Whether a packet is in a set (ip_set_test)."""
        return self._test(self.get(name), skb, directions, return_nomatch)

    def _test(self, wanted: IpSet, skb: Skb, directions: tuple[str, ...], return_nomatch: bool) -> bool:
        options = wanted.options
        if options.timeout is not None or options.counters:
            skb.trail = None
        elif skb.trail is not None and "port" in options.type.name:  # which may be the client's
            if skb.trail.opening:
                skb.trail = None
            else:
                skb.trail.kin = [False, False]
        if options.type.name == "list:set":
            return any(self._test(member, skb, directions, return_nomatch) for member in wanted.members)
        if len(directions) < options.type.dimension:
            return False
        if options.family != skb.family and options.type.name != "bitmap:port":
            return False
        element = wanted.of_packet(skb, directions)
        held = wanted.covering(element, self.netns.clock.now_ns) if element is not None else None
        if held is None or held.nomatch != return_nomatch:
            return False
        if options.counters:
            held.packets += 1
            held.bytes += len(skb.data)
        return True

    def add_packet(
        self, name: str, skb: Skb, directions: tuple[str, ...], *, exist: bool = False, timeout: int | None = None
    ) -> None:
        """The SET target adds what the packet stands for; a full or unfitting set is left as it is."""
        wanted = self.get(name)
        element = wanted.added_for(skb, directions)
        if element is None:
            return
        now_ns = self.netns.clock.now_ns
        wanted.expire(now_ns)
        known = wanted.find(element, now_ns)
        if known is None and len(wanted.held) >= wanted.options.maxelem:
            return
        if known is not None and not exist:
            return
        if known is None:
            self.netns.flow_cache.changed()
        end_ns, octets = end_of(wanted, timeout, now_ns), len(skb.data)  # the packet itself counts (IP_SET_INIT_KEXT)
        wanted.put(element, Held(end_ns, nomatch=False, comment="", packets=1, octets=octets))

    def delete_packet(self, name: str, skb: Skb, directions: tuple[str, ...]) -> None:
        """The SET target deletes what the packet stands for."""
        wanted = self.get(name)
        element = wanted.added_for(skb, directions)
        if element is not None and element in wanted.held:
            wanted.remove(element)
            self.netns.flow_cache.changed()


def end_of(wanted: IpSet, timeout: int | None, now_ns: int) -> int | None:
    """When an element added now ends; a timeout of 0 is for ever."""
    if wanted.options.timeout is None:
        return None
    seconds = wanted.options.timeout if timeout is None else timeout
    return now_ns + seconds * NS_PER_S if seconds else None


def run(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    """The ipset command."""
    from fakecluster.kernel.ipset_tool import run as run_tool

    return run_tool(netns, argv, stdin)
