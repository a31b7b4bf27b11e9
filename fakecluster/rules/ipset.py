"""ipset's language: commands and save files, set types and the elements they hold; no packets here.

An element is a tuple of integers: addresses, prefix lengths, protocols and ports in the order of the type's name.
Source: ipset(8), lib/parse.c and lib/print.c of ipset 7.17.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

import attrs

from fakecluster.errors import RuleSyntaxError, Unsupported
from fakecluster.rules.iptables.numbers import (
    PROTOCOL_NAMES,
    PROTOCOLS,
    SERVICES,
    address,
    address_text,
    mask_of,
    number,
)
from fakecluster.rules.iptables.words import split

#: Elements that one command may add by ranges and networks (a /8 of hash:ip would be 16 million).
EXPANSION_LIMIT = 1 << 16
NAME_LIMIT = 31
DEFAULT_HASHSIZE, DEFAULT_MAXELEM, DEFAULT_LIST_SIZE = 1024, 65536, 8
PORTED = frozenset((6, 17, 132, 136))
ICMP_NAMES = {
    "echo-reply": 0x0000, "pong": 0x0000, "network-unreachable": 0x0300, "host-unreachable": 0x0301,
    "protocol-unreachable": 0x0302, "port-unreachable": 0x0303, "fragmentation-needed": 0x0304,
    "source-route-failed": 0x0305, "network-unknown": 0x0306, "host-unknown": 0x0307, "network-prohibited": 0x0309,
    "host-prohibited": 0x030A, "TOS-network-unreachable": 0x030B, "TOS-host-unreachable": 0x030C,
    "communication-prohibited": 0x030D, "host-precedence-violation": 0x030E, "precedence-cutoff": 0x030F,
    "source-quench": 0x0400, "network-redirect": 0x0500, "host-redirect": 0x0501, "echo-request": 0x0800,
    "ping": 0x0800, "router-advertisement": 0x0900, "router-solicitation": 0x0A00, "ttl-zero-during-transit": 0x0B00,
    "ttl-zero-during-reassembly": 0x0B01, "ip-header-bad": 0x0C00, "required-option-missing": 0x0C01,
    "timestamp-request": 0x0D00, "timestamp-reply": 0x0E00, "address-mask-request": 0x1100,
    "address-mask-reply": 0x1200,
}  # fmt: skip
ICMPV6_NAMES = {
    "no-route": 0x0100, "communication-prohibited": 0x0101, "address-unreachable": 0x0103, "port-unreachable": 0x0104,
    "packet-too-big": 0x0200, "ttl-zero-during-transit": 0x0300, "ttl-zero-during-reassembly": 0x0301,
    "bad-header": 0x0400, "unknown-header-type": 0x0401, "unknown-option": 0x0402, "echo-request": 0x8000,
    "ping": 0x8000, "echo-reply": 0x8100, "pong": 0x8100, "router-solicitation": 0x8500,
    "router-advertisement": 0x8600, "neighbour-solicitation": 0x8700, "neigbour-solicitation": 0x8700,
    "neighbour-advertisement": 0x8800, "neigbour-advertisement": 0x8800, "redirect": 0x8900,
}  # fmt: skip
Element = tuple[int, ...]


@attrs.frozen
class SetType:
    """A set type: its parts in order ("ip", "net", "port", "bareport", "set"), and its revision in `ipset list`."""

    name: str
    parts: tuple[str, ...]
    revision: int

    @property
    def dimension(self) -> int:
        return len(self.parts)

    @property
    def is_hash(self) -> bool:
        return self.name.startswith("hash:")


SET_TYPES = {
    each.name: each
    for each in (
        SetType("hash:ip", ("ip",), 6),
        SetType("hash:net", ("net",), 7),
        SetType("hash:ip,port", ("ip", "port"), 7),
        SetType("hash:ip,port,ip", ("ip", "port", "ip"), 6),
        SetType("hash:ip,port,net", ("ip", "port", "net"), 8),
        SetType("hash:net,port", ("net", "port"), 8),
        SetType("bitmap:port", ("bareport",), 3),
        SetType("bitmap:ip", ("ip",), 3),
        SetType("list:set", ("set",), 3),
    )
}
#: types that ipset has and this model refuses when they are created
REFUSED_TYPES = frozenset((
    "hash:mac", "hash:ip,mac", "hash:ip,mark", "hash:net,net", "hash:net,iface", "hash:net,port,net", "bitmap:ip,mac",
))  # fmt: skip


@attrs.frozen
class SetOptions:
    """What a set was created with. `range` are the first and last value of a bitmap."""

    type: SetType
    family: int = 4
    hashsize: int = DEFAULT_HASHSIZE
    maxelem: int = DEFAULT_MAXELEM
    size: int = DEFAULT_LIST_SIZE
    range: tuple[int, int] = (0, 0)
    netmask: int | None = None
    timeout: int | None = None
    counters: bool = False
    comment: bool = False
    bucketsize: int = 12

    def __str__(self) -> str:
        return "".join(self._words())

    def _words(self) -> Iterator[str]:
        yield self.type.name
        if self.type.is_hash:
            yield f" family {'inet' if self.family == 4 else 'inet6'} hashsize {self.hashsize} maxelem {self.maxelem}"
        elif self.type.name == "list:set":
            yield f" size {self.size}"
        elif self.type.name == "bitmap:port":
            yield f" range {self.range[0]}-{self.range[1]}"
        else:
            yield f" range {address_text(self.range[0], 4)}-{address_text(self.range[1], 4)}"
        if self.netmask is not None:
            yield f" netmask {self.netmask}"
        if self.timeout is not None:
            yield f" timeout {self.timeout}"
        yield " counters" if self.counters else ""
        yield " comment" if self.comment else ""
        if self.type.is_hash:
            yield f" bucketsize {self.bucketsize}"


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


class SetSyntaxError(RuleSyntaxError):
    """ipset's parser refuses; `usage` adds the hint to ask for help (exit status 2, else 1)."""

    def __init__(self, reason: str, *, token: str = "", usage: bool = False) -> None:
        super().__init__(reason, token=token)
        self.usage = usage


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
        _range(kind, given), netmask, _number(given, "timeout", 4294967), "counters" in given, "comment" in given,
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
        first, last = _port(low), _port(high or low)
    else:
        first, last = _addresses(text, 4)
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
        _number(values, "timeout", 4294967), "nomatch" in values, values.get("comment", ""),
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


