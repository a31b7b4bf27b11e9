"""The `nft` command of a namespace: arguments and standard input in, standard output out.

nft add table ip t              a command line
nft -f -                        a batch from standard input, all or nothing
nft [-a -s -t -j] list ruleset  listings
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

import attrs

from fakecluster.errors import CommandError, Unsupported
from fakecluster.kernel.nftables import listing
from fakecluster.kernel.nftables.ruleset import Nftables
from fakecluster.kernel.nftables.state import Table
from fakecluster.rules.loading import uncollected
from fakecluster.rules.nft import json_listing, json_reading
from fakecluster.rules.nft.errors import NftError
from fakecluster.rules.nft.objects import Command
from fakecluster.rules.nft.parser import parse
from fakecluster.rules.nft.printer import Options, TableView
from fakecluster.rules.nft.printer import ruleset as show_ruleset

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

VERSION = "nftables v1.0.6 (Lester Gooch #5)\n"
_STDIN = ("-", "/dev/stdin")
#: Options without an argument: letter -> field. Those of no effect on the text are None.
_SWITCHES = {
    "a": "handles", "s": "stateless", "t": "terse", "j": "json", "c": "check", "n": None, "y": None, "p": None,
    "N": "", "S": "", "u": "", "e": "", "o": "", "i": "", "d": "", "D": "", "I": "",
}  # fmt: skip
_LONG = {
    "--handle": "a", "--stateless": "s", "--terse": "t", "--json": "j", "--check": "c", "--numeric": "n",
    "--numeric-priority": "y", "--numeric-protocol": "p",
}  # fmt: skip


@attrs.define
class Invocation:
    """A command line taken apart."""

    switches: set[str] = attrs.field(factory=set)
    file: str | None = None
    words: list[str] = attrs.field(factory=list)


def run(netns: Netns, argv: Sequence[str], stdin: str) -> str:
    """Run `nft` with these arguments. Raises CommandError with nft's own words."""
    call = _arguments(argv)
    if "V" in call.switches:
        return VERSION
    text, source = _text(call, stdin)
    ruleset: Nftables = netns.nftables
    read_json = "j" in call.switches and text.lstrip().startswith("{")
    try:
        with uncollected():
            if read_json:
                commands = json_reading.commands(text, known=ruleset)
            else:
                commands = parse(text, known=ruleset, source=source)
            return _carry_out(ruleset, commands, call)
    except NftError as error:
        raise CommandError(("nft", *argv[1:]), 1, str(error)) from None


def _arguments(argv: Sequence[str]) -> Invocation:
    call = Invocation()
    words = list(argv[1:])
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word in ("-f", "--file"):
            call.file = words.pop(0) if words else ""
        elif word in ("-v", "--version", "-V"):
            call.switches.add("V")
        else:
            for letter in _LONG.get(word, word.lstrip("-")):
                if letter == "f":
                    call.file = words.pop(0) if words else ""
                elif letter not in _SWITCHES or (word.startswith("--") and word not in _LONG):
                    raise CommandError(tuple(argv), 1, f"nft: unrecognized option '{word}'\n")
                elif _SWITCHES[letter] == "":
                    raise Unsupported(f"nft -{letter}", token=word)
                else:
                    call.switches.add(letter)
    call.words = words
    return call


def _text(call: Invocation, stdin: str) -> tuple[str, str]:
    """The commands' text and its name in messages."""
    if call.file is None:
        return " ".join(call.words) + "\n", ""
    if call.file not in _STDIN:
        raise Unsupported(f"nft -f {call.file}: only standard input can be read", token=call.file)
    return stdin if stdin.endswith("\n") else stdin + "\n", "/dev/stdin"


def _carry_out(ruleset: Nftables, commands: Sequence[Command], call: Invocation) -> str:
    """Changes as one transaction, then the listings that were asked for."""
    changes = [command for command in commands if command.verb not in ("list", "reset")]
    if changes:
        ruleset.apply(changes, check="c" in call.switches)
    options = Options(handles="a" in call.switches, stateless="s" in call.switches, terse="t" in call.switches)
    asked = [command for command in commands if command.verb in ("list", "reset")]
    if "j" in call.switches:
        views = [view for command in asked for view in views_of(ruleset, command)]
        return json_listing.listing(views, nouns=frozenset(command.noun for command in asked)) if asked else ""
    return "".join(_list(ruleset, command, options) for command in asked)


def _list(ruleset: Nftables, command: Command, options: Options) -> str:
    if command.noun == "tables":
        return "".join(f"table {name}\n" for name in ruleset.tables if _in_family(name.family, command))
    text = show_ruleset(views_of(ruleset, command), options)
    if command.verb == "reset":
        raise Unsupported(f"nft reset {command.noun}")
    return text


def _in_family(family: str, command: Command) -> bool:
    assert command.table is not None
    return not command.table.family or command.table.family == family


def views_of(ruleset: Nftables, command: Command) -> list[TableView]:
    """The parts of the ruleset that a ``list`` command asks for."""
    tables = list(_tables(ruleset, command))
    noun = command.noun
    if noun in ("ruleset", "table", "rules"):
        return [listing.table_view(ruleset, table) for table in tables]
    if noun in _ONE:
        return [_single(ruleset, tables[0], command)]
    if noun in _ALL:
        return [_only(ruleset, table, noun) for table in tables]
    raise Unsupported(f"nft list {noun}")


def _tables(ruleset: Nftables, command: Command) -> Iterable[Table]:
    assert command.table is not None
    if command.table.name:
        table = ruleset.tables.get(command.table)
        if table is None:
            _missing(command, command.table.name)
        return [table]
    return [table for table in ruleset.tables.values() if _in_family(table.name.family, command)]


def _missing(command: Command, word: str) -> NoReturn:
    assert command.place is not None
    command.place.fail(os.strerror(errno.ENOENT), word=word)


_ONE = ("chain", "set", "map", "counter", "quota", "limit")
_ALL = ("chains", "sets", "maps", "counters", "quotas", "limits", "tables")


def _single(ruleset: Nftables, table: Table, command: Command) -> TableView:
    name = command.name
    empty = TableView(table.name)
    if command.noun == "chain" and name in table.chains:
        return attrs.evolve(empty, chains=[listing.chain_view(ruleset, table, table.chains[name])])
    if command.noun in ("set", "map") and name in table.sets:
        return attrs.evolve(empty, sets=[listing.set_view(ruleset, table.sets[name])])
    if (command.noun, name) in table.objects:
        return attrs.evolve(empty, objects=[listing.object_view(ruleset, table, table.objects[command.noun, name])])
    _missing(command, name)


def _only(ruleset: Nftables, table: Table, noun: str) -> TableView:
    empty = TableView(table.name)
    if noun == "chains":
        chains = [listing.chain_view(ruleset, table, chain) for chain in table.chains.values()]
        return attrs.evolve(empty, chains=[attrs.evolve(chain, rules=()) for chain in chains])
    if noun in ("sets", "maps"):
        views = [listing.set_view(ruleset, state) for state in table.sets.values()]
        return attrs.evolve(
            empty, sets=[attrs.evolve(v, elements=()) for v in views if v.spec.is_map == (noun == "maps")]
        )
    if noun == "tables":
        return empty
    kept = [each for each in table.objects.values() if f"{each.spec.kind}s" == noun]
    return attrs.evolve(empty, objects=[listing.object_view(ruleset, table, each) for each in kept])
