"""The rules that a packet met, in the other language: those of iptables as nft would say them, and the other way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from fakecluster.kernel.netns import Netns
from fakecluster.kernel.nftables.listing import table_view
from fakecluster.rules.nft.objects import TableName
from fakecluster.rules.translate import NoTranslation, one_rule, rule_as_nft
from fakecluster.trace import RuleStep, Trace

FAMILIES = {"ip": 4, "ip6": 6}


@attrs.frozen
class Translated:
    """A rule, and its like in the other language: one rule or several, or none and `why` not."""

    table: str
    chain: str
    rule: int
    text: str
    like: tuple[str, ...]
    why: str = ""

    def __str__(self) -> str:
        return "; ".join(self.like) or f"({self.why})"


def translated(namespaces: Mapping[str, Netns], trace: Trace) -> Iterator[Translated]:
    """The rules that the first packet met, each once, in order."""
    seen: set[tuple[str, str, str, int]] = set()
    for hop in trace.way:
        family = 4 if hop.packet_in[:1] and hop.packet_in[0] >> 4 == 4 else 6
        netns = namespaces.get(hop.namespace)
        for step in hop.steps:
            if netns is None or not isinstance(step, RuleStep):
                continue
            place = (hop.namespace, step.table, step.chain, step.rule)
            if place not in seen:
                seen.add(place)
                yield _translated(netns, step, family)


def _translated(netns: Netns, step: RuleStep, family: int) -> Translated:
    try:
        like, why = tuple(_like(netns, step, family)), ""
    except NoTranslation as gap:
        like, why = (), str(gap)
    return Translated(step.table, step.chain, step.rule, step.text, like, why)


def _like(netns: Netns, step: RuleStep, family: int) -> list[str]:
    word, _, name = step.table.partition(" ")
    table = netns.nftables.tables.get(TableName(word, name)) if "nftables" in netns.__dict__ else None
    if table is not None and step.chain in table.chains:
        rule = table.chains[step.chain].rules[step.rule - 1].rule
        return one_rule(table_view(netns.nftables, table), rule, family=FAMILIES.get(word, family))
    for backend in ("nft", "legacy"):
        found = netns.xtables.of(FAMILIES[word], backend).tables.get(name)
        chain = found.chains.get(step.chain) if found is not None else None
        if chain is not None and step.rule <= len(chain.rules) and str(chain.rules[step.rule - 1]) == step.text:
            return [rule_as_nft(chain.rules[step.rule - 1])]
    raise NoTranslation("a rule that is not there any more", "the other language")
