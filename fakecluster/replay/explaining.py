"""One packet explained: its walk, why the rules beside those that matched did not, and what would change the end.

Reasons are given for iptables rules, from what a rule says of addresses, protocol, interfaces and ports; when these
hold, the other matches (state, set, probability...) are named, as nothing else was left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

import attrs

from fakecluster.errors import FakeclusterError
from fakecluster.kernel.effects import Effect, SendError
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import PROTOCOL_NAMES
from fakecluster.replay.packet_words import PacketWords, parse_packet
from fakecluster.rules.iptables.rule import Interface, Network, Rule, RuleParts, match_text
from fakecluster.trace import ChainEnd, Hop, Rewrite, RuleStep, Step, Trace, fate

#: Rules of a chain whose reasons are given: those nearest to the packet (same address first), and of a rule's chain.
NEIGHBOURS = 4
#: Changes of the packet that are tried.
CHANGES = 6
_PORT = re.compile(r"(! )?--(s|d)port (\d+)(?::(\d+))?")


class NoInterface(FakeclusterError):
    """The packet comes in by an interface that the node does not have."""


@attrs.frozen
class Neighbour:
    """A rule that did not match, and why: `near` counts how many of its conditions held."""

    hook: str
    table: str
    chain: str
    rule: int
    text: str
    why: str
    near: int = 0


@attrs.frozen
class Change:
    """Another packet and its end."""

    change: str
    end: str


@attrs.frozen
class Explanation:
    """The walk of a packet, the rules that nearly matched, and changes that would have led elsewhere."""

    trace: Trace
    neighbours: tuple[Neighbour, ...]
    changes: tuple[Change, ...]

    @property
    def end(self) -> str:
        return fate(self.trace.hops) if self.trace.hops else "nothing happened"

    def __str__(self) -> str:
        lines = [str(self.trace)]
        if self.neighbours:
            lines += ["", "rules that did not match:"]
            lines += [f"  {one.table} {one.chain} #{one.rule}: {one.text}\n      {one.why}" for one in self.neighbours]
        if self.changes:
            lines += ["", "what would have led elsewhere:"]
            lines += [f"  {one.change}: {one.end}" for one in self.changes]
        return "\n".join(lines)


def explain(netns: Netns, words: PacketWords | str) -> Explanation:
    """Explain a packet on a node (`words` as in `parse_packet`); the node itself does not change.

    Raises `NoInterface`, `PacketSyntaxError`.
    """
    if isinstance(words, str):
        words = parse_packet(words)
    trace = walk(netns, words)
    neighbours = tuple(_neighbours(netns, trace))
    return Explanation(trace, neighbours, tuple(_changes(netns, words, trace, neighbours)))


def walk(netns: Netns, words: PacketWords) -> Trace:
    """A packet's walk through a copy of the node."""
    copy = netns.fork(netns.clock.fork(), netns.choices.fork())
    if words.interface and words.interface not in copy.interfaces:
        raise NoInterface(f"no interface {words.interface}; there are {', '.join(copy.interfaces)}")
    effects: list[Effect]
    try:
        if words.interface:
            effects = copy.receive(words.packet(), words.interface, trace=True)
        else:
            effects = copy.send_local(words.packet(), trace=True)
    except SendError as refused:
        effects = refused.effects
    hops = [hop for effect in effects if (hop := getattr(effect, "hop", None)) is not None]
    return Trace(tuple(sorted(hops, key=lambda hop: hop.walk)))


# --- neighbours


@attrs.define
class _State:
    """The packet as it is at some step."""

    src: int
    dst: int
    proto: int
    sport: int
    dport: int
    iif: str
    oif: str

    @classmethod
    def of(cls, hop: Hop) -> _State:
        from fakecluster.kernel.packet import Skb

        skb = Skb(hop.packet_in)
        return cls(skb.src, skb.dst, skb.proto, skb.sport, skb.dport, hop.iif, hop.oif)

    def apply(self, step: Rewrite) -> None:
        if step.field in ("src", "dst"):
            setattr(self, step.field, int(ip_address(step.after)))
        elif step.field in ("sport", "dport"):
            setattr(self, step.field, int(step.after))


def _neighbours(netns: Netns, trace: Trace) -> Iterator[Neighbour]:
    """The rules that the packet passed by, chain by chain: the nearest of each."""
    seen: set[tuple[str, str, str]] = set()
    for hop in trace.way:
        state = _State.of(hop)
        for step in hop.steps:
            if isinstance(step, Rewrite):
                state.apply(step)
            elif isinstance(step, RuleStep | ChainEnd) and (step.hook, step.table, step.chain) not in seen:
                seen.add((step.hook, step.table, step.chain))
                matched = {one.rule for one in _rules_of(hop.steps, step)}
                yield from _of_chain(netns, step, state, matched)


def _rules_of(steps: tuple[Step, ...], of: RuleStep | ChainEnd) -> Iterator[RuleStep]:
    for step in steps:
        same = isinstance(step, RuleStep) and (step.hook, step.table, step.chain) == (of.hook, of.table, of.chain)
        if same and isinstance(step, RuleStep):
            yield step


