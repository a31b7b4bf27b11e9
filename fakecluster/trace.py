"""What happened to a packet, as frozen data: a Trace is hops, a Hop is one walk through one namespace, made of steps.

Nothing here computes anything about packets; the kernel and the fabric write these values, people and tests read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

import attrs

#: How the sockets of a relay (userspace kube-proxy) are called; hops that are delivered to one name it.
RELAY = "kube-proxy relay"


@attrs.frozen
class RuleStep:
    """A rule whose matches all held: `rule` counts from 1 within its chain; `verdict` is in iptables'/nft's words."""

    hook: str
    table: str  # "ip nat", "ip6 filter", "inet my-table": family and table
    chain: str
    rule: int
    text: str
    verdict: str
    mark: int = 0


@attrs.frozen
class ChainEnd:
    """A chain was left without a verdict (`end` is "chain-end") or a base chain fell to its policy ("policy")."""

    hook: str
    table: str
    chain: str
    end: str
    verdict: str
    mark: int = 0


@attrs.frozen
class Rewrite:
    """A header or metadata field changed: `field` as in "dst", "dport", "ttl", "mark"; both values as text."""

    hook: str
    field: str
    before: str
    after: str
    why: str


@attrs.frozen
class Note:
    """Anything else the kernel did: `kind` is one of route, conntrack, socket, ipvs, icmp, fragment, drop, arp."""

    hook: str
    kind: str
    text: str


Step = RuleStep | ChainEnd | Rewrite | Note


@attrs.frozen
class Verdict:
    """How a hop ended: `what` is transmitted, delivered, dropped, rejected or consumed; `where` names the place."""

    what: str
    where: str = ""
    reason: str = ""


@attrs.frozen
class Hop:
    """One packet's walk through one network namespace.

    `packet_in` and `packet_out` are the L3 bytes on entry and exit (empty when it did not leave);
    `rules_walked` is how many rules and set lookups the real kernel would have evaluated. `walk` counts the walks of
    the namespace in the order in which they began: what a packet caused has a higher number, fragments share one.
    """

    namespace: str
    iif: str
    oif: str
    packet_in: bytes
    packet_out: bytes
    steps: tuple[Step, ...]
    verdict: Verdict
    rules_walked: int = 0
    time_ns: int = 0
    walk: int = 0


#: Source and destination with their ports: (src, sport, dst, dport), addresses as integers.
Ends = tuple[int, int, int, int]


class Translation(NamedTuple):
    """NAT's turn at a hook: the ends of a packet before and after it, which are mostly the same."""

    hook: str
    family: int
    before: Ends
    after: Ends
    has_ports: bool
    why: str


def rewrites(hook: str, family: int, before: Ends, after: Ends, why: str, *, has_ports: bool = True) -> list[Rewrite]:
    """What has changed of a packet's ends."""
    found = []
    for at, field in (0, "src"), (2, "dst"):
        if before[at] != after[at]:
            found.append(Rewrite(hook, field, address_text(family, before[at]), address_text(family, after[at]), why))
    for at, field in (1, "sport"), (3, "dport"):
        if before[at] != after[at] and has_ports:
            found.append(Rewrite(hook, field, str(before[at]), str(after[at]), why))
    return found


@lru_cache(maxsize=4096)
def address_text(family: int, address: int) -> str:
    """An address as people write it."""
    return str(ip_address(address.to_bytes(4 if family == 4 else 16)))


#: Rules with these verdicts only lead somewhere else.
_LEADING = ("jump", "goto", "continue")


class Tracer:
    """Collects the steps of one walk while the kernel makes them; a packet without one is not traced.

    With `brief` they are only the decisions: the rules that did not merely lead somewhere else, and what was rewritten.
    """

    __slots__ = ("brief", "hook", "iif", "packet_in", "rules_walked", "steps", "walk")

    def __init__(self, walk: int = 0, *, brief: bool = False) -> None:
        self.walk, self.brief = walk, brief
        self.steps: list[Step | Translation] = []
        self.rules_walked = 0
        self.hook = ""  # the hook being run, set by the namespace
        self.packet_in = b""
        self.iif = ""

    def begin(self, packet: bytes, iif: str) -> None:
        """The walk starts with this packet, from this interface ("" for one of our own)."""
        self.packet_in, self.iif = packet, iif

    def hop(self, namespace: str, oif: str, packet_out: bytes, verdict: Verdict, time_ns: int) -> Hop:
        """The walk is over."""
        steps = steps_of(self.steps)
        return Hop(
            namespace, self.iif, oif, self.packet_in, packet_out, steps, verdict, self.rules_walked, time_ns, self.walk
        )

    def rule(self, table: str, chain: str, rule: int, text: object, verdict: str, mark: int) -> None:
        """A rule matched; `text` is what `str` makes its words of."""
        if not (self.brief and verdict.startswith(_LEADING)):
            self.steps.append(RuleStep(self.hook, table, chain, rule, str(text), verdict, mark))

    def end(self, table: str, chain: str, end: str, verdict: str, mark: int) -> None:
        if not self.brief:
            self.steps.append(ChainEnd(self.hook, table, chain, end, verdict, mark))

    def rewrite(self, field: str, before: object, after: object, why: str) -> None:
        if before != after:
            self.steps.append(Rewrite(self.hook, field, str(before), str(after), why))

    def translated(self, family: int, before: Ends, after: Ends, why: str, *, has_ports: bool) -> None:
        self.steps.append(Translation(self.hook, family, before, after, has_ports, why))

    def note(self, kind: str, text: str) -> None:
        if not self.brief:
            self.steps.append(Note(self.hook, kind, text))


