"""The language of ip(8): `ip [-4|-6] address|route|link|rule ...`, read into values and printed back.

Covered: address add/del/replace/flush/show, route add/del/replace/append/flush/show, link add/del/set/show, rule
add/del/show, neigh add/replace/del/flush/show. Everything else raises `Unsupported`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_interface, ip_network

import attrs

from fakecluster.errors import CommandError, Unsupported

OBJECTS = {"address": "address", "addr": "address", "a": "address", "route": "route", "r": "route", "ro": "route",
           "link": "link", "l": "link", "rule": "rule", "ru": "rule", "neighbour": "neigh", "neighbor": "neigh",
           "neigh": "neigh", "n": "neigh"}  # fmt: skip
VERBS = {"add": "add", "a": "add", "del": "del", "delete": "del", "d": "del", "replace": "replace", "append": "append",
         "change": "replace", "show": "show", "list": "show", "ls": "show", "s": "show", "set": "set",
         "flush": "flush"}  # fmt: skip
#: what ip has and this model refuses: objects, what can be done with them, and words of routes and rules
REFUSED_OBJECTS = frozenset(("addrlabel", "tunnel", "tun", "tap", "tuntap", "maddress", "maddr", "mroute", "mrule",
                             "netns", "l2tp", "macsec", "monitor", "xfrm", "tcp_metrics", "token", "netconf", "fou",
                             "ila", "vrf", "sr", "nexthop", "mptcp", "ntable", "ioam", "stats"))  # fmt: skip
REFUSED_VERBS = frozenset(("get", "save", "restore", "showdump", "prepend", "test", "afstats", "property", "help"))
REFUSED_ROUTE_WORDS = frozenset(("nexthop", "nhid", "tos", "dsfield", "encap", "root", "match", "exact", "cache",
                                 "realm", "realms", "rtt", "rttvar", "window", "cwnd", "initcwnd", "initrwnd",
                                 "ssthresh", "reordering", "advmss", "hoplimit", "quickack", "features", "congctl",
                                 "fastopen_no_cookie", "rto_min", "ttl-propagate", "expires", "pref", "from",
                                 "lock"))  # fmt: skip
REFUSED_RULE_WORDS = frozenset(("not", "tos", "dsfield", "l3mdev", "uidrange", "ipproto", "sport", "dport", "protocol", "nat",
                                "realms", "goto", "nop", "suppress_prefixlength", "suppress_ifgroup"))  # fmt: skip
ROUTE_KINDS = frozenset(("unicast", "local", "broadcast", "multicast", "anycast", "blackhole", "unreachable",
                         "prohibit", "throw"))  # fmt: skip
TABLES = {"local": 255, "main": 254, "default": 253}
SCOPES = {
    "global": "global",
    "link": "link",
    "host": "host",
    "site": "site",
    "0": "global",
    "253": "link",
    "254": "host",
}


@attrs.frozen
class AddressCommand:
    verb: str
    device: str
    family: int = 4
    address: int = 0
    prefix: int = 32
    scope: str = "global"
    peer: int | None = None


@attrs.frozen
class RouteCommand:
    """`destination` None in `flush`/`show` without a prefix; `table` is a number."""

    verb: str
    family: int = 4
    destination: int = 0
    prefix: int = 0
    kind: str = "unicast"
    device: str = ""
    gateway: int = 0
    source: int = 0
    metric: int = 0
    scope: str = ""
    table: int = 254
    protocol: str = "boot"
    mtu: int = 0
    onlink: bool = False


@attrs.frozen
class LinkCommand:
    verb: str
    device: str = ""
    kind: str = ""
    mtu: int | None = None
    mac: bytes | None = None
    up: bool | None = None
    master: str | None = None
    arp: bool | None = None
    peer: str = ""


@attrs.frozen
class RuleCommand:
    verb: str
    family: int = 4
    priority: int | None = None
    table: int = 254
    source: tuple[int, int] = (0, 0)
    destination: tuple[int, int] = (0, 0)
    mark: int = 0
    mark_mask: int = 0
    iif: str = ""
    oif: str = ""
    action: str = "lookup"


@attrs.frozen
class NeighbourCommand:
    verb: str
    family: int = 4
    address: int = 0
    device: str = ""
    mac: bytes = b""


Command = NeighbourCommand | AddressCommand | RouteCommand | LinkCommand | RuleCommand


class Words:
    """The words of a command line, taken one by one; errors are ip's."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv, self.rest = tuple(argv), list(argv[1:])
        self.family: int | None = None

    def take(self) -> str:
        if not self.rest:
            raise self.error('Command line is not complete. Try option "help"', status=255)
        return self.rest.pop(0)

    def number(self, name: str) -> int:
        text = self.take()
        try:
            return int(text, 0)
        except ValueError:
            raise self.invalid(name, text) from None

    def invalid(self, name: str, text: str) -> CommandError:
        return self.error(f'argument "{text}" is wrong: "{name}" value is invalid', status=255)

    def error(self, reason: str, *, status: int = 255) -> CommandError:
        return CommandError(self.argv, status, f"Error: {reason}.\n" if not reason.endswith('"') else f"{reason}\n")

    def address(self) -> tuple[int, int]:
        """(family, integer)"""
        text = self.take()
        try:
            address = ip_address(text)
        except ValueError:
            raise self.error(f'any valid address is expected rather than "{text}"', status=1) from None
        return address.version, int(address)

    def prefix(self) -> tuple[int, int, int]:
        """(family, network, length); "default" and "all" are the empty prefix."""
        text = self.take()
        if text in ("default", "all", "any"):
            return self.family or 4, 0, 0
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            raise self.error(f'any valid prefix is expected rather than "{text}"', status=1) from None
        return network.version, int(network.network_address), network.prefixlen


