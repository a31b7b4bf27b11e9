"""What would have led elsewhere: each candidate is tried out in a copy, and told when the packet ends otherwise.

Candidates: the rules that decided, one at a time, taken away; a policy that drops, turned; the old connection that the
packet belonged to, forgotten; another packet that a rule which nearly matched asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import attrs

from fakecluster.errors import CommandError
from fakecluster.explaining.explanation import Change, Neighbour
from fakecluster.explaining.packet_words import PacketWords
from fakecluster.explaining.walking import Alter, Walked, Walker
from fakecluster.kernel.conntrack import packet_tuple
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import PROTOCOL_NAMES, BadPacket, Skb
from fakecluster.rules.nft.objects import TableName
from fakecluster.trace import ChainEnd, Hop, Note, RuleStep, Trace

#: Candidates that are tried, and changes that are told.
TRIED, TOLD = 16, 8
_NUMBERS = {name: number for number, name in PROTOCOL_NAMES.items()}
#: Verdicts of rules that only lead somewhere else.
_PASSING = ("jump", "goto", "continue", "return")


@attrs.frozen
class Candidate:
    """What to try: another packet, or a namespace altered."""

    words: str
    packet: PacketWords
    namespace: str = ""
    alter: Alter | None = None


def changes(walker: Walker, packet: PacketWords, walked: Walked, near: tuple[Neighbour, ...]) -> Iterator[Change]:
    """The changes that lead elsewhere, most telling first."""
    told: set[str] = set()
    for number, candidate in enumerate(_candidates(packet, walked.trace, near)):
        if number >= TRIED or len(told) >= TOLD:
            return
        try:
            after = walker(candidate.packet, candidate.namespace, candidate.alter).end
        except CommandError:
            continue  # what was to be taken away is not there to be taken
        if after != walked.end and candidate.words not in told:
            told.add(candidate.words)
            yield Change(candidate.words, after)


def _candidates(packet: PacketWords, trace: Trace, near: tuple[Neighbour, ...]) -> Iterator[Candidate]:
    for hop in trace.way:
        if any(isinstance(step, Note) and step.kind == "conntrack" and _is_old(step) for step in hop.steps):
            yield Candidate(
                f"without the connection that {hop.namespace} remembers", packet, hop.namespace, _forget(hop)
            )
    for hop in reversed(trace.way):
        for step in reversed(hop.steps):
            if isinstance(step, RuleStep) and not step.verdict.startswith(_PASSING):
                words = f"without {hop.namespace}'s rule {step.table} {step.chain} #{step.rule} ({step.text})"
                yield Candidate(words, packet, hop.namespace, _without(step))
            elif isinstance(step, ChainEnd) and step.end == "policy" and step.verdict == "drop":
                words = f"with {hop.namespace}'s policy accept for {step.table} {step.chain}"
                yield Candidate(words, packet, hop.namespace, _accepting(step))
    seen = {packet}
    for one in near:
        for other in _asked_for(one, packet):
            if other not in seen:
                seen.add(other)
                yield Candidate(_difference(packet, other), other)


def _is_old(step: Note) -> bool:
    return step.text.startswith(("ESTABLISHED", "RELATED"))


# --- alterations


def _forget(hop: Hop) -> Alter:
    def alter(netns: Netns) -> None:
        try:
            key = packet_tuple(Skb(hop.packet_in))
        except BadPacket:
            return
        found = netns.conntrack.find(0, key) if key is not None else None
        if found is not None:
            netns.conntrack.kill(found)

    return alter


def _without(step: RuleStep) -> Alter:
    def alter(netns: Netns) -> None:
        family, _, table = step.table.partition(" ")
        chains = _nft_chains(netns, family, table)
        if step.chain in chains:
            netns.run(["nft", "delete", "rule", family, table, step.chain, "handle",
                       str(chains[step.chain].rules[step.rule - 1].handle)])  # fmt: skip
        else:
            netns.run([_iptables(netns, family, table, step.chain), "-t", table, "-D", step.chain, str(step.rule)])

    return alter


def _accepting(step: ChainEnd) -> Alter:
    def alter(netns: Netns) -> None:
        family, _, table = step.table.partition(" ")
        if step.chain in _nft_chains(netns, family, table):
            netns.run(["nft", "chain", family, table, step.chain, "{ policy accept; }"])
        else:
            netns.run([_iptables(netns, family, table, step.chain), "-t", table, "-P", step.chain, "ACCEPT"])

    return alter


def _nft_chains(netns: Netns, family: str, table: str):  # type: ignore[no-untyped-def]
    if "nftables" not in netns.__dict__:
        return {}
    found = netns.nftables.tables.get(TableName(family, table))
    return found.chains if found is not None else {}


def _iptables(netns: Netns, family: str, table: str, chain: str) -> str:
    """The program whose backend has the chain."""
    program = {"ip": "iptables", "ip6": "ip6tables"}.get(family, "iptables")
    for backend in ("nft", "legacy"):
        found = netns.xtables.of(6 if family == "ip6" else 4, backend).tables.get(table)
        if found is not None and chain in found.chains:
            return f"{program}-{backend}"
    return program


# --- other packets


def _asked_for(rule: Neighbour, words: PacketWords) -> Iterator[PacketWords]:
    """Packets like this one that the rule would have matched."""
    target = re.search(r"(?<!! )-d ([0-9a-fA-F.:]+)(?:/(?:32|128))? ", rule.text)
    protocol, port = re.search(r"-p (\w+)", rule.text), re.search(r"(?<!! )--dport (\d+)(?![:\d])", rule.text)
    if target is not None and int(ip_address(target[1])) == words.dst and port is not None and protocol is not None:
        number = _NUMBERS.get(protocol[1], 0)
        if number in (6, 17, 132):
            yield attrs.evolve(words, proto=number, dport=int(port[1]))
    yield from _set_members(rule, words)
    source = re.search(r"(?<!! )-s ([0-9a-fA-F.:]+(?:/\d+)?) ", rule.text)
    if source is not None and (target is None or int(ip_address(target[1])) == words.dst):
        network = ip_network(source[1], strict=False)
        if network.version == words.family and not network.is_loopback and words.src not in _numbers(network):
            yield attrs.evolve(words, src=int(network.network_address) + (1 if network.num_addresses > 2 else 0))


def _numbers(network: object) -> range:
    low = int(network.network_address)  # type: ignore[attr-defined]
    return range(low, int(network.broadcast_address) + 1)  # type: ignore[attr-defined]


#: "it has 10.96.0.10,udp:53, ..." (ipset) and "it has 10.96.0.10 . udp . 53, ..." (nft)
_MEMBER = re.compile(r"([0-9a-f.:]+)(?:,| \. )(tcp|udp|sctp)(?::| \. )(\w+)")


def _set_members(rule: Neighbour, words: PacketWords) -> Iterator[PacketWords]:
    _, has, members = rule.why.partition("; it has ")
    for address, protocol, port in _MEMBER.findall(members) if has else ():
        if port.isdigit() and int(ip_address(address)) == words.dst:
            yield attrs.evolve(words, proto=_NUMBERS[protocol], dport=int(port))


def _difference(words: PacketWords, other: PacketWords) -> str:
    parts = []
    if other.proto != words.proto:
        parts.append(f"protocol {PROTOCOL_NAMES[other.proto]}")
    if other.dport != words.dport:
        parts.append(f"destination port {other.dport}")
    if other.src != words.src:
        parts.append(f"source {ip_address(other.src.to_bytes(4 if other.family == 4 else 16))}")
    return "with " + " and ".join(parts)