def steps_of(recorded: Iterable[Step | Translation]) -> tuple[Step, ...]:
    """The steps of a walk, with what NAT changed one by one."""
    found: list[Step] = []
    for step in recorded:
        if isinstance(step, Translation):
            found += rewrites(step.hook, step.family, step.before, step.after, step.why, has_ports=step.has_ports)
        else:
            found.append(step)
    return tuple(found)


@attrs.frozen(eq=False)
class Decisions:
    """What a brief `Tracer` recorded, for packets that go the same way."""

    recorded: tuple[Step | Translation, ...]

    def steps(self, before: Ends, after: Ends, ttl: int) -> tuple[Step, ...]:
        """The steps of a packet with these ends as it came and as it left, its TTL then."""
        (src, sport, dst, dport), (new_src, new_sport, new_dst, new_dport) = before, after
        destination = (0, 0, dst, dport), (0, 0, new_dst, new_dport)
        source = (src, sport, 0, 0), (new_src, new_sport, 0, 0)
        found: list[Step] = []
        for step in self.recorded:
            if isinstance(step, Translation):
                found += rewrites(step.hook, step.family, *(destination if step.why == "dnat" else source), step.why)
            elif isinstance(step, Rewrite):
                found.append(Rewrite(step.hook, step.field, str(ttl + 1), str(ttl), step.why))
            else:
                found.append(step)
        return tuple(found)


class Recalled(NamedTuple):
    """What decided about a forwarded packet, known from one that went the same way; `ttl` is what it left with."""

    decisions: Decisions
    family: int
    before: Ends
    after: Ends
    ttl: int

    @property
    def steps(self) -> tuple[Step, ...]:
        """The decisions, with what was rewritten of this packet."""
        return self.decisions.steps(self.before, self.after, self.ttl)


def is_decision(step: Step) -> bool:
    """Whether a rule decided something, or something was rewritten."""
    return isinstance(step, Rewrite) or (isinstance(step, RuleStep) and not step.verdict.startswith(_LEADING))


@attrs.frozen
class Event:
    """Something that a program on the way had to say, in its own words: `source` names it, `time_s` is virtual."""

    source: str
    time_s: float
    text: str

    def __str__(self) -> str:
        return f"{self.source} at {self.time_s:.3f} s: {self.text}"


@attrs.frozen
class Trace:
    """One packet from its sender to wherever it and what it caused ended: hops in the order in which they happened.

    `events` are log lines of kube-proxies on the way that matter to the packet. `str(trace)` is the whole walk, one
    line a step; `headline` says the packet and its fate in one line.
    """

    hops: tuple[Hop, ...]
    events: tuple[Event, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self.lines())

    @property
    def headline(self) -> str:
        if not self.hops:
            return "no packet was sent"
        return f"{summary(self.hops[0].packet_in)}: {fate(self.hops)}"

    @property
    def rules_walked(self) -> int:
        """How many rules the real kernels on the way would have evaluated."""
        return sum(hop.rules_walked for hop in self.hops)

    @property
    def crossings(self) -> int:
        """How often data crossed between kernel and user space on the way: up into a relay's process and down again."""
        taken_up = [hop for hop in self.hops if hop.verdict.what == "delivered" and hop.verdict.where.startswith(RELAY)]
        return 2 * sum(payload_length(hop.packet_in) > 0 for hop in taken_up)

    @property
    def way(self) -> tuple[Hop, ...]:
        """The hops that the first packet itself made, without what it caused."""
        return way_of(self.hops)

    def lines(self) -> Iterator[str]:
        yield self.headline
        for number, hop in enumerate(self.hops, 1):
            yield from hop_lines(number, hop)
        yield from map(str, self.events)


