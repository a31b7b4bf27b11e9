"""Why an nft rule did not match: its conditions run one by one, as compiled, with the packet of that moment.

A condition that does not hold is told by the two sides that were compared; a look-up by the key that was not found and
the elements beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fakecluster.explaining.iptables_reasons import NEAR_ELEMENTS, Reasons, Unasked, because
from fakecluster.kernel.hooks import Hook, HookContext
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.nftables.compile import operations
from fakecluster.kernel.nftables.compile_expression import getter
from fakecluster.kernel.nftables.program import BREAK, Packet
from fakecluster.kernel.nftables.state import LoadedRule, Table
from fakecluster.kernel.packet import Skb
from fakecluster.rules.nft.expressions import AnonymousSet, Expression, Numgen, SetRef, datatypes_of
from fakecluster.rules.nft.objects import Rule, TableName
from fakecluster.rules.nft.print_expression import constant
from fakecluster.rules.nft.print_expression import expression as expression_text
from fakecluster.rules.nft.print_statement import rule as rule_text
from fakecluster.rules.nft.print_statement import statement as statement_text
from fakecluster.rules.nft.statements import ConnLimit, Limit, Match, Named, Quota, Statement, Vmap


def nft_rules(netns: Netns, table: str, chain: str) -> Reasons | None:
    """What asks a chain's rules; None when there is no such chain."""
    if "nftables" not in netns.__dict__:
        return None
    family, _, name = table.partition(" ")
    found = netns.nftables.tables.get(TableName(family, name))
    if found is None or chain not in found.chains:
        return None
    return _asking(netns, found, found.chains[chain].rules)


def _asking(netns: Netns, table: Table, rules: Sequence[LoadedRule]) -> Reasons:
    def ask(skb: Skb, hook: Hook, begin: int, end: int) -> Iterator[tuple[int, str, int, str]]:
        packet = Packet(skb, HookContext(netns, hook, skb.family), netns.nftables, table)
        family = table.name.family
        for number, loaded in enumerate(rules[begin : end - 1 if end else None], begin + 1):
            held, failed = 0, []
            for condition in _conditions(loaded.rule):
                words = _reason(condition, packet, loaded.handle, family)
                if words:
                    failed.append(words)
                else:
                    held += 1
            yield number, rule_text(loaded.rule, family), held * 2 - len(failed), because(failed)

    return ask


def _conditions(rule: Rule) -> Iterator[tuple[Statement, ...]]:
    """The statements that may stop a rule; matches that are one comparison stay together."""
    together: list[Statement] = []
    for statement in rule.statements:
        if isinstance(statement, Match):
            together.append(statement)
            if not statement.with_next:
                yield tuple(together)
                together = []
        elif isinstance(statement, Vmap | Limit | Quota | ConnLimit | Named):
            yield (statement,)


def _reason(condition: tuple[Statement, ...], packet: Packet, handle: int, family: str) -> str:
    """ "" when the condition holds, else why not."""
    first = condition[0]
    text = " ".join(statement_text(one, family) for one in condition)
    if isinstance(first, Limit | Quota | ConnLimit | Named):
        return Unasked(f"the packets so far decided: {text}")
    compared = first.left if isinstance(first, Match) else first.key if isinstance(first, Vmap) else None
    if isinstance(compared, Numgen):
        return Unasked(f"chance decided: {text}")
    (operation, *_) = operations(Rule(condition), family, handle)
    if operation(packet) is not BREAK:
        return ""
    assert compared is not None
    value = getter(compared, (handle, 0))(packet)
    if value is None:
        return f"the packet has no {expression_text(compared)}"
    shown = _value_text(compared, value)
    source = first.source if isinstance(first, Vmap) else first.right if isinstance(first, Match) else None
    if isinstance(source, SetRef):
        return _not_found(
            packet, source.name, compared, value, negated=isinstance(first, Match) and first.operator == "!="
        )
    if isinstance(source, AnonymousSet):
        return f"{expression_text(compared)} is {shown}, which is not what {text} asks"
    return f"{expression_text(compared)} is {shown}; asked: {text}"


def _not_found(packet: Packet, name: str, compared: Expression, value: Any, *, negated: bool) -> str:
    shown, state = _value_text(compared, value), packet.table.sets[name]
    if negated:
        return f"{shown} is in @{name}"
    if not state.elements:
        return f"@{name} is empty"
    near = []
    if isinstance(value, tuple) and not state.interval:
        near = [_value_text(compared, key) for key in state.elements if key[0] == value[0]][:NEAR_ELEMENTS]
    return f"{shown} is not in @{name}" + (f"; it has {', '.join(near)}" if near else "")


def _value_text(of: Expression, value: Any) -> str:
    """A value as nft writes it."""
    values = value if isinstance(value, tuple) else (value,)
    return " . ".join(constant(one, kind) for one, kind in zip(values, datatypes_of(of), strict=False))
