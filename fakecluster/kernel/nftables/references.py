"""What a rule refers to and asks of its chain: chains, sets, objects, conntrack, hooks. Found once, at load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.kernel.hooks import Hook
from fakecluster.kernel.nftables.compile import operations
from fakecluster.rules.nft.expressions import (
    AnonymousSet,
    Bitwise,
    Concat,
    Const,
    Ct,
    Element,
    Fib,
    Hash,
    MapLookup,
    SetRef,
    Shift,
    Socket,
    Verdict,
)  # fmt: skip
from fakecluster.rules.nft.objects import Rule
from fakecluster.rules.nft.print_expression import expression as expression_text
from fakecluster.rules.nft.shapes import Shape

if TYPE_CHECKING:
    from fakecluster.kernel.nftables.state import LoadedRule
from fakecluster.rules.nft.statements import (
    Assign,
    ConnLimit,
    Limit,
    MapName,
    Match,
    Named,
    Nat,
    Reject,
    SetUpdate,
    Tproxy,
    Vmap,
)  # fmt: skip

Hooks = frozenset[Hook]
ALL_HOOKS: Hooks = frozenset(Hook)
_INCOMING: Hooks = frozenset((Hook.PREROUTING, Hook.INPUT, Hook.FORWARD))
_OUTGOING: Hooks = frozenset((Hook.OUTPUT, Hook.POSTROUTING, Hook.FORWARD))
#: Where each translation may stand (nft_nat_validate, nft_masq_validate, nft_redir_validate).
_NAT_HOOKS: dict[str, Hooks] = {
    "dnat": frozenset((Hook.PREROUTING, Hook.OUTPUT)),
    "redirect": frozenset((Hook.PREROUTING, Hook.OUTPUT)),
    "snat": frozenset((Hook.POSTROUTING, Hook.INPUT)),
    "masquerade": frozenset((Hook.POSTROUTING,)),
}
_REJECT_HOOKS: Hooks = frozenset((Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.OUTPUT))
_SOCKET_HOOKS: Hooks = frozenset((Hook.PREROUTING, Hook.INPUT, Hook.OUTPUT))


@attrs.define(eq=False)
class References:
    """What one rule needs; never changed once found.

    `hooks` are those it may be reached from; `nat` if its base chain must be of type nat. `impossible`: the kernel refuses
    it wherever it stands. `counted_sets` are those in whose elements it counts connections.
    """

    chains: list[str] = attrs.field(factory=list)
    sets: list[str] = attrs.field(factory=list)
    updated_sets: list[str] = attrs.field(factory=list)
    objects: dict[tuple[str, str], str] = attrs.field(factory=dict)
    conntrack: bool = False
    hooks: Hooks = ALL_HOOKS
    nat: bool = False
    impossible: bool = False
    counted_sets: list[str] = attrs.field(factory=list)


def references(rule: Rule) -> References:
    """Look through a rule."""
    found = References()
    for statement in rule.statements:
        look = _STATEMENTS.get(type(statement))
        if look is not None:
            look(statement, found)
    return found


def _match(statement: Match, found: References) -> None:
    _expression(statement.left, found)
    _expression(statement.right, found)


def _verdict(statement: Verdict, found: References) -> None:
    if statement.chain:
        found.chains.append(statement.chain)


def _vmap(statement: Vmap, found: References) -> None:
    _expression(statement.key, found)
    _expression(statement.source, found)


def _nat(statement: Nat, found: References) -> None:
    found.conntrack = found.nat = True
    found.hooks &= _NAT_HOOKS[statement.kind]
    for each in (statement.address, statement.port):
        if each is not None:
            _expression(each, found)


def _assign(statement: Assign, found: References) -> None:
    _expression(statement.target, found)
    _expression(statement.value, found)


def _reject(_statement: Reject, found: References) -> None:
    found.hooks &= _REJECT_HOOKS


def _update(statement: SetUpdate, found: References) -> None:
    found.sets.append(statement.name)
    found.updated_sets.append(statement.name)
    if any(isinstance(each, ConnLimit) for each in statement.element.statements):
        found.conntrack = True
        found.counted_sets.append(statement.name)
    for limit in statement.element.statements:
        if isinstance(limit, Limit):
            _limit(limit, found)
    for each in (statement.element.key, statement.element.data):
        if each is not None:
            _expression(each, found)


def _connlimit(_statement: ConnLimit, found: References) -> None:
    found.conntrack = True


def _limit(statement: Limit, found: References) -> None:
    found.impossible |= not statement.rate


def _key_text(element: Element) -> str:
    return "*" if element.key is None else expression_text(element.key)


def _named(statement: Named, found: References) -> None:
    if isinstance(statement.name, MapName):
        _expression(statement.name.key, found)
        _expression(statement.name.source, found)
        for element in statement.name.source.elements if isinstance(statement.name.source, AnonymousSet) else ():
            assert isinstance(element.data, Const)
            found.objects[statement.kind, str(element.data.raw)] = _key_text(element)
    else:
        found.objects[statement.kind, statement.name] = statement.name


def _tproxy(_statement: Tproxy, found: References) -> None:
    found.hooks &= frozenset((Hook.PREROUTING,))


_STATEMENTS: dict[type, Callable[[Any, References], None]] = {
    Match: _match,
    Verdict: _verdict,
    Vmap: _vmap,
    Nat: _nat,
    Assign: _assign,
    Reject: _reject,
    SetUpdate: _update,
    ConnLimit: _connlimit,
    Limit: _limit,
    Named: _named,
    Tproxy: _tproxy,
}


def _expression(expression: Any, found: References) -> None:
    look = _EXPRESSIONS.get(type(expression))
    if look is not None:
        look(expression, found)


def _anonymous(expression: AnonymousSet, found: References) -> None:
    for element in expression.elements:
        if isinstance(element.data, Verdict):
            _verdict(element.data, found)


def _fib(expression: Fib, found: References) -> None:
    if expression.result != "type" or "iif" in expression.flags:
        found.hooks &= _INCOMING
    elif "oif" in expression.flags:
        found.hooks &= _OUTGOING


def _ct(_expression: Ct, found: References) -> None:
    found.conntrack = True


def _socket(_expression: Socket, found: References) -> None:
    found.hooks &= _SOCKET_HOOKS


def _lookup(expression: MapLookup, found: References) -> None:
    _expression(expression.key, found)
    _expression(expression.source, found)


def _parts(expression: Concat, found: References) -> None:
    for part in expression.parts:
        _expression(part, found)


_EXPRESSIONS: dict[type, Callable[[Any, References], None]] = {
    Ct: _ct,
    Fib: _fib,
    Socket: _socket,
    SetRef: lambda expression, found: found.sets.append(expression.name),
    AnonymousSet: _anonymous,
    MapLookup: _lookup,
    Concat: _parts,
    Bitwise: lambda expression, found: _expression(expression.left, found),
    Shift: lambda expression, found: _expression(expression.left, found),
    Hash: lambda expression, found: _expression(expression.of, found),
}


def rule_references(loaded: LoadedRule) -> References:
    """What a loaded rule needs, but for the chains that it leads to (see `targets`). Looked for once."""
    found = loaded.references
    if found is None:
        shape = loaded.rule.shape
        if isinstance(shape, Shape):
            found = _by_shape(shape, loaded.rule.text)
        else:
            found = references(loaded.rule)
        loaded.references = found
    return found


def targets(rule: Rule, found: References) -> Sequence[str]:
    """The chains that a rule leads to, each as often as it is named."""
    return rule.targets if rule.shape is not None else found.chains


def _by_shape(shape: Shape, text: str) -> References:
    """What the shape's model needs, with the sets that stand in this text."""
    model = shape.derived
    if not isinstance(model, References):
        operations(shape.model, shape.table.family, 0)  # refuses now what no packet could be put through later
        model = shape.derived = references(shape.model)
    if not shape.sets:
        return model
    names = dict(zip(shape.set_names(shape.text), shape.set_names(text), strict=True))
    return attrs.evolve(
        model,
        sets=[names[each] for each in model.sets],
        updated_sets=[names[each] for each in model.updated_sets],
        counted_sets=[names[each] for each in model.counted_sets],
    )
