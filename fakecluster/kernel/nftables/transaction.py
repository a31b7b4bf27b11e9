"""One batch of commands: carried out in order, checked, then made to count, or undone.

Every change notes how to undo it; a batch costs what its text costs, however large the tables are. Source: the
behaviour of nf_tables_api.c; messages are nft's.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import attrs

from fakecluster.kernel.nftables import managed
from fakecluster.kernel.nftables.elements import add_elements, delete_elements
from fakecluster.kernel.nftables.reach import Growth, Reached, anew, grown
from fakecluster.kernel.nftables.references import rule_references
from fakecluster.kernel.nftables.sets import SetState
from fakecluster.kernel.nftables.state import Chain, Table
from fakecluster.kernel.nftables.transaction_references import unrefer
from fakecluster.kernel.nftables.transaction_rules import add_rule, delete_rule, replace_rule
from fakecluster.kernel.nftables.transaction_sets import (
    add_object,
    add_set,
    delete_object,
    delete_set,
    flush_set,
)
from fakecluster.kernel.nftables.validate import judge
from fakecluster.rules.nft.errors import NftError, Span
from fakecluster.rules.nft.objects import (
    ChainSpec,
    Command,
    TableName,
    TableSpec,
)  # fmt: skip
from fakecluster.rules.nft.parse_chain import chain_is_possible

if TYPE_CHECKING:
    from fakecluster.kernel.nftables.ruleset import Nftables

#: A function and what it is called with.
Undo = tuple[Callable[..., object], *tuple[object, ...]]


class Transaction:
    """The work of one batch. `undo` holds what takes each change back, `later` what only counts once all is well.

    `growths` are the edges and demands that the batch adds to each table; `disordered` are dictionaries that an undoing
    leaves in another order than that of the handles.
    """

    def __init__(self, ruleset: Nftables) -> None:
        self.ruleset = ruleset
        self.undo: list[Undo] = []
        self.later: list[Callable[[], object]] = []
        self.gone: set[tuple[TableName, int]] = set()
        self.gone_tables: set[TableName] = set()
        self.tracked: dict[str, int] = {}
        self.command: Command = Command("add", "ruleset")
        self.growths: dict[TableName, Growth] = {}
        self.disordered: list[dict[Any, Any]] = []
        self._at: tuple[TableName, Table, Growth] | None = None

    def run(self, commands: Sequence[Command], *, check: bool) -> None:
        mixed = any(managed.managed(self.ruleset.netns))
        try:
            for command in commands:
                self.command = command
                of_iptables = managed.change(self.ruleset.netns, command) if mixed else None
                if of_iptables is not None:
                    self.later.append(of_iptables)
                    continue
                _HANDLERS[command.verb, command.noun](self, command)
            reached = self._validated(commands)
        except BaseException:
            self.roll_back()
            raise
        if check:
            self.roll_back()
            return
        self._commit(reached)

    def roll_back(self) -> None:
        self._at = None
        while self.undo:
            function, *arguments = self.undo.pop()
            function(*arguments)
        for found in self.disordered:
            ordered = sorted(found.items(), key=lambda item: item[1].handle)
            found.clear()
            found.update(ordered)
        self.disordered.clear()

    def _validated(self, commands: Sequence[Command]) -> list[tuple[Table, dict[str, Reached]]]:
        """What is reached in another way now. Fails as the kernel does where chains cannot be so."""
        result, doubtful = [], []
        for name, growth in self.growths.items():
            table = self.ruleset.tables.get(name)
            if table is None:
                continue
            update = grown(table, growth)
            if update is None:
                doubtful.append(table)
            else:
                result.append((table, update))
        if doubtful:
            guilty = judge(self.ruleset, commands)
            if guilty is not None:
                self.fail(guilty[1], command=guilty[0])
            result += [(table, anew(table)) for table in doubtful]
        return result

    def _commit(self, reached: list[tuple[Table, dict[str, Reached]]]) -> None:
        for table, update in reached:
            table.reach.update(update)
        for each in self.later:
            each()
        for family, change in self.tracked.items():
            if change:
                self.ruleset.track(family, change)
        states = self.ruleset.states
        if states and (self.gone or self.gone_tables):
            dead = [key for key in states if key[0] in self.gone_tables or (key[0], _handle_of(key[1])) in self.gone]
            for key in dead:
                del states[key]

    def fail(self, number: int, *, word: str = "", command: Command | None = None) -> NoReturn:
        """Stop with the kernel's answer, pointing at `word` in the command (at all of it without)."""
        command = command or self.command
        reason = f"Could not process rule: {os.strerror(number)}"
        if command.place is not None:
            command.place.fail(reason, word=word)
        raise NftError(reason, Span(0, 0), "")

    # --- finding things

    def table(self, command: Command) -> Table:
        """The table that a command is about, for writing."""
        name, at = command.table, self._at
        if at is not None and (at[0] is name or at[0] == name):
            return at[1]
        assert name is not None
        if name not in self.ruleset.tables:
            self.fail(errno.ENOENT, word=name.name)
        table = self.ruleset.own_table(name)
        self._at = (name, table, self.growths.setdefault(name, Growth()))
        return table

    @property
    def growth(self) -> Growth:
        """What the batch adds to the table that `table` gave last."""
        assert self._at is not None
        return self._at[2]

    def chain(self, table: Table, name: str) -> Chain:
        chain = table.chains.get(name)
        if chain is None:
            self.fail(errno.ENOENT, word=name)
        return chain if chain.owner is self.ruleset.owner else self.ruleset.own_chain(table, name)

    def set(self, table: Table, name: str) -> SetState:
        if name not in table.sets:
            self.fail(errno.ENOENT, word=name)
        return self.ruleset.own_set(table, name)

    def handle(self, table: Table) -> int:
        table.next_handle += 1
        return table.next_handle - 1

    # --- tables

    def add_table(self, command: Command) -> None:
        name, tables = command.table, self.ruleset.tables
        assert name is not None and isinstance(command.body, TableSpec)
        if name in tables:
            if command.verb == "create":
                self.fail(errno.EEXIST, word=name.name)
            self._update_table(name, command.body)
            return
        handle = self.ruleset.next_table_handle
        self.ruleset.next_table_handle += 1
        tables[name] = Table(name, command.body, handle, self.ruleset.owner)
        self.undo.append((tables.pop, name))

    def _update_table(self, name: TableName, spec: TableSpec) -> None:
        table = self.ruleset.own_table(name)
        if spec.flags == table.spec.flags:
            return
        before = table.spec
        table.spec = attrs.evolve(before, flags=spec.flags)
        self.undo.append((setattr, table, "spec", before))
        self.later.append(lambda: self._wake(table))

    def _wake(self, table: Table) -> None:
        """A dormant table's chains leave the hooks; they come back when it wakes."""
        for chain in table.chains.values():
            base = chain.spec.base
            if base is None:
                continue
            if "dormant" in table.spec.flags:
                self.ruleset.uninstall(table.name, chain.spec.name, base)
            else:
                self.ruleset.install(table, chain)

    def delete_table(self, command: Command) -> None:
        name = command.table
        assert name is not None
        if command.handle:
            name = next((key for key, found in self.ruleset.tables.items() if found.handle == command.handle), name)
        if name not in self.ruleset.tables:
            self.fail(errno.ENOENT, word=name.name)
        self._drop_table(name)

    def _drop_table(self, name: TableName) -> None:
        tables = self.ruleset.tables
        before = tables.copy()
        table = tables.pop(name)
        self._at = None
        self.growths.pop(name, None)
        needing = sum(rule_references(rule).conntrack for chain in table.chains.values() for rule in chain.rules)
        self.tracked[name.family] = self.tracked.get(name.family, 0) - needing
        self.gone_tables.add(name)

        def restore() -> None:
            tables.clear()
            tables.update(before)

        self.undo.append((restore,))
        bases = [(chain.spec.name, chain.spec.base) for chain in table.chains.values() if chain.spec.base]
        for chain_name, base in bases:
            self.later.append(lambda chain_name=chain_name, base=base: self.ruleset.uninstall(name, chain_name, base))  # type: ignore[misc]

    def flush_table(self, command: Command) -> None:
        table = self.table(command)
        for name in table.chains:
            self._flush(table, name)

    def flush_ruleset(self, command: Command) -> None:
        family = command.table.family if command.table else ""
        for name in [name for name in self.ruleset.tables if not family or name.family == family]:
            self._drop_table(name)
        netns = self.ruleset.netns
        for name in managed.managed(netns):
            if not family or name.family == family:
                self.later.append(partial(netns.xtables.remove, managed.FAMILIES[name.family], name.name))

    # --- chains

    def add_chain(self, command: Command) -> None:
        table, spec = self.table(command), command.body
        assert isinstance(spec, ChainSpec)
        if spec.name in table.chains:
            if command.verb == "create":
                self.fail(errno.EEXIST, word=spec.name)
            self._update_chain(table, spec)
            return
        if spec.base is not None and not chain_is_possible(spec.base):
            self.fail(errno.EOPNOTSUPP)
        chain = table.chains[spec.name] = Chain(spec, self.handle(table), self.ruleset.owner)
        self.undo.append((table.chains.pop, spec.name))
        self.growth.new.add(spec.name)
        if spec.base is None:
            return
        self.growth.bases.append(spec.name)
        if "dormant" not in table.spec.flags:
            self.later.append(lambda: self._install(table, chain))

    def _install(self, table: Table, chain: Chain) -> None:
        if table.chains.get(chain.spec.name) is chain and self.ruleset.tables.get(table.name) is table:
            self.ruleset.install(table, chain)

    def _update_chain(self, table: Table, spec: ChainSpec) -> None:
        old = table.chains[spec.name].spec
        if spec.base is None:
            return
        base = old.base
        if base is None or (base.kind, base.hook, base.priority) != (
            spec.base.kind,
            spec.base.hook,
            spec.base.priority,
        ):
            self.fail(errno.EOPNOTSUPP)
        if not spec.base.policy_given or spec.base.policy == base.policy:
            return
        chain = self.ruleset.own_chain(table, spec.name)
        chain.spec = attrs.evolve(old, base=attrs.evolve(base, policy=spec.base.policy))
        self.undo.append((setattr, chain, "spec", old))

    def delete_chain(self, command: Command) -> None:
        table = self.table(command)
        name = command.name
        if command.handle:
            name = next((key for key, found in table.chains.items() if found.handle == command.handle), "")
        chain = self.chain(table, name or command.name)
        self._flush(table, name)
        if chain.users:
            self.fail(errno.EBUSY, word=name)
        self.take_out(table.chains, name)
        self.later.append(lambda: table.reach.pop(name, None) if name not in table.chains else None)
        base = chain.spec.base
        if base is not None:
            self.later.insert(0, lambda: self.ruleset.uninstall(table.name, name, base))

    def take_out(self, found: dict[Any, Any], key: object) -> None:
        """Remove something with a handle from where it is kept by name."""
        self.undo.append((self._put_back, found, key, found.pop(key)))

    def _put_back(self, found: dict[Any, Any], key: object, value: object) -> None:
        found[key] = value
        self.disordered.append(found)

    def flush_chain(self, command: Command) -> None:
        table = self.table(command)
        self.chain(table, command.name)
        self._flush(table, command.name)

    def _flush(self, table: Table, name: str) -> None:
        if not table.chains[name].rules:
            return
        chain = self.ruleset.own_chain(table, name)
        rules = chain.rules
        unrefer(self, table, name, rules)
        chain.rules = []
        self.undo.append((setattr, chain, "rules", rules))

    def rename_chain(self, command: Command) -> None:
        table = self.table(command)
        chain = self.chain(table, command.name)
        if command.new_name in table.chains:
            self.fail(errno.EEXIST, word=command.new_name)
        if chain.users or chain.spec.base is not None:
            self.fail(errno.EBUSY if chain.users else errno.EOPNOTSUPP, word=command.name)
        before, old = table.chains.copy(), chain.spec
        renamed = {command.new_name if name == command.name else name: found for name, found in before.items()}
        chain.spec = attrs.evolve(old, name=command.new_name)
        table.chains.clear()
        table.chains.update(renamed)

        def restore() -> None:
            chain.spec = old
            table.chains.clear()
            table.chains.update(before)

        self.undo.append((restore,))


