"""What nf_tables holds: tables, chains, loaded rules, named objects, as a transaction finds and leaves them.

Rules and expressions are frozen and shared; what a packet or a transaction changes hangs on an owner. A fork gives both
sides new owner tokens, so that whoever writes first copies the one table,
chain or set it writes to (see `Nftables.own*`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel.nftables.sets import SetState
from fakecluster.rules.nft.objects import ChainSpec, ObjectSpec, Rule, TableName, TableSpec

if TYPE_CHECKING:
    from fakecluster.kernel.nftables.program import Operation
    from fakecluster.kernel.nftables.reach import Reached
    from fakecluster.kernel.nftables.references import References
    from fakecluster.kernel.trail import Steady


class LoadedRule:
    """A rule in a chain: its handle, and its compiled form once a packet has come by. Never changed, so shared.

    The first `steady[kind]` operations answer alike for packets of that kind (see trail.KINDS); None until that is asked.
    """

    __slots__ = ("handle", "operations", "references", "rule", "steady", "text")

    def __init__(self, rule: Rule, handle: int) -> None:
        self.rule, self.handle = rule, handle
        self.operations: tuple[Operation, ...] | None = None
        self.steady: Steady | None = None
        self.text: str | None = None
        self.references: References | None = None


class Chain:
    """A chain and its rules. `users` counts who refers to it: names of chains, and of maps with an @ before them."""

    __slots__ = ("handle", "owner", "rules", "spec", "users")

    def __init__(self, spec: ChainSpec, handle: int, owner: object) -> None:
        self.spec, self.handle, self.owner = spec, handle, owner
        self.rules: list[LoadedRule] = []
        self.users: dict[str, int] = {}

    def copy(self, owner: object) -> Chain:
        twin = Chain(self.spec, self.handle, owner)
        twin.rules, twin.users = self.rules.copy(), self.users.copy()
        return twin


class NamedObject:
    """A named counter, quota or limit; its running state is a list of numbers (see `stateful`)."""

    __slots__ = ("handle", "spec")

    def __init__(self, spec: ObjectSpec, handle: int) -> None:
        self.spec, self.handle = spec, handle


class Table:
    """One table. Dictionaries keep the order of creation, in which things are listed; it is that of the handles.

    `reach` is what `Reach` knows of its chains and maps.
    """

    __slots__ = ("chains", "handle", "name", "next_handle", "objects", "owner", "reach", "set_users", "sets", "spec")

    def __init__(self, name: TableName, spec: TableSpec, handle: int, owner: object) -> None:
        self.name, self.spec, self.handle, self.owner = name, spec, handle, owner
        self.chains: dict[str, Chain] = {}
        self.sets: dict[str, SetState] = {}
        self.objects: dict[tuple[str, str], NamedObject] = {}
        self.set_users: dict[str, int] = {}
        self.reach: dict[str, Reached] = {}
        self.next_handle = 1

    def copy(self, owner: object) -> Table:
        twin = Table(self.name, self.spec, self.handle, owner)
        twin.chains, twin.sets, twin.objects = self.chains.copy(), self.sets.copy(), self.objects.copy()
        twin.set_users, twin.next_handle = self.set_users.copy(), self.next_handle
        twin.reach = self.reach.copy()
        return twin
