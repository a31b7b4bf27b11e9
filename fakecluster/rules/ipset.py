"""ipset's language: commands and save files; no packets here.

Source: ipset(8), lib/parse.c and lib/print.c of ipset 7.17.
"""

from __future__ import annotations

import attrs

from fakecluster.errors import RuleSyntaxError, Unsupported
from fakecluster.rules.ipset_elements import address_span, port_number
from fakecluster.rules.ipset_types import (
    DEFAULT_HASHSIZE,
    DEFAULT_LIST_SIZE,
    DEFAULT_MAXELEM,
    REFUSED_TYPES,
    SET_TYPES,
    SetOptions,
    SetSyntaxError,
    SetType,
)
from fakecluster.rules.iptables.numbers import (
    number,
)
from fakecluster.rules.iptables.words import split

NAME_LIMIT = 31


@attrs.frozen
class Entry:
    """What an element carries besides itself; None where the command said nothing."""

    timeout: int | None = None
    nomatch: bool = False
    comment: str = ""
    packets: int | None = None
    bytes: int | None = None


@attrs.frozen
class SetCommand:
    """One command: `element` is still text, because its meaning depends on the set's type."""

    verb: str
    name: str = ""
    other: str = ""
    options: SetOptions | None = None
    element: str = ""
    entry: Entry = Entry()
    exist: bool = False
    flags: frozenset[str] = frozenset()
    file: str = ""


VERBS = {
    "create": "create", "-N": "create", "-n": "create", "new": "create", "add": "add", "-A": "add", "del": "del",
    "-D": "del", "delete": "del", "test": "test", "-T": "test", "destroy": "destroy", "-X": "destroy", "x": "destroy",
    "list": "list", "-L": "list", "save": "save", "-S": "save", "restore": "restore", "-R": "restore",
    "flush": "flush", "-F": "flush", "rename": "rename", "-E": "rename", "e": "rename", "swap": "swap", "-W": "swap",
    "version": "version", "-v": "version", "-V": "version",
}  # fmt: skip
_GLOBAL_FLAGS = {
    "-exist": "exist", "-!": "exist", "-quiet": "quiet", "-q": "quiet", "-sorted": "sorted", "-s": "sorted",
    "-name": "name", "-n": "name", "-terse": "terse", "-t": "terse", "-resolve": "resolve", "-r": "resolve",
}  # fmt: skip


def read(words: list[str]) -> SetCommand:
    """One command from its words (without "ipset"). Raises `SetSyntaxError` and `Unsupported`."""
    flags, words, file = _take_flags(words)
    if not words:
        raise SetSyntaxError("No command specified.", usage=True)
    verb = VERBS.get(words[0]) or VERBS.get(words[0].removeprefix("--"))
    if verb is None:
        raise SetSyntaxError(f"No command specified: unknown argument {words[0]}", token=words[0], usage=True)
    rest, exist = words[1:], "exist" in flags
    if verb == "create":
        return _create(rest, exist)
    if verb in ("add", "del", "test"):
        return _element_command(verb, rest, exist)
    if verb in ("rename", "swap"):
        if len(rest) != 2:
            raise SetSyntaxError(f"Missing second mandatory argument to command {verb}", usage=True)
        return SetCommand(verb, _name(rest[0]), _name(rest[1]))
    if len(rest) > 1:
        raise SetSyntaxError(f"Unknown argument: `{rest[1]}'", token=rest[1], usage=True)
    return SetCommand(verb, _name(rest[0]) if rest else "", exist=exist, flags=frozenset(flags), file=file)


def _take_flags(words: list[str]) -> tuple[set[str], list[str], str]:
    """The global flags, wherever they stand, and the words without them."""
    flags: set[str] = set()
    rest: list[str] = []
    file, position = "", 0
    while position < len(words):
        word = words[position]
        position += 1
        if word in ("-o", "-output", "-f", "-file") and position < len(words):
            if word in ("-o", "-output"):
                if words[position] not in ("plain", "save"):
                    raise Unsupported(f"ipset -output {words[position]}", token=words[position])
                flags.add(f"output {words[position]}")
            else:
                file = words[position]
            position += 1
        elif word in _GLOBAL_FLAGS and (rest or word != "-n"):
            flags.add(_GLOBAL_FLAGS[word])
        else:
            rest.append(word)
    return flags, rest, file


def _name(text: str) -> str:
    if len(text) > NAME_LIMIT:
        raise SetSyntaxError(f"Syntax error: setname '{text}' is longer than {NAME_LIMIT} characters", token=text)
    return text


def _create(words: list[str], exist: bool) -> SetCommand:
    if len(words) < 2:
        missing = "first" if not words else "second"
        raise SetSyntaxError(f"Missing {missing} mandatory argument to command create", usage=True)
    name, kind = _name(words[0]), words[1]
    if kind in REFUSED_TYPES:
        raise Unsupported(f"ipset type {kind}", token=kind)
    if kind not in SET_TYPES:
        raise SetSyntaxError(f"Syntax error: typename '{kind}' is unknown", token=kind)
    given = _pairs(words[2:])
    if "exist" in given:
        exist = True
        del given["exist"]
    return SetCommand("create", name, options=_options(SET_TYPES[kind], given), exist=exist)


