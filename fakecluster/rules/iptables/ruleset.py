"""The tables of one IP family as iptables and iptables-save see them, and the commands that change them.

A `Chain` is frozen; a change makes a new one, so that copies of a rule set share all chains and a restore can be
prepared aside and put in place at once. Counters stand apart and only for rules that have counted something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import attrs

from fakecluster.rules.iptables.problem import CHAIN_EXISTS, NO_CHAIN, RuleProblem
from fakecluster.rules.iptables.rule import Rule

#: built-in chains of each table, in the order of their printing, and the priority of the table's hooks
BUILT_IN = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
#: index of a base chain's policy in its counters
POLICY = -1
Counters = dict[int, list[int]]


_NONE: frozenset[str] = frozenset()


@lru_cache(maxsize=1024)
def _just(name: str) -> frozenset[str]:
    """A set of one chain, kept once: every endpoint's chain jumps to the same one."""
    return frozenset((name,))


class Chain:
    """A chain, never changed once made: `policy` is "" for user chains, `jumps` are the chains its rules lead to.

    `tracking` counts the rules that need conntrack, `extensions` names what its rules use; `special` are the rules
    that were not of a plain shape. `derived` is where others keep what they computed from the chain. `is_counted` says
    whether its policy counts packets: iptables-nft makes a base chain that nobody declared without a counter.
    """

    __slots__ = ("_text", "derived", "extensions", "is_counted", "jumps", "name", "policy", "rules", "special", "tracking")

    def __init__(
        self, name: str, policy: str = "", rules: tuple[Rule, ...] = (), *, is_counted: bool = True
    ) -> None:  # fmt: skip
        self.name, self.policy, self.rules, self.is_counted = name, policy, rules, is_counted
        self.derived: object = None
        self._text = ""
        targets = {rule.target for rule in rules if rule.target}
        self.jumps = _just(*targets) if len(targets) == 1 else frozenset(targets) if targets else _NONE
        self.special = tuple([rule for rule in rules if not rule.text]) if rules else ()
        tracking = [rule for rule in rules if rule.tracks]
        self.tracking, self.extensions = len(tracking), _NONE
        if self.special:
            self.extensions = frozenset().union(*[rule.extensions() for rule in (*tracking, *self.special)])
        elif len(tracking) == 1:
            self.extensions = tracking[0].extensions()
        elif tracking:
            self.extensions = frozenset().union(*[rule.extensions() for rule in tracking])

    @property
    def text(self) -> str:
        """Its rules as iptables-save prints them without counters, a line each; printed once."""
        if not self._text:
            start = f"-A {self.name}"
            texts = (str(rule) for rule in self.rules)
            self._text = "".join([f"{start}{' ' if text else ''}{text}\n" for text in texts])
        return self._text

    def __repr__(self) -> str:
        return f"<Chain {self.name} {self.policy or '-'} with {len(self.rules)} rules>"


#: Stands for a user chain in the making; only its policy is asked for.
_USER_CHAIN = Chain("")


