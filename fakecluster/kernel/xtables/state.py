"""The xtables state of a namespace: tables of both families and backends, their hooks, what their rules remember."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fakecluster.kernel.hooks import ACCEPT, Hook, HookContext, Priority
from fakecluster.kernel.ip_output import reroute
from fakecluster.kernel.packet import Skb
from fakecluster.kernel.xtables.code import States
from fakecluster.kernel.xtables.compile import refuse_unmodelled
from fakecluster.kernel.xtables.hashlimit import HashlimitTable, table_key
from fakecluster.kernel.xtables.recent import RecentTable
from fakecluster.kernel.xtables.walk import walk
from fakecluster.rules.iptables import BUILT_IN, Chain, Rule, RuleParts, RuleProblem, Tables
from fakecluster.rules.iptables.match_rate import RecentMatch

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

BACKENDS = ("nft", "legacy")
PRIORITIES = {
    "raw": Priority.RAW,
    "mangle": Priority.MANGLE,
    "filter": Priority.FILTER,
    "security": Priority.SECURITY,
}
#: iptables-nft hangs its security chains behind NAT (xtables_ipv4 in nft.c of 1.8.9).
NFT_SECURITY_PRIORITY = 150
NAT_PRIORITIES = {
    Hook.PREROUTING: Priority.NAT_DST,
    Hook.OUTPUT: Priority.NAT_DST,
    Hook.INPUT: Priority.NAT_SRC,
    Hook.POSTROUTING: Priority.NAT_SRC,
}
FAMILY_WORDS = {4: "ip", 6: "ip6"}


class Xtables:
    """iptables and ip6tables of one namespace; `of(family, backend)` are the tables, commands change them.

    `recent` are the lists of the recent match by name, `states` what single rules remember, `accounts` the objects
    of the nfacct match (packets, bytes).
    """

    def __init__(self, netns: Netns) -> None:
        self.netns = netns
        self.states = States()
        self.recent: dict[str, RecentTable] = {}
        self.accounts: dict[str, list[int]] = {}
        self.renamed_sets: dict[tuple[Rule, str], str] = {}
        self._tables: dict[tuple[int, str], Tables] = {}
        self._hooked: set[tuple[int, str, str, str]] = set()
        self._tracking: dict[tuple[int, str, str], int] = {}
        self._defragmenting: set[tuple[int, str, str]] = set()

    def of(self, family: int, backend: str = "nft") -> Tables:
        """The tables of a family (4 or 6) as one backend sees them."""
        found = self._tables.get((family, backend))
        if found is None:
            found = self._tables[family, backend] = self._adopt(Tables(family, backend=backend))
        return found

    def _adopt(self, tables: Tables) -> Tables:
        tables.check = lambda parts: self._check(parts)
        tables.on_change = partial(self._changed, tables)
        return tables

    def _check(self, parts: RuleParts) -> None:
        """Refuse what is not modelled and sets that do not exist or do not fit."""
        refuse_unmodelled(parts)
        for name, directions in set_references(parts):
            self.netns.ipsets.check_reference(name, parts.family, directions)
        for match in parts.matches:
            if match.name == "nfacct" and match.value.name not in self.accounts:
                raise RuleProblem(
                    "RULE_APPEND failed (No such file or directory)", token=match.value.name, kind="commit"
                )

    # --- what nft does to iptables-nft's tables

    def remove(self, family: int, table: str) -> None:
        """Take a whole table away."""
        tables = self.of(family)
        change = tables.begin(table)
        change.transaction.clear()
        change.commit()
        del tables.tables[table], tables.reach[table]

    def flush(self, family: int, table: str) -> None:
        """Take the rules out of all chains of a table."""
        change = self.of(family).begin(table)
        for name in change.transaction.names():
            change.transaction.flush(name)
        change.commit()

    # --- after a change

    def _changed(
        self, tables: Tables, table: str, changed: dict[str, Chain | None], before: dict[str, Chain],
        renewed: set[Rule], retargeted: dict[Rule, Rule],
    ) -> None:  # fmt: skip
        family, backend = tables.family, tables.backend
        for name in BUILT_IN[table]:
            if name in tables.tables[table].chains:
                self._hook(family, backend, table, name)
            else:
                self._unhook(family, backend, table, name)
        key = (family, backend, table)
        gone = sum(chain.tracking for chain in before.values())
        come = sum(chain.tracking for chain in changed.values() if chain is not None)
        self._tracking[key] = self._tracking.get(key, 0) + come - gone
        self._need_tracking(key)
        special = any(chain is not None and chain.special for chain in changed.values())
        was_special = any(chain.special for chain in before.values())
        self.states.forget(renewed)
        self._hand_over(retargeted)
        if special:
            self._force_accounting(changed)
            self._open_named(changed)
        if special or was_special:
            self._need_defragmentation(key, tables)
        if was_special:
            self._forget_unused()

    def _need_defragmentation(self, key: tuple[int, str, str], tables: Tables) -> None:
        """The socket match and TPROXY have fragments put together, with or without conntrack."""
        family, backend, table = key
        chains = tables.tables[table].chains.values()
        if any(_looks_for_sockets(rule.parts) for chain in chains for rule in chain.special):
            self._defragmenting.add(key)
            self.netns.fragments.need(family, f"{owner_name(backend)}/{table}")
        elif key in self._defragmenting:
            self._defragmenting.discard(key)
            self.netns.fragments.release(family, f"{owner_name(backend)}/{table}")

    def _need_tracking(self, key: tuple[int, str, str]) -> None:
        family, backend, table = key
        owner = f"{owner_name(backend)}/{table}"
        if self._tracking[key]:
            self.netns.conntrack.need(family, owner)
        elif "conntrack" in self.netns.__dict__:
            self.netns.conntrack.release(family, owner)

    def _force_accounting(self, changed: dict[str, Chain | None]) -> None:
        """The connbytes match switches conntrack accounting on (connbytes_mt_check)."""
        for chain in changed.values():
            for rule in chain.special if chain else ():
                if any(match.name == "connbytes" for match in rule.parts.matches):
                    self.netns.sysctls["net.netfilter.nf_conntrack_acct"] = "1"

    def _hand_over(self, retargeted: dict[Rule, Rule]) -> None:
        """A rule that jumps to a renamed chain is the same rule: it keeps what it remembers and the sets it knows."""
        for old, new in retargeted.items():
            for held in (self.states.held, self.renamed_sets):
                for key in [key for key in held if key[0] is old]:
                    held[new, key[1]] = held.pop(key)

    def _open_named(self, changed: dict[str, Chain | None]) -> None:
        """Lists of the recent match and tables of hashlimit begin with the first rule that names them."""
        matches = [
            match.value
            for chain in changed.values()
            for rule in (chain.special if chain else ())
            for match in rule.parts.matches
            if match.name in ("recent", "hashlimit")
        ]
        for value in matches:
            if isinstance(value, RecentMatch):
                self.recent.setdefault(value.name, RecentTable()).make_room(value.hitcount)
            else:
                self.states.held.setdefault(table_key(value), HashlimitTable(value, self.netns.clock.now_ns))

    def _forget_unused(self) -> None:
        """Lists of the recent match and states of rules go with the last rule that uses them."""
        rules = {
            rule
            for tables in self._tables.values()
            for table in tables.tables.values()
            for chain in table.chains.values()
            for rule in chain.special
        }
        used = {match.value.name for rule in rules for match in rule.parts.matches if match.name == "recent"}
        for name in [name for name in self.recent if name not in used]:
            del self.recent[name]
        limits = {table_key(match.value) for rule in rules for match in rule.parts.matches if match.name == "hashlimit"}
        for key in [key for key in self.states.held if key[0] not in rules and key not in limits]:
            del self.states.held[key]

    def references(self) -> dict[str, int]:
        """How many rules refer to each ipset."""
        counts: dict[str, int] = {}
        for tables in self._tables.values():
            for table in tables.tables.values():
                for chain in table.chains.values():
                    for rule in chain.special:
                        for name, _directions in set_references(rule.parts):
                            counts[name] = counts.get(name, 0) + 1
        return counts

    # --- hooks

    def _hook(self, family: int, backend: str, table: str, chain: str) -> None:
        if (family, backend, table, chain) in self._hooked:
            return
        self._hooked.add((family, backend, table, chain))
        self._register(family, backend, table, chain)

    def _register(self, family: int, backend: str, table: str, chain: str) -> None:
        hook, name = Hook[chain], f"{owner_name(backend)}/{table}/{chain}"
        tables, title = self.of(family, backend).tables, f"{FAMILY_WORDS[family]} {table}"

        def run(skb: Skb, ctx: HookContext) -> int:
            return walk(tables[table], title, chain, backend, skb, ctx)

        def run_and_reroute(skb: Skb, ctx: HookContext) -> int:
            before = (skb.src, skb.dst, skb.mark, skb.tos)
            verdict = run(skb, ctx)
            if verdict == ACCEPT and (skb.src, skb.dst, skb.mark, skb.tos) != before:
                return ACCEPT if reroute(ctx.netns, skb) else 0
            return verdict

        if table == "nat":
            self.netns.nat.register_chain(family, hook, NAT_PRIORITIES[hook], name, run)
        else:
            function = run_and_reroute if table == "mangle" and hook is Hook.OUTPUT else run
            late = table == "security" and backend == "nft"
            priority = NFT_SECURITY_PRIORITY if late else PRIORITIES[table]
            self.netns.hooks.register(family, hook, priority, name, function, steady=True)

    def _unhook(self, family: int, backend: str, table: str, chain: str) -> None:
        if (family, backend, table, chain) not in self._hooked:
            return
        self._hooked.discard((family, backend, table, chain))
        hook, name = Hook[chain], f"{owner_name(backend)}/{table}/{chain}"
        if table == "nat":
            self.netns.nat.unregister_chain(family, hook, name)
        else:
            self.netns.hooks.unregister(family, hook, name)

    def forget_counters(self) -> None:
        """Count packets from nothing."""
        for tables in self._tables.values():
            for table in tables.tables.values():
                table.counters.clear()
        for pair in self.accounts.values():
            pair[:] = (0, 0)

    def give_way(self) -> None:
        """Take every chain off its hook, for other tables to take the place."""
        for hooked in sorted(self._hooked):
            self._unhook(*hooked)

    def fork(self, netns: Netns) -> Xtables:
        """An independent copy in another namespace: chains and their code are shared."""
        twin = Xtables(netns)
        twin.states = self.states.fork()
        twin.recent = {name: table.fork() for name, table in self.recent.items()}
        twin.accounts = {name: pair.copy() for name, pair in self.accounts.items()}
        twin.renamed_sets = self.renamed_sets.copy()
        twin._tables = {key: twin._adopt(tables.fork()) for key, tables in self._tables.items()}
        twin._tracking = self._tracking.copy()
        twin._defragmenting = self._defragmenting.copy()
        if self._hooked:
            twin._hooked = self._hooked.copy()
            netns.hooks.later(partial(twin._register_all, sorted(self._hooked)))
        return twin

    def _register_all(self, hooked: list[tuple[int, str, str, str]]) -> None:
        for each in hooked:
            self._register(*each)
        for family, backend, table in sorted(self._defragmenting):
            self.netns.fragments.need(family, f"{owner_name(backend)}/{table}")


def owner_name(backend: str) -> str:
    """What the backend is called in the list of hooks."""
    return "iptables" if backend == "nft" else "iptables-legacy"


def _looks_for_sockets(parts: RuleParts) -> bool:
    return any(match.name == "socket" for match in parts.matches) or (
        parts.target is not None and parts.target.name == "TPROXY" and not parts.target.is_chain
    )


def set_references(parts: RuleParts) -> list[tuple[str, tuple[str, ...]]]:
    """The ipsets that a rule names, with their directions."""
    found = [(match.value.name, match.value.directions) for match in parts.matches if match.name == "set"]
    if parts.target is not None and parts.target.name == "SET" and not parts.target.is_chain:
        found += [each for each in (parts.target.value.add, parts.target.value.delete) if each]
    return found