def fate(hops: tuple[Hop, ...]) -> str:
    """How a walk ended, in words: the verdict of the last hop that the first packet itself made."""
    last = way_of(hops)[-1]
    verdict = last.verdict
    where = f" {'to' if verdict.what == 'delivered' else 'at'} {verdict.where}" if verdict.where else ""
    return f"{verdict.what} in {last.namespace}{where}" + (f" ({verdict.reason})" if verdict.reason else "")


def way_of(hops: tuple[Hop, ...]) -> tuple[Hop, ...]:
    """Follow the first packet: each hop takes in what the one before it sent out."""
    way = list(hops[:1])
    for hop in hops[1:]:
        last = way[-1]
        if last.verdict.what != "transmitted":
            break
        if hop.packet_in == last.packet_out and hop is not last:
            way.append(hop)
    return tuple(way)


def walks(hops: tuple[Hop, ...]) -> list[tuple[Hop, ...]]:
    """The hops sorted out by packet: each walk is one packet from where it was made to where it ended."""
    found: list[list[Hop]] = []
    for hop in hops:
        for walk in reversed(found):
            last = walk[-1]
            if last.verdict.what == "transmitted" and last.packet_out == hop.packet_in and hop.iif:
                walk.append(hop)
                break
        else:
            found.append([hop])
    return [tuple(walk) for walk in found]


def hop_lines(number: int, hop: Hop) -> Iterator[str]:
    """The text of one hop: a heading, its steps, its verdict."""
    way = f"{hop.iif or 'local'} -> {hop.oif or 'local'}"
    yield f"{number:2d}  {hop.namespace}  [{way}]  {summary(hop.packet_in)}"
    for step in hop.steps:
        yield f"      {step.hook:<12}{step_text(step)}"
    reason = f" ({hop.verdict.reason})" if hop.verdict.reason else ""
    where = f" {hop.verdict.where}" if hop.verdict.where else ""
    yield f"      = {hop.verdict.what}{where}{reason}"


def step_text(step: Step) -> str:
    match step:
        case RuleStep():
            mark = f"  mark={step.mark:#x}" if step.mark else ""
            return f"{step.table} {step.chain} #{step.rule}: {step.text}  => {step.verdict}{mark}"
        case ChainEnd():
            return f"{step.table} {step.chain} {step.end}  => {step.verdict}"
        case Rewrite():
            return f"{step.why}: {step.field} {step.before} -> {step.after}"
        case Note():
            return f"{step.kind}: {' '.join(step.text.split())}"


_PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP"}


def payload_length(packet: bytes) -> int:
    """Bytes of data in a TCP segment or a UDP datagram; 0 for everything else."""
    if len(packet) < 20:
        return 0
    proto, l4 = (packet[9], packet[(packet[0] & 15) * 4 :]) if packet[0] >> 4 == 4 else (packet[6], packet[40:])
    if proto == 6 and len(l4) >= 20:
        return len(l4) - (l4[12] >> 4) * 4
    return max(0, len(l4) - 8) if proto == 17 else 0


def summary(packet: bytes) -> str:
    """A packet in one line, as tcpdump would: addresses, ports, flags, length of the payload."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        source, target, proto = packet[12:16], packet[16:20], packet[9]
        l4 = packet[(packet[0] & 15) * 4 :]
    elif len(packet) >= 40 and packet[0] >> 4 == 6:
        source, target, proto, l4 = packet[8:24], packet[24:40], packet[6], packet[40:]
    else:
        return f"{len(packet)} bytes"
    name, src, dst = _PROTOCOLS.get(proto, f"proto {proto}"), ip_address(source), ip_address(target)
    if proto in (6, 17, 132) and len(l4) >= 4:
        sport, dport = int.from_bytes(l4[:2]), int.from_bytes(l4[2:4])
        ends = f"{_endpoint(src, sport)} > {_endpoint(dst, dport)}"
        return f"{name} {ends}{_tcp_detail(l4)}" if proto == 6 else f"{name} {ends} {max(0, len(l4) - 8)} bytes"
    if proto in (1, 58) and len(l4) >= 2:
        return f"{name} {src} > {dst} type {l4[0]} code {l4[1]}"
    return f"{name} {src} > {dst}"


def _endpoint(address: object, port: int) -> str:
    text = str(address)
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


def _tcp_detail(l4: bytes) -> str:
    if len(l4) < 14:
        return " (truncated)"
    flags = "".join(letter for bit, letter in enumerate("FSRPAU") if l4[13] >> bit & 1)
    payload = len(l4) - (l4[12] >> 4) * 4
    return f" [{flags}]" + (f" {payload} bytes" if payload > 0 else "")