@attrs.define(eq=False)
class Table:
    """One table: chains by name in order of their making, counters by chain and rule index (policy: POLICY)."""

    name: str
    chains: dict[str, Chain] = attrs.field(factory=dict)
    counters: dict[str, Counters] = attrs.field(factory=dict)
    #: chain name -> how many chains lead to it
    jumped: dict[str, int] = attrs.field(factory=dict)
    #: whether a fork may have the same chains
    _is_shared: bool = False

    def fork(self) -> Table:
        counters = {
            name: {at: pair.copy() for at, pair in held.items()} for name, held in self.counters.items() if held
        }
        self._is_shared = True
        return Table(self.name, self.chains, counters, self.jumped, True)

    def replace(self, name: str, chain: Chain | None) -> None:
        """Put a chain in place of the one of its name, or take that away."""
        if self._is_shared:
            self.chains, self.jumped, self._is_shared = self.chains.copy(), self.jumped.copy(), False
        old = self.chains.pop(name, None) if chain is None else self.chains.get(name)
        if chain is not None:
            self.chains[name] = chain
        gone, come = (one.jumps if one is not None else _NONE for one in (old, chain))
        for target in gone - come:
            self.jumped[target] -= 1
            if not self.jumped[target]:
                del self.jumped[target]
        for target in come - gone:
            self.jumped[target] = self.jumped.get(target, 0) + 1

    def clear(self) -> None:
        self.chains, self.counters, self.jumped, self._is_shared = {}, {}, {}, False

    def counter(self, chain: str, at: int) -> tuple[int, int]:
        """(packets, bytes) of a rule or, with POLICY, of a base chain's policy."""
        pair = self.counters.get(chain, {}).get(at)
        return (pair[0], pair[1]) if pair else (0, 0)

    def in_order(self) -> Iterator[Chain]:
        """Built-in chains as iptables lists them, made or not; then the user's."""
        for name in BUILT_IN[self.name]:
            yield self.chains.get(name) or Chain(name, "ACCEPT")
        yield from sorted((chain for chain in self.chains.values() if not chain.policy), key=lambda chain: chain.name)


def _says_again(chain: Chain, rules: Sequence[Rule]) -> bool:
    """Whether a chain has the same rules in the same order; plain ones are compared by what was written.

    A chain takes over plain rules that are alike, so that a restore that says them once more finds the very same ones.
    """
    now, said = chain.rules, tuple(rules)
    if now == said:
        return True
    if len(now) != len(said) or [rule.text for rule in now] != [rule.text for rule in said]:
        return False
    if chain.special:
        return all(one.text or one.parts == other.parts for one, other in zip(now, said, strict=True))
    chain.rules = said
    return True


#: Called with every rule before it is taken in; refuses it by raising.
CheckRule = Callable[[Rule], None]


