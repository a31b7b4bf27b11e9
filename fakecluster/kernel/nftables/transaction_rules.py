"""Rules in a transaction: added, inserted, replaced, deleted; what they refer to is counted."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import attrs

from fakecluster.kernel.nftables.references import References, targets
from fakecluster.kernel.nftables.state import Chain, LoadedRule, Table
from fakecluster.kernel.nftables.transaction_references import recount, refer, unrefer
from fakecluster.rules.nft.objects import (
    Command,
    Rule,
)  # fmt: skip

if TYPE_CHECKING:
    from fakecluster.kernel.nftables.transaction import Transaction


def add_rule(transaction: Transaction, command: Command) -> None:
    table = transaction.table(command)
    chain = transaction.chain(table, command.name)
    body = command.body
    assert isinstance(body, Rule)
    rule = LoadedRule(body, transaction.handle(table))
    at = _position(transaction, chain, command)
    found = refer(transaction, table, command.name, rule)
    for name in found.updated_sets:
        _make_dynamic(transaction, table, name)
    if at is None:
        chain.rules.append(rule)
    else:
        chain.rules.insert(at, rule)
    transaction.undo.append((_take_back, transaction, table, chain, rule, found))


def _take_back(transaction: Transaction, table: Table, chain: Chain, rule: LoadedRule, found: References) -> None:
    if chain.rules[-1] is rule:
        chain.rules.pop()
    else:
        chain.rules.remove(rule)
    recount(transaction, table, chain.spec.name, targets(rule.rule, found), found, -1)


def _make_dynamic(transaction: Transaction, table: Table, name: str) -> None:
    """A set that rules add to is dynamic and has a size, declared or not."""
    from fakecluster.kernel.nftables.ruleset import DEFAULT_DYNAMIC_SIZE

    state = transaction.ruleset.own_set(table, name)
    before = state.spec
    if "dynamic" in before.flags and before.size:
        return
    state.spec = attrs.evolve(before, flags=before.flags | {"dynamic"}, size=before.size or DEFAULT_DYNAMIC_SIZE)
    transaction.undo.append((setattr, state, "spec", before))


def _position(transaction: Transaction, chain: Chain, command: Command) -> int | None:
    """Where a new rule goes: None for the end."""
    insert = command.verb == "insert"
    if command.position:
        index = _index_of(transaction, chain, command.position, word="position")
        return index if insert else index + 1
    if command.index is not None:
        if command.index >= len(chain.rules):
            transaction.fail(errno.ENOENT, word="index")
        return command.index if insert else command.index + 1
    return 0 if insert else None


def _index_of(transaction: Transaction, chain: Chain, handle: int, *, word: str) -> int:
    for index, rule in enumerate(chain.rules):
        if rule.handle == handle:
            return index
    transaction.fail(errno.ENOENT, word=word)


def replace_rule(transaction: Transaction, command: Command) -> None:
    table = transaction.table(command)
    chain = transaction.chain(table, command.name)
    assert isinstance(command.body, Rule)
    at = _index_of(transaction, chain, command.handle, word=str(command.handle))
    old = chain.rules[at]
    rule = LoadedRule(command.body, transaction.handle(table))
    found = refer(transaction, table, command.name, rule)
    unrefer(transaction, table, command.name, [old])
    chain.rules[at] = rule

    def restore() -> None:
        chain.rules[at] = old
        recount(transaction, table, chain.spec.name, targets(rule.rule, found), found, -1)

    transaction.undo.append((restore,))


def delete_rule(transaction: Transaction, command: Command) -> None:
    table = transaction.table(command)
    chain = transaction.chain(table, command.name)
    at = _index_of(transaction, chain, command.handle, word=str(command.handle))
    rule = chain.rules[at]
    unrefer(transaction, table, command.name, [rule])
    del chain.rules[at]
    transaction.undo.append((chain.rules.insert, at, rule))
