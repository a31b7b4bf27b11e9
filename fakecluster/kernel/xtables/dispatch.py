"""Finds the rules of a long chain that a packet can match at all, without trying each.

Rules that demand one destination, one source or one destination port are filed under it; a packet looks its own
values up and gets those rules merged, in order, with the rules that demand no such thing. What the others would have
answered is known to be no, so the outcome, the counters and the number of rules walked are those of the full walk.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fakecluster.kernel.packet import PORT_PROTOCOLS, Skb
from fakecluster.kernel.trail import REPLY
from fakecluster.kernel.xtables.code import Code
from fakecluster.kernel.xtables.compile import compile_rule
from fakecluster.rules.iptables.match_transport import PortsMatch
from fakecluster.rules.iptables.numbers import address, bits, mask_of
from fakecluster.rules.iptables.rule import Rule
from fakecluster.rules.iptables.ruleset import Chain

#: Chains and buckets shorter than this are walked as they are.
SHORT = 12
_PROTOCOL = {"tcp": 6, "udp": 17, "sctp": 132}
_TEXT_DST = re.compile(r"(?<!!) -d ([0-9a-f.:]+)(?:/(\d+))?(?= |$)")
_TEXT_SRC = re.compile(r"(?<!!) -s ([0-9a-f.:]+)(?:/(\d+))?(?= |$)")
_TEXT_PORT = re.compile(r" --dport (\d+)(?= |$)")
_TEXT_PROTOCOL = re.compile(r" -p (tcp|udp|sctp)(?= |$)")


def _address_key(rule: Rule, pattern: re.Pattern[str], side: str) -> int | None:
    if rule.plain:
        found = pattern.search(rule.text.partition(' --comment "')[0] + " " + _behind_comment(rule.text))
        if found is None or (found[2] is not None and int(found[2]) != bits(rule.family)):
            return None
        return address(found[1], rule.family)
    network = getattr(rule.parts, side)
    if network is None or network.inverted or network.mask != mask_of(bits(rule.family), rule.family):
        return None
    return int(network.address)


def _behind_comment(text: str) -> str:
    _, quoted, rest = text.partition(' --comment "')
    return rest.partition('"')[2] if quoted else ""


def _destination_key(rule: Rule) -> int | None:
    return _address_key(rule, _TEXT_DST, "dst")


def _source_key(rule: Rule) -> int | None:
    return _address_key(rule, _TEXT_SRC, "src")


def _port_key(rule: Rule) -> int | None:
    """protocol << 16 | port of a rule that demands one destination port."""
    if rule.plain:
        tail = _behind_comment(rule.text)
        head = rule.text if not tail else rule.text.partition(' --comment "')[0]
        port = _TEXT_PORT.search(tail) or _TEXT_PORT.search(head)
        protocol = _TEXT_PROTOCOL.search(tail) or _TEXT_PROTOCOL.search(head)
        return _PROTOCOL[protocol[1]] << 16 | int(port[1]) if port and protocol else None
    protocol_ = rule.parts.protocol
    if protocol_ is None or protocol_.inverted or protocol_.number not in PORT_PROTOCOLS:
        return None
    for match in rule.parts.matches:
        if isinstance(match.value, PortsMatch) and not match.value.not_dport:
            low, high = match.value.dport
            if low == high:
                return protocol_.number << 16 | low
    return None


def _packet_port(skb: Skb) -> int | None:
    """The packet's value for `_port_key`: -1 when no rule with a port can match, None when that is not sure."""
    if skb.trail is not None:
        skb.trail.kin[REPLY] = False
    if skb.proto not in PORT_PROTOCOLS:
        return -1
    return skb.proto << 16 | skb.dport if skb.has_ports and not skb.is_fragment else None


#: (what a rule demands, what a packet has)
FIELDS: tuple[tuple[Callable[[Rule], int | None], Callable[[Skb], int | None]], ...] = (
    (_destination_key, lambda skb: skb.dst),
    (_port_key, _packet_port),
    (_source_key, lambda skb: skb.src),
)


class Compiled:
    """A chain's code: `candidates(skb)` are the rules that may match, in order (`root.codes`, if it has some, for all)."""

    __slots__ = ("_codes", "backend", "chain", "name", "root", "size")

    def __init__(self, chain: Chain, backend: str) -> None:
        self.chain, self.name, self.backend, self.size = chain, chain.name, backend, len(chain.rules)
        self._codes: dict[int, Code] = {}
        self.root: Node = Node(self, range(self.size), FIELDS)

    def code(self, index: int) -> Code:
        found = self._codes.get(index)
        if found is None:
            found = self._codes[index] = compile_rule(index, self.chain.rules[index], self.backend)
        return found

    def candidates(self, skb: Skb) -> list[Code]:
        node = self.root
        while node.codes is None:
            node = node.follow(skb)
        return node.codes


class Node:
    """Either a list of code, or a field to look up and nodes behind its values."""

    __slots__ = ("_compiled", "_fields", "_known", "_members", "_other", "_others", "_read", "_values", "codes")

    def __init__(self, compiled: Compiled, members: range | list[int], fields: object) -> None:
        self._compiled, self._members = compiled, members
        self._fields: tuple[tuple[Callable[[Rule], int | None], Callable[[Skb], int | None]], ...] = fields  # type: ignore[assignment]
        self.codes: list[Code] | None = None
        self._known: dict[int, Node] = {}
        self._other: Node | None = None
        if len(members) < SHORT or not self._split():
            self.codes = [compiled.code(index) for index in members]

    def _split(self) -> bool:
        """File the members under the field that most of them demand."""
        best: tuple[int, int, dict[int, list[int]], list[int]] | None = None
        rules = self._compiled.chain.rules
        for position, (demand, _read) in enumerate(self._fields):
            values: dict[int, list[int]] = {}
            others: list[int] = []
            for index in self._members:
                key = demand(rules[index])
                if key is None:
                    others.append(index)
                else:
                    values.setdefault(key, []).append(index)
            count = len(self._members) - len(others)
            longest = max(map(len, values.values()), default=0)
            if count * 2 >= len(self._members) and longest < len(self._members) and (best is None or count > best[0]):
                best = (count, position, values, others)
        if best is None:
            return False
        _count, position, self._values, self._others = best
        self._read = self._fields[position][1]
        self._fields = tuple(field for at, field in enumerate(self._fields) if at != position)
        return True

    def follow(self, skb: Skb) -> Node:
        """The node behind the packet's value; made when first asked for."""
        value = self._read(skb)
        if value is None:
            return Node(self._compiled, self._members, ())
        found = self._known.get(value)
        if found is not None:
            return found
        members = self._values.get(value)
        if members is None:
            if self._other is None:
                self._other = Node(self._compiled, self._others, self._fields)
            return self._other
        found = self._known[value] = Node(self._compiled, sorted((*members, *self._others)), self._fields)
        return found


def compiled(chain: Chain, backend: str) -> Compiled:
    """The chain's code, made once and kept with the frozen chain, so that forks share it."""
    found = chain.derived
    if not isinstance(found, Compiled):
        found = chain.derived = Compiled(chain, backend)
    return found
