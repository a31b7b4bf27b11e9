"""ipvsadm's language: virtual services, real servers and the commands about them, as text and as values.

    -A -t 10.96.0.10:53 -s rr
    -a -t 10.96.0.10:53 -r 10.244.0.7:53 -m -w 1

Source: ipvsadm(8) and the answers of ipvsadm 1.31.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import attrs

from fakecluster.errors import Unsupported
from fakecluster.rules.ipvsadm_endpoint import U16, endpoint, ipv4, whole_number
from fakecluster.rules.ipvsadm_options import (
    BAD_OPTION,
    COMMANDS,
    OPTIONS,
    TRY_HELP,
    IpvsadmError,
    check,
    options,
)

TCP, UDP, SCTP = 6, 17, 132
PROTOCOL_OPTIONS = {"-t": TCP, "--tcp-service": TCP, "-u": UDP, "--udp-service": UDP, "--sctp-service": SCTP}
METHODS = {
    "-m": "masquerade", "--masquerading": "masquerade", "-i": "tunnel", "--ipip": "tunnel", "-g": "route",
    "--gatewaying": "route",
}  # fmt: skip
TUNNELS = ("ipip", "gue", "gre")
#: Scheduler flags: name -> (the scheduler that it belongs to, "" for any; bit).
SCHEDULER_FLAGS = {
    "sh-fallback": ("sh", 1), "sh-port": ("sh", 2), "mh-fallback": ("mh", 1), "mh-port": ("mh", 2), "flag-1": ("", 1),
    "flag-2": ("", 2), "flag-3": ("", 4),
}  # fmt: skip
_NOT_MODELLED = {
    "start-daemon": "the connection synchronization", "stop-daemon": "the connection synchronization",
    "help": "the text",
}  # fmt: skip
DEFAULT_SCHEDULER = "wlc"
DEFAULT_PERSISTENCE_S = 360
#: Longest timeout that ipvsadm passes on (31 days), and how much of a scheduler's name.
MAX_TIMEOUT_S, SCHEDULER_LENGTH = 86400 * 31, 15
I32, U32 = 2**31 - 1, 2**32 - 1
FULL_MASK = {4: U32, 6: 128}
PROGRAM = "ipvsadm"


@attrs.frozen
class ServiceId:
    """Which virtual service: protocol, address and port, or a firewall mark (then the others are 0)."""

    family: int = 4
    protocol: int = 0
    address: int = 0
    port: int = 0
    mark: int = 0


@attrs.frozen
class ServiceOptions:
    """How a virtual service behaves.

    `persistence_s` 0 means not persistent; `netmask` is an IPv4 mask or an IPv6 prefix length; `flags` are the
    scheduler's three bits.
    """

    scheduler: str = DEFAULT_SCHEDULER
    persistence_s: int = 0
    netmask: int = U32
    one_packet: bool = False
    flags: int = 0
    engine: str = ""


@attrs.frozen
class Server:
    """A real server: `method` is masquerade, tunnel or route; thresholds 0 mean none."""

    family: int
    address: int
    port: int
    method: str = "route"
    weight: int = 1
    upper: int = 0
    lower: int = 0
    tunnel: str = "ipip"
    tunnel_port: int = 0
    tunnel_checksum: str = ""  # "", "csum" or "remcsum"


@attrs.frozen
class Command:
    """One command line; `verb` as in messages (add-service, list ...), `given` names the options present."""

    verb: str
    service: ServiceId | None = None
    options: ServiceOptions | None = None
    server: Server | None = None
    timeouts: tuple[int, int, int] = (0, 0, 0)
    given: frozenset[str] = frozenset()


def parse(words: Iterable[str]) -> Command:
    """Read the words after `ipvsadm`. Raises `IpvsadmError` in ipvsadm's words, or `Unsupported`."""
    words = list(words)
    if not words:
        return Command("list")
    verb, rest = _verb(words)
    if verb == "version":
        return Command(verb)
    reader = _Reader(verb)
    for spelling, value in options(rest):
        reader.option(spelling, value)
    reader.read_words()
    reader.read_scheduler_flags()
    check(verb, reader.given)
    return reader.command()


def parse_restore(text: str) -> Iterator[Command]:
    """The commands of a file for `ipvsadm -R`, one per line, lazily: what stands before a bad line is carried out.

    Raises `IpvsadmError` with the line's number.
    """
    for line, each in enumerate(text.split("\n"), 1):
        words = each.split()
        if words and words[0] == "ipvsadm":
            del words[0]
        if not words:
            continue
        try:
            command = parse(words)
            if command.verb in ("restore", "version"):
                raise IpvsadmError(TRY_HELP.format(PROGRAM), status=BAD_OPTION, token=words[0])
        except IpvsadmError as problem:
            problem.line = line
            raise
        except Unsupported as gap:
            raise Unsupported(gap.what, line=line, token=gap.token) from None
        yield command


