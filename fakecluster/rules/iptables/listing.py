"""What `iptables -L` and `-S` print of a table.

Source: xshared.c (print_header, print_rule_details), xtables.c (xtables_print_num) of 1.8.9.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from fakecluster.errors import Unsupported
from fakecluster.rules.iptables.listing_matches import MATCH_WORDS, Shown
from fakecluster.rules.iptables.listing_targets import TARGET_TITLES, TARGET_WORDS
from fakecluster.rules.iptables.numbers import PROTOCOL_NAMES, address_name, address_text, bits, mask_of, mask_text
from fakecluster.rules.iptables.rule import Interface, Network, RuleParts, Target, target_text
from fakecluster.rules.iptables.ruleset import POLICY, Chain, Table

_COLUMNS = "target     prot opt "
_INTERFACES = "in     out     "
_ADDRESSES = "source               destination         "
#: counters up to here are printed as they are, then in thousands up to the next bound, and so on
_COUNTED, _THOUSANDS = 99_999, 9_999
_UNITS = "KMGT"
_U64 = 1 << 64
_FRAGMENT = {"": "--", "-f": "-f", "! -f": "!f"}


@attrs.frozen
class Listing:
    """How to list: with numbers only (-n), counters and interfaces (-v), whole counters (-x), --line-numbers."""

    numeric: bool = False
    verbose: bool = False
    exact: bool = False
    line_numbers: bool = False

    def text(self, table: Table, chains: Sequence[Chain], *, position: int = 0) -> str:
        """The chains of a table, or of one chain the rule at `position` alone (without headings).

        Raises `Unsupported` for an extension whose words are not known.
        """
        if position:
            return "".join(self._row(table, chain, at) for chain in chains for at in _only(chain, position))
        references = _references(table)
        listed = (
            self._heading(table, chain, references.get(chain.name, 0))
            + "".join(self._row(table, chain, at) for at in range(len(chain.rules)))
            for chain in chains
        )
        return "\n".join(listed)

    def _heading(self, table: Table, chain: Chain, references: int) -> str:
        state = f"{references} references"
        if chain.policy:
            state = f"policy {chain.policy}"
            if self.verbose:
                packets, octets = (self._count(each) for each in table.counter(chain.name, POLICY))
                state += f" {packets} packets, {octets} bytes"
        counters = "" if not self.verbose else "    pkts      bytes " if self.exact else " pkts bytes "
        return (
            f"Chain {chain.name} ({state})\n{'num  ' if self.line_numbers else ''}{counters}{_COLUMNS}"
            f"{_INTERFACES if self.verbose else ''}{_ADDRESSES}\n"
        )

    def _row(self, table: Table, chain: Chain, at: int) -> str:
        parts = chain.rules[at].parts
        text = f"{at + 1:<4} " if self.line_numbers else ""
        if self.verbose:
            width = 8 if self.exact else 5
            text += "".join(f"{self._count(each):>{width}} " for each in table.counter(chain.name, at))
        text += f"{_target_title(parts.target):<9} {self._protocol(parts)}{_FRAGMENT[parts.fragment]} "
        if self.verbose:
            text += f" {self._interface(parts.iif):<6} {self._interface(parts.oif):<6} "
        for network in (parts.src, parts.dst):
            text += f"{'!' if network and network.inverted else ' '}{self._network(network, parts.family):<19} "
        return f"{text}{self._words(parts)}\n"

    def line(self, parts: RuleParts) -> str:
        """A rule without columns, as it is said when a change is made with -v."""
        inverted = ["!" if each and each.inverted else " " for each in (parts.protocol, parts.src, parts.dst)]
        source, destination = (self._network(network, parts.family) for network in (parts.src, parts.dst))
        number = parts.protocol.number if parts.protocol else 0
        return (
            f"{_target_title(parts.target)} {inverted[0]}{_protocol_name(number)} opt {_FRAGMENT[parts.fragment]} "
            f"in {self._interface(parts.iif)} out {self._interface(parts.oif)} "
            f"{inverted[1]}{source} {inverted[2]}-> {destination}  {self._words(parts)}"
        )

    def _count(self, number: int) -> str:
        if self.exact or number <= _COUNTED:
            return str(number)
        for unit in _UNITS:
            number = (number + 500) % _U64 // 1000
            if number <= _THOUSANDS or unit == _UNITS[-1]:
                break
        return f"{number}{unit}"

    def _protocol(self, parts: RuleParts) -> str:
        number, inverted = parts.protocol or (0, False)
        name = str(number) if self.numeric else _protocol_name(number)
        return f"{'!' if inverted else ' '}{name:<4} "

    def _interface(self, interface: Interface | None) -> str:
        name = interface.name if interface else ""
        inverted = bool(interface and interface.inverted)
        every = "+" if inverted else "*" if self.numeric else "any"  # iptables-legacy keeps no letters of `! -i +`
        return f"{'!' if inverted else ''}{name or every}"

    def _network(self, network: Network | None, family: int) -> str:
        whole = mask_of(bits(family), family)
        address, mask = (network.address, network.mask) if network else (0, 0)
        if not self.numeric and not (address if family == 6 else mask):
            return "anywhere"
        text = address_text(address, family) if self.numeric else address_name(address, family)
        return text if mask == whole else f"{text}/{mask_text(mask, family)}"

    def _words(self, parts: RuleParts) -> str:
        protocol = parts.protocol.number if parts.protocol and not parts.protocol.inverted else 0
        shown, target = Shown(self.numeric, protocol), parts.target
        words = "[goto] " if target and target.goto else ""
        for match in parts.matches:
            if match.name not in MATCH_WORDS:
                raise Unsupported(f"the words of iptables -L for the match {match.name}", token=match.name)
            words += MATCH_WORDS[match.name](match.value, shown)
        if target is None or target.is_chain or target.value is None:
            return words
        if target.name not in TARGET_WORDS:
            raise Unsupported(f"the words of iptables -L for the target {target.name}", token=target.name)
        return words + TARGET_WORDS[target.name](target.value, shown)


def specs(table: Table, chains: Sequence[Chain], *, position: int = 0, counters: bool = False) -> str:
    """What `iptables -S` prints: the chains as commands, or the rule at `position` of one."""
    lines = []
    for chain in chains if not position else ():
        held = " -c {} {}".format(*table.counter(chain.name, POLICY)) if counters and chain.policy else ""
        lines.append(f"-P {chain.name} {chain.policy}{held}" if chain.policy else f"-N {chain.name}")
    for chain in chains:
        for at in _only(chain, position) if position else range(len(chain.rules)):
            text = str(chain.rules[at])
            if counters:
                jump = target_text(chain.rules[at].parts.target)
                held = " -c {} {}".format(*table.counter(chain.name, at))
                text = (text.removesuffix(jump.lstrip()).rstrip() + held + jump).lstrip()
            lines.append(f"-A {chain.name}{' ' if text else ''}{text}")
    return "".join(line + "\n" for line in lines)


def _protocol_name(number: int) -> str:
    return PROTOCOL_NAMES.get(number, str(number)) if number else "all"


def _target_title(target: Target | None) -> str:
    if target is None:
        return ""
    return target.name if target.is_chain else TARGET_TITLES.get(target.name, target.name)


def _only(chain: Chain, position: int) -> Iterator[int]:
    if position <= len(chain.rules):
        yield position - 1


def _references(table: Table) -> dict[str, int]:
    """How many rules lead to each chain."""
    count: dict[str, int] = {}
    for chain in table.chains.values():
        for rule in chain.rules:
            if rule.target:
                count[rule.target] = count.get(rule.target, 0) + 1
    return count
