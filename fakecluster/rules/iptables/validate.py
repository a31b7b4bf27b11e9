"""Refuses what the kernel refuses when rules are committed: loops, too deep nesting, targets where they do not work.

The kernel walks from every base chain (nft_chain_validate). Here every chain keeps how deep and under which hooks it
is reached; a change only looks at the edges it adds, and walks everything again only when that finds a fault.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs

from fakecluster.rules.iptables.extensions import NEEDED_PROTOCOL, VERDICTS
from fakecluster.rules.iptables.match_header import AddrtypeMatch
from fakecluster.rules.iptables.match_rate import LimitMatch
from fakecluster.rules.iptables.match_transport import TCP_FLAGS, TcpMatch
from fakecluster.rules.iptables.numbers import U32
from fakecluster.rules.iptables.problem import INVALID, RANGE, TOO_MANY_LINKS, RuleProblem
from fakecluster.rules.iptables.rule import Rule, RuleParts
from fakecluster.rules.iptables.ruleset import Chain

#: NFT_JUMP_STACK_SIZE: how deep jumps may nest
DEPTH_LIMIT = 16
#: ip_tables has room for as many jumps as there are chains; nesting this deep is taken for a loop
LEGACY_DEPTH_LIMIT = 512
TCP = 6
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
        "CLASSIFY": ("", "OUTPUT FORWARD POSTROUTING"),
        "TCPMSS": ("", ""),
        "CHECKSUM": ("mangle", ""),
    }.items()
}
#: match, or what of it matters -> base chains where the kernel accepts it
MATCH_PLACES: Mapping[str, frozenset[str]] = {
    "addrtype --limit-iface-in": frozenset(("PREROUTING", "INPUT", "FORWARD")),
    "addrtype --limit-iface-out": frozenset(("FORWARD", "OUTPUT", "POSTROUTING")),
    "owner": frozenset(("OUTPUT", "POSTROUTING")),
    "physdev --physdev-out": frozenset(("PREROUTING", "INPUT", "FORWARD", "POSTROUTING")),
    "mac": frozenset(("PREROUTING", "INPUT", "FORWARD")),
    "rpfilter": frozenset(("PREROUTING",)),
    "socket": frozenset(("PREROUTING", "INPUT")),
    "TCPMSS --clamp-mss-to-pmtu": frozenset(("FORWARD", "OUTPUT", "POSTROUTING")),
}


#: match -> tables where the kernel accepts it
MATCH_TABLES: Mapping[str, frozenset[str]] = {"rpfilter": frozenset(("raw", "mangle"))}


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
    if backend == "legacy" and (needed_protocol(rule.parts) or (_is(rule.parts, "TRACE") and table != "raw")):
        return INVALID
    for match in rule.parts.matches:
        tables = MATCH_TABLES.get(match.name)
        if tables is not None and table not in tables:
            return INVALID
        if backend == "legacy" and match.name == "limit" and _overflows(match.value):
            return RANGE
        if rule.family == 6 and match.name == "addrtype" and _types(match.value) & NOT_IN_IPV6:
            return INVALID
    if _is(rule.parts, "TCPMSS"):
        is_tcp = rule.parts.protocol == (TCP, False)
        if not is_tcp or (backend == "legacy" and not _asks_for_syn(rule)):
            return INVALID
    return INVALID if misplaced(rule.extensions() & PLACES.keys(), table, frozenset()) else ""


def needed_protocol(parts: RuleParts) -> str:
    """What iptables-nft says to a match that goes with another protocol than the rule's; "" when all fit."""
    proto = parts.protocol.number if parts.protocol and not parts.protocol.inverted else 0
    for match in parts.matches:
        needed = NEEDED_PROTOCOL.get(match.name)
        if needed and proto not in needed[0]:
            return needed[1]
    return ""


def _is(parts: RuleParts, target: str) -> bool:
    return parts.target is not None and not parts.target.is_chain and parts.target.name == target


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


def _ends_every_walk(rule: Rule) -> bool:
    """unconditional() with a verdict: nothing is asked, not even a comment stands there."""
    parts = rule.parts
    if parts.target is None or parts.target.name not in VERDICTS or parts.target.is_chain:
        return False
    return parts == RuleParts(parts.family, target=parts.target)


class _Waiting:
    """Chains that must be looked at again: name -> how deep, under which hooks, by which path they are reached."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, frozenset[str], tuple[str, ...]]] = {}
        self._order: deque[str] = deque()

    def add(self, targets: Iterable[str], depth: int, hooks: frozenset[str], path: tuple[str, ...]) -> None:
        for target in targets:
            also = self._known.get(target)
            if also is None:
                self._known[target] = (depth, hooks, path)
                self._order.append(target)
            elif depth > also[0] or not hooks <= also[1]:
                self._known[target] = (max(depth, also[0]), hooks | also[1], path if depth > also[0] else also[2])

    def __iter__(self) -> Iterator[tuple[str, int, frozenset[str], tuple[str, ...]]]:
        while self._order:
            name = self._order.popleft()
            yield (name, *self._known.pop(name))


class Reach:
    """How deep and under which hooks each chain of one table is reached from base chains."""

    def __init__(self, table: str, backend: str) -> None:
        self.table, self.backend = table, backend
        self.known: dict[str, Reached] = {}
        self._placed: dict[tuple[frozenset[str], frozenset[str]], str] = {}
        self._is_shared = False  # with forks, until one side changes
        self._limit = DEPTH_LIMIT if backend == "nft" else LEGACY_DEPTH_LIMIT

    def fork(self) -> Reach:
        twin = Reach(self.table, self.backend)
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
        fault = Reach(self.table, self.backend)._spread(bases, find, lambda _name: None, exact)
        return exact if fault is None else fault

    def _spread(
        self, changed: Mapping[str, Chain | None], find: FindChain, old: FindChain, update: dict[str, Reached]
    ) -> Fault | None:
        waiting = _Waiting()
        for name, chain in changed.items():
            if chain is None:
                continue
            if chain.policy and name not in self.known:
                update[name] = (1, frozenset((name,)))
            depth, hooks = update.get(name) or self.known.get(name, _UNREACHED)
            if not depth:
                continue
            fault = self._check(chain, hooks, (name,), find)
            if fault:
                return fault
            before = old(name) if name in self.known else None
            leads = self._leads(chain) - self._leads(before) if before is not None else self._leads(chain)
            waiting.add(leads, depth + 1, hooks, (name,))
        for name, depth, hooks, path in waiting:
            was_depth, was_hooks = update.get(name) or self.known.get(name, _UNREACHED)
            chain = find(name)
            if chain is None or (depth <= was_depth and hooks <= was_hooks):
                continue
            if depth > self._limit:
                return Fault(TOO_MANY_LINKS, _edges((*path, name), find))
            depth, hooks = max(depth, was_depth), hooks if hooks >= was_hooks else hooks | was_hooks
            update[name] = (depth, hooks)
            if chain.extensions or chain.jumps:
                path = (*path, name)
                fault = self._check(chain, hooks, path, find)
                if fault:
                    return fault
                waiting.add(self._leads(chain), depth + 1, hooks, path)
        return None

    def _leads(self, chain: Chain) -> frozenset[str]:
        """The chains that a packet can get to from here: ip_tables does not look behind a rule that ends every walk."""
        if self.backend == "nft" or not chain.jumps:
            return chain.jumps
        reached = itertools.takewhile(lambda rule: not _ends_every_walk(rule), chain.rules)
        return frozenset(rule.target for rule in reached if rule.target)

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