_FLAGS = ("counters", "comment", "skbinfo", "forceadd", "nomatch", "exist", "-exist", "-!")


def _pairs(words: list[str]) -> dict[str, str]:
    """`word value` pairs and flags."""
    given: dict[str, str] = {}
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word in _FLAGS:
            given["exist" if word in ("-exist", "-!") else word] = ""
        elif word in _CREATE_OPTIONS and position < len(words):
            given[word] = words[position]
            position += 1
        else:
            raise SetSyntaxError(f"Unknown argument: `{word}'", token=word, usage=True)
    return given


_CREATE_OPTIONS = frozenset((
    "family", "hashsize", "maxelem", "netmask", "timeout", "range", "size", "bucketsize", "initval", "hash", "bitmask",
    "from", "to", "gc", "probes", "resize",
))  # fmt: skip


def _options(kind: SetType, given: dict[str, str]) -> SetOptions:
    for word in ("skbinfo", "forceadd", "bitmask"):
        if word in given:
            raise Unsupported(f"ipset create {word}", token=word)
    family = {"inet": 4, "inet6": 6, "-4": 4, "-6": 6}.get(given.get("family", "inet"))
    if family is None:
        raise SetSyntaxError(f"Syntax error: unknown INET family {given['family']}", token=given["family"])
    netmask = _number(given, "netmask", 32 if family == 4 else 128)
    if netmask is not None and kind.name not in ("hash:ip", "bitmap:ip"):
        raise SetSyntaxError("Unknown argument: `netmask'", token="netmask", usage=True)
    return SetOptions(
        kind, family, _power_of_two(_number(given, "hashsize") or DEFAULT_HASHSIZE),
        _number(given, "maxelem") or DEFAULT_MAXELEM, _number(given, "size") or DEFAULT_LIST_SIZE,
        _range(kind, given), netmask, _number(given, "timeout", 2147483), "counters" in given, "comment" in given,
        _number(given, "bucketsize", 14) or 12,
    )  # fmt: skip


def _number(given: dict[str, str], word: str, highest: int = 0xFFFFFFFF) -> int | None:
    if word not in given:
        return None
    value = number(given[word], 0, highest)
    if value is None:
        raise SetSyntaxError(
            f"Syntax error: '{given[word]}' is out of range 0-{highest}" if given[word].isdigit()
            else f"Syntax error: '{given[word]}' is invalid as number", token=given[word],
        )  # fmt: skip
    return value


def _power_of_two(value: int) -> int:
    return max(64, 1 << (value - 1).bit_length())


def _range(kind: SetType, given: dict[str, str]) -> tuple[int, int]:
    if not kind.name.startswith("bitmap:"):
        return 0, 0
    if "range" not in given:
        raise SetSyntaxError(f"Syntax error: mandatory range option missing for type {kind.name}", usage=True)
    text = given["range"]
    if kind.name == "bitmap:port":
        low, _, high = text.partition("-")
        first, last = port_number(low), port_number(high or low)
    else:
        first, last = address_span(text, 4)
    return min(first, last), max(first, last)


def _element_command(verb: str, words: list[str], exist: bool) -> SetCommand:
    if len(words) < 2:
        missing = "first" if not words else "second"
        raise SetSyntaxError(f"Missing {missing} mandatory argument to command {verb}", usage=True)
    values: dict[str, str] = {}
    position = 2
    while position < len(words):
        word = words[position]
        position += 1
        if word in ("nomatch", "exist", "-exist", "-!"):
            values[word if word == "nomatch" else "exist"] = ""
        elif word in ("timeout", "comment", "packets", "bytes") and position < len(words):
            values[word] = words[position]
            position += 1
        elif word in ("skbmark", "skbprio", "skbqueue", "before", "after"):
            raise Unsupported(f"ipset {verb} {word}", token=word)
        else:
            raise SetSyntaxError(f"Unknown argument: `{word}'", token=word, usage=True)
    entry = Entry(
        _number(values, "timeout", 2147483), "nomatch" in values, values.get("comment", ""),
        _number(values, "packets", 2**64 - 1), _number(values, "bytes", 2**64 - 1),
    )  # fmt: skip
    return SetCommand(verb, _name(words[0]), element=words[1], entry=entry, exist=exist or "exist" in values)


def parse(text: str) -> list[tuple[int, SetCommand]]:
    """A save file as (line, command); raises with the line."""
    commands = []
    for line, words in ((n, split(each)) for n, each in enumerate(text.split("\n"), 1)):
        if not words or words[0].startswith("#") or words == ["COMMIT"]:
            continue
        try:
            commands.append((line, read(words[1:] if words[0] == "ipset" else words)))
        except SetSyntaxError as problem:
            raise RuleSyntaxError(problem.reason, line=line, token=problem.token) from None
        except Unsupported as gap:
            raise Unsupported(gap.what, line=line, token=gap.token) from None
    return commands


# -- elements ----------------------------------------------------------------------------------------------------
