"""The stub resolver of a C library, sans-IO: which questions a look-up sends, and what it makes of the answers.

A look-up is a generator: it yields the `Exchange`s that are sent together and is sent their responses' bytes, None for
each that did not come in time. Two manners are modelled:

- glibc (resolv/res_query.c, res_send.c): one server after the other, A and AAAA at once, `attempts` rounds; goes on
  with the search list after "no such name", "no data" and SERVFAIL, and leaves it for the name as it is after silence.
- musl (network/lookup_name.c, res_msend.c): all servers at once, the first good answer counts; only "no such name"
  lets it go on, and a name with enough dots is never searched for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence

import attrs

from fakecluster.discovery import wire
from fakecluster.discovery.records import Answer, Record
from fakecluster.discovery.resolvconf import MAX_NAMESERVERS, ResolvConf

#: resolv.conf(5): defaults of options timeout (seconds) and attempts, the highest ndots, aliases that are followed
TIMEOUT_S, ATTEMPTS, MAX_NDOTS, MAX_ALIASES = 5, 2, 15, 16
#: RES_MAXRETRANS, RES_MAXRETRY of glibc; the limits of musl's resolvconf.c
MAX_TIMEOUT_S = {"glibc": 30, "musl": 60}
MAX_ATTEMPTS = {"glibc": 5, "musl": 10}
#: The EDNS size that glibc offers with `options edns0` (RESOLV_EDNS_BUFFER_SIZE).
EDNS_SIZE = 1200
FLAVOURS = ("glibc", "musl")


@attrs.frozen
class Exchange:
    """One message to one server; the answer is awaited for `timeout_s` seconds.

    A `connected` socket learns of ICMP errors and stops waiting; glibc's are, musl's are not.
    """

    server: str
    message: bytes
    question: str
    type: str
    timeout_s: float
    tcp: bool = False
    connected: bool = True


@attrs.frozen
class Asked:
    """One query of a look-up and its answer (None: silence). `str()` is a line of what was asked and said."""

    name: str
    type: str
    server: str
    tcp: bool = False
    answer: Answer | None = None

    @property
    def status(self) -> str:
        """The response code, NODATA for no error without a record of the type, TRUNCATED, or TIMEOUT."""
        if self.answer is None:
            return "TIMEOUT"
        if self.answer.truncated:
            return "TRUNCATED"
        return reading(self.answer, self.name, self.type)[0]

    def __str__(self) -> str:
        found = ", ".join(f"{r.type} {r.data}" for r in self.answer.answer) if self.answer is not None else ""
        way = "tcp" if self.tcp else "udp"
        return f"{self.name} {self.type} @{self.server} {way}: {self.status}" + (f" ({found})" if found else "")


@attrs.frozen
class Lookup:
    """The end of a look-up: `status` NOERROR, NXDOMAIN, NODATA, SERVFAIL or TIMEOUT; `name` the one with answers.

    BADNAME is the status of a name that cannot be asked for: an empty label, one over 63 bytes, over 255 in all.
    `queries` are all that were asked on the way, in order.
    """

    status: str
    name: str = ""
    records: tuple[Record, ...] = ()
    queries: tuple[Asked, ...] = attrs.field(default=(), repr=False)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The IP addresses found, in the order in which the server gave them."""
        return tuple(record.data for record in self.records if record.type in ("A", "AAAA"))

    def __str__(self) -> str:
        end = ", ".join(record.data for record in self.records) if self.records else self.status
        return "\n".join([*map(str, self.queries), f"{self.name}: {end}" if self.name else end])


Responses = Sequence["bytes | None"]
Steps = Generator[tuple[Exchange, ...], Responses, Lookup]
#: makes message ids
NextId = Callable[[], int]
#: (status, records of the asked type) of one question
Reading = tuple[str, list[Record]]


def candidates(name: str, conf: ResolvConf, flavour: str = "glibc") -> Iterator[str]:
    """The absolute names that are asked for, in order, while none is found."""
    if name.endswith("."):
        yield name
        return
    dotted = is_dotted(name, conf)
    if dotted:
        yield f"{name}."
    if not dotted or flavour == "glibc":
        for domain in conf.searches:
            yield f"{name}.{domain.rstrip('.')}." if domain.rstrip(".") else f"{name}."
    if not dotted and not _keeps_short_names(name, conf, flavour):
        yield f"{name}."


def is_dotted(name: str, conf: ResolvConf) -> bool:
    """Whether a name has the dots (option ndots) to be asked for as it is at first."""
    return name.count(".") >= min(conf.option("ndots", 1), MAX_NDOTS)


