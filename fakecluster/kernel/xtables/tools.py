"""iptables, iptables-restore, iptables-save and their IPv6 and legacy sisters as commands of a namespace."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from fakecluster.errors import CommandError, Unsupported
from fakecluster.rules.iptables import BUILT_IN, Listing, RuleProblem, Table, Tables, read, restore, said, specs
from fakecluster.rules.iptables.command import Command
from fakecluster.rules.iptables.problem import VERSION
from fakecluster.rules.iptables.tables import SAVE_ORDER

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

#: Command lines whose reading is remembered: every kube-proxy of a mode gives the same ones at its start.
COMMANDS_KEPT = 1024
#: restore's flags: long name -> letter
_RESTORE_OPTIONS = {
    "--counters": "c", "--noflush": "n", "--test": "t", "--table": "T", "--wait": "w", "--wait-interval": "W",
    "--verbose": "v", "--modprobe": "M",
}  # fmt: skip


def run(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    """Run one of the tools; raises `CommandError` with its words and status."""
    name = argv[0].rpartition("/")[2]
    family = 6 if name.startswith("ip6") else 4
    backend = "legacy" if "-legacy" in name else "nft"
    tables = netns.xtables.of(family, backend)
    others = _made_by_nft(netns, tables)
    program = name.replace("-legacy", "")
    if not program.endswith(("-restore", "-save")):
        program = program.replace("-nft", "")
    try:
        if program.endswith("-restore"):
            for table in others:
                if f"*{table}" in stdin:
                    _refuse(tables, table)
            return _restore(tables, argv[1:], stdin)
        if program.endswith("-save"):
            return _save(netns, tables, argv[1:], others)
        return _command(netns, tables, argv[1:], others)
    except RuleProblem as problem:
        raise CommandError(argv, problem.status(backend), problem.words(program, backend)) from problem


def _restore(tables: Tables, options: Sequence[str], stdin: str) -> str:
    flush, counters, only, position, test = True, False, "", 0, False
    while position < len(options):
        word = options[position]
        position += 1
        letters = _RESTORE_OPTIONS.get(word.partition("=")[0]) if word.startswith("--") else word[1:]
        if not letters or not word.startswith("-"):
            raise Unsupported(f"iptables-restore {word}", token=word)
        for letter in letters:
            if letter == "T":
                only = word.partition("=")[2] or (options[position] if position < len(options) else "")
                position += "=" not in word
            elif letter in "wWM":
                if position < len(options) and not options[position].startswith("-") and "=" not in word:
                    position += 1
            elif letter == "n":
                flush = False
            elif letter == "c":
                counters = True
            elif letter == "t":
                test = True
            elif letter != "v":
                raise Unsupported(f"iptables-restore -{letter}", token=word)
    restore(tables, stdin, flush=flush, counters=counters, only=only, test=test)
    return ""


def _made_by_nft(netns: Netns, tables: Tables) -> list[str]:
    """Tables of nft under names of iptables, that iptables-nft has not made itself (see `foreign`)."""
    if "nftables" not in netns.__dict__ or tables.backend != "nft":
        return []
    word = "ip" if tables.family == 4 else "ip6"
    there = {name.name for name in netns.nftables.tables if name.family == word}
    return [name for name in BUILT_IN if name in there and name not in tables.tables]


def _refuse(tables: Tables, table: str) -> None:
    raise Unsupported(f"iptables on table {'ip' if tables.family == 4 else 'ip6'} {table}, which nft made", token=table)


def _save(netns: Netns, tables: Tables, options: Sequence[str], others: list[str]) -> str:
    counters, table, position = False, "", 0
    while position < len(options):
        word = options[position]
        position += 1
        if word in ("-c", "--counters"):
            counters = True
        elif word in ("-t", "--table") and position < len(options):
            table = options[position]
            position += 1
        elif word in ("-M", "--modprobe") and position < len(options):
            position += 1
        else:
            raise Unsupported(f"iptables-save {word}", token=word)
    if table and table not in BUILT_IN:
        if tables.backend == "legacy":
            reason = "Cannot initialize: Table does not exist (do you need to insmod?)"
            raise RuleProblem(reason, kind="version", token=table)
        raise RuleProblem(f"Table `{table}' does not exist", kind="bare", token=table)
    if not others:
        return tables.save(counters=counters, table=table)
    from fakecluster.kernel.xtables import foreign

    text = ""
    for name in (table,) if table else SAVE_ORDER:
        if name in others:
            found = foreign.read(netns, tables.family, name)
            text += found.said + (found.tables.save(counters=counters) if found.tables is not None else "")
        elif table or name in tables.tables:
            text += tables.save(counters=counters, table=name)
    return text


_read = lru_cache(maxsize=COMMANDS_KEPT)(read)


def _command(netns: Netns, tables: Tables, words: tuple[str, ...], others: list[str]) -> str:
    command: Command = _read(words, tables.family)
    if command.letter == "V":
        program = "iptables" if tables.family == 4 else "ip6tables"
        return f"{program} v{VERSION} ({'nf_tables' if tables.backend == 'nft' else 'legacy'})\n"
    table = command.table or "filter"
    if table not in BUILT_IN:
        reason = f"table '{table}' does not exist"
        if tables.backend == "legacy":
            program = "iptables" if tables.family == 4 else "ip6tables"
            reason = f"can't initialize {program} table `{table}': Table does not exist (do you need to insmod?)"
        reason += "\nPerhaps iptables or your kernel needs to be upgraded."
        raise RuleProblem(reason, kind="table", token=table)
    if table in others:
        if command.letter not in ("S", "L") or command.zero:
            _refuse(tables, table)
        return _foreign_listing(netns, tables, table, command)
    shown = _listing(tables, table, command) if command.letter in ("S", "L") else ""
    if command.zero:
        command = _zeroing(command)
    if command.letter not in ("S", "L"):
        if command.verbose:
            shown += said(command, tables.tables.get(table) or Table(table), backend=tables.backend)
        change = tables.begin(table)
        change.run(command)
        if command.letter != "C":
            change.commit()
    return shown


def _listing(tables: Tables, table: str, command: Command) -> str:
    held, chains = tables.listed(table, command.chain)
    if command.letter == "S":
        return specs(held, chains, position=command.position, counters=command.verbose)
    listing = Listing(command.numeric, command.verbose, command.exact, command.line_numbers)
    return listing.text(held, chains, position=command.position)


def _zeroing(command: Command) -> Command:
    """The -Z that stands with an -L."""
    if command.position:
        raise Unsupported("iptables -L with -Z of one rule", token=str(command.position))
    return Command("Z", command.chain, table=command.table, verbose=command.verbose)


def _foreign_listing(netns: Netns, tables: Tables, table: str, command: Command) -> str:
    from fakecluster.kernel.xtables import foreign

    found = foreign.read(netns, tables.family, table)
    if found.tables is None:
        raise RuleProblem(f"table `{table}' is incompatible, use 'nft' tool.", kind="version", token=table)
    return found.said + _listing(found.tables, table, command)
