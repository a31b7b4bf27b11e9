"""A change of one table: commands and restores are taken in one after the other, then committed as a whole or dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import attrs

from fakecluster.errors import Unsupported
from fakecluster.rules.iptables.chunks import Chunk
from fakecluster.rules.iptables.command import Command
from fakecluster.rules.iptables.native import as_kept_by_legacy, as_read_back
from fakecluster.rules.iptables.problem import (
    BAD_POLICY,
    BAD_RULE,
    IN_USE,
    INDEX_TOO_BIG,
    INVALID,
    NO_CHAIN,
    NOT_BUILT_IN,
    NOT_EMPTY,
    NOT_SUPPORTED,
    RuleProblem,
)
from fakecluster.rules.iptables.rule import Rule, RuleParts, rule_of
from fakecluster.rules.iptables.ruleset import BUILT_IN, Chain, Transaction
from fakecluster.rules.iptables.validate import Fault, Reach, complaint, needed_protocol, refused

if TYPE_CHECKING:
    from fakecluster.rules.iptables.tables import Tables

POLICIES = ("ACCEPT", "DROP")


class Change:
    """A change of one table in the making: commands are applied one after the other, then committed or dropped."""

    def __init__(self, tables: Tables, name: str) -> None:
        self.tables, self.name = tables, name
        self.transaction = Transaction(name, tables.tables.get(name), backend=tables.backend)
        self.lines: list[int] = []
        self.places: list[str] = []
        self.added: list[Rule] = []
        self.chunks: list[tuple[int, Chunk]] = []
        self.zeroed: set[Rule] = set()
        self.retargeted: dict[Rule, Rule] = {}

    def take(self, line: int, chunk: Chunk) -> bool:
        """Append the rules of a chunk of lines, unless one of its chains, or one that they lead to, is not there."""
        transaction = self.transaction
        old, now = transaction.table, transaction.rules
        if old is None or transaction.fresh or not chunk.jumps <= old.chains.keys():
            return False
        gone = [name for name, chain in transaction.chains.items() if chain is None]
        if not chunk.jumps.isdisjoint(gone) or any(chain not in now for chain, _ in chunk.rules):
            return False
        for chain, rules in chunk.rules:
            now[chain] += rules
        self.chunks.append((line, chunk))
        return True

    def _sources(self) -> Iterator[tuple[int, str, Rule]]:
        """Where the rules that were added came from: line, chain, rule."""
        yield from zip(self.lines, self.places, self.added, strict=True)
        for line, chunk in self.chunks:
            yield from chunk.numbered(line)

    def append(self, line: int, chain: str, rule: Rule) -> RuleProblem | None:
        """Add one plain rule at the end of a chain, the quick way in for restores; returns what is wrong with it."""
        transaction, target = self.transaction, rule.target
        rules = transaction.rules.get(chain)
        if rules is None:
            if transaction.find(chain) is None:
                return RuleProblem(NO_CHAIN, token=chain, kind="state", line=line)
            rules = transaction.rules_of(chain)
        if target and transaction.chains.get(target) is None and not transaction.exists(target):
            return self._no_such(target, goto=rule.parts.target is not None and rule.parts.target.goto)
        if self.name == "nat" and rule.text.endswith(" -j DROP"):
            return RuleProblem(_NAT_DROP, token="DROP", line=line)
        rules.append(rule)
        self.lines.append(line)
        self.places.append(chain)
        self.added.append(rule)
        return None

    def _no_such(self, name: str, *, goto: bool) -> RuleProblem:
        """The complaint about a target that is neither an extension nor a chain."""
        if self.tables.backend == "nft":
            return RuleProblem(f"Chain '{name}' does not exist", token=name)
        if goto:
            return RuleProblem(f"goto '{name}' is not a chain", token=name)
        return RuleProblem(f"Couldn't load target `{name}':No such file or directory\n", token=name)

    def run(self, command: Command, line: int = 0) -> None:
        """Apply a command. Raises `RuleProblem`."""
        handler = _HANDLERS.get(command.letter)
        if handler is None:
            raise Unsupported(f"iptables -{command.letter}", line=line)
        if command.counters and command.letter in "AIR" and (self.tables.family, self.tables.backend) == (6, "nft"):
            command = attrs.evolve(command, counters=None)  # ip6tables-nft loses those of rules (as of 1.8.9)
        handler(self, command, line)

    def commit(self) -> None:
        """Put everything in place, or raise and change nothing."""
        changed, renewed = self.transaction.changed(), self._renewed()
        reach = self.tables.reach.get(self.name)
        if reach is None or self.transaction.fresh:
            reach = Reach(self.name, self.tables.backend)
        old_table = self.transaction.table
        old = {} if old_table is None or self.transaction.fresh else old_table.chains

        def find(name: str) -> Chain | None:
            return changed[name] if name in changed else old.get(name)

        if self.tables.backend == "legacy":
            self.transaction.forget_policy_counters()
        for at, chain, rule in zip(self.lines, self.places, self.added, strict=True):
            plain = rule.text and (not rule.tracks or self.name == "nat")
            errno = "" if plain else refused(rule, self.name, self.tables.backend)
            if errno:
                words = f"RULE_APPEND failed ({errno}): rule in chain {chain}"
                raise RuleProblem(words, kind="commit", line=at)
        result = reach.after(changed, find, old.get)
        if isinstance(result, Fault):
            raise complaint(result, self._sources())
        before = dict(old_table.chains) if old_table is not None and self.transaction.fresh else {}
        if not self.transaction.fresh:
            before = {name: old[name] for name in changed if name in old}
        reach.take(result, [name for name, chain_now in changed.items() if chain_now is None])
        self.tables.reach[self.name] = reach
        self.tables.tables[self.name] = self.transaction.apply(changed)
        if self.tables.on_change:
            self.tables.on_change(self.name, changed, before, renewed, self.retargeted)

    def _renewed(self) -> set[Rule]:
        """The rules that are put in anew, and so forget what they remembered of packets.

        The legacy tool puts the whole table back whatever changes; iptables-nft what a restore says once more, and
        rules whose counters it sets to zero.
        """
        table, transaction = self.transaction.table, self.transaction
        if table is None:
            return set()
        touched = bool(transaction.chains or transaction.rules or transaction.counters)
        if transaction.fresh or (touched and self.tables.backend == "legacy"):
            return {rule for chain in table.chains.values() for rule in chain.special}
        again = set(self.zeroed)
        for name, rules in transaction.rules.items():
            old = table.chains.get(name)
            if old is not None and old.special:
                again.update(set(old.special).difference(rules, self.retargeted))
        return again

    def _note(self, line: int, chain: str, rule: Rule) -> None:
        """Remember where a rule came from, for complaints."""
        self.lines.append(line)
        self.places.append(chain)
        self.added.append(rule)

    # -- one method a command ------------------------------------------------------------------------------------

    def _rules(self, command: Command) -> Iterator[Rule]:
        for given in command.rules:
            parts = self._kept(given)
            target = parts.target
            if self.tables.backend == "nft" and (words := needed_protocol(parts)):
                raise RuleProblem(words)
            if self.name == "nat" and target is not None and target.name == "DROP":
                raise RuleProblem(_NAT_DROP, token="DROP")
            if self.tables.check:
                self._ask(parts, command.chain)
            if target is not None and target.is_chain and not self.transaction.exists(target.name):
                raise self._no_such(target.name, goto=target.goto)
            if target is not None and target.is_chain and target.name in BUILT_IN[self.name]:
                raise self._jumps_to_built_in(command.chain)
            yield rule_of(parts)

    def _ask(self, parts: RuleParts, chain: str) -> None:
        """Let the owner of the tables refuse the rule."""
        assert self.tables.check is not None
        try:
            self.tables.check(parts)
        except RuleProblem as problem:
            if problem.kind != "commit":
                raise
            raise RuleProblem(f"{problem.reason}: rule in chain {chain}", token=problem.token, kind="commit") from None

    def _kept(self, parts: RuleParts) -> RuleParts:
        return as_read_back(parts) if self.tables.backend == "nft" else as_kept_by_legacy(parts)

    def _jumps_to_built_in(self, chain: str) -> RuleProblem:
        if self.tables.backend == "nft":
            return RuleProblem(f"RULE_APPEND failed ({NOT_SUPPORTED}): rule in chain {chain}", kind="commit")
        return RuleProblem(INVALID, kind="state")

    def _append(self, command: Command, line: int) -> None:
        rules = self.transaction.rules_of(command.chain)
        for rule in self._rules(command):
            if command.counters:
                self.transaction.counters_of(command.chain)[len(rules)] = list(command.counters)
            rules.append(rule)
            self._note(line, command.chain, rule)

    def _insert(self, command: Command, line: int) -> None:
        rules = self.transaction.rules_of(command.chain)
        at = (command.position or 1) - 1
        if at > len(rules):
            raise RuleProblem(INDEX_TOO_BIG, token=str(command.position), kind="state")
        for rule in self._rules(command):  # each before the one that came before it
            rules.insert(at, rule)
            self._shift(command.chain, at, 1)
            if command.counters:
                self.transaction.counters_of(command.chain)[at] = list(command.counters)
            self._note(line, command.chain, rule)

    def _shift(self, chain: str, at: int, by: int) -> None:
        """Move the counters of the rules from `at` on."""
        held = self.transaction.counters_of(chain)
        moved = {index + by: pair for index, pair in held.items() if index >= at}
        for index in [index for index in held if index >= at]:
            del held[index]
        held.update(moved)

    def _replace(self, command: Command, line: int) -> None:
        rules = self.transaction.rules_of(command.chain)
        if not 1 <= command.position <= len(rules):
            raise RuleProblem("Index of replacement too big", token=str(command.position), kind="state")
        for rule in self._rules(command):
            rules[command.position - 1] = rule
            held = self.transaction.counters_of(command.chain)
            held.pop(command.position - 1, None)
            if command.counters:
                held[command.position - 1] = list(command.counters)
            self._note(line, command.chain, rule)

    def _delete(self, command: Command, _line: int) -> None:
        if not command.position and not self.transaction.exists(command.chain):
            raise RuleProblem(BAD_RULE, token=command.chain, kind="state")
        rules = self.transaction.rules_of(command.chain)
        if command.position:
            if command.position > len(rules):
                words = NO_CHAIN if _line or self.tables.backend == "nft" else "Index of deletion too big"
                raise RuleProblem(words, token=str(command.position), kind="state")
            self._remove(command.chain, rules, command.position - 1)
            return
        for parts in self._wanted(command):
            self._remove(command.chain, rules, self._position(rules, parts))

    def _remove(self, chain: str, rules: list[Rule], at: int) -> None:
        del rules[at]
        self.transaction.counters_of(chain).pop(at, None)
        self._shift(chain, at + 1, -1)

    def _wanted(self, command: Command) -> Iterator[RuleParts]:
        return map(self._kept, command.rules)

    def _position(self, rules: list[Rule], parts: RuleParts) -> int:
        for at, rule in enumerate(rules):
            if rule.parts == parts:
                return at
        raise RuleProblem(BAD_RULE, kind="state")

    def _check(self, command: Command, _line: int) -> None:
        if not self.transaction.exists(command.chain):
            raise RuleProblem(BAD_RULE, token=command.chain, kind="state")
        rules = self.transaction.rules_of(command.chain)
        for parts in self._wanted(command):
            self._position(rules, parts)

    def _new(self, command: Command, _line: int) -> None:
        self.transaction.make(command.chain)

    def _flush(self, command: Command, _line: int) -> None:
        for name in [command.chain] if command.chain else self.transaction.names():
            self.transaction.flush(name)

    def _delete_chain(self, command: Command, _line: int) -> None:
        if not command.chain:
            self._delete_all_chains()
            return
        name = command.chain
        if not self.transaction.exists(name):
            raise RuleProblem(NO_CHAIN, token=name, kind="state")
        if self.tables.backend == "legacy" and name in BUILT_IN[self.name]:
            raise RuleProblem(f"CHAIN_DEL failed ({INVALID}): chain {name}", token=name, kind="commit")
        chain = self.transaction.find(name)
        if chain is not None and chain.policy:
            if self.transaction.rules_of(name):
                raise RuleProblem(f"CHAIN_DEL failed ({IN_USE}): chain {name}", token=name, kind="commit")
            if chain.policy != "ACCEPT":
                raise RuleProblem(NOT_EMPTY, token=name, kind="state")
        if self.transaction.is_jumped_to(name):
            raise RuleProblem(f"CHAIN_DEL failed ({IN_USE}): chain {name}", token=name, kind="commit")
        if self.transaction.rules_of(name):
            raise RuleProblem(NOT_EMPTY, token=name, kind="state")
        self._drop(name)

    def _drop(self, name: str) -> None:
        self.transaction.chains[name] = None
        self.transaction.rules.pop(name, None)
        self.transaction.counters.pop(name, None)

    def _delete_all_chains(self) -> None:
        names = [name for name in self.transaction.names() if name not in BUILT_IN[self.name]]
        for name in names:
            if self.transaction.rules_of(name):
                raise RuleProblem(NOT_EMPTY, token=name, kind="state")
        for name in names:
            if self.transaction.is_jumped_to(name):
                raise RuleProblem(f"CHAIN_DEL failed ({IN_USE}): chain {name}", token=name, kind="commit")
        for name in names:
            self._drop(name)
        if self.tables.backend == "nft":
            self._drop_idle_base_chains()

    def _drop_idle_base_chains(self) -> None:
        """iptables-nft also takes away built-in chains that have no rules and accept."""
        for name in BUILT_IN[self.name]:
            chain = self.transaction.find(name) if self.transaction.exists(name) else None
            if chain is not None and chain.policy == "ACCEPT" and not self.transaction.rules_of(name):
                self._drop(name)

    def _rename(self, command: Command, _line: int) -> None:
        chain = self.transaction.find(command.chain) if self.transaction.exists(command.chain) else None
        nft = self.tables.backend == "nft"
        if command.name in BUILT_IN[self.name] and nft:
            raise RuleProblem("File exists", token=command.name, kind="state")
        if chain is not None and chain.policy and nft:
            raise Unsupported(f"iptables -E of the built-in chain {command.chain}", token=command.chain)
        if chain is None or command.chain in BUILT_IN[self.name]:
            raise RuleProblem(NO_CHAIN, token=command.chain, kind="state")
        if self.transaction.exists(command.name):
            raise RuleProblem("File exists", token=command.name, kind="state")
        rules, held = self.transaction.rules_of(command.chain), self.transaction.counters_of(command.chain)
        self._drop(command.chain)
        self.transaction.chains[command.name] = chain
        self.transaction.rules[command.name], self.transaction.counters[command.name] = rules, held
        for other in self.transaction.names():
            found = self.transaction.rules_of(other)
            for at, rule in enumerate(found):
                if rule.target == command.chain:
                    found[at] = self.retargeted[rule] = _retargeted(rule, command.name)

    def _policy(self, command: Command, _line: int) -> None:
        if command.chain not in BUILT_IN[self.name]:
            raise RuleProblem(NOT_BUILT_IN, token=command.chain, kind="state")
        if command.name not in POLICIES:
            raise RuleProblem(BAD_POLICY, token=command.name, kind="state")
        if self.name == "nat" and command.name == "DROP":
            raise RuleProblem(_NAT_DROP, token="DROP")
        self.transaction.set_policy(command.chain, command.name)
        if command.counters:
            self.transaction.count_policy(command.chain, command.counters)

    def _zero(self, command: Command, _line: int) -> None:
        for name in [command.chain] if command.chain else self.transaction.names():
            if not self.transaction.exists(name):
                unknown = BAD_RULE if command.position and self.tables.backend == "nft" else NO_CHAIN
                raise RuleProblem(unknown, token=name, kind="state")
            held = self.transaction.counters_of(name)
            chain = self.transaction.find(name)
            for at, rule in enumerate(chain.rules if chain and chain.special else ()):
                if any(held.get(at, ())) and command.position in (0, at + 1):
                    self.zeroed.add(rule)
            if self.tables.backend == "legacy" and command.position > len(self.transaction.rules_of(name)):
                raise RuleProblem("Index of counter too big", token=str(command.position), kind="state")
            if command.position:
                held.pop(command.position - 1, None)
            else:
                held.clear()
                self.transaction.start_counting(name)


def _retargeted(rule: Rule, new: str) -> Rule:
    assert rule.parts.target is not None
    return rule_of(attrs.evolve(rule.parts, target=rule.parts.target._replace(name=new)))


_NAT_DROP = '\nThe "nat" table is not intended for filtering, the use of DROP is therefore inhibited.\n\n'
_HANDLERS: dict[str, Callable[[Change, Command, int], None]] = {
    "A": Change._append, "I": Change._insert, "R": Change._replace, "D": Change._delete, "C": Change._check,
    "N": Change._new, "F": Change._flush, "X": Change._delete_chain, "E": Change._rename, "P": Change._policy,
    "Z": Change._zero,
}  # fmt: skip