def _keeps_short_names(name: str, conf: ResolvConf, flavour: str) -> bool:
    return flavour == "glibc" and "." not in name and "no-tld-query" in conf.options


def lookup(
    name: str,
    conf: ResolvConf,
    next_id: NextId,
    *,
    types: tuple[str, ...] = ("A",),
    flavour: str = "glibc",
    choose: Callable[[int], int] = lambda count: 0,
) -> Steps:
    """Look a name up as getaddrinfo does: each candidate for every type, until one has records.

    `choose` picks the first server under glibc's option rotate. Raises ValueError for an unknown flavour (glibc, musl)
    or record type.
    """
    if flavour not in FLAVOURS:
        raise ValueError(f"unknown resolver {flavour!r}: glibc or musl")
    if unknown := [rtype for rtype in types if not wire.is_type(rtype)]:
        raise ValueError(f"unknown record type {unknown[0]!r}")
    if flavour == "glibc" and "no-aaaa" in conf.options:
        types = tuple(rtype for rtype in types if rtype != "AAAA")
    servers = (conf.nameservers or ("127.0.0.1",))[:MAX_NAMESERVERS]
    if flavour == "glibc" and "rotate" in conf.options and len(servers) > 1:
        first = choose(len(servers))
        servers = servers[first:] + servers[:first]
    walk = Walk(conf, servers, next_id, flavour)
    return (yield from _WALKS[flavour](walk, name, types))


@attrs.define
class Walk:
    """What one look-up knows on its way: its settings, and every query so far."""

    conf: ResolvConf
    servers: tuple[str, ...]
    next_id: NextId
    flavour: str
    asked: list[Asked] = attrs.field(factory=list)

    @property
    def timeout_s(self) -> int:
        return min(self.conf.option("timeout", TIMEOUT_S), MAX_TIMEOUT_S[self.flavour])

    @property
    def attempts(self) -> int:
        return min(self.conf.option("attempts", ATTEMPTS), MAX_ATTEMPTS[self.flavour])

    def send(
        self, name: str, asks: Sequence[tuple[str, str]], timeout_s: float, *, tcp: bool = False
    ) -> Generator[tuple[Exchange, ...], Responses, list[Answer | None]]:
        """Ask (server, type)s at once; a truncated answer is asked for again over TCP."""
        glibc = self.flavour == "glibc"
        size = EDNS_SIZE if glibc and "edns0" in self.conf.options else None
        tcp = tcp or (glibc and "use-vc" in self.conf.options)
        exchanges = tuple(
            Exchange(
                server,
                wire.make_query(name, rtype, message_id=self.next_id(), edns_size=size),
                name,
                rtype,
                timeout_s,
                tcp,
                connected=glibc,
            )
            for server, rtype in asks
        )
        responses = yield exchanges
        answers = [parsed(data, one.message) for data, one in zip(responses, exchanges, strict=True)]
        self.asked += [
            Asked(name, one.type, one.server, tcp, answer) for one, answer in zip(exchanges, answers, strict=True)
        ]
        if not tcp:
            for place, answer in enumerate(answers):
                if answer is not None and answer.truncated:
                    (answers[place],) = yield from self.send(name, asks[place : place + 1], timeout_s, tcp=True)
        return answers

    def end(self, status: str, name: str = "", records: Sequence[Record] = ()) -> Lookup:
        return Lookup(status, name, tuple(records), tuple(self.asked))


Question = Generator[tuple[Exchange, ...], Responses, list[Reading]]


def _glibc(walk: Walk, name: str, types: tuple[str, ...]) -> Steps:
    first_as_is = not name.endswith(".") and is_dotted(name, walk.conf)
    statuses: list[str] = []
    silent = False
    for number, candidate in enumerate(candidates(name, walk.conf)):
        if (silent and candidate != f"{name}.") or not wire.is_name(candidate):
            continue
        found = yield from _ask_in_turn(walk, candidate, types)
        records = [record for _, some in found for record in some]
        if records:
            return walk.end("NOERROR", candidate, records)
        statuses.append(worst([status for status, _ in found]))
        silent = statuses[-1] == "TIMEOUT" and not (first_as_is and number == 0)
    if first_as_is and statuses and wire.is_name(f"{name}."):
        return walk.end(statuses[0], f"{name}.")
    for status in ("NODATA", "SERVFAIL"):
        if status in statuses:
            return walk.end(status)
    return walk.end(statuses[-1] if statuses else "BADNAME")