def elements(options: SetOptions, text: str, *, testing: bool = False) -> list[Element]:
    """What an element text means for a set: several elements for ranges and networks."""
    kind = options.type
    texts = text.split(",")
    if len(texts) != kind.dimension:
        problem = "is missing from" if len(texts) < kind.dimension else "is unexpected in"
        words = f"Syntax error: {'Second' if len(texts) < 2 else 'Third'} element {problem} {text}."
        raise SetSyntaxError(words, token=text)
    parts: list[list[Element]] = []
    count = 1
    for part, each in zip(kind.parts, texts, strict=True):
        parts.append(_part(part, each, options))
        count *= len(parts[-1])
        if count > EXPANSION_LIMIT:
            raise Unsupported(f"ipset: more than {EXPANSION_LIMIT} elements in one command", token=text)
    found = [sum(combination, ()) for combination in product(*parts)]
    if testing and len(found) > 1:
        raise SetSyntaxError("Syntax error: plain IP address must be supplied: " + text, token=text)
    return found


def _part(part: str, text: str, options: SetOptions) -> list[Element]:
    family = options.family
    if part == "ip":
        return [(value,) for value in _hosts(text, options)]
    if part == "net":
        return _networks(text, family)
    if part == "bareport":
        low, _, high = text.rpartition(":")[2].partition("-")
        return [(port,) for port in range(_port(low), _port(high or low) + 1)]
    return _ports(text, family)


def _resolve(text: str, family: int) -> int:
    value = address(text.strip("[]"), family)
    if value is None:
        words = f"Syntax error: cannot parse {text}: resolving to IPv{family} address failed"
        raise SetSyntaxError(words, token=text)
    return value


def _addresses(text: str, family: int) -> tuple[int, int]:
    """The first and last address of a host, a network or a range."""
    bits = 32 if family == 4 else 128
    if "/" in text:
        host, _, length = text.partition("/")
        prefix = number(length.lstrip("0") or "0", 0, bits)
        if prefix is None:
            raise SetSyntaxError(f"Syntax error: '{length}' is out of range 0-{bits}", token=text)
        first = _resolve(host, family) & mask_of(prefix, family)
        return first, first | ((1 << (bits - prefix)) - 1)
    low, dash, high = text.partition("-")
    first = _resolve(low, family)
    last = _resolve(high, family) if dash else first
    return min(first, last), max(first, last)


