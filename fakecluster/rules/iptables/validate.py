"""Refuses what the kernel refuses when rules are committed: loops, too deep nesting, targets where they do not work.

The kernel walks from every base chain (nft_chain_validate). Here every chain keeps how deep and under which hooks it
is reached; a change only looks at the edges it adds, and walks everything again only when that finds a fault.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Mapping

import attrs

from fakecluster.rules.iptables.match_header import AddrtypeMatch
from fakecluster.rules.iptables.match_rate import LimitMatch
from fakecluster.rules.iptables.match_transport import TCP_FLAGS, TcpMatch
from fakecluster.rules.iptables.numbers import U32
from fakecluster.rules.iptables.problem import INVALID, RANGE, TOO_MANY_LINKS, RuleProblem
from fakecluster.rules.iptables.rule import Rule
from fakecluster.rules.iptables.ruleset import Chain

#: NFT_JUMP_STACK_SIZE: how deep jumps may nest
DEPTH_LIMIT = 16
Reached = tuple[int, frozenset[str]]
_UNREACHED: Reached = (0, frozenset())
FindChain = Callable[[str], Chain | None]

#: target -> (tables, base chains) where the kernel accepts it
PLACES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    name: (frozenset(tables.split()), frozenset(chains.split()))
    for name, (tables, chains) in {
        "DNAT": ("nat", "PREROUTING OUTPUT"),
        "REDIRECT": ("nat", "PREROUTING OUTPUT"),
        "SNAT": ("nat", "POSTROUTING INPUT"),
        "MASQUERADE": ("nat", "POSTROUTING"),
        "NETMAP": ("nat", "PREROUTING OUTPUT POSTROUTING INPUT"),
        "REJECT": ("filter", "INPUT FORWARD OUTPUT"),
        "CT": ("raw", "PREROUTING OUTPUT"),
        "NOTRACK": ("raw", "PREROUTING OUTPUT"),
        "TPROXY": ("mangle", "PREROUTING"),
        "TTL": ("mangle", ""),
        "HL": ("mangle", ""),
        "TOS": ("mangle", ""),
        "DSCP": ("mangle", ""),
        "CLASSIFY": ("mangle filter security", "OUTPUT FORWARD POSTROUTING"),
        "TCPMSS": ("", ""),
        "CHECKSUM": ("mangle", ""),
    }.items()
}
#: match -> base chains where the kernel accepts it
MATCH_PLACES: Mapping[str, frozenset[str]] = {
    "owner": frozenset(("OUTPUT", "POSTROUTING")),
    "mac": frozenset(("PREROUTING", "INPUT", "FORWARD")),
    "rpfilter": frozenset(("PREROUTING",)),
    "socket": frozenset(("PREROUTING", "INPUT")),
}


_ANYWHERE: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())


@attrs.frozen
class Fault:
    """What is wrong: the words and the rules that together make it so."""

    words: str
    rules: tuple[Rule, ...]


def misplaced(names: frozenset[str], table: str, hooks: frozenset[str]) -> str:
    """The match or target among `names` that does not work in `table` under one of `hooks`; "" for none."""
    for name in names:
        tables, chains = PLACES.get(name, _ANYWHERE)
        if (tables and table not in tables) or (chains and not hooks <= chains):
            return name
        if name in MATCH_PLACES and not hooks <= MATCH_PLACES[name]:
            return name
    return ""


def refused(rule: Rule, table: str, backend: str) -> str:
    """The errno words with which the kernel refuses the rule in this table whatever the chain; "" when it does not."""
    if backend == "nft" and any(network and not network.mask for network in (rule.parts.src, rule.parts.dst)):
        return INVALID  # a comparison of no bits
    for match in rule.parts.matches:
        if backend == "legacy" and match.name == "limit" and _overflows(match.value):
            return RANGE
        if rule.family == 6 and match.name == "addrtype" and _types(match.value) & NOT_IN_IPV6:
            return INVALID
    target = rule.parts.target
    if backend == "legacy" and target is not None and target.name == "TCPMSS" and not _asks_for_syn(rule):
        return INVALID
    return INVALID if misplaced(rule.extensions() & PLACES.keys(), table, frozenset()) else ""


def _asks_for_syn(rule: Rule) -> bool:
    """find_syn_match() of xt_TCPMSS.c."""
    syn = TCP_FLAGS["SYN"]
    flags = [match.value for match in rule.parts.matches if isinstance(match.value, TcpMatch)]
    return any(value.flags[1] & syn and not value.not_flags for value in flags)


#: addrtype_mt_checkentry_v1(): what IPv6 has no notion of
NOT_IN_IPV6 = frozenset(("BROADCAST", "BLACKHOLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE"))


def _types(match: AddrtypeMatch) -> frozenset[str]:
    return (match.src or frozenset()) | (match.dst or frozenset())


def _overflows(limit: LimitMatch) -> bool:
    """limit_mt_check(): the burst's credits do not fit 32 bits."""
    return not limit.burst or limit.period * limit.burst & U32 < limit.period