def parse(argv: Sequence[str]) -> Command:
    """Read one command line (`argv[0]` is "ip"). Raises `CommandError` in ip's words, or `Unsupported`."""
    words = Words(argv)
    while words.rest and words.rest[0].startswith("-"):
        option = words.rest.pop(0)
        if option in ("-4", "-6"):
            words.family = int(option[1])
        elif option not in ("-o", "-br", "-brief", "-d", "-details"):
            raise Unsupported(f"ip option {option}", token=option)
    name = words.take()
    kind = OBJECTS.get(name)
    if name in REFUSED_OBJECTS:
        raise Unsupported(f"ip {name}", token=name)
    if kind is None:
        raise CommandError(words.argv, 1, f'Object "{name}" is unknown, try "ip help".\n')
    verb_text = words.rest.pop(0) if words.rest else "show"
    verb = VERBS.get(verb_text)
    if verb_text in REFUSED_VERBS:
        raise Unsupported(f"ip {kind} {verb_text}", token=verb_text)
    if verb is None:
        raise CommandError(words.argv, 255, f'Command "{verb_text}" is unknown, try "ip {kind} help".\n')
    return _PARSERS[kind](words, verb)


def _address(words: Words, verb: str) -> AddressCommand:
    command = AddressCommand(verb, "")
    while words.rest:
        word = words.take()
        match word:
            case "dev":
                command = attrs.evolve(command, device=words.take())
            case "scope":
                text = words.take()
                if text not in SCOPES:
                    raise words.invalid("scope", text)
                command = attrs.evolve(command, scope=SCOPES[text])
            case "peer":
                command = attrs.evolve(command, peer=words.address()[1])
            case "brd" | "broadcast" | "label":
                words.take()
            case "nodad" | "noprefixroute" | "up":
                pass
            case _ if verb == "show" and not command.device:
                command = attrs.evolve(command, device=word)
            case _:
                command = _with_address(words, command, word)
    if verb != "show" and not command.device:
        raise CommandError(words.argv, 255, 'Not enough information: "dev" argument is required.\n')
    return command


def _with_address(words: Words, command: AddressCommand, word: str) -> AddressCommand:
    if word == "local":
        word = words.take()
    try:
        interface = ip_interface(word)
    except ValueError:
        raise words.error(f'any valid prefix is expected rather than "{word}"', status=1) from None
    return attrs.evolve(
        command, family=interface.version, address=int(interface.ip), prefix=interface.network.prefixlen
    )


def _route(words: Words, verb: str) -> RouteCommand:
    command = RouteCommand(verb, family=words.family or 4)
    if words.rest and words.rest[0] in ROUTE_KINDS:
        command = attrs.evolve(command, kind=words.take())
    if command.kind == "local":
        command = attrs.evolve(command, table=255, scope="host")
    seen_destination = False
    while words.rest:
        word = words.rest[0]
        setter = _ROUTE_OPTIONS.get(word)
        if setter is not None:
            words.take()
            command = setter(words, command)
        elif word == "onlink":
            words.take()
            command = attrs.evolve(command, onlink=True)
        elif word in REFUSED_ROUTE_WORDS:
            raise Unsupported(f"ip route {command.verb}: {word}", token=word)
        elif not seen_destination:
            seen_destination = True
            if word == "to":
                words.take()
            family, network, length = words.prefix()
            command = attrs.evolve(command, family=family, destination=network, prefix=length)
        else:
            raise words.error(f'either "to" is duplicate, or "{word}" is a garbage', status=255)
    if verb in ("add", "replace", "append", "del") and not seen_destination:
        raise words.error("need at least a destination address", status=255)
    return command


