"""The stub resolver of a C library, sans-IO: which questions a look-up sends, and what it makes of the answers.

A look-up is a generator: it yields each `Exchange` (a message for one server) and is sent the response's bytes, None
when none came in time. Sources: resolv.conf(5), glibc resolv/res_query.c and res_send.c, musl lookup_name.c.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import attrs

from fakecluster.discovery import wire
from fakecluster.discovery.records import Answer, Record
from fakecluster.discovery.resolvconf import ResolvConf

#: resolv.conf(5): defaults of options timeout (seconds) and attempts, the highest ndots, aliases that are followed
TIMEOUT_S, ATTEMPTS, MAX_NDOTS, MAX_ALIASES = 5, 2, 15, 16


@attrs.frozen
class Exchange:
    """One message to one server; the answer is awaited for `timeout_s` seconds."""

    server: str
    message: bytes
    question: str
    type: str
    timeout_s: float
    tcp: bool = False


@attrs.frozen
class Lookup:
    """The end of a look-up: `status` NOERROR, NXDOMAIN, NODATA, SERVFAIL or TIMEOUT; `name` the one with answers."""

    status: str
    name: str = ""
    records: tuple[Record, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The IP addresses found, in the order in which the server gave them."""
        return tuple(record.data for record in self.records if record.type in ("A", "AAAA"))


Steps = Generator[Exchange, "bytes | None", Lookup]
#: makes message ids
NextId = Callable[[], int]


def candidates(name: str, conf: ResolvConf, flavour: str = "glibc") -> Iterator[str]:
    """The absolute names that are asked for, in order.

    glibc tries a name with at least ndots dots as it is first and the search list after it; musl then does not search.
    """
    if name.endswith("."):
        yield name
        return
    dotted = name.count(".") >= min(conf.option("ndots", 1), MAX_NDOTS)
    if dotted:
        yield f"{name}."
    if not dotted or flavour == "glibc":
        for domain in conf.searches:
            yield f"{name}.{domain.rstrip('.')}."
    if not dotted:
        yield f"{name}."


def lookup(
    name: str, conf: ResolvConf, next_id: NextId, *, types: tuple[str, ...] = ("A",), flavour: str = "glibc"
) -> Steps:
    """Look a name up as getaddrinfo does: each candidate for every type, until one has records.

    Raises ValueError for an unknown flavour (glibc, musl).
    """
    if flavour not in _STOPS:
        raise ValueError(f"unknown resolver {flavour!r}: glibc or musl")
    worst = Lookup("NXDOMAIN")
    for candidate in candidates(name, conf, flavour):
        found: list[Record] = []
        statuses: list[str] = []
        for rtype in types:
            status, records = yield from _ask(candidate, rtype, conf, next_id, flavour)
            found += records
            statuses.append(status)
        if found:
            return Lookup("NOERROR", candidate, tuple(found))
        status = max(statuses, key=_SEVERITY.index)
        if _SEVERITY.index(status) > _SEVERITY.index(worst.status):
            worst = Lookup(status, candidate)
        if status in _STOPS[flavour]:
            return Lookup(status, candidate)
    return worst


_SEVERITY = ("NXDOMAIN", "NODATA", "SERVFAIL", "TIMEOUT")
#: What ends the walk along the search list: glibc goes on after "no data" and SERVFAIL, musl does not.
_STOPS = {"glibc": ("TIMEOUT",), "musl": ("NODATA", "SERVFAIL", "TIMEOUT")}


def _ask(
    name: str, rtype: str, conf: ResolvConf, next_id: NextId, flavour: str
) -> Generator[Exchange, bytes | None, tuple[str, list[Record]]]:
    """One question to the servers in turn, `attempts` rounds; a truncated answer is asked for again over TCP."""
    timeout_s = float(conf.option("timeout", TIMEOUT_S))
    status = "TIMEOUT"
    for _ in range(conf.option("attempts", ATTEMPTS)):
        for server in conf.nameservers or ("127.0.0.1",):
            answer = yield from _exchange(server, name, rtype, timeout_s, next_id)
            if answer is None:
                continue
            if answer.rcode in ("NOERROR", "NXDOMAIN"):
                return _reading(answer, name, rtype)
            status = "SERVFAIL"  # SERVFAIL, REFUSED, NOTIMP...: the next server may know better
        if status == "SERVFAIL" and flavour == "musl":
            break
    return status, []


def _exchange(
    server: str, name: str, rtype: str, timeout_s: float, next_id: NextId
) -> Generator[Exchange, bytes | None, Answer | None]:
    message = wire.make_query(name, rtype, message_id=next_id())
    response = yield Exchange(server, message, name, rtype, timeout_s)
    answer = _parsed(response, message)
    if answer is not None and answer.truncated:
        response = yield Exchange(server, message, name, rtype, timeout_s, tcp=True)
        answer = _parsed(response, message)
    return answer


def _parsed(response: bytes | None, message: bytes) -> Answer | None:
    """The answer, None for silence, and for bytes that do not answer this message."""
    if response is None or response[:2] != message[:2]:
        return None
    try:
        return wire.parse_response(response)
    except ValueError:
        return None


def _reading(answer: Answer, name: str, rtype: str) -> tuple[str, list[Record]]:
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
    return ("NXDOMAIN" if answer.rcode == "NXDOMAIN" else "NODATA"), []
