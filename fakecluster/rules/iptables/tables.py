"""All tables of one IP family and one backend: commands and restore texts go in, iptables-save text comes out."""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.rules.iptables.change import Change
from fakecluster.rules.iptables.chunks import Chunks
from fakecluster.rules.iptables.problem import NO_CHAIN, RuleProblem
from fakecluster.rules.iptables.rule import Rule, RuleParts
from fakecluster.rules.iptables.ruleset import POLICY, Chain, Table
from fakecluster.rules.iptables.validate import Reach

#: in which iptables-nft lists its tables
SAVE_ORDER = ("mangle", "security", "raw", "filter", "nat")


OnChange = Callable[[str, dict[str, Chain | None], dict[str, Chain], set[Rule], dict[Rule, Rule]], None]


class Tables:
    """The rule set that `iptables-save` prints. `on_change` is called after every commit.

    It gets the table's name, the chains that changed, what they were before, the rules that were put in anew, and
    what rules became whose chain was renamed.
    """

    def __init__(self, family: int, *, backend: str = "nft") -> None:
        self.family, self.backend = family, backend
        self.tables: dict[str, Table] = {}
        self.reach: dict[str, Reach] = {}
        self.chunks = Chunks()
        self.check: Callable[[RuleParts], None] | None = None
        self.on_change: OnChange | None = None

    def fork(self) -> Tables:
        """An independent copy; frozen chains are shared, callbacks are not copied."""
        twin = Tables(self.family, backend=self.backend)
        twin.tables = {name: table.fork() for name, table in self.tables.items()}
        twin.reach = {name: reach.fork() for name, reach in self.reach.items()}
        twin.chunks = self.chunks.fork()
        return twin

    def begin(self, table: str) -> Change:
        """Start a change of one table; nothing happens before `commit`."""
        return Change(self, table)

    def save(self, *, counters: bool = False, table: str = "") -> str:
        """What iptables-save prints, without the comment lines that carry the date."""
        if table and table not in self.tables:
            return self._save_table(Table(table), counters)
        names = [name for name in self.tables if not table or name == table]
        # /proc/net/ip_tables_names has the newest table first; iptables-nft goes by its own list
        order = reversed(names) if self.backend == "legacy" else sorted(names, key=SAVE_ORDER.index)
        return "".join(self._save_table(self.tables[name], counters) for name in order)

    def _save_table(self, table: Table, counters: bool) -> str:
        lines, chains = [f"*{table.name}\n"], list(table.in_order())
        for chain in chains:
            packets, octets = table.counter(chain.name, POLICY)
            lines.append(f":{chain.name} {chain.policy or '-'} [{packets}:{octets}]\n")
        for chain in chains:
            if not counters:
                lines.append(chain.text)
                continue
            for at, text in enumerate(chain.text.split("\n")[:-1]):
                packets, octets = table.counter(chain.name, at)
                lines.append(f"[{packets}:{octets}] {text}\n")
        return "".join([*lines, "COMMIT\n"])

    def listed(self, name: str, chain: str = "") -> tuple[Table, list[Chain]]:
        """A table and its chains in the order of listings, or the one asked for. Raises `RuleProblem` for none."""
        table = self.tables.get(name) or Table(name)
        chains = [each for each in table.in_order() if not chain or each.name == chain]
        if not chains and self.backend == "legacy":
            raise RuleProblem(NO_CHAIN, token=chain, kind="state")
        if not chains:
            words = f"chain `{chain}' in table `{name}' is incompatible, use 'nft' tool."
            raise RuleProblem(words, kind="version", token=chain)
        return table, chains