def _via(words: Words, command: RouteCommand) -> RouteCommand:
    if words.rest and words.rest[0] in ("inet", "inet6"):
        raise Unsupported("a next hop of the other address family", token=words.rest[0])
    family, gateway = words.address()
    if (command.destination or command.prefix) and family != command.family:
        raise CommandError(words.argv, 2, "Error: inet6 address is expected rather than IPv4.\n")
    return attrs.evolve(command, gateway=gateway, family=family)


def _table(words: Words) -> int:
    text = words.take()
    if text == "all":
        raise Unsupported("ip route: all tables at once", token=text)
    if text in TABLES:
        return TABLES[text]
    try:
        return int(text, 0)
    except ValueError:
        raise words.invalid("table", text) from None


def _scope(words: Words, command: RouteCommand) -> RouteCommand:
    text = words.take()
    if text not in SCOPES:
        raise words.invalid("scope", text)
    return attrs.evolve(command, scope=SCOPES[text])


_ROUTE_OPTIONS: dict[str, Callable[[Words, RouteCommand], RouteCommand]] = {
    "via": _via,
    "dev": lambda words, command: attrs.evolve(command, device=words.take()),
    "src": lambda words, command: attrs.evolve(command, source=words.address()[1]),
    "metric": lambda words, command: attrs.evolve(command, metric=words.number("metric")),
    "table": lambda words, command: attrs.evolve(command, table=_table(words)),
    "scope": _scope,
    "proto": lambda words, command: attrs.evolve(command, protocol=words.take()),
    "protocol": lambda words, command: attrs.evolve(command, protocol=words.take()),
    "mtu": lambda words, command: attrs.evolve(command, mtu=words.number("mtu")),
    "pref": lambda words, command: (words.take(), command)[1],
}


def _link(words: Words, verb: str) -> LinkCommand:
    command = LinkCommand(verb)
    while words.rest:
        word = words.take()
        match word:
            case "dev" | "name":
                command = attrs.evolve(command, device=words.take())
            case "type":
                command = attrs.evolve(command, kind=words.take())
            case "mtu":
                command = attrs.evolve(command, mtu=words.number("mtu"))
            case "address":
                command = attrs.evolve(command, mac=bytes.fromhex(words.take().replace(":", "")))
            case "up" | "down":
                command = attrs.evolve(command, up=word == "up")
            case "master":
                command = attrs.evolve(command, master=words.take())
            case "nomaster":
                command = attrs.evolve(command, master="")
            case "arp":
                command = attrs.evolve(command, arp=words.take() == "on")
            case "peer":
                if words.take() != "name":
                    raise Unsupported("a veth peer without a name")
                command = attrs.evolve(command, peer=words.take())
            case _ if not command.device:
                command = attrs.evolve(command, device=word)
            case _:
                raise Unsupported(f"ip link option {word}", token=word)
    return command


def _rule(words: Words, verb: str) -> RuleCommand:
    command = RuleCommand(verb, family=words.family or 4)
    while words.rest:
        word = words.take()
        match word:
            case "from" | "to":
                family, network, length = words.prefix()
                value = (network, length)
                if length:
                    command = attrs.evolve(command, family=family)
                source = word == "from"
                command = attrs.evolve(command, source=value) if source else attrs.evolve(command, destination=value)
            case "fwmark":
                mark, _, mask = words.take().partition("/")
                value_mask = int(mask, 0) if mask else 0xFFFFFFFF
                command = attrs.evolve(command, mark=int(mark, 0), mark_mask=value_mask)
            case "table" | "lookup":
                command = attrs.evolve(command, table=_table(words))
            case "pref" | "priority" | "preference" | "order":
                command = attrs.evolve(command, priority=words.number("preference"))
            case "iif" | "dev":
                command = attrs.evolve(command, iif=words.take())
            case "oif":
                command = attrs.evolve(command, oif=words.take())
            case "blackhole" | "unreachable" | "prohibit":
                command = attrs.evolve(command, action=word)
            case _:
                raise Unsupported(f"ip rule {word}", token=word)
    return command


def _neighbour(words: Words, verb: str) -> NeighbourCommand:
    command = NeighbourCommand(verb, family=words.family or 0)
    while words.rest:
        word = words.take()
        match word:
            case "dev":
                command = attrs.evolve(command, device=words.take())
            case "lladdr":
                command = attrs.evolve(command, mac=bytes.fromhex(words.take().replace(":", "")))
            case "nud":
                words.take()
            case _:
                words.rest.insert(0, word if word != "to" else words.take())
                family, address = words.address()
                command = attrs.evolve(command, family=family, address=address)
    if verb not in ("show", "flush") and not (command.address and command.device):
        raise CommandError(words.argv, 255, "Device and destination are required arguments.\n")
    return command


_PARSERS: dict[str, Callable[[Words, str], Command]] = {
    "address": _address,
    "route": _route,
    "link": _link,
    "rule": _rule,
    "neigh": _neighbour,
}
