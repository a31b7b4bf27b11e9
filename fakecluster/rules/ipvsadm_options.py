"""ipvsadm's options: their spellings, which command takes which, and the words said when one does not fit.

Source: ipvsadm(8) and the answers of ipvsadm 1.31.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping

import attrs

from fakecluster.errors import RuleSyntaxError

TRY_HELP = "Try `{0} -h' or '{0} --help' for more information."
#: Exit status of a bad command line, of one that the option parser refuses, and of what the kernel refuses.
BAD_USAGE, BAD_OPTION, KERNEL_REFUSED = 2, 255, 255


class IpvsadmError(RuleSyntaxError):
    """A command line that ipvsadm refuses: `reason` in its own words, `status` is its exit code."""

    def __init__(self, reason: str, *, status: int = BAD_USAGE, token: str = "") -> None:
        self.status = status
        super().__init__(reason, token=token)


@attrs.frozen
class Option:
    """One option: the `name` that messages use, and whether it takes an argument (True, False, "maybe")."""

    name: str
    argument: bool | str = False


#: Command letters and long names -> the name that messages use.
COMMANDS: Mapping[str, str] = {
    "-A": "add-service", "--add-service": "add-service", "-E": "edit-service", "--edit-service": "edit-service",
    "-D": "delete-service", "--delete-service": "delete-service", "-C": "flush", "--clear": "flush",
    "-R": "restore", "--restore": "restore", "-S": "save", "--save": "save", "-a": "add-server",
    "--add-server": "add-server", "-e": "edit-server", "--edit-server": "edit-server", "-d": "delete-server",
    "--delete-server": "delete-server", "-L": "list", "-l": "list", "--list": "list", "-Z": "zero", "--zero": "zero",
    "--set": "set", "--start-daemon": "start-daemon", "--stop-daemon": "stop-daemon", "-h": "help", "--help": "help",
    "-v": "version", "--version": "version",
}  # fmt: skip

OPTIONS: Mapping[str, Option] = {
    **dict.fromkeys(("-t", "--tcp-service"), Option("service-address", True)),
    **dict.fromkeys(("-u", "--udp-service"), Option("service-address", True)),
    "--sctp-service": Option("service-address", True),
    **dict.fromkeys(("-f", "--fwmark-service"), Option("service-address", True)),
    **dict.fromkeys(("-s", "--scheduler"), Option("scheduler", True)),
    **dict.fromkeys(("-p", "--persistent"), Option("persistent", "maybe")),
    **dict.fromkeys(("-M", "--netmask"), Option("netmask", True)),
    **dict.fromkeys(("-r", "--real-server"), Option("real-server", True)),
    **dict.fromkeys(("-m", "--masquerading"), Option("forwarding-method")),
    **dict.fromkeys(("-i", "--ipip"), Option("forwarding-method")),
    **dict.fromkeys(("-g", "--gatewaying"), Option("forwarding-method")),
    **dict.fromkeys(("-w", "--weight"), Option("weight", True)),
    **dict.fromkeys(("-x", "--u-threshold"), Option("u-threshold", True)),
    **dict.fromkeys(("-y", "--l-threshold"), Option("l-threshold", True)),
    **dict.fromkeys(("-c", "--connection"), Option("connection")),
    **dict.fromkeys(("-n", "--numeric"), Option("numeric")),
    **dict.fromkeys(("-6", "--ipv6"), Option("ipv6")),
    **dict.fromkeys(("-o", "--ops"), Option("ops")),
    **dict.fromkeys(("-b", "--sched-flags"), Option("sched-flags", True)),
    "--pe": Option("pe", True),
    "--timeout": Option("timeout"),
    "--daemon": Option("daemon"),
    "--stats": Option("stats"),
    "--rate": Option("rate"),
    "--thresholds": Option("thresholds"),
    "--persistent-conn": Option("persistent-conn"),
    "--nosort": Option("nosort"),
    "--sort": Option("sort"),
    "--exact": Option("exact"),
    "--tun-info": Option("tun-info"),
    "--tun-type": Option("tun-type", True),
    "--tun-port": Option("tun-port", True),
    "--tun-nocsum": Option("tun-nocsum"),
    "--tun-csum": Option("tun-csum"),
    "--tun-remcsum": Option("tun-remcsum"),
    "--syncid": Option("syncid", True),
    "--sync-maxlen": Option("sync-maxlen", True),
    "--mcast-interface": Option("mcast-interface", True),
    "--mcast-group": Option("mcast-group", True),
    "--mcast-port": Option("mcast-port", True),
    "--mcast-ttl": Option("mcast-ttl", True),
}

#: The order in which ipvsadm checks options.
_ORDER = (
    "numeric", "connection", "service-address", "scheduler", "persistent", "netmask", "real-server",
    "forwarding-method", "weight", "u-threshold", "l-threshold", "mcast-interface", "timeout", "daemon", "stats",
    "rate", "thresholds", "persistent-conn", "nosort", "syncid", "exact", "ops", "pe", "sched-flags", "mcast-group",
    "mcast-port", "mcast-ttl", "sync-maxlen", "tun-info", "tun-type", "tun-port", "tun-nocsum", "tun-csum",
    "tun-remcsum",
)  # fmt: skip
_SERVICE = frozenset(("service-address", "scheduler", "persistent", "netmask", "ops", "pe", "sched-flags"))
_SERVER = frozenset((
    "service-address", "real-server", "forwarding-method", "weight", "u-threshold", "l-threshold", "tun-type",
    "tun-port", "tun-nocsum", "tun-csum", "tun-remcsum",
))  # fmt: skip
_LIST = frozenset((
    "numeric", "connection", "service-address", "timeout", "daemon", "stats", "rate", "thresholds",
    "persistent-conn", "nosort", "syncid", "exact", "tun-info",
))  # fmt: skip
ALLOWED: Mapping[str, frozenset[str]] = {
    "add-service": _SERVICE,
    "edit-service": _SERVICE,
    "delete-service": frozenset(("service-address",)),
    "flush": frozenset(),
    "list": _LIST,
    "add-server": _SERVER,
    "edit-server": _SERVER,
    "delete-server": frozenset(("service-address", "real-server")),
    "set": frozenset(),
    "start-daemon": frozenset(("mcast-interface", "syncid", "mcast-group", "mcast-port", "mcast-ttl", "sync-maxlen")),
    "stop-daemon": frozenset(("syncid",)),
    "restore": frozenset(),
    "save": frozenset(("numeric",)),
    "zero": frozenset(("service-address",)),
}
REQUIRED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("add-service", "edit-service", "delete-service"), ("service-address",)),
    **dict.fromkeys(("add-server", "edit-server", "delete-server"), ("service-address", "real-server")),
}
_ONE_OF = ("connection", "service-address", "timeout", "daemon")


def check(command: str, given: set[str]) -> None:
    """Raise `IpvsadmError` when a command misses an option or was given one that it does not take."""
    required = REQUIRED.get(command, ())
    if command != "list" and given <= ALLOWED[command] and given.issuperset(required):
        return
    chosen = ""
    for option in _ORDER:
        if option not in given:
            if option in required:
                raise IpvsadmError(f"You need to supply the '{option}' option for the '{command}' command")
        elif option not in ALLOWED[command]:
            raise IpvsadmError(f"Illegal '{option}' option with the '{command}' command", token=option)
        elif command == "list" and option in _ONE_OF:
            if chosen:
                raise IpvsadmError(
                    f"The option '{option}' conflicts with the '{chosen}' option in the 'list' command", token=option
                )
            chosen = option


def options(words: list[str]) -> Iterator[tuple[str, str | None]]:
    """The options of a command line as (spelling, argument); words that are no options come as ("", word).

    Raises `IpvsadmError` for unknown spellings and missing arguments.
    """
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            yield from (("", each) for each in words[position:])
            return
        if not word.startswith("-") or word == "-":
            yield "", word
        elif word.startswith("--"):
            spelling, equals, value = word.partition("=")
            position, argument = _argument(words, position, spelling, value if equals else None, word)
            yield spelling, argument
        else:
            position = yield from _cluster(words, position, word)


def _cluster(words: list[str], position: int, word: str) -> Generator[tuple[str, str | None], None, int]:
    """Short options may stand together: -Ln, -p30, -p=30."""
    at = 1
    while at < len(word):
        spelling = f"-{word[at]}"
        at += 1
        known = OPTIONS.get(spelling)
        rest = word[at:].removeprefix("=")
        if known is not None and known.argument and rest:
            yield spelling, rest
            return position
        position, argument = _argument(words, position, spelling, None, word if at > 2 else spelling)
        yield spelling, argument
    return position


def _argument(words: list[str], position: int, spelling: str, value: str | None, word: str) -> tuple[int, str | None]:
    known = OPTIONS.get(spelling)
    if known is None and spelling not in COMMANDS:
        raise IpvsadmError(f"{word}: unknown option", status=BAD_OPTION, token=word)
    if value is not None and (known is None or not known.argument):
        raise IpvsadmError(f"{word}: option does not take an argument", status=BAD_OPTION, token=word)
    if known is None or not known.argument or value is not None:
        return position, value
    following = words[position] if position < len(words) else None
    if known.argument == "maybe" and (following is None or following.startswith("-")):
        return position, None
    if following is None:
        raise IpvsadmError(f"{word}: missing argument", status=BAD_OPTION, token=spelling)
    return position + 1, following
