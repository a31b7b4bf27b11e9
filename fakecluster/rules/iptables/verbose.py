"""What a change says of itself when it is asked to (`-v`): the rules of -A, -C, -D, -I and -R, the chains of -F, -X and -Z."""

from __future__ import annotations

from collections.abc import Iterable

from fakecluster.rules.iptables.command import Command
from fakecluster.rules.iptables.listing import Listing
from fakecluster.rules.iptables.ruleset import Table

_DOING = {"F": "Flushing", "X": "Deleting", "Z": "Zeroing"}
_LISTING = Listing(numeric=True)


def said(command: Command, table: Table, *, backend: str) -> str:
    """The lines for a command that succeeds; `table` is how things stand before it."""
    if command.letter in _DOING:
        if command.position:
            return ""
        names = [command.chain] if command.chain else _chains(command.letter, table, backend)
        return "".join(f"{_DOING[command.letter]} chain `{name}'\n" for name in names)
    return "".join(f"{_LISTING.line(parts)}\n" for parts in command.rules)


def _chains(letter: str, table: Table, backend: str) -> Iterable[str]:
    """The chains that a command for all of them is about; iptables-nft zeroes only those that have been made."""
    chains = [chain for chain in table.in_order() if letter != "X" or not chain.policy]
    made = letter != "Z" or backend == "legacy"
    return (chain.name for chain in chains if made or chain.name in table.chains)