class Transaction:
    """A change in the making: chains replaced, made and removed on top of a table that is not touched yet."""

    def __init__(self, name: str, table: Table | None, *, backend: str) -> None:
        self.name, self.table, self.backend = name, table, backend
        self.chains: dict[str, Chain | None] = {}
        self.rules: dict[str, list[Rule]] = {}
        self.counters: dict[str, Counters] = {}
        self.fresh = False
        self.counted: set[str] = set()  # chains whose policy's counters this change sets
        self.lines: dict[tuple[str, int], int] = {}
        if table is None and backend == "legacy":
            self._make_built_in()

    def _make_built_in(self) -> None:
        for name in BUILT_IN[self.name]:
            known = self.table.chains.get(name) if self.table else None  # flushing leaves policies alone
            self.chains.setdefault(name, Chain(name, known.policy if known else "ACCEPT"))

    def clear(self) -> None:
        """Forget the whole table (what a restore without --noflush starts with)."""
        self.fresh, self.chains, self.rules, self.counters = True, {}, {}, {}
        if self.backend == "legacy":
            self._make_built_in()

    def find(self, name: str) -> Chain | None:
        """The chain as it stands in this change; built-in chains come into being when they are touched."""
        if name in self.chains:
            return self.chains[name]
        found = self.table.chains.get(name) if self.table and not self.fresh else None
        if found is None and name in BUILT_IN[self.name]:
            found = self.chains[name] = Chain(name, "ACCEPT", is_counted=self.backend == "legacy")
        return found

    def is_jumped_to(self, name: str) -> bool:
        """Whether any chain leads to this one, as things stand in this change."""
        if any(rule.target == name for rules in self.rules.values() for rule in rules):
            return True
        if any(
            chain is not None and name in chain.jumps for key, chain in self.chains.items() if key not in self.rules
        ):
            return True
        table = self.table if self.table and not self.fresh else None
        if table is None:
            return False
        touched = self.rules.keys() | self.chains.keys()
        changed = sum(key in table.chains and name in table.chains[key].jumps for key in touched)
        return table.jumped.get(name, 0) > changed

    def exists(self, name: str) -> bool:
        if name in self.chains:
            return self.chains[name] is not None
        return bool(self.table and not self.fresh and name in self.table.chains)

    def names(self) -> list[str]:
        """All chains as they stand."""
        kept = list(self.table.chains) if self.table and not self.fresh else []
        known = dict.fromkeys(kept)
        known.update(dict.fromkeys(self.chains))
        return [name for name in known if self.exists(name)]

    def rules_of(self, name: str) -> list[Rule]:
        """The chain's rules, to be changed in place. Raises `RuleProblem` when there is no such chain."""
        rules = self.rules.get(name)
        if rules is None:
            chain = self.find(name)
            if chain is None:
                raise RuleProblem(NO_CHAIN, token=name, kind="state")
            rules = self.rules[name] = list(chain.rules)
        return rules

    def counters_of(self, name: str) -> Counters:
        """The chain's counters, to be changed in place."""
        held = self.counters.get(name)
        if held is None:
            old = self.table.counters.get(name, {}) if self.table and not self.fresh else {}
            held = self.counters[name] = {at: pair.copy() for at, pair in old.items()}
        return held

    def make(self, name: str, *, must_be_new: bool = True) -> None:
        """Make a user chain; one that is there is emptied or, `must_be_new`, refused."""
        if self.exists(name) or (name in BUILT_IN[self.name] and must_be_new):
            if must_be_new:
                raise RuleProblem(CHAIN_EXISTS, token=name, kind="state")
            self.flush(name)
            return
        self.chains[name], self.rules[name] = _USER_CHAIN, []
        if self.counters or self.table is not None:
            self.counters[name] = {}

    def flush(self, name: str) -> None:
        """Empty a chain. Raises `RuleProblem` when there is none."""
        if self.find(name) is None:
            raise RuleProblem(NO_CHAIN, token=name, kind="state")
        self.rules[name] = []
        held = self.counters_of(name)
        self.counters[name] = {POLICY: held[POLICY]} if POLICY in held else {}

    def set_policy(self, name: str, policy: str) -> None:
        chain = self.find(name)
        assert chain is not None
        self.chains[name] = Chain(name, policy, chain.rules)
        self.counters_of(name).pop(POLICY, None)

    def start_counting(self, name: str) -> None:
        """Have the chain's policy count from now on."""
        chain = self.find(name)
        if chain is not None and not chain.is_counted:
            self.chains[name] = Chain(name, chain.policy, chain.rules)

    def count_policy(self, name: str, counters: tuple[int, int]) -> None:
        """Set a policy's counters."""
        self.counters_of(name)[POLICY] = list(counters)
        self.counted.add(name)

    def forget_policy_counters(self) -> None:
        """iptables-legacy puts a changed table in place without the counters of its policies (as of 1.8.9)."""
        if not (self.fresh or self.chains or self.rules or self.counters):
            return
        for name in BUILT_IN[self.name]:
            if name not in self.counted:
                self.counters_of(name).pop(POLICY, None)

    def changed(self) -> dict[str, Chain | None]:
        """What the change amounts to: chain name -> its new value, None when it goes."""
        result = dict(self.chains)
        for name, rules in self.rules.items():
            chain = self.find(name)
            if chain is not None and (name in self.chains or not _says_again(chain, rules)):
                result[name] = Chain(name, chain.policy, tuple(rules), is_counted=chain.is_counted)
        return result

    def apply(self, changed: dict[str, Chain | None]) -> Table:
        """Put the change in place; the table is the old one, changed, or a new one."""
        table = self.table if self.table is not None else Table(self.name)
        if self.fresh:
            table.clear()
        for name, chain in changed.items():
            table.replace(name, chain)
            if chain is None:
                table.counters.pop(name, None)
        for name, held in self.counters.items():
            if not held:  # most chains have counted nothing
                table.counters.pop(name, None)
            elif changed.get(name, table.chains.get(name)) is not None:
                table.counters[name] = held
        return table
