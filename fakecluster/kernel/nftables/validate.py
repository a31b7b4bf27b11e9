"""What holds between chains, for batches that `reach` has doubts about: no loops, not too deep, right hooks.

Only chains that a batch touched are looked at, upwards to the base chains that reach them and downwards to what they
reach; the command that touched such a chain last is the one that nft complains about. Source: nft_chain_validate() and
the validate callbacks of the expressions.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fakecluster.kernel.nftables.reach import JUMP_STACK_SIZE, names
from fakecluster.kernel.nftables.references import ALL_HOOKS, references, rule_references, targets
from fakecluster.rules.nft.objects import BaseChain, Command, Rule, TableName

if TYPE_CHECKING:
    from fakecluster.kernel.nftables.ruleset import Nftables
    from fakecluster.kernel.nftables.state import Chain, Table


def judge(ruleset: Nftables, commands: Iterable[Command]) -> tuple[Command, int] | None:
    """The first command of a batch that led to something impossible, and the errno; None when all is possible."""
    touched: dict[tuple[TableName, str], Command] = {}
    for command in commands:
        for chain in _touched_chains(command):
            assert command.table is not None
            touched[command.table, chain] = command
    graphs: dict[TableName, Graph] = {}
    for (name, chain), command in touched.items():
        table = ruleset.tables.get(name)
        if table is None or chain not in table.chains:
            continue
        graph = graphs.get(name)
        if graph is None:
            graph = graphs[name] = Graph(table)
        number = graph.problem(chain)
        if number:
            return command, number
    return None


def _touched_chains(command: Command) -> Iterable[str]:
    """Chains that a command leads to, or makes ask for more than before."""
    body = command.body
    if isinstance(body, Rule):
        found = references(body)
        return (
            (command.name,) if targets(body, found) or found.sets or found.nat or found.hooks is not ALL_HOOKS else ()
        )
    if command.noun == "element" and command.verb in ("add", "create") and isinstance(body, tuple):
        return [target for element in body if (target := _target(element.data))]
    return ()


class Graph:
    """Who jumps to whom in one table, walked as far as needed and remembered."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._above: dict[str, tuple[int, frozenset[BaseChain]]] = {}
        self._below: dict[str, int] = {}
        self._map_users: dict[str, list[str]] | None = None
        self._open: set[str] = set()

    def problem(self, name: str) -> int:
        """An errno, 0 when the chain and all below it are fine."""
        depth, bases = self.above(name)
        if not bases:
            return 0
        if depth + self.below(name) >= JUMP_STACK_SIZE:
            return errno.EMLINK
        return self._hooks(name, bases, set())

    def above(self, name: str) -> tuple[int, frozenset[BaseChain]]:
        """The longest way down from a base chain, and the base chains that reach this one."""
        known = self._above.get(name)
        if known is not None:
            return known
        if name in self._open:
            return JUMP_STACK_SIZE, frozenset()
        chain = self.table.chains[name]
        if chain.spec.base is not None:
            result = (0, frozenset((chain.spec.base,)))
            self._above[name] = result
            return result
        self._open.add(name)
        depth, bases = 0, frozenset[BaseChain]()
        for caller in self._callers(chain):
            caller_depth, caller_bases = self.above(caller)
            if caller_bases or caller_depth >= JUMP_STACK_SIZE:
                depth = max(depth, min(JUMP_STACK_SIZE, caller_depth + 1))
            bases |= caller_bases
        self._open.discard(name)
        self._above[name] = (depth, bases)
        return depth, bases

    def _callers(self, chain: Chain) -> set[str]:
        found: set[str] = set()
        for name in chain.users:
            if name[0] != "@":
                found.add(name)
            else:
                found.update(self._users_of_map(name[1:]))
        return {name for name in found if name in self.table.chains}

    def _users_of_map(self, name: str) -> list[str]:
        if self._map_users is None:
            self._map_users = {}
            wanted = {key for key, state in self.table.sets.items() if state.spec.data_kind == "verdict"}
            for chain_name, chain in self.table.chains.items():
                for rule in chain.rules:
                    for each in rule_references(rule).sets:
                        if each in wanted:
                            self._map_users.setdefault(each, []).append(chain_name)
        return self._map_users.get(name, [])

    def targets(self, name: str) -> set[str]:
        """Chains that a chain's rules lead to, through maps too."""
        found: set[str] = set()
        for rule in self.table.chains[name].rules:
            needs = rule_references(rule)
            found.update(targets(rule.rule, needs))
            for each in needs.sets:
                state = self.table.sets.get(each)
                if state is not None and state.spec.data_kind == "verdict":
                    found.update(chain for element in state.elements.values() if (chain := _target(element.data)))
        return found

    def below(self, name: str) -> int:
        """The longest way down from here."""
        known = self._below.get(name)
        if known is not None:
            return known
        self._below[name] = JUMP_STACK_SIZE
        depth = 0
        for target in self.targets(name):
            if target in self.table.chains:
                depth = max(depth, min(JUMP_STACK_SIZE, 1 + self.below(target)))
        self._below[name] = depth
        return depth

    def _hooks(self, name: str, bases: frozenset[BaseChain], seen: set[str]) -> int:
        if name in seen:
            return 0
        seen.add(name)
        for rule in self.table.chains[name].rules:
            needs = rule_references(rule)
            for base in bases:
                if base.hook not in names(needs.hooks) or (needs.nat and base.kind != "nat"):
                    return errno.EOPNOTSUPP
        for target in self.targets(name):
            if target in self.table.chains:
                number = self._hooks(target, bases, seen)
                if number:
                    return number
        return 0


def _target(data: object) -> str:
    return str(getattr(data, "chain", ""))
