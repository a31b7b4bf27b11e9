"""nft tables as text for ipset restore and iptables-restore, where a faithful form exists.

    shown = as_iptables(tables(parse("table ip t { ... }")), family=4)
    shown.ipset, shown.rules        what the two tools take; what has no faithful form is a comment that says why

A base chain becomes the built-in chain that hangs on the same hook at the same priority; where iptables has none there,
the chain is left out. Chains that are jumped to come along into every table from which they are reached. A table of
family inet is shown as one family sees it.

A packet too short for the header that it claims to have is dropped by iptables' tcp, udp and icmp matches; nft's only do
not match it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

import attrs

from fakecluster.errors import Unsupported
from fakecluster.rules.iptables import BUILT_IN, TARGETS, VERDICTS, RuleProblem, parse
from fakecluster.rules.nft.objects import BaseChain, Rule
from fakecluster.rules.nft.print_statement import rule as rule_text
from fakecluster.rules.nft.printer import ChainView, TableView
from fakecluster.rules.nft.statements import Verdict, Vmap
from fakecluster.rules.translate.to_ipset import IpSets
from fakecluster.rules.translate.to_iptables_rule import rules
from fakecluster.rules.translate.to_iptables_target import changes
from fakecluster.rules.translate.words import NoTranslation

FAMILIES = {"ip": (4,), "ip6": (6,), "inet": (4, 6)}
#: (type, hook, priority) of nft -> table of iptables-nft (iptables-legacy has security at 50)
PLACES = {
    **{("filter", hook, -300): "raw" for hook in ("prerouting", "output")},
    **{("filter", hook, -150): "mangle" for hook in ("prerouting", "input", "forward", "postrouting")},
    ("route", "output", -150): "mangle",
    **{("filter", hook, 0): "filter" for hook in ("input", "forward", "output")},
    **{("filter", hook, 150): "security" for hook in ("input", "forward", "output")},
    **{("nat", hook, -100): "nat" for hook in ("prerouting", "output")},
    **{("nat", hook, 100): "nat" for hook in ("input", "postrouting")},
}
_ORDER = ("raw", "mangle", "nat", "filter", "security")
CHAIN_NAME_LIMIT = 28
DIGEST = 8


@attrs.frozen
class Translation:
    """`ipset` is for `ipset restore`, `rules` for `iptables-restore -c`; `missing` are the comments on what is left out."""

    ipset: str
    rules: str
    missing: tuple[str, ...]

    def __str__(self) -> str:
        return self.ipset + self.rules


@attrs.define
class _Line:
    """A line of the text; `rule` is nft's, of a line that the check may find iptables to refuse."""

    text: str
    rule: str = ""


def as_iptables(tables: Sequence[TableView], *, family: int) -> Translation:
    """Show all that concerns packets of one IP family."""
    shown, ipset, missing = _Shown(family), "", list[str]()
    taken: set[str] = set()
    for view in tables:
        if family in FAMILIES[view.name.family]:
            sets = IpSets(family, {each.spec.name: each for each in view.sets}, taken)
            missing += shown.table(view, sets)
            ipset += "".join(f"{line}\n" for line in sets.lines)
    lines = shown.lines()
    _check(lines, family)
    text = "".join(f"{line.text}\n" for line in lines)
    missing += [line.text for line in lines if line.text.startswith("# ")]
    return Translation(
        ipset, "".join(f"# {each}\n" for each in missing if not each.startswith("# ")) + text, tuple(missing)
    )


def as_table(view: TableView, table: str, *, family: int) -> str:
    """An nft table as iptables-restore text of the table of iptables with its name and hooks.

    Raises `NoTranslation` when not every chain and rule has its like, and as one rule.
    """
    shown, sets = _Shown(family, elsewhere=table), IpSets(family, {}, set())
    missing = [*shown.table(view, sets), *(line.text for line in shown.lines() if line.text.startswith("#"))]
    if missing or sets.lines or sum(map(len, shown.rules.values())) != sum(len(chain.rules) for chain in view.chains):
        raise NoTranslation(f"table {view.name} as a whole", "iptables")
    shown.chains.setdefault(table, {})
    return "".join(f"{line.text}\n" for line in shown.lines())


def one_rule(view: TableView, rule: Rule, *, family: int) -> list[str]:
    """One rule of an nft table in iptables' words, without chain and counters. Raises `NoTranslation`."""
    chains = {each.spec.name: each for each in view.chains}
    sets = IpSets(family, {each.spec.name: each for each in view.sets}, set())
    return [text for _, text in rules(rule, family, sets, lambda name: (name, written(name, chains)))]


def written(chain: str, chains: Mapping[str, ChainView]) -> frozenset[str]:
    """What the rules of a chain, and of all that it leads to, may change."""
    there = [chains[name] for name in (chain, *_reached(chains[chain], chains))] if chain in chains else []
    return frozenset[str]().union(*(changes(rule.statements) for one in there for rule in one.rules))