def _verb(words: list[str]) -> tuple[str, list[str]]:
    """The command is the first option; short options may follow in the same word."""
    first = words[0]
    short = first[:2] if not first.startswith("--") else first
    verb = COMMANDS.get(short)
    if verb is None:
        raise IpvsadmError(TRY_HELP.format(PROGRAM), status=BAD_OPTION, token=first)
    if verb in _NOT_MODELLED:
        raise Unsupported(f"{_NOT_MODELLED[verb]} of ipvsadm {first}", token=first)
    rest = words[1:]
    if short != first:
        rest.insert(0, f"-{first[2:]}")
    return verb, rest


class _Reader:
    """Collects the options of one command line."""

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.given: set[str] = set()
        self.service: ServiceId | None = None
        self.server: dict[str, object] = {}
        self.scheduler = ""
        self.flag_names: list[str] = []
        self.flags = 0
        self.words: list[str] = []
        self.persistence_s = 0
        self.mask: int | None = None
        self.engine = ""
        self.timeouts = (0, 0, 0)

    def read_words(self) -> None:
        """What is no option: the timeouts of --set, and nothing else."""
        words = self.words
        if self.verb == "set":
            if len(words) < 3:
                raise IpvsadmError("--set option requires 3 timeout values")
            tcp_s, tcp_fin_s, udp_s = (_timeout(word, lowest=0) for word in words[:3])
            self.timeouts, words = (tcp_s, tcp_fin_s, udp_s), words[3:]
        if words:
            raise IpvsadmError(f"unexpected argument {words[0]}", token=words[0])

    def read_scheduler_flags(self) -> None:
        """Flags belong to a scheduler, which may be named after them."""
        for name in self.flag_names:
            if name not in SCHEDULER_FLAGS:
                raise IpvsadmError(f"invalid scheduler flag `{name}'", token=name)
            owner, bit = SCHEDULER_FLAGS[name]
            if owner and owner != self.scheduler:
                raise IpvsadmError(f"incompatible scheduler flag `{name}'", token=name)
            self.flags |= bit

    def option(self, spelling: str, value: str | None) -> None:
        if not spelling:
            self.words.append(value or "")
            return
        if spelling in COMMANDS:
            raise IpvsadmError(f"invalid option `{spelling}'", token=spelling)
        name = OPTIONS[spelling].name
        if name == "ipv6":
            self._use_ipv6()
            return
        if name == "sort":
            return
        if name in self.given:
            raise IpvsadmError(f"multiple '{name}' options specified", token=spelling)
        self.given.add(name)
        if name == "service-address":
            self.service = _mark(value or "") if "f" in spelling[:3] else _virtual(PROTOCOL_OPTIONS[spelling], value)
        elif name == "forwarding-method":
            self.server["method"] = METHODS[spelling]
        elif name in _TUNNEL_CHECKSUM:
            self.server["tunnel_checksum"] = _TUNNEL_CHECKSUM[name]
        elif name in _VALUES:
            _VALUES[name](self, value or "")

    def _use_ipv6(self) -> None:
        if self.service is None or not self.service.mark:
            raise IpvsadmError("-6 used before -f\n", token="-6")
        self.service = attrs.evolve(self.service, family=6)

    # --- values

    def read_scheduler(self, value: str) -> None:
        self.scheduler = value[:SCHEDULER_LENGTH]

    def read_persistent(self, value: str) -> None:
        self.persistence_s = _timeout(value, lowest=1) if value else DEFAULT_PERSISTENCE_S

    def read_netmask(self, value: str) -> None:
        if self.service is not None and self.service.family == 6:
            self.mask = _number(value, 1, 128, "illegal ipv6 netmask specified")
            return
        self.mask = ipv4(value)
        if self.mask is None:
            raise IpvsadmError("illegal virtual server persistent mask specified", token=value)

    def read_server(self, value: str) -> None:
        found = endpoint(value)
        if found is None:
            raise IpvsadmError("illegal real server address[:port] specified", token=value)
        family, address, port = found
        if not port and self.service is not None:
            port = self.service.port
        self.server.update(family=family, address=address, port=port)

    def read_flags(self, value: str) -> None:
        self.flag_names = [name for name in value.split(",") if name]

    def read_engine(self, value: str) -> None:
        self.engine = value

    def read_tunnel(self, value: str) -> None:
        if value not in TUNNELS:
            raise IpvsadmError("illegal tunnel type specified", token=value)
        self.server["tunnel"] = value

    # --- the whole

    def command(self) -> Command:
        given = frozenset(self.given)
        chosen = self._options() if self.verb in ("add-service", "edit-service") else None
        server = self._server() if self.verb.endswith("-server") else None
        if self.verb == "list" and "connection" in given and given & DETAILS:
            raise IpvsadmError("options conflicts in the list command")
        return Command(self.verb, self.service, chosen, server, self.timeouts, given)

    def _options(self) -> ServiceOptions:
        service = self.service
        assert service is not None
        scheduler = self.scheduler or DEFAULT_SCHEDULER
        if not service.mark and not service.port and not self.persistence_s:
            raise IpvsadmError("Zero port specified for non-persistent service")
        one_packet = "ops" in self.given
        if one_packet and not service.mark and service.protocol != UDP:
            raise IpvsadmError("One-Packet Scheduling is only for UDP virtual services")
        mask = self.mask if self.mask is not None else FULL_MASK[service.family]
        return ServiceOptions(scheduler, self.persistence_s, mask, one_packet, self.flags, self.engine)

    def _server(self) -> Server:
        service = self.service
        assert service is not None
        server = Server(**self.server)  # type: ignore[arg-type]
        if self.verb == "delete-server":
            return server
        if server.method != "masquerade" and not service.mark:
            # packets that are not translated keep their port, so that the server must listen on the service's
            server = attrs.evolve(server, port=service.port)
        if server.family != service.family and server.method != "tunnel":
            raise IpvsadmError("Different address family is allowed only for tunneling servers")
        tunnel = self.given & {"tun-type", "tun-port", "tun-nocsum", "tun-csum", "tun-remcsum"}
        if tunnel and server.method != "tunnel":
            raise IpvsadmError("Tunnel options conflict with forward method")
        if server.tunnel == "gue" and "tun-port" not in tunnel:
            raise IpvsadmError("You need to supply the 'tun-port' option for the 'gue' tunnel type")
        self._check_tunnel(server.tunnel)
        return server

    def _check_tunnel(self, tunnel: str) -> None:
        chosen = ""
        for option in ("tun-port", "tun-nocsum", "tun-csum", "tun-remcsum"):
            if option in self.given and option not in _TUNNEL_OPTIONS[tunnel]:
                raise IpvsadmError(f"Illegal '{option}' option with the '{tunnel}' tunnel type", token=option)
            if option in self.given and option in _TUNNEL_CHECKSUM:
                if chosen:
                    words = f"The option '{option}' conflicts with the '{chosen}' option in the '{tunnel}' tunnel type"
                    raise IpvsadmError(words, token=option)
                chosen = option


