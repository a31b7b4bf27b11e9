"""Rules to operations. Each statement becomes one function of the packet (see `program`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.kernel.nftables import stateful
from fakecluster.kernel.nftables.act import assign, connlimit, log, named, nat, notrack, reject, tproxy, update
from fakecluster.kernel.nftables.compile_expression import MOST_NUMBERS, finder, getter
from fakecluster.kernel.nftables.program import BREAK, Answer, Operation, Packet
from fakecluster.rules.nft.expressions import (
    AnonymousSet,
    Const,
    Element,
    Numgen,
    Prefix,
    Range,
    SetRef,
    Verdict,
    width,
)  # fmt: skip
from fakecluster.rules.nft.intervals import bounds
from fakecluster.rules.nft.objects import Rule
from fakecluster.rules.nft.statements import (
    Assign,
    ConnLimit,
    Counter,
    Limit,
    Log,
    Match,
    Named,
    Nat,
    Notrack,
    Quota,
    Reject,
    SetUpdate,
    Tproxy,
    Vmap,
)  # fmt: skip


def operations(rule: Rule, family: str, handle: int) -> tuple[Operation, ...]:
    """Compile a rule; `handle` names the places of its counters and limits."""
    compiled: list[Operation] = []
    together: list[tuple[Callable[[Packet], Any], int]] = []
    for index, statement in enumerate(rule.statements):
        if isinstance(statement, Match) and (statement.with_next or together):
            assert isinstance(statement.right, Const)
            assert isinstance(statement.right.raw, int)
            together.append((getter(statement.left, (handle, index)), statement.right.raw))
            if not statement.with_next:
                compiled.append(_not_all(tuple(together)))
                together = []
        else:
            compiled.append(_COMPILERS[type(statement)](statement, (handle, index), family))
    return tuple(compiled)


def _not_all(fields: tuple[tuple[Callable[[Packet], Any], int], ...]) -> Operation:
    """Neighbouring fields compared as one: some of them must differ, all of them must be there."""

    def run(packet: Packet) -> Answer:
        values = [left(packet) for left, _wanted in fields]
        if None in values:
            return BREAK
        same = all(value == wanted for value, (_left, wanted) in zip(values, fields, strict=True))
        return BREAK if same else None

    return run


def _match(match: Match, place: object, _family: str) -> Operation:
    right = match.right
    if isinstance(right, SetRef | AnonymousSet):
        return _membership(match, place)
    if _is_chance(match) and isinstance(right, Const) and isinstance(right.raw, int):
        return _chance(match.left, match.operator, right.raw)
    left = getter(match.left, place)
    if isinstance(right, Const):
        if isinstance(right.raw, str):
            return _name_match(left, right.raw, match.operator)
        return _OPERATORS[match.operator](left, right.raw)
    if isinstance(right, Prefix | Range):
        low, high = bounds(right, width(match.left))
        return _range_match(left, low, high, match.operator == "!=")
    parts = list(right.parts)  # type: ignore[union-attr]
    return _concat_match(left, parts, match)


def _is_chance(match: Match) -> bool:
    left = match.left
    return isinstance(left, Numgen) and left.mode == "random" and left.modulus > MOST_NUMBERS


def _chance(left: Any, operator: str, wanted: int) -> Operation:
    """One of very many random numbers compared with one: it is, or it is not."""
    below = {"<": wanted, ">=": wanted}.get(operator, wanted + 1) - left.offset
    below = min(max(below, 0), left.modulus)
    hits = {"<": below, "<=": below, ">": left.modulus - below, ">=": left.modulus - below}.get(operator)
    if hits is None:
        single = int(0 <= wanted - left.offset < left.modulus)
        hits = single if operator == "==" else left.modulus - single
    weights, why = (hits, left.modulus - hits), f"numgen random mod {left.modulus} {operator} {wanted}"
    return lambda packet: BREAK if packet.ruleset.netns.pick(packet.skb, weights, why) else None


def _concat_match(left: Callable[[Packet], Any], parts: list[Any], match: Match) -> Operation:
    limits = [
        bounds(part, width(side))
        for part, side in zip(parts, match.left.parts, strict=True)  # type: ignore[union-attr]
    ]
    negate = match.operator == "!="

    def run(packet: Packet) -> Answer:
        value = left(packet)
        if value is None:
            return BREAK
        inside = all(low <= number <= high for number, (low, high) in zip(value, limits, strict=True))
        return None if inside != negate else BREAK

    return run


def _equal(left: Callable[[Packet], Any], wanted: int) -> Operation:
    return lambda packet: None if left(packet) == wanted else BREAK


def _different(left: Callable[[Packet], Any], wanted: int) -> Operation:
    def run(packet: Packet) -> Answer:
        value = left(packet)
        return BREAK if value is None or value == wanted else None

    return run


def _any(left: Callable[[Packet], Any], wanted: int) -> Operation:
    return lambda packet: None if (left(packet) or 0) & wanted else BREAK


def _none(left: Callable[[Packet], Any], wanted: int) -> Operation:
    def run(packet: Packet) -> Answer:
        value = left(packet)
        return BREAK if value is None or value & wanted else None

    return run


def _compared(holds: Callable[[int, int], bool]) -> Callable[[Callable[[Packet], Any], int], Operation]:
    def build(left: Callable[[Packet], Any], wanted: int) -> Operation:
        def run(packet: Packet) -> Answer:
            value = left(packet)
            return None if value is not None and holds(value, wanted) else BREAK

        return run

    return build


_OPERATORS: dict[str, Callable[[Callable[[Packet], Any], int], Operation]] = {
    "==": _equal,
    "!=": _different,
    "any": _any,
    "none": _none,
    "<": _compared(lambda value, wanted: value < wanted),
    ">": _compared(lambda value, wanted: value > wanted),
    "<=": _compared(lambda value, wanted: value <= wanted),
    ">=": _compared(lambda value, wanted: value >= wanted),
}


def _name_match(left: Callable[[Packet], Any], name: str, operator: str) -> Operation:
    negate = operator == "!="
    if name.endswith("*"):
        start = name[:-1]
        return lambda packet: None if (left(packet) or "").startswith(start) != negate else BREAK
    return lambda packet: None if (left(packet) == name) != negate else BREAK


def _range_match(left: Callable[[Packet], Any], low: int, high: int, negate: bool) -> Operation:
    def run(packet: Packet) -> Answer:
        value = left(packet)
        if value is None or (low <= value <= high) == negate:
            return BREAK
        return None

    return run


def _membership(match: Match, place: object) -> Operation:
    right = match.right
    assert isinstance(right, SetRef | AnonymousSet)
    find = finder(right, match.left, place)
    wanted = match.operator != "!="

    def run(packet: Packet) -> Answer:
        found = find(packet)
        if found is False or (found is not None) != wanted:
            return BREAK
        return None

    return run


def _vmap(statement: Vmap, place: object, _family: str) -> Operation:
    find = finder(statement.source, statement.key, place)

    def run(packet: Packet) -> Answer:
        element = find(packet)
        if not isinstance(element, Element):
            return BREAK
        data = element.data
        assert isinstance(data, Verdict)
        return None if data.kind == "continue" else data

    return run


def _verdict(statement: Verdict, _place: object, _family: str) -> Operation:
    return lambda packet: statement


def _counter(statement: Counter, place: object, _family: str) -> Operation:
    def run(packet: Packet) -> Answer:
        pair = packet.ruleset.state(packet.table, place, lambda: [statement.packets, statement.bytes])
        stateful.count(pair, packet.skb)
        return None

    return run


def _stateful(statement: Quota | Limit, place: object, _family: str) -> Operation:
    def run(packet: Packet) -> Answer:
        now = packet.now_ns
        state = packet.ruleset.state(packet.table, place, lambda: stateful.initial(statement, now))
        return None if stateful.passes(statement, state, len(packet.skb.data), now) else BREAK

    return run


_COMPILERS: dict[type, Callable[[Any, object, str], Operation]] = {
    Match: _match,
    Vmap: _vmap,
    Verdict: _verdict,
    Counter: _counter,
    Quota: _stateful,
    Limit: _stateful,
    ConnLimit: connlimit,
    Named: named,
    Log: log,
    Reject: reject,
    Nat: nat,
    Assign: assign,
    Notrack: notrack,
    SetUpdate: update,
    Tproxy: tproxy,
}