class Reach:
    """How deep and under which hooks each chain of one table is reached from base chains."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.known: dict[str, Reached] = {}
        self._placed: dict[tuple[frozenset[str], frozenset[str]], str] = {}
        self._is_shared = False  # with forks, until one side changes

    def fork(self) -> Reach:
        twin = Reach(self.table)
        twin.known, twin._is_shared, self._is_shared = self.known, True, True
        return twin

    def take(self, update: Mapping[str, Reached], gone: Iterable[str]) -> None:
        """Note what `after` found for a change that is in place now, and the chains that it removed."""
        if self._is_shared:
            self.known, self._is_shared = self.known.copy(), False
        self.known.update(update)
        for name in gone:
            self.known.pop(name, None)

    def after(self, changed: Mapping[str, Chain | None], find: FindChain, old: FindChain) -> dict[str, Reached] | Fault:
        """The reach once `changed` is in place (only what differs), or what is wrong."""
        update: dict[str, Reached] = {}
        fault = self._spread(changed, find, old, update)
        if fault is None:
            return update
        exact: dict[str, Reached] = {}
        bases = {name: chain for name in _BASES if (chain := find(name)) is not None}
        fault = Reach(self.table)._spread(bases, find, lambda _name: None, exact)
        return exact if fault is None else fault

    def _spread(
        self, changed: Mapping[str, Chain | None], find: FindChain, old: FindChain, update: dict[str, Reached]
    ) -> Fault | None:
        def reached(name: str) -> Reached:
            return update.get(name) or self.known.get(name, _UNREACHED)

        waiting: dict[str, tuple[int, frozenset[str], tuple[str, ...]]] = {}
        order: deque[str] = deque()

        def lead_on(targets: Iterable[str], depth: int, hooks: frozenset[str], path: tuple[str, ...]) -> None:
            for target in targets:
                also = waiting.get(target)
                if also is None:
                    waiting[target] = (depth, hooks, path)
                    order.append(target)
                elif depth > also[0] or not hooks <= also[1]:
                    waiting[target] = (max(depth, also[0]), hooks | also[1], path if depth > also[0] else also[2])

        for name, chain in changed.items():
            if chain is None:
                continue
            if chain.policy and name not in self.known:
                update[name] = (1, frozenset((name,)))
            depth, hooks = reached(name)
            if not depth:
                continue
            fault = self._check(chain, hooks, (name,), find)
            if fault:
                return fault
            before = old(name) if name in self.known else None
            lead_on(chain.jumps - before.jumps if before is not None else chain.jumps, depth + 1, hooks, (name,))
        while order:
            name = order.popleft()
            depth, hooks, path = waiting.pop(name)
            was_depth, was_hooks = reached(name)
            chain = find(name)
            if chain is None or (depth <= was_depth and hooks <= was_hooks):
                continue
            if depth > DEPTH_LIMIT:
                return Fault(TOO_MANY_LINKS, _edges((*path, name), find))
            if depth < was_depth:
                depth = was_depth
            if not hooks >= was_hooks:
                hooks |= was_hooks
            update[name] = (depth, hooks)
            if chain.extensions or chain.jumps:
                path = (*path, name)
                fault = self._check(chain, hooks, path, find)
                if fault:
                    return fault
                lead_on(chain.jumps, depth + 1, hooks, path)
        return None

    def _check(self, chain: Chain, hooks: frozenset[str], path: tuple[str, ...], find: FindChain) -> Fault | None:
        names = chain.extensions
        if not names:
            return None
        name = self._placed.get((names, hooks))
        if name is None:
            name = self._placed[names, hooks] = misplaced(names, self.table, hooks)
        if not name:
            return None
        guilty = next(rule for rule in chain.rules if name in rule.extensions())
        return Fault(INVALID, (*_edges(path, find), guilty))


_BASES = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")


def _edges(path: Iterable[str], find: FindChain) -> tuple[Rule, ...]:
    """The first rule for every jump of a path of chains."""
    names = list(path)
    edges = []
    for name, following in itertools.pairwise(names):
        chain = find(name)
        edges.extend([rule for rule in chain.rules if rule.target == following][:1] if chain else [])
    return tuple(edges)


def complaint(fault: Fault, added: Iterable[tuple[int, str, Rule]]) -> RuleProblem:
    """iptables' words for a fault: it names the line of the rule that completed it."""
    guilty = {id(rule) for rule in fault.rules}
    line, chain = 0, ""
    for at, name, rule in added:
        if id(rule) in guilty and at >= line:
            line, chain = at, name
    return RuleProblem(f"RULE_APPEND failed ({fault.words}): rule in chain {chain}", kind="commit", line=line)
