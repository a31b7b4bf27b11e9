"""Names that a test declares: what a DNS server outside the cluster knows (RFC 1034 4.3.2, RFC 4592 for wildcards)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

import attrs

from fakecluster.discovery.records import Answer, Question, Record
from fakecluster.discovery.wire import rdata_of

TTL_S = 300
#: Aliases that are followed inside the zone before giving up.
MAX_ALIASES = 16
#: How long "there is no such name" may be remembered, seconds: the last field of the root's SOA.
DENIAL_TTL_S = 60
SOA = Record(".", DENIAL_TTL_S, "SOA", f"a.root-servers.net. nstld.verisign-grs.com. 1 1800 900 604800 {DENIAL_TTL_S}")


@attrs.define
class Zone:
    """Everything that the outside can resolve, as a mapping of names to records.

    `zone["example.com"] = "198.51.100.7"` declares an A (or AAAA) record; a list declares several; any other text is
    `TYPE DATA` (`"CNAME example.com."`, `"MX 10 mail.example.com."`). `*.example.com` answers for every name below
    that has no records of its own. Names not declared do not exist. Raises ValueError for what is no record.
    """

    ttl_s: int = TTL_S
    _records: dict[str, tuple[Record, ...]] = attrs.field(factory=dict)

    def __setitem__(self, name: str, records: str | Iterable[str]) -> None:
        texts = (records,) if isinstance(records, str) else tuple(records)
        key = _absolute(name)
        self._records[key] = tuple(_record(key, text, self.ttl_s) for text in texts)

    def add(self, name: str, record: str, *, ttl_s: int | None = None) -> None:
        """One more record of a name, with a time to live of its own."""
        key = _absolute(name)
        further = _record(key, record, self.ttl_s if ttl_s is None else ttl_s)
        self._records[key] = (*self._records.get(key, ()), further)

    def __getitem__(self, name: str) -> tuple[Record, ...]:
        return self._records[_absolute(name)]

    def __delitem__(self, name: str) -> None:
        del self._records[_absolute(name)]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _absolute(name) in self._records

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def answer(self, question: Question) -> Answer:
        """What a resolver that knows these names says."""
        found: list[Record] = []
        name = question.name
        for _ in range(MAX_ALIASES):
            records = self._at(name)
            if records is None:
                return _denial("NXDOMAIN", found)
            wanted = [record for record in records if record.type == question.type]
            if wanted:
                return Answer("NOERROR", (*found, *wanted), authoritative=False, recursion_available=True)
            alias = next((record for record in records if record.type == "CNAME"), None)
            if alias is None:
                return _denial("NOERROR", found)
            found.append(alias)
            name = alias.data
        return Answer("SERVFAIL", authoritative=False, recursion_available=True)

    def _at(self, name: str) -> list[Record] | None:
        """The records of a name, spelled as asked for; an empty list for a name that only has names below it."""
        key = name.lower()
        records = self._records.get(key)
        below = f".{key}"
        if records is None and any(other.endswith(below) for other in self._records):
            return []
        parent = key
        while records is None and "." in parent.rstrip("."):
            parent = parent.partition(".")[2]
            records = self._records.get(f"*.{parent}")
            if parent in self._records:
                break
        return None if records is None else [attrs.evolve(record, name=name) for record in records]

    def fork(self) -> Zone:
        return Zone(self.ttl_s, self._records.copy())


def _denial(rcode: str, found: list[Record]) -> Answer:
    return Answer(rcode, tuple(found), (SOA,), authoritative=False, recursion_available=True)


def _absolute(name: str) -> str:
    return name.lower().rstrip(".") + "."


def _record(name: str, text: str, ttl_s: int) -> Record:
    try:
        address = ip_address(text)
    except ValueError:
        rtype, _, data = text.partition(" ")
    else:
        rtype, data = ("A", text) if address.version == 4 else ("AAAA", text)
    try:
        rdata = rdata_of(rtype.upper(), data)
    except Exception as wrong:  # dnspython's own errors, and those of int() and the like inside it
        raise ValueError(f"{name} {text!r} is no DNS record: {wrong}") from None
    return Record(name, ttl_s, rtype.upper(), rdata.to_text())
