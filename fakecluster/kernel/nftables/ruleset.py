"""nf_tables of one network namespace: its tables, what packets have changed in them, and its hooks.

    commands ─► Transaction ─► tables, chains, sets      all or nothing (see `transaction`)
    packet ─► hook function ─► walk.run ─► verdict        compiled when a rule is first met (see `compile`)

Everything that packets change is a list of ints in `states` or belongs to a set; the rest is shared with forks until
one side writes to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from fakecluster.kernel.hooks import ACCEPT, DROP, Hook, HookContext, HookFunction
from fakecluster.kernel.ip_output import reroute
from fakecluster.kernel.nftables import stateful, walk
from fakecluster.kernel.nftables.program import Packet, Value
from fakecluster.kernel.nftables.sets import Key, SetState
from fakecluster.kernel.nftables.state import Chain, Table
from fakecluster.rules.nft.datatypes import Datatype
from fakecluster.rules.nft.expressions import Concat, Const, Element, Expression
from fakecluster.rules.nft.objects import BaseChain, Command, SetSpec, TableName
from fakecluster.rules.nft.statements import ConnLimit, Counter, Limit, Quota, SetUpdate

if TYPE_CHECKING:
    from fakecluster.kernel.conntrack.entry import Conn
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.packet import Skb

FAMILIES = {"ip": (4,), "ip6": (6,), "inet": (4, 6)}
OWNER = "nftables"
HOOKS = {hook.name.lower(): hook for hook in Hook}
#: How many elements a set that packets add to may hold when its declaration does not say (nft's default).
DEFAULT_DYNAMIC_SIZE = 65_535


class Nftables:
    """What `netns.nftables` is."""

    def __init__(self, netns: Netns) -> None:
        self.netns = netns
        self.tables: dict[TableName, Table] = {}
        self.states: dict[tuple[TableName, object], list[int]] = {}
        self.flows: dict[tuple[TableName, object], dict[object, Conn]] = {}
        self.flow_choices: dict[object, int] = {}
        self.next_table_handle = 1
        self.owner: object = object()
        self.tracked = {4: 0, 6: 0}
        self.installed: dict[tuple[TableName, str], BaseChain] = {}

    # --- what `parse` asks

    def set_spec(self, table: TableName, name: str) -> SetSpec | None:
        found = self.tables.get(table)
        state = found.sets.get(name) if found else None
        return state.spec if state else None

    def interface_exists(self, name: str) -> bool:
        return name in self.netns.interfaces or name == "lo"

    # --- transactions

    def apply(self, commands: Iterable[Command], *, check: bool = False) -> None:
        """Carry out commands, all or none. Raises NftError in the kernel's words; `check` leaves all as it was."""
        from fakecluster.kernel.nftables.transaction import Transaction

        Transaction(self).run(list(commands), check=check)

    # --- copy on write

    def own_table(self, name: TableName) -> Table:
        """The table for writing."""
        table = self.tables[name]
        if table.owner is not self.owner:
            table = self.tables[name] = table.copy(self.owner)
        return table

    def own_chain(self, table: Table, name: str) -> Chain:
        """A chain of an owned table, for writing."""
        chain = table.chains[name]
        if chain.owner is not self.owner:
            chain = table.chains[name] = chain.copy(self.owner)
        return chain

    def own_set(self, table: Table, name: str) -> SetState:
        """A set of an owned table, for writing."""
        state = table.sets[name]
        if state.owner is not self.owner:
            state = table.sets[name] = state.copy(self.owner)
        return state

    def fork(self, netns: Netns) -> Nftables:
        """A ruleset that starts alike; both sides copy what they write to from now on."""
        twin = Nftables(netns)
        twin.tables = self.tables.copy()
        twin.states = {key: values.copy() for key, values in self.states.items()}
        twin.flows = {key: found.copy() for key, found in self.flows.items()}
        twin.flow_choices = self.flow_choices.copy()
        twin.next_table_handle, twin.tracked = self.next_table_handle, self.tracked.copy()
        self.owner = object()
        twin.installed = self.installed.copy()
        for (name, chain), base in self.installed.items():
            netns.hooks.later(partial(twin._hang, name, chain, base))
        for family, count in self.tracked.items():
            if count:
                netns.conntrack.need(family, OWNER)
        return twin

    # --- hooks

    def install(self, table: Table, chain: Chain) -> None:
        """Hang a base chain into the namespace's hooks."""
        base = chain.spec.base
        assert base is not None
        self.installed[table.name, chain.spec.name] = base
        self._hang(table.name, chain.spec.name, base)

    def _hang(self, table: TableName, chain: str, base: BaseChain) -> None:
        function, name = hook_function(table, chain, base), hook_name(table, chain)
        for family in FAMILIES[table.family]:
            if base.kind == "nat":
                self.netns.nat.register_chain(family, HOOKS[base.hook], base.priority, name, function)
            else:
                hook = HOOKS[base.hook]
                self.netns.hooks.register(family, hook, base.priority, name, function, steady=True)

    def uninstall(self, table: TableName, chain: str, base: BaseChain) -> None:
        name = hook_name(table, chain)
        self.installed.pop((table, chain), None)
        for family in FAMILIES[table.family]:
            if base.kind == "nat":
                self.netns.nat.unregister_chain(family, HOOKS[base.hook], name)
            else:
                self.netns.hooks.unregister(family, HOOKS[base.hook], name)

    def track(self, family: str, change: int) -> None:
        """Rules that need connection tracking come or go: it runs as long as one is there."""
        for each in FAMILIES[family]:
            before = self.tracked[each]
            self.tracked[each] = after = before + change
            if not before and after:
                self.netns.conntrack.need(each, OWNER)
            elif before and not after:
                self.netns.conntrack.release(each, OWNER)

    # --- what packets change

    def state(self, table: Table, place: object, initial: Callable[[], list[int]]) -> list[int]:
        """The running numbers of one statement."""
        key = (table.name, place)
        found = self.states.get(key)
        if found is None:
            found = self.states[key] = initial()
        return found

    def flow_choice(self, flow: object, choose: Callable[[], int]) -> int:
        """A choice that stays the same for a flow."""
        if flow not in self.flow_choices:
            self.flow_choices[flow] = choose()
        return self.flow_choices[flow]

    def count_flows(self, table: Table, place: object, conn: Conn) -> int:
        """Remember a flow; how many of those remembered are still tracked."""
        found = self.flows.setdefault((table.name, place), {})
        conntrack = self.netns.conntrack
        found[conn.orig] = conn
        for key in [key for key, other in found.items() if other is not conn and conntrack.find(0, other.orig) is None]:
            del found[key]
        return len(found)

    def hit(self, packet: Packet, name: str, key: Value) -> Element | bool | None:
        """Look a packet's key up in a named set; False when a limit of the element says no."""
        state = packet.table.sets[name]
        if state.expires:
            packet.skb.trail = None
        now = self.netns.clock.now_ns
        found = state.find(key, now)
        if found is None:
            return state.catch_all
        element = state.elements[found]
        if element.statements and not self._meet(packet, name, found, element):
            return False
        return element

    def _meet(self, packet: Packet, name: str, key: Key, element: Element) -> bool:
        """Let a packet pass an element's counters and limits."""
        packet.skb.trail = None
        now, length = self.netns.clock.now_ns, len(packet.skb.data)
        table = packet.table = self.own_table(packet.table.name)
        state = self.own_set(table, name)
        values = state.states.get(key)
        statements = [each for each in element.statements if isinstance(each, Counter | Quota | Limit)]
        for each in element.statements:
            if isinstance(each, ConnLimit) and not self._few_flows(packet, name, key, each):
                return False
        if values is None:
            values = state.states[key] = [stateful.initial(each, now) for each in statements]
        pairs = zip(statements, values, strict=True)
        return all(stateful.passes(each, numbers, length, now) for each, numbers in pairs)

    def _few_flows(self, packet: Packet, name: str, key: Key, limit: ConnLimit) -> bool:
        """``ct count`` of an element: whether the flows counted there are as many as it lets pass."""
        conn = packet.skb.ct
        return conn is not None and (self.count_flows(packet.table, (name, key), conn) > limit.count) == limit.over

    def update_set(self, packet: Packet, statement: SetUpdate, key: Value, answer: Value) -> bool:
        """``add|update|delete @set { ... }`` for one packet; False when the set is full or a limit says no."""
        now = self.netns.clock.now_ns
        table = packet.table = self.own_table(packet.table.name)
        state = self.own_set(table, statement.name)
        found = state.find(key, now)
        if statement.action == "delete":
            if found is not None:
                state.remove(found)
                self.netns.flow_cache.changed()
            return True
        timeout_ms = statement.element.timeout_ms or state.spec.timeout_ms
        if found is None:
            state.drop_expired(now)
            if len(state.elements) >= (state.spec.size or DEFAULT_DYNAMIC_SIZE):
                return False
            found = key
            element = Element(
                constant(key, state.spec.key),
                None if answer is None else _answer(answer, state.spec.data),
                timeout_ms=statement.element.timeout_ms,
                statements=statement.element.statements or state.spec.statements,
            )
            state.put(found, element)
            self.netns.flow_cache.changed()
            if timeout_ms:
                state.expires[found] = now + timeout_ms * 1_000_000
        elif statement.action == "update" and timeout_ms:
            state.expires[found] = now + timeout_ms * 1_000_000
        element = state.elements[found]
        return not element.statements or self._meet(packet, statement.name, found, element)