def _of_chain(netns: Netns, step: RuleStep | ChainEnd, state: _State, matched: set[int]) -> list[Neighbour]:
    family_word, _, table = step.table.partition(" ")
    family = {"ip": 4, "ip6": 6}.get(family_word)
    if family is None or "xtables" not in netns.__dict__:
        return []
    rules: tuple[Rule, ...] = ()
    for backend in ("nft", "legacy"):
        found = netns.xtables.of(family, backend).tables.get(table)
        if found is not None and step.chain in found.chains:
            rules = found.chains[step.chain].rules
    last = max(matched, default=len(rules))
    near = []
    for number, rule in enumerate(rules[:last], 1):
        if number in matched:
            continue
        held, why = _reason(rule.parts, state)
        near.append(Neighbour(step.hook, step.table, step.chain, number, str(rule), why, held))
    return sorted(sorted(near, key=lambda one: -one.near)[:NEIGHBOURS], key=lambda one: one.rule)


def _reason(parts: RuleParts, state: _State) -> tuple[int, str]:
    """How many conditions hold, and the first that does not, in words."""
    failed, held = [], 0
    for words in _conditions(parts, state):
        if words:
            failed.append(words)
        else:
            held += 1
    if failed:
        return held * 2 - len(failed), "; ".join(failed)
    names = [match_text(match).strip() for match in parts.matches if match.name not in ("comment", "tcp", "udp")]
    if not names:
        return held * 2, "it was not reached"
    return held * 2, f"{'did' if len(names) == 1 else 'one of these did'} not hold: {' '.join(names)}"


def _conditions(parts: RuleParts, state: _State) -> Iterator[str]:
    """For every header condition of a rule: "" when it holds, else why not."""
    for word, network, address in (("source", parts.src, state.src), ("destination", parts.dst, state.dst)):
        if network is not None:
            yield _network(word, network, address, parts.family)
    for word, interface, name in (("in", parts.iif, state.iif), ("out", parts.oif, state.oif)):
        if interface is not None:
            yield _interface(word, interface, name)
    if parts.protocol is not None:
        number = parts.protocol.number
        wrong = (number == state.proto) == parts.protocol.inverted and number != 0
        name = PROTOCOL_NAMES.get(number, str(number))
        is_name = PROTOCOL_NAMES.get(state.proto, str(state.proto))
        yield f"the protocol is {is_name}, not {name}" if wrong else ""
    for match in parts.matches:
        if match.name in ("tcp", "udp", "sctp"):
            for inverted, side, low, high in _PORT.findall(match_text(match)):
                port = state.sport if side == "s" else state.dport
                inside = int(low) <= port <= int(high or low)
                word = "source" if side == "s" else "destination"
                wanted = low + (f"-{high}" if high else "")
                yield "" if inside != bool(inverted) else f"the {word} port is {port}, not {wanted}"


def _network(word: str, network: Network, address: int, family: int) -> str:
    inside = (address ^ network.address) & network.mask == 0
    if inside != network.inverted:
        return ""
    size = 4 if family == 4 else 16
    text, wanted = ip_address(address.to_bytes(size)), ip_address(network.address.to_bytes(size))
    prefix = network.mask.bit_count()
    wanted_text = f"{wanted}" + ("" if prefix == size * 8 else f"/{prefix}")
    return f"the {word} is {text}, {'which is' if network.inverted else 'not'} {wanted_text}"


def _interface(word: str, interface: Interface, name: str) -> str:
    wanted = interface.name
    inside = name.startswith(wanted[:-1]) if wanted.endswith("+") else name == wanted
    return "" if inside != interface.inverted else f"the packet goes {word} {name or 'nowhere'}, not {wanted}"


# --- changes


def _changes(netns: Netns, words: PacketWords, trace: Trace, neighbours: tuple[Neighbour, ...]) -> Iterator[Change]:
    """The same packet to other ports, or by another protocol, that a rule with its destination asks for."""
    before = fate(trace.hops) if trace.hops else ""
    tried: set[PacketWords] = {words}
    for one in neighbours:
        other = _asked_for(one, words)
        if other is None or other in tried:
            continue
        if len(tried) > CHANGES:
            return
        tried.add(other)
        after = walk(netns, other)
        end = fate(after.hops) if after.hops else "nothing happened"
        if end != before:
            yield Change(_difference(words, other), end)


def _asked_for(rule: Neighbour, words: PacketWords) -> PacketWords | None:
    """The packet that a rule about the packet's own destination would have matched; None when it is about others."""
    target = re.search(r"(?<!! )-d ([0-9a-fA-F.:]+)(?:/(?:32|128))? ", rule.text)
    if target is None or int(ip_address(target[1])) != words.dst:
        return None
    numbers = {name: number for number, name in PROTOCOL_NAMES.items()}
    protocol = re.search(r"-p (\w+)", rule.text)
    port = re.search(r"--dport (\d+)", rule.text)
    if port is None or protocol is None or protocol[1] not in ("tcp", "udp", "sctp"):
        return None
    return attrs.evolve(words, proto=numbers[protocol[1]], dport=int(port[1]))


def _difference(words: PacketWords, other: PacketWords) -> str:
    parts = []
    if other.proto != words.proto:
        parts.append(f"protocol {PROTOCOL_NAMES[other.proto]}")
    if other.dport != words.dport:
        parts.append(f"destination port {other.dport}")
    return "with " + " and ".join(parts)