def _ask_in_turn(walk: Walk, name: str, types: tuple[str, ...]) -> Question:
    """glibc's res_send: each server in turn for what is not answered yet, and all of that `attempts` times."""
    found: dict[str, Reading] = dict.fromkeys(types, ("TIMEOUT", []))
    alone = bool({"single-request", "single-request-reopen"} & set(walk.conf.options))
    for _ in range(walk.attempts):
        for place, server in enumerate(walk.servers):
            missing = [rtype for rtype in types if found[rtype][0] in ("TIMEOUT", "SERVFAIL")]
            if not missing:
                break
            timeout_s = walk.timeout_s << place
            timeout_s = max(timeout_s // len(walk.servers) if place else timeout_s, 1)
            for group in [[rtype] for rtype in missing] if alone else [missing]:
                answers = yield from walk.send(name, [(server, rtype) for rtype in group], timeout_s)
                for rtype, answer in zip(group, answers, strict=True):
                    found[rtype] = read(answer, name, rtype, found[rtype])
    return [found[rtype] for rtype in types]


def _musl(walk: Walk, name: str, types: tuple[str, ...]) -> Steps:
    for candidate in candidates(name, walk.conf, "musl"):
        if not wire.is_name(candidate):
            continue
        found = yield from _ask_all(walk, candidate, types)
        records = [record for _, some in found for record in some]
        statuses = [status for status, _ in found]
        if records and not {"SERVFAIL", "TIMEOUT"} & set(statuses):
            return walk.end("NOERROR", candidate, records)
        if "NXDOMAIN" not in statuses or {"SERVFAIL", "TIMEOUT"} & set(statuses):
            return walk.end(worst(statuses), candidate)
    return walk.end("NXDOMAIN" if walk.asked else "BADNAME")


def _ask_all(walk: Walk, name: str, types: tuple[str, ...]) -> Question:
    """musl's res_msend: every server at once for what is not answered yet, `attempts` times within the time-out."""
    found: dict[str, Reading] = dict.fromkeys(types, ("TIMEOUT", []))
    attempts = max(walk.attempts, 1)
    for _ in range(attempts):
        missing = [rtype for rtype in types if found[rtype][0] in ("TIMEOUT", "SERVFAIL")]
        asks = [(server, rtype) for rtype in missing for server in walk.servers]
        again = 2 * len(types)  # failures of a server are asked again at once, so many times
        while asks:
            answers = yield from walk.send(name, asks, walk.timeout_s / attempts)
            failed = []
            for (server, rtype), answer in zip(asks, answers, strict=True):
                found[rtype] = read(answer, name, rtype, found[rtype])
                if found[rtype][0] == "SERVFAIL" and answer is not None and answer.rcode == "SERVFAIL" and again:
                    again -= 1
                    failed.append((server, rtype))
            asks = failed
    return [found[rtype] for rtype in types]


_WALKS = {"glibc": _glibc, "musl": _musl}
_SEVERITY = ("NOERROR", "NXDOMAIN", "NODATA", "SERVFAIL", "TIMEOUT")


def worst(statuses: Sequence[str]) -> str:
    return max(statuses, key=_SEVERITY.index, default="NXDOMAIN")


def parsed(response: bytes | None, message: bytes) -> Answer | None:
    """The answer, None for silence, and for bytes that do not answer this message."""
    if response is None or response[:2] != message[:2]:
        return None
    try:
        return wire.parse_response(response)
    except ValueError:
        return None


def read(answer: Answer | None, name: str, rtype: str, before: Reading) -> Reading:
    """What is known of a question after one more answer; a good one stays, silence changes nothing."""
    if answer is None or before[0] not in ("TIMEOUT", "SERVFAIL"):
        return before
    if answer.rcode not in ("NOERROR", "NXDOMAIN"):
        return "SERVFAIL", []  # SERVFAIL, REFUSED, NOTIMP...: the next server may know better
    return reading(answer, name, rtype)


def reading(answer: Answer, name: str, rtype: str) -> Reading:
    """The records of the asked type at the end of the chain of aliases."""
    owner = name.lower()
    for _ in range(MAX_ALIASES):
        records = [record for record in answer.answer if record.name.lower() == owner and record.type == rtype]
        if records:
            return "NOERROR", records
        alias = next((r.data for r in answer.answer if r.name.lower() == owner and r.type == "CNAME"), None)
        if alias is None:
            break
        owner = alias.lower()
    return ("NODATA" if answer.rcode == "NOERROR" else answer.rcode), []
