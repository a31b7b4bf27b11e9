"""Elements of sets and maps coming and going within a transaction."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NoReturn

import attrs

from fakecluster.kernel.nftables.sets import Key, SetState
from fakecluster.kernel.nftables.state import Table
from fakecluster.kernel.nftables.transaction_references import count_user
from fakecluster.rules.nft.expressions import Element, Verdict
from fakecluster.rules.nft.intervals import written
from fakecluster.rules.nft.objects import Command
from fakecluster.rules.nft.print_expression import expression

if TYPE_CHECKING:
    from fakecluster.kernel.nftables.transaction import Transaction


def add_elements(transaction: Transaction, command: Command) -> None:
    """``add element``: what is there already with the same answer stays, with another one it is an error."""
    table = transaction.table(command)
    state = transaction.set(table, command.name)
    body = command.body
    assert isinstance(body, tuple)
    single_range = state.interval and len(state.spec.key) == 1
    now = transaction.ruleset.netns.clock.now_ns
    size = state.spec.size
    given: set[Key] = set()
    for element in body:
        if element.key is None:
            _add_catch_all(transaction, table, state, element)
            continue
        key = state.key_of(element.key)
        if single_range:
            found = _settle_range(transaction, table, state, key, element, given)
            if found is None:
                continue
            key, element = found
        existing = state.elements.get(key)
        if existing is not None:
            expires = state.expires.get(key)
            if expires is None or expires > now:
                if command.verb == "create" or existing.data != element.data:
                    _fail(transaction, errno.EEXIST, element)
                continue
            state.remove(key)
        if size and len(state.elements) >= size:
            _fail(transaction, errno.ENFILE, element)
        given.add(key)
        _insert(transaction, table, state, key, element, now)


def _fail(transaction: Transaction, number: int, element: Element) -> NoReturn:
    words = expression(element.key).split(" ") if element.key is not None else ["*"]
    transaction.fail(number, word=words[0].split("/")[0].strip('"'))


def _insert(transaction: Transaction, table: Table, state: SetState, key: Key, element: Element, now: int) -> None:
    data = element.data
    if type(data) is Verdict and data.chain:
        _lead_to(transaction, table, state, element, data.chain)
    if state.spec.statements and not element.statements:
        element = attrs.evolve(element, statements=state.spec.statements)
    state.elements[key] = element
    state.lows = state.groups = None
    timeout_ms = element.timeout_ms or state.spec.timeout_ms
    if timeout_ms:
        state.expires[key] = now + (element.expires_ms or timeout_ms) * 1_000_000
    transaction.undo.append((_take_back, transaction, table, state, key))


def _lead_to(transaction: Transaction, table: Table, state: SetState, element: Element, chain: str) -> None:
    """Count a verdict map's new reference to a chain. Fails where that is none to jump to."""
    target = table.chains.get(chain)
    if target is None:
        _fail(transaction, errno.ENOENT, element)
    elif target.spec.base is not None:
        _fail(transaction, errno.EOPNOTSUPP, element)
    name = state.spec.name
    count_user(transaction, table, chain, "@" + name, 1)
    transaction.growth.element(name, chain)


def _take_back(transaction: Transaction, table: Table, state: SetState, key: Key) -> None:
    element = state.elements[key]
    state.remove(key)
    target = getattr(element.data, "chain", "")
    if target:
        count_user(transaction, table, target, "@" + state.spec.name, -1)


def _add_catch_all(transaction: Transaction, table: Table, state: SetState, element: Element) -> None:
    before = state.catch_all
    if before is not None:
        if transaction.command.verb == "create" or before.data != element.data:
            _fail(transaction, errno.EEXIST, element)
        return
    target = getattr(element.data, "chain", "")
    if target:
        _lead_to(transaction, table, state, element, target)
    state.catch_all = element
    transaction.undo.append((_forget_catch_all, transaction, table, state))


def _forget_catch_all(transaction: Transaction, table: Table, state: SetState) -> None:
    element, state.catch_all = state.catch_all, None
    target = getattr(element and element.data, "chain", "")
    if target:
        count_user(transaction, table, target, "@" + state.spec.name, -1)


def _remember_catch_all(transaction: Transaction, table: Table, state: SetState, element: Element) -> None:
    state.catch_all = element
    target = getattr(element.data, "chain", "")
    if target:
        count_user(transaction, table, target, "@" + state.spec.name, 1)


def _settle_range(
    transaction: Transaction, table: Table, state: SetState, key: Key, element: Element, given: set[Key]
) -> tuple[Key, Element] | None:
    """A range among ranges: merged where the set says so, refused where it overlaps."""
    if state.spec.auto_merge and element.data is None:
        return _merge(transaction, table, state, key, element)
    other = state.overlapping(key)
    if other is None or other == key:
        return key, element
    reason = "conflicting intervals specified" if other in given else "interval overlaps with an existing one"
    place = transaction.command.place
    if place is not None:
        place.fail(reason, word=expression(element.key).split("/")[0].split("-")[0])
    transaction.fail(errno.EEXIST)


def _merge(
    transaction: Transaction, table: Table, state: SetState, key: Key, element: Element
) -> tuple[Key, Element] | None:
    low, high = key
    while (other := state.overlapping((max(0, low - 1), high + 1))) is not None:
        if other[0] <= low and other[1] >= high and other == (min(low, other[0]), max(high, other[1])):
            return None
        low, high = min(low, other[0]), max(high, other[1])
        _remove(transaction, table, state, other)
    datatype, bits = state.spec.key[0], state.spec.key_bits[0]
    return (low, high), attrs.evolve(element, key=written(datatype, bits, low, high))


def _remove(transaction: Transaction, table: Table, state: SetState, key: Key) -> None:
    element = state.elements[key]
    expires, values = state.expires.get(key), state.states.get(key)
    state.remove(key)
    target = getattr(element.data, "chain", "")
    if target:
        count_user(transaction, table, target, "@" + state.spec.name, -1)

    def restore() -> None:
        state.put(key, element)
        if expires is not None:
            state.expires[key] = expires
        if values is not None:
            state.states[key] = values
        if target:
            count_user(transaction, table, target, "@" + state.spec.name, 1)

    transaction.undo.append((restore,))


def delete_elements(transaction: Transaction, command: Command) -> None:
    """``delete element``: each must be there."""
    table = transaction.table(command)
    state = transaction.set(table, command.name)
    body = command.body
    assert isinstance(body, tuple)
    now = transaction.ruleset.netns.clock.now_ns
    for element in body:
        if element.key is None:
            if state.catch_all is None:
                _fail(transaction, errno.ENOENT, element)
            transaction.undo.append((_remember_catch_all, transaction, table, state, state.catch_all))
            _forget_catch_all(transaction, table, state)
            continue
        key = state.key_of(element.key)
        expires = state.expires.get(key)
        if key not in state.elements or (expires is not None and expires <= now):
            _fail(transaction, errno.ENOENT, element)
        _remove(transaction, table, state, key)
