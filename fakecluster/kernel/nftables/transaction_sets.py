"""Sets, maps and named objects in a transaction."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from fakecluster.kernel.nftables.sets import SetState
from fakecluster.kernel.nftables.state import NamedObject, Table
from fakecluster.kernel.nftables.transaction_references import count_user
from fakecluster.rules.nft.objects import (
    Command,
    ObjectSpec,
    SetSpec,
)  # fmt: skip

if TYPE_CHECKING:
    from fakecluster.kernel.nftables.transaction import Transaction


def add_set(transaction: Transaction, command: Command) -> None:
    table, spec = transaction.table(command), command.body
    assert isinstance(spec, SetSpec)
    existing = table.sets.get(spec.name)
    if existing is not None:
        same = (existing.spec.key, existing.spec.data, existing.spec.data_kind) == (
            spec.key,
            spec.data,
            spec.data_kind,
        )
        if command.verb == "create" or not same:
            transaction.fail(errno.EEXIST, word=spec.name)
        return
    table.sets[spec.name] = SetState(spec, transaction.handle(table), transaction.ruleset.owner)
    transaction.undo.append((table.sets.pop, spec.name))
    transaction.growth.new.add("@" + spec.name)


def delete_set(transaction: Transaction, command: Command) -> None:
    table = transaction.table(command)
    name = command.name
    if command.handle:
        name = next((key for key, found in table.sets.items() if found.handle == command.handle), "")
    state = transaction.set(table, name or command.name)
    if table.set_users.get(name):
        transaction.fail(errno.EBUSY, word=name)
    forget_targets(transaction, table, state)
    transaction.take_out(table.sets, name)


def forget_targets(transaction: Transaction, table: Table, state: SetState) -> None:
    if state.spec.data_kind != "verdict":
        return
    for target in state.targets():
        refer_map(transaction, table, state.spec.name, target, -1)


def refer_map(transaction: Transaction, table: Table, name: str, target: str, change: int) -> None:
    """Count a verdict map's reference to a chain, undoably."""
    count_user(transaction, table, target, "@" + name, change)
    transaction.undo.append((count_user, transaction, table, target, "@" + name, -change))


def flush_set(transaction: Transaction, command: Command) -> None:
    table = transaction.table(command)
    state = transaction.set(table, command.name)
    forget_targets(transaction, table, state)
    before = (state.elements, state.expires, state.states, state.catch_all)
    state.elements, state.expires, state.states, state.catch_all = {}, {}, {}, None
    state.lows = state.groups = None

    def restore() -> None:
        state.elements, state.expires, state.states, state.catch_all = before
        state.lows = state.groups = None

    transaction.undo.append((restore,))


def add_object(transaction: Transaction, command: Command) -> None:
    table, spec = transaction.table(command), command.body
    assert isinstance(spec, ObjectSpec)
    key = (spec.kind, spec.name)
    if key in table.objects:
        if command.verb == "create":
            transaction.fail(errno.EEXIST, word=spec.name)
        return
    table.objects[key] = NamedObject(spec, transaction.handle(table))
    transaction.undo.append((table.objects.pop, key))


def delete_object(transaction: Transaction, command: Command) -> None:
    table = transaction.table(command)
    key = (command.noun, command.name)
    if key not in table.objects:
        transaction.fail(errno.ENOENT, word=command.name)
    if table.set_users.get(" ".join(key)):
        transaction.fail(errno.EBUSY, word=command.name)
    transaction.take_out(table.objects, key)
    transaction.gone.add((table.name, hash(key)))
