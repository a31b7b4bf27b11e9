"""iptables chains as kube-proxy's modes make and hook them in: text for iptables-restore, and commands one by one.

Source: Kubernetes pkg/util/iptables/iptables.go (EnsureChain, EnsureRule, DeleteRule).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import attrs

from fakecluster.errors import CommandError
from fakecluster.proxy.program import NodeKernel
from fakecluster.proxy.view import Family

#: The tools wait this many seconds for each other's lock.
WAIT = ("-w", "5")
TOOL: dict[Family, str] = {"IPv4": "iptables", "IPv6": "ip6tables"}


@attrs.frozen
class Jump:
    """A rule that sends a built-in chain's packets through one of kube-proxy's chains."""

    table: str
    chain: str
    source: str
    comment: str = ""
    matches: tuple[str, ...] = ()

    @property
    def rule(self) -> tuple[str, ...]:
        comment = ("-m", "comment", "--comment", self.comment) if self.comment else ()
        return (*self.matches, *comment, "-j", self.chain)


def chain_line(chain: str) -> str:
    """Declares a chain in iptables-restore's input, emptying it when it exists."""
    return f":{chain} - [0:0]\n"


def chain_lines(chains: Iterable[str]) -> str:
    return "".join(map(chain_line, chains))


def mark_text(bit: int) -> str:
    """The masquerade mark as kube-proxy writes it: at least eight characters."""
    return f"{1 << bit:#08x}"


def ensure_chain(kernel: NodeKernel, tool: str, table: str, chain: str) -> None:
    """Make a chain unless it exists."""
    try:
        kernel.run([tool, *WAIT, "-t", table, "-N", chain])
    except CommandError as error:
        if error.status != 1:  # 1: it exists
            raise


def ensure_jump(kernel: NodeKernel, tool: str, jump: Jump) -> None:
    """Make the chain and put the rule that leads to it in front of its source chain, unless it stands there already."""
    ensure_chain(kernel, tool, jump.table, jump.chain)
    start = [tool, *WAIT, "-t", jump.table]
    try:
        kernel.run([*start, "-C", jump.source, *jump.rule])
    except CommandError as error:
        if error.status != 1:  # 1: no such rule
            raise
        kernel.run([*start, "-I", jump.source, *jump.rule])


def delete_jump(kernel: NodeKernel, tool: str, jump: Jump) -> None:
    """Unhook a chain; no error when it was not hooked in."""
    with contextlib.suppress(CommandError):
        kernel.run([tool, *WAIT, "-t", jump.table, "-D", jump.source, *jump.rule])


def delete_chains(kernel: NodeKernel, tool: str, table: str, is_doomed: Callable[[str], bool]) -> Iterator[str]:
    """Empty and delete those chains of a table that are there and doomed: all or, with a complaint, none."""
    existing = chains_in(kernel, tool, table)
    doomed = [chain for chain in existing if is_doomed(chain)]
    if not doomed:
        return
    deletions = "".join(f"-X {chain}\n" for chain in doomed)
    text = f"*{table}\n{chain_lines(doomed)}{deletions}COMMIT\n"
    try:
        kernel.run([f"{tool}-restore", *WAIT, "--noflush", "--counters"], text)
    except CommandError as error:
        yield str(error)


def chains_in(kernel: NodeKernel, tool: str, table: str) -> list[str]:
    """The names of a table's chains."""
    return chains_of(kernel.run([f"{tool}-save", "-t", table]))


def chains_of(dump: str) -> list[str]:
    """The names of the chains in what iptables-save printed of one table: they stand before all rules."""
    lines = dump.partition("\n-A ")[0].splitlines()
    return [line[1:].partition(" ")[0] for line in lines if line.startswith(":")]