#: Options of `list` that do not go with -c.
DETAILS = frozenset(("stats", "rate", "thresholds", "exact", "nosort"))
_TUNNEL_CHECKSUM = {"tun-nocsum": "", "tun-csum": "csum", "tun-remcsum": "remcsum"}
_TUNNEL_OPTIONS = {
    "ipip": frozenset[str](),
    "gue": frozenset(("tun-port", "tun-nocsum", "tun-csum", "tun-remcsum")),
    "gre": frozenset(("tun-nocsum", "tun-csum")),
}


def _integer(field: str, lowest: int, highest: int, words: str) -> Callable[[_Reader, str], None]:
    def read(reader: _Reader, value: str) -> None:
        reader.server[field] = _number(value, lowest, highest, words)

    return read


_VALUES = {
    "scheduler": _Reader.read_scheduler,
    "persistent": _Reader.read_persistent,
    "netmask": _Reader.read_netmask,
    "real-server": _Reader.read_server,
    "sched-flags": _Reader.read_flags,
    "pe": _Reader.read_engine,
    "weight": _integer("weight", 0, I32, "illegal weight specified"),
    "u-threshold": _integer("upper", 0, I32, "illegal u_threshold specified"),
    "l-threshold": _integer("lower", 0, I32, "illegal l_threshold specified"),
    "tun-type": _Reader.read_tunnel,
    "tun-port": _integer("tunnel_port", 1, U16, "illegal tunnel port specified"),
}


def _number(text: str, lowest: int, highest: int, words: str) -> int:
    value = whole_number(text)
    if value is None or not lowest <= value <= highest:
        raise IpvsadmError(words, token=text)
    return value


def _timeout(text: str, *, lowest: int) -> int:
    return _number(text, lowest, MAX_TIMEOUT_S, f"invalid timeout value `{text}' specified")


def _mark(text: str) -> ServiceId:
    return ServiceId(mark=_number(text, 1, U32, f"invalid fwmark value `{text}' specified"))


def _virtual(protocol: int, text: str | None) -> ServiceId:
    found = endpoint(text or "")
    if found is None:
        raise IpvsadmError("illegal virtual server address[:port] specified", token=text or "")
    family, address, port = found
    return ServiceId(family, protocol, address, port)
