"""What one iptables command line says, and the small values in it."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

import attrs

from fakecluster.errors import Unsupported
from fakecluster.rules.iptables.extensions import (
    VERDICTS,
    target_extension,
)
from fakecluster.rules.iptables.numbers import address, bits, mask_of, number
from fakecluster.rules.iptables.option import Extension, Given
from fakecluster.rules.iptables.problem import RuleProblem
from fakecluster.rules.iptables.rule import Interface, Network, RuleParts

CHAIN_NAME_LIMIT = 28


INTERFACE_LIMIT = 15


#: rules that one line may make: every source with every destination of its comma lists
RULES_PER_LINE_LIMIT = 65536


#: long name of a command -> its letter
COMMANDS = {
    "append": "A", "delete": "D", "check": "C", "insert": "I", "replace": "R", "list": "L", "list-rules": "S",
    "flush": "F", "zero": "Z", "new-chain": "N", "delete-chain": "X", "rename-chain": "E", "policy": "P",
    "version": "V", "help": "h",
}  # fmt: skip


_LONG = {
    "source": "s", "src": "s", "destination": "d", "dst": "d", "protocol": "p", "in-interface": "i", "jump": "j",
    "table": "t", "match": "m", "out-interface": "o", "goto": "g", "fragments": "f", "numeric": "n", "verbose": "v",
    "wait": "w", "wait-interval": "W", "exact": "x", "set-counters": "c", "ipv4": "4", "ipv6": "6",
    "line-numbers": "0", "modprobe": "M",
}  # fmt: skip


@attrs.frozen
class Command:
    """One command: its letter, what it is about, and the rules it carries."""

    letter: str
    chain: str = ""
    rules: tuple[RuleParts, ...] = ()
    position: int = 0
    name: str = ""  # of -P (the policy) and -E (the new name)
    counters: tuple[int, int] | None = None
    table: str = ""
    numeric: bool = False
    verbose: bool = False
    line_numbers: bool = False
    exact: bool = False
    zero: bool = False  # of -L: counters are set to zero after it


@attrs.define
class _Open:
    """A match or target whose options are still being read."""

    extension: Extension[Any]
    given: Given
    name: str


def check_declared_name(name: str, backend: str) -> None:
    """Raises `RuleProblem` for a name that a restore cannot give to a chain."""
    if backend == "legacy":
        if len(name) > CHAIN_NAME_LIMIT:
            raise RuleProblem(f"Invalid chain name `{name}' ({CHAIN_NAME_LIMIT} chars max)", token=name)
        return
    if name[:1] in ("-", "!"):
        raise RuleProblem(f"chain name not allowed to start with `{name[0]}'", token=name)
    if len(name) > CHAIN_NAME_LIMIT:
        raise RuleProblem(f"chain name `{name}' too long (must be under {CHAIN_NAME_LIMIT + 1} chars)", token=name)
    if name in VERDICTS:
        raise RuleProblem("chain name may not clash with target name", token=name)


def check_chain_name(name: str) -> None:
    """Raises `RuleProblem` for a name that no new chain may have (assert_valid_chain_name)."""
    check_declared_name(name, "nft")
    if "-" not in name and _is_target(name):
        raise RuleProblem("chain name may not clash with target name", token=name)
    if name.split() != [name]:
        raise RuleProblem("Invalid chain name `" + name + "'", token=name)


def check_options(letter: str, given: AbstractSet[str], *, by_number: bool) -> None:
    """Raises `RuleProblem` when an option does not go with the command (generic_opt_check), or `-W` stands without `-w`.

    `given` are the letters of the options, `by_number` says that the command names a rule by its number.
    """
    for option in "nsdpjxiocfg0":
        commands = "AIRP" if option == "c" else "L" if option in "nx0" else "ADIRC"
        if option in given and (letter not in commands or (letter == "D" and by_number and commands == "ADIRC")):
            shown = "j" if option == "g" else option
            raise RuleProblem(f"Illegal option `-{shown}' with this command", token=f"-{option}")
    if "W" in given and "w" not in given:
        reason = "--wait-interval only makes sense with --wait\n"
        raise RuleProblem(reason, token="-W", notice="Ignoring deprecated --wait-interval option.\n")


def check_interfaces(letter: str, chain: str, iif: Interface | None, oif: Interface | None) -> None:
    """Raises `RuleProblem` for an interface that is not known yet, or no longer, in a built-in chain."""
    if iif and chain in ("POSTROUTING", "OUTPUT") and letter in "AICDR":
        raise RuleProblem(f"Can't use -i with {chain}\n", token="-i")
    if oif and chain in ("PREROUTING", "INPUT") and letter in "AICDR":
        raise RuleProblem(f"Can't use -o with {chain}\n", token="-o")


class OtherFamily(Exception):
    """A restore's line is for the other IP family (-4, -6): it is passed over."""


def _is_target(name: str) -> bool:
    try:
        return target_extension(name, 4) is not None or target_extension(name, 6) is not None
    except Unsupported:
        return True


def _counter(text: str, what: str) -> int:
    if not text.isdigit() or len(text) > 20:
        raise RuleProblem(f"-c {what} counter not numeric", token=text)
    return int(text)


#: /etc/hosts of any machine
_HOSTS = {"localhost": {4: 0x7F000001, 6: 1}}


def network(text: str, family: int, *, inverted: bool = False) -> Network | None:
    """`address[/mask]`; None when it is any address."""
    first, slash, second = text.partition("/")
    mask = mask_of(bits(family), family)
    if slash:
        length = number(second, 0, bits(family))
        if length is None and second.isdigit():
            length = int(second) if len(second) < 4 and int(second) <= bits(family) else None
        given = mask_of(length, family) if length is not None else address(second, family)
        if given is None:
            raise RuleProblem(f"invalid mask `{second}' specified", token=text)
        mask = given
    value = address(first, family)
    if value is None and family == 4:
        value = _short_quad(first)
    if value is None:
        value = _HOSTS.get(first, {}).get(family)
    if value is None:
        raise RuleProblem(f"host/network `{first}' not found", token=text)
    return Network(value & mask, mask, inverted) if mask or inverted else None


def _short_quad(text: str) -> int | None:
    """`10.1/16` means 10.1.0.0, `10` is 10.0.0.0 (xtables_ipparse_any pads networks)."""
    parts = text.split(".")
    if not 0 < len(parts) < 4 or not all(part.isdigit() and len(part) < 4 for part in parts):
        return None
    return address(".".join(parts + ["0"] * (4 - len(parts))), 4)


def _long_name(letter: str) -> str:
    return next(name for name, short in COMMANDS.items() if short == letter)
