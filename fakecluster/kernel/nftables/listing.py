"""What nf_tables holds, as the language's printer takes it, with the present values of counters and limits."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from fakecluster.kernel.nftables import stateful
from fakecluster.kernel.nftables.ruleset import Nftables
from fakecluster.kernel.nftables.sets import Key, SetState
from fakecluster.kernel.nftables.state import Chain, LoadedRule, NamedObject, Table
from fakecluster.rules.nft.expressions import Const, Element, Range
from fakecluster.rules.nft.intervals import order
from fakecluster.rules.nft.objects import ObjectSpec, Rule
from fakecluster.rules.nft.printer import ChainView, SetView, TableView
from fakecluster.rules.nft.statements import Counter, Limit, Quota, Statement


def table_view(ruleset: Nftables, table: Table) -> TableView:
    """One table with everything in it."""
    return TableView(
        table.name,
        table.spec,
        [object_view(ruleset, table, each) for each in table.objects.values()],
        [set_view(ruleset, each) for each in table.sets.values()],
        [chain_view(ruleset, table, each) for each in table.chains.values()],
        table.handle,
    )


def chain_view(ruleset: Nftables, table: Table, chain: Chain) -> ChainView:
    return ChainView(chain.spec, [rule_view(ruleset, table, each) for each in chain.rules], chain.handle)


def rule_view(ruleset: Nftables, table: Table, loaded: LoadedRule) -> Rule:
    """A rule with its handle and the values of its counters."""
    rule = loaded.rule
    if any(stateful.remembers(each) for each in rule.statements):
        statements = tuple(
            stateful.shown(each, ruleset.states.get((table.name, (loaded.handle, index))))
            for index, each in enumerate(rule.statements)
        )
        return Rule(statements, rule.comment, loaded.handle)
    return Rule(rule.statements, rule.comment, loaded.handle)


def object_view(ruleset: Nftables, table: Table, found: NamedObject) -> ObjectSpec:
    spec = found.spec
    state = stateful.shown(spec.state, ruleset.states.get((table.name, (spec.kind, spec.name))))
    assert isinstance(state, Counter | Quota | Limit)
    return attrs.evolve(spec, state=state)


def set_view(ruleset: Nftables, state: SetState) -> SetView:
    """A set with the elements that live, in the order in which nft lists them."""
    now = ruleset.netns.clock.now_ns
    elements = [_element(state, key, element, now) for key, element in _ordered(state, now)]
    if state.catch_all is not None:
        elements.append(state.catch_all)
    return SetView(state.spec, elements, state.handle)


def _ordered(state: SetState, now: int) -> Iterator[tuple[Key, Element]]:
    live = list(state.live(now))
    if len(state.spec.key) == 1:
        if state.interval:
            live.sort(key=lambda pair: pair[0])
        else:
            live.sort(key=lambda pair: order(pair[1].key))  # type: ignore[arg-type]
    return iter(live)


def _element(state: SetState, key: Key, element: Element, now: int) -> Element:
    expires, values = state.expires.get(key), state.states.get(key)
    if isinstance(element.key, Range) and len(state.spec.key) == 1:
        element = attrs.evolve(element, key=_tidy(state, key))
    if expires is not None:
        default = state.spec.timeout_ms == element.timeout_ms
        timeout_ms = 0 if default else element.timeout_ms
        element = attrs.evolve(element, timeout_ms=timeout_ms, expires_ms=(expires - now) // 1_000_000)
    if element.statements:
        element = attrs.evolve(element, statements=_with_values(element.statements, values))
    return element


def _tidy(state: SetState, key: Key) -> Const | Range:
    from fakecluster.rules.nft.intervals import written

    found = written(state.spec.key[0], state.spec.key_bits[0], *key)
    return found  # type: ignore[return-value]


def _with_values(statements: tuple[object, ...], values: list[list[int]] | None) -> tuple[Statement, ...]:
    shown: list[Statement] = []
    for index, each in enumerate(statements):
        shown.append(stateful.shown(each, values[index] if values else None))  # type: ignore[arg-type]
    return tuple(shown)