@attrs.define
class _Shown:
    """The tables of iptables as they fill: chains in order with policies, and their rules.

    `elsewhere` is the table for chains that no base chain leads to.
    """

    family: int
    elsewhere: str = "filter"
    chains: dict[str, dict[str, str]] = attrs.field(factory=dict)
    rules: dict[str, list[_Line]] = attrs.field(factory=dict)
    names: dict[tuple[str, str, str], str] = attrs.field(factory=dict)

    def table(self, view: TableView, sets: IpSets) -> Iterator[str]:
        """Take one nft table in; what is said of chains that have no place."""
        chains = {each.spec.name: each for each in view.chains}
        placed: set[str] = set()
        for chain in view.chains:
            base = chain.spec.base
            if base is None:
                continue
            place = PLACES.get((base.kind, base.hook, base.priority))
            built_in = base.hook.upper()
            if place is None:
                yield f"{view.name} {chain.spec.name}: {_no_place(base)}"
            elif built_in in self.chains.get(place, {}):
                yield f"{view.name} {chain.spec.name}: {place} {built_in} is another chain's already"
            elif place == "nat" and base.policy == "drop":
                yield f"{view.name} {chain.spec.name}: no policy drop in table nat"
            else:
                self.chains.setdefault(place, {})[built_in] = base.policy.upper()
                self._chain(view, chain, place, built_in, sets)
                placed |= (below := _reached(chain, chains))
                for name in sorted(below, key=list(chains).index):
                    self._user_chain(view, chains[name], place, sets)
        for name, chain in chains.items():
            if chain.spec.base is None and name not in placed:
                self._user_chain(view, chain, self.elsewhere, sets)

    def _user_chain(self, view: TableView, chain: ChainView, place: str, sets: IpSets) -> None:
        name = self._name(view, place, chain.spec.name)
        if name not in self.chains.setdefault(place, {}):
            self.chains[place][name] = "-"
            self._chain(view, chain, place, name, sets)

    def _chain(self, view: TableView, chain: ChainView, place: str, name: str, sets: IpSets) -> None:
        hook = chain.spec.base.hook if chain.spec.base is not None else ""
        lines, chains = self.rules.setdefault(place, []), {one.spec.name: one for one in view.chains}

        def chain_of(target: str) -> tuple[str, frozenset[str]]:
            return self._name(view, place, target), written(target, chains)

        for each in chain.rules:
            # a rule that can match no packet of this family has no line
            said = f"{view.name} {chain.spec.name} {rule_text(each, view.name.family)}"
            try:
                found = list(rules(each, self.family, sets, chain_of, hook=hook))
            except NoTranslation as gap:
                lines.append(_Line(f"# {said} ({gap})"))
            else:
                lines += [_Line(f"{counters}-A {name} {text}".rstrip(), said) for counters, text in found]

    def _name(self, view: TableView, place: str, chain: str) -> str:
        """A chain's name in a table of iptables: its own, when that is short enough, free and no target's."""
        key = (str(view.name), place, chain)
        if key not in self.names:
            others = {name for (_, table, _), name in self.names.items() if table == place}
            usable = len(chain) <= CHAIN_NAME_LIMIT and chain[0] not in "-!" and chain not in others
            usable = usable and chain not in {*TARGETS, *VERDICTS, *BUILT_IN[place], "QUEUE"}
            digest = sha256(" ".join(key).encode()).hexdigest()[:DIGEST]
            self.names[key] = chain if usable else f"{chain.lstrip('-!')[: CHAIN_NAME_LIMIT - DIGEST - 1]}-{digest}"
        return self.names[key]

    def lines(self) -> list[_Line]:
        """The whole text, chains that nft does not have with an open policy."""
        found = []
        for table in (table for table in _ORDER if table in self.chains):
            chains = self.chains[table]
            policies = {name: chains.get(name, "ACCEPT") for name in BUILT_IN[table]} | chains
            found += [_Line(f"*{table}"), *(_Line(f":{name} {policy} [0:0]") for name, policy in policies.items())]
            found += [*self.rules.get(table, ()), _Line("COMMIT")]
        return found


def _no_place(base: BaseChain) -> str:
    return f"no table of iptables has a {base.hook} chain of type {base.kind} at priority {base.priority}"


def _reached(chain: ChainView, chains: Mapping[str, ChainView]) -> set[str]:
    """The chains that a chain leads to, however far."""
    found: set[str] = set()
    waiting = [chain]
    while waiting:
        for name in _targets(waiting.pop()):
            if name in chains and name not in found:
                found.add(name)
                waiting.append(chains[name])
    return found


def _targets(chain: ChainView) -> Iterator[str]:
    for rule in chain.rules:
        for statement in rule.statements:
            if isinstance(statement, Verdict) and statement.chain:
                yield statement.chain
            elif isinstance(statement, Vmap) and not hasattr(statement.source, "name"):
                data = [element.data for element in statement.source.elements]
                yield from (each.chain for each in data if isinstance(each, Verdict) and each.chain)


def _check(lines: list[_Line], family: int) -> None:
    """Let iptables read the text; what it refuses becomes a comment with its words."""
    for _ in range(len(lines)):
        try:
            parse("".join(f"{line.text}\n" for line in lines), family=family)
        except (RuleProblem, Unsupported) as refused:
            line = lines[refused.line - 1] if refused.line else lines[0]
            if not line.rule:
                raise
            what = refused.reason if isinstance(refused, RuleProblem) else refused.what
            line.text, line.rule = f"# {line.rule} ({NoTranslation(what.strip(), 'iptables')})", ""
        else:
            return