def _answer(answer: Value, types: tuple[Datatype, ...]) -> Expression:
    return constant(answer, types) if isinstance(answer, int | str | tuple) else answer


def constant(key: Value, types: tuple[Datatype, ...]) -> Expression:
    """A packet's key as the expression that a listing shows."""
    if isinstance(key, tuple):
        return Concat(tuple(Const(datatype, part) for datatype, part in zip(types, key, strict=True)))
    return Const(types[0], key)


def hook_name(table: TableName, chain: str) -> str:
    """How a base chain is called in the namespace's list of hooks."""
    return f"nft/{table.family}/{table.name}/{chain}"


def hook_function(table: TableName, chain: str, base: BaseChain) -> HookFunction:
    """The function that a hook runs. It finds its namespace in the context, so that forks can share it."""

    def run(skb: Skb, ctx: HookContext) -> int:
        ruleset = ctx.netns.nftables
        found = ruleset.tables[table]
        return walk.run(ruleset, found, found.chains[chain], skb, ctx)

    def route(skb: Skb, ctx: HookContext) -> int:
        before = (skb.src, skb.dst, skb.mark, skb.tos)
        verdict = run(skb, ctx)
        if verdict == ACCEPT and before != (skb.src, skb.dst, skb.mark, skb.tos):
            return ACCEPT if reroute(ctx.netns, skb) else DROP
        return verdict

    return route if base.kind == "route" else run