def _hosts(text: str, options: SetOptions) -> list[int]:
    family = options.family
    if family == 6 and ("/" in text or "-" in text) and not text.endswith("/128"):
        raise SetSyntaxError(f"Syntax error: plain IP address must be supplied: {text}", token=text)
    first, last = _addresses(text, family)
    if options.netmask is not None:
        mask = mask_of(options.netmask, family)
        step = mask_of(32 if family == 4 else 128, family) - mask + 1
        first, last = first & mask, last & mask
        return list(range(first, last + 1, step))[: EXPANSION_LIMIT + 1]
    if last - first >= EXPANSION_LIMIT:
        raise Unsupported(f"ipset: more than {EXPANSION_LIMIT} addresses in one command", token=text)
    return list(range(first, last + 1))


def _networks(text: str, family: int) -> list[Element]:
    bits = 32 if family == 4 else 128
    if "-" in text:
        return _covering(*_addresses(text, family), bits)
    host, slash, length = text.partition("/")
    value = _resolve(host, family)
    prefix = number(length.lstrip("0") or "0", 0, bits) if slash else bits
    if prefix is None:
        raise SetSyntaxError(f"Syntax error: '{length}' is out of range 0-{bits}", token=text)
    return [(value & mask_of(prefix, family), prefix)]


def _covering(first: int, last: int, bits: int) -> list[Element]:
    """The networks that make up a range of addresses."""
    found: list[Element] = []
    while first <= last:
        size = first & -first or 1 << bits
        while size > last - first + 1:
            size >>= 1
        found.append((first, bits - size.bit_length() + 1))
        first += size
    return found


def _port(text: str) -> int:
    value = number(text, 0, 0xFFFF)
    if value is None:
        value = SERVICES.get(text)
    if value is None:
        raise SetSyntaxError(f"Syntax error: '{text}' is invalid as number", token=text)
    return value


def _ports(text: str, family: int) -> list[Element]:
    """`80`, `udp:53`, `tcp:1-3`, `icmp:echo-request`, `47:0` as (protocol, port or type and code)."""
    name, colon, rest = text.partition(":")
    if not colon:
        name, rest = "tcp", text
    protocol = number(name, 0, 255)
    protocol = {"icmpv6": 58}.get(name, PROTOCOLS.get(name)) if protocol is None else protocol
    if protocol is None:
        raise SetSyntaxError(f"Syntax error: cannot parse '{name}' as a protocol", token=text)
    if protocol in PORTED:
        low, _, high = rest.partition("-")
        first, last = _port(low), _port(high or low)
        return [(protocol, port) for port in range(first, last + 1)]
    if protocol in (1, 58):
        return [(protocol, _icmp(rest, ICMP_NAMES if protocol == 1 else ICMPV6_NAMES, text))]
    if rest != "0":
        words = f"Syntax error: Protocol {name} can be used with pseudo port value 0 only."
        raise SetSyntaxError(words, token=text)
    return [(protocol, 0)]


def _icmp(text: str, names: dict[str, int], token: str) -> int:
    if text in names:
        return names[text]
    found = re.fullmatch(r"(\d{1,3})/(\d{1,3})", text)
    if not found or int(found[1]) > 255 or int(found[2]) > 255:
        raise SetSyntaxError(f"Syntax error: cannot parse {text} as an (IPv4) ICMP type", token=token)
    return int(found[1]) << 8 | int(found[2])


def element_text(options: SetOptions, element: Element) -> str:
    """An element as `ipset save` prints it."""
    values, words = list(element), []
    bits = 32 if options.family == 4 else 128
    for part in options.type.parts:
        if part == "ip":
            words.append(address_text(values.pop(0), options.family))
        elif part == "net":
            network, prefix = values.pop(0), values.pop(0)
            words.append(address_text(network, options.family) + (f"/{prefix}" if prefix != bits else ""))
        elif part == "bareport":
            words.append(str(values.pop(0)))
        else:
            words.append(_port_text(values.pop(0), values.pop(0)))
    return ",".join(words)


def _port_text(protocol: int, port: int) -> str:
    name = PROTOCOL_NAMES.get(protocol, str(protocol))
    if protocol in (1, 58):
        names = ICMP_NAMES if protocol == 1 else ICMPV6_NAMES
        known = next((word for word, value in names.items() if value == port and word not in ("ping", "pong")), "")
        return f"{'icmp' if protocol == 1 else 'icmpv6'}:{known or f'{port >> 8}/{port & 255}'}"
    return f"{name}:{port}"
