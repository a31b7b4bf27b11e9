"""How deep, and from which base chains, every chain and verdict map of a table is reached; what a batch adds to that.

The kernel walks from every base chain once all commands of a batch are in. Here every chain keeps how deep and from
where it is reached; a batch only looks at the edges it adds. What a batch takes away is not followed, so what is known
may be too much: a fault found with it is only a doubt, which `validate.judge` settles. Source: nft_chain_validate().
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from fakecluster.kernel.nftables.references import ALL_HOOKS, Hooks, References, rule_references, targets
from fakecluster.rules.nft.objects import BaseChain

if TYPE_CHECKING:
    from fakecluster.kernel.nftables.state import Table

#: Jumps that may be nested below a base chain (NFT_JUMP_STACK_SIZE).
JUMP_STACK_SIZE = 16
#: The longest way down from a base chain, and the base chains that it may start from.
Reached = tuple[int, frozenset[BaseChain]]
#: The hooks that rules may be reached from, and whether only from chains of type nat.
Demand = tuple[Hooks, bool]


class Growth:
    """What a batch adds to one table: new things, new edges (to chains, and to maps with an @), new demands of rules."""

    __slots__ = ("bases", "demands", "edges", "new")

    def __init__(self) -> None:
        self.new: set[str] = set()
        self.bases: list[str] = []
        self.edges: dict[str, list[str]] = {}
        self.demands: dict[str, set[Demand]] = {}

    def take(self, table: Table, chain: str, chains: Sequence[str], found: References) -> None:
        """A rule that leads to these chains has been added to a chain."""
        if chains or found.sets:
            edges = self.edges.get(chain)
            if edges is None:
                edges = self.edges[chain] = []
            edges += chains
            for name in found.sets:
                if table.sets[name].spec.data_kind == "verdict":
                    edges.append("@" + name)
        if found.nat or found.hooks is not ALL_HOOKS:
            self.demands.setdefault(chain, set()).add((found.hooks, found.nat))

    def element(self, set_name: str, target: str) -> None:
        """A verdict map leads to one more chain."""
        edges = self.edges.get("@" + set_name)
        if edges is None:
            edges = self.edges["@" + set_name] = []
        edges.append(target)


def grown(table: Table, growth: Growth) -> dict[str, Reached] | None:
    """What is reached in another way than before; None when there is a doubt."""
    return _Spread(table, growth).run(table.reach)


def anew(table: Table) -> dict[str, Reached]:
    """What is reached, worked out from nothing."""
    growth = Growth()
    growth.bases = [name for name, chain in table.chains.items() if chain.spec.base is not None]
    return _Spread(table, growth).run({}) or {}


class _Spread:
    """One walk along everything that a batch made reachable in a new way."""

    def __init__(self, table: Table, growth: Growth) -> None:
        self.table, self.growth = table, growth
        self.update: dict[str, Reached] = {}
        self.waiting: deque[str] = deque()
        self.settled: set[tuple[Demand, frozenset[BaseChain]]] = set()

    def run(self, known: Mapping[str, Reached]) -> dict[str, Reached] | None:
        update, chains = self.update, self.table.chains
        for name in self.growth.bases:
            chain = chains.get(name)
            if chain is not None and chain.spec.base is not None:
                update[name] = (0, frozenset((chain.spec.base,)))
                self.waiting.append(name)
        for source, leads in self.growth.edges.items():
            reached = update.get(source) or known.get(source)
            if reached is not None and not self._lead(leads, reached, known):
                return None
        for name, demands in self.growth.demands.items():
            reached = update.get(name) or known.get(name)
            if reached is not None and not self._content(demands, reached[1]):
                return None
        while self.waiting:
            name = self.waiting.popleft()
            onwards, asked = self._from(name)
            reached = update[name]
            if not (self._content(asked, reached[1]) and self._lead(onwards, reached, known)):
                return None
        return update

    def _lead(self, targets: Iterable[str], reached: Reached, known: Mapping[str, Reached]) -> bool:
        """Reach what is behind; False when it is too deep."""
        update, (depth, bases) = self.update, reached
        for target in targets:
            below = depth if target[0] == "@" else depth + 1
            before = update.get(target) or known.get(target)
            if before is None:
                now = (below, bases)
            elif below > before[0] or not bases <= before[1]:
                now = (max(below, before[0]), bases | before[1])
            else:
                continue
            if below >= JUMP_STACK_SIZE:
                return False
            update[target] = now
            self.waiting.append(target)
        return True

    def _from(self, name: str) -> tuple[Iterable[str], Iterable[Demand]]:
        """What a chain or map leads to, and what a chain's rules ask for."""
        growth, table = self.growth, self.table
        if name in growth.new:
            return growth.edges.get(name, ()), growth.demands.get(name, ())
        if name[0] == "@":
            state = table.sets.get(name[1:])
            return ([] if state is None else state.targets()), ()
        chain, found = table.chains.get(name), Growth()
        for rule in chain.rules if chain is not None else ():
            needs = rule_references(rule)
            found.take(table, name, targets(rule.rule, needs), needs)
        return found.edges.get(name, ()), found.demands.get(name, ())

    def _content(self, demands: Iterable[Demand], bases: frozenset[BaseChain]) -> bool:
        """Whether rules that ask for this may be reached from these."""
        for demand in demands:
            if (demand, bases) in self.settled:
                continue
            hooks, nat = demand
            if any(base.hook not in names(hooks) or (nat and base.kind != "nat") for base in bases):
                return False
            self.settled.add((demand, bases))
        return True


def names(hooks: Hooks) -> frozenset[str]:
    """The hooks as chains name them."""
    found = _names.get(hooks)
    if found is None:
        found = _names[hooks] = frozenset(hook.name.lower() for hook in hooks)
    return found


_names: dict[Hooks, frozenset[str]] = {}
