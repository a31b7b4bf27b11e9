"""What rules refer to, counted and checked as they come and go within a transaction."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fakecluster.errors import Unsupported
from fakecluster.kernel.nftables.compile import operations
from fakecluster.kernel.nftables.references import References, rule_references, targets
from fakecluster.kernel.nftables.state import LoadedRule, Table
from fakecluster.rules.nft.errors import position

if TYPE_CHECKING:
    from fakecluster.kernel.nftables.transaction import Transaction


def refer(transaction: Transaction, table: Table, chain: str, rule: LoadedRule) -> References:
    """Count the references of a rule that is added to a chain."""
    if rule.rule.shape is None:
        _compile(transaction, table, rule)
    found = rule_references(rule)
    chains = targets(rule.rule, found)
    if found.impossible:
        transaction.fail(errno.EINVAL)
    for target in chains:
        there = table.chains.get(target)
        if there is None or there.spec.base is not None:
            transaction.fail(errno.ENOENT if there is None else errno.EOPNOTSUPP, word=target)
    for name in found.sets:
        if name not in table.sets:
            transaction.fail(errno.ENOENT, word=name)
    for name in found.counted_sets:
        if "timeout" in table.sets[name].spec.flags:
            transaction.fail(errno.EOPNOTSUPP)
    for key, word in found.objects.items():
        if key not in table.objects:
            transaction.fail(errno.ENOENT, word=word)
    recount(transaction, table, chain, chains, found, 1)
    transaction.growth.take(table, chain, chains, found)
    return found


def _compile(transaction: Transaction, table: Table, rule: LoadedRule) -> None:
    """Refuse what is not modelled now, not when a packet comes."""
    try:
        rule.operations = operations(rule.rule, table.name.family, rule.handle)
    except Unsupported as gap:
        place = transaction.command.place
        if place is None:
            raise
        cursor, first, last = place.cursor.unfolded(place.first, place.last)
        line, _column = position(cursor.text, cursor.span(first, last).start)
        raise Unsupported(gap.what, line=line, token=gap.token, source=cursor.source) from None


def count_user(transaction: Transaction, table: Table, target: str, user: str, change: int) -> None:
    """Note that a chain is referred to once more (or less), by a chain or by a map (@ before its name)."""
    chain = table.chains.get(target)
    if chain is None:
        return
    if chain.owner is not transaction.ruleset.owner:
        chain = transaction.ruleset.own_chain(table, target)
    users = chain.users
    left = users.get(user, 0) + change
    if left:
        users[user] = left
    else:
        users.pop(user, None)


def recount(
    transaction: Transaction, table: Table, chain: str, chains: Sequence[str], found: References, change: int
) -> None:
    """Count what a rule of a chain refers to up or down."""
    for target in chains:
        count_user(transaction, table, target, chain, change)
    for name in found.sets:
        table.set_users[name] = table.set_users.get(name, 0) + change
    for key in found.objects:
        name = " ".join(key)
        table.set_users[name] = table.set_users.get(name, 0) + change
    if found.conntrack:
        family = table.name.family
        transaction.tracked[family] = transaction.tracked.get(family, 0) + change


def unrefer(transaction: Transaction, table: Table, chain: str, rules: Iterable[LoadedRule]) -> None:
    """Rules go: they refer to nothing any more."""
    for rule in rules:
        found = rule_references(rule)
        chains = targets(rule.rule, found)
        recount(transaction, table, chain, chains, found, -1)
        transaction.gone.add((table.name, rule.handle))
        transaction.undo.append((recount, transaction, table, chain, chains, found, 1))
