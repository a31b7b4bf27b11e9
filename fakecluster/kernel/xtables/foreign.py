"""Tables that nft made under the names of iptables' own, as iptables-nft shows them.

iptables-nft lists a table when every rule in it is made of what its own rules are made of, and says so when not. Source:
nft_is_table_compatible() in nft.c of 1.8.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fakecluster.errors import Unsupported
from fakecluster.kernel.nftables.listing import table_view
from fakecluster.rules.iptables import Tables, parse
from fakecluster.rules.nft.expressions import AnonymousSet, Bitwise, Meta, Payload, Range, SetRef
from fakecluster.rules.nft.objects import Rule, TableName
from fakecluster.rules.nft.printer import ChainView
from fakecluster.rules.nft.statements import Counter, Limit, Log, Match, Statement, Verdict, Vmap
from fakecluster.rules.translate import PLACES, NoTranslation, as_table

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

_FAMILIES = {4: "ip", 6: "ip6"}


@attrs.frozen
class Foreign:
    """How a table of nft looks to iptables-nft: what it says first (in a save's words), and the table, if it can be read."""

    said: str
    tables: Tables | None


def read(netns: Netns, family: int, name: str) -> Foreign:
    """Look at one of them. Raises `Unsupported` where iptables-nft would show something else than there is."""
    ruleset = netns.nftables
    view = table_view(ruleset, ruleset.tables[TableName(_FAMILIES[family], name)])
    if not all(
        _is_compatible(statement) for chain in view.chains for rule in chain.rules for statement in rule.statements
    ):
        return Foreign(f"# Table `{name}' is incompatible, use 'nft' tool.\n", None)
    kept = [chain for chain in view.chains if chain.spec.base is None or _is_own(chain, name)]
    said = f"# Table `{name}' contains incompatible base-chains, use 'nft' tool to list them.\n"
    view = attrs.evolve(view, chains=kept, sets=())
    unread = any(_has_set(rule) for chain in kept for rule in chain.rules)
    try:
        text = as_table(view, name, family=family) if not unread else ""
    except NoTranslation:
        unread = True
    if unread:
        raise Unsupported(f"what iptables-nft makes of the rules of table {view.name}, which nft made")
    return Foreign(said if len(kept) < len(ruleset.tables[view.name].chains) else "", parse(text, family=family))


def _is_own(chain: ChainView, table: str) -> bool:
    base = chain.spec.base
    assert base is not None
    return PLACES.get((base.kind, base.hook, base.priority)) == table and chain.spec.name == base.hook.upper()


def _is_compatible(statement: Statement) -> bool:
    """nft_is_expr_compatible()"""
    match statement:
        case Match(left=Payload() | Meta()) | Match(left=Bitwise(left=Payload() | Meta())):
            return True
        case Limit():
            return statement.kind == "packets" and not statement.over
        case Log():
            return statement.group is not None
    return isinstance(statement, Counter | Verdict | Vmap)


def _has_set(rule: Rule) -> bool:
    """Look-ups and ranges of addresses are taken for something else by iptables-nft."""
    return any(
        isinstance(each, Vmap)
        or (isinstance(each, Match) and isinstance(each.right, AnonymousSet | SetRef))
        or (isinstance(each, Match) and isinstance(each.right, Range) and each.right.datatype.kind != "service")
        for each in rule.statements
    )