def _handle_of(place: object) -> int:
    """The rule's handle in the name of a place for state."""
    while isinstance(place, tuple):
        if isinstance(place[0], str):
            return hash(place)
        place = place[0]
    return place if isinstance(place, int) else 0


Handler = Callable[[Transaction, Command], None]
_BOTH = ("add", "create")
_HANDLERS: dict[tuple[str, str], Handler] = {
    **{(verb, "table"): Transaction.add_table for verb in _BOTH},
    **{(verb, "chain"): Transaction.add_chain for verb in _BOTH},
    **{(verb, noun): add_set for verb in _BOTH for noun in ("set", "map")},
    **{(verb, noun): add_object for verb in _BOTH for noun in ("counter", "quota", "limit")},
    **{("delete", noun): delete_object for noun in ("counter", "quota", "limit")},
    **{(verb, "element"): add_elements for verb in _BOTH},
    ("delete", "element"): delete_elements,
    ("delete", "table"): Transaction.delete_table,
    ("flush", "table"): Transaction.flush_table,
    ("flush", "ruleset"): Transaction.flush_ruleset,
    ("delete", "chain"): Transaction.delete_chain,
    ("flush", "chain"): Transaction.flush_chain,
    ("rename", "chain"): Transaction.rename_chain,
    ("add", "rule"): add_rule,
    ("create", "rule"): add_rule,
    ("insert", "rule"): add_rule,
    ("replace", "rule"): replace_rule,
    ("delete", "rule"): delete_rule,
    ("delete", "set"): delete_set,
    ("delete", "map"): delete_set,
    ("flush", "set"): flush_set,
    ("flush", "map"): flush_set,
}
