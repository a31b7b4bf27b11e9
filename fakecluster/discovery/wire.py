"""DNS messages on the wire, by dnspython: a question out of bytes, an answer into bytes.

Sizes and truncation follow CoreDNS' request.SizeAndDo and Scrub: UDP answers fit the client's EDNS size (512 without
one); what does not fit loses its additional section first, then answers from the end, and sets TC.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from fakecluster.discovery.records import Answer, Question, Record

MIN_UDP_SIZE = 512
MAX_UDP_SIZE = 65535
#: Rdata texts whose parsed form is kept: a large cluster asks the same names again and again.
RDATA_CACHE = 65536


@attrs.frozen
class Query:
    """A message that asks one question, and what its header said."""

    message: dns.message.Message
    question: Question


def parse_query(wire: bytes, *, source: str = "", tcp: bool = False) -> Query | bytes | None:
    """Read a query; the bytes of an error response when it deserves one; None for what is answered with silence.

    CoreDNS (by miekg/dns) ignores responses and messages shorter than a header, and answers FORMERR to the rest that
    cannot be read, NOTIMP to other operations.
    """
    if len(wire) < 12 or wire[2] & 0x80:
        return None
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return error_response(wire, dns.rcode.FORMERR)
    if message.opcode() != dns.opcode.QUERY:
        return error_response(wire, dns.rcode.NOTIMP)
    if len(message.question) != 1 or message.question[0].rdclass != dns.rdataclass.IN:
        return error_response(wire, dns.rcode.FORMERR if len(message.question) != 1 else dns.rcode.REFUSED)
    asked = message.question[0]
    question = Question(asked.name.to_text(), dns.rdatatype.to_text(asked.rdtype), source, tcp)
    return Query(message, question)


def error_response(wire: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """A bare header that refuses: the query's id and opcode, QR, and the code."""
    flags = 0x8000 | (wire[2] & 0x79) << 8 | int(rcode)
    return wire[:2] + flags.to_bytes(2) + bytes(8)


def response(query: Query, answer: Answer) -> bytes:
    """The bytes of `answer` to `query`, cut to what the client can take."""
    message = dns.message.make_response(query.message, recursion_available=answer.recursion_available)
    message.set_rcode(dns.rcode.from_text(answer.rcode))
    if answer.authoritative:
        message.flags |= dns.flags.AA
    if answer.truncated:
        message.flags |= dns.flags.TC
    message.answer = rrsets(answer.answer)
    message.authority = rrsets(answer.authority)
    message.additional = rrsets(answer.additional)
    edns = query.message.edns
    limit = MAX_UDP_SIZE
    if edns >= 0:
        payload = query.message.payload
        message.use_edns(0, query.message.ednsflags & dns.flags.DO, payload)
        if edns > 0:
            message.set_rcode(dns.rcode.BADVERS)
        limit = max(payload, MIN_UDP_SIZE)
    elif not query.question.tcp:
        limit = MIN_UDP_SIZE
    return _fit(message, MAX_UDP_SIZE if query.question.tcp else limit)


def _fit(message: dns.message.Message, limit: int) -> bytes:
    wire = _to_wire(message)
    if len(wire) <= limit:
        return wire
    message.additional = []
    message.flags |= dns.flags.TC
    records = [(rrset.name, rrset.ttl, rdata) for rrset in message.answer for rdata in rrset]
    low, high = 0, len(records)
    while low < high:  # the most answers that fit
        middle = (low + high + 1) // 2
        message.answer = [dns.rrset.from_rdata(*record) for record in records[:middle]]
        low, high = (middle, high) if len(_to_wire(message)) <= limit else (low, middle - 1)
    message.answer = [dns.rrset.from_rdata(*record) for record in records[:low]]
    return _to_wire(message)


def _to_wire(message: dns.message.Message) -> bytes:
    return (
        message.to_wire(max_size=MAX_UDP_SIZE) if not message.answer or len(message.answer) < 500 else _large(message)
    )


def _large(message: dns.message.Message) -> bytes:
    try:
        return message.to_wire(max_size=MAX_UDP_SIZE)
    except dns.exception.TooBig:
        return bytes(MAX_UDP_SIZE + 1)


_rdata: dict[tuple[str, str], dns.rdata.Rdata] = {}
_names: dict[str, dns.name.Name] = {}


def rrsets(records: Sequence[Record]) -> list[dns.rrset.RRset]:
    """One set per run of records with the same owner and type, in order."""
    found: list[dns.rrset.RRset] = []
    last: tuple[str, str] | None = None
    for record in records:
        if (record.name, record.type) != last:
            last = (record.name, record.type)
            rdtype = dns.rdatatype.from_text(record.type)
            found.append(dns.rrset.RRset(name_of(record.name), dns.rdataclass.IN, rdtype))
            found[-1].ttl = record.ttl_s
        found[-1].add(rdata_of(record.type, record.data))
    return found


def name_of(text: str) -> dns.name.Name:
    name = _names.get(text)
    if name is None:
        if len(_names) >= RDATA_CACHE:
            _names.clear()
        name = _names[text] = dns.name.from_text(text)
    return name


def rdata_of(rdtype: str, data: str) -> dns.rdata.Rdata:
    rdata = _rdata.get((rdtype, data))
    if rdata is None:
        if len(_rdata) >= RDATA_CACHE:
            _rdata.clear()
        rdata = _rdata[rdtype, data] = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(rdtype), data)
    return rdata


def parse_response(wire: bytes) -> Answer:
    """Read an answer, as a resolver does. Raises ValueError when the bytes are none."""
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True, raise_on_truncation=False)
    except dns.exception.DNSException as wrong:
        raise ValueError(f"not a DNS message: {wrong}") from None
    return Answer(
        dns.rcode.to_text(message.rcode()),
        _records(message.answer),
        _records(message.authority),
        _records(message.additional),
        bool(message.flags & dns.flags.AA),
        bool(message.flags & dns.flags.TC),
        bool(message.flags & dns.flags.RA),
    )


def _records(section: Sequence[dns.rrset.RRset]) -> tuple[Record, ...]:
    return tuple(
        Record(rrset.name.to_text(), rrset.ttl, dns.rdatatype.to_text(rrset.rdtype), rdata.to_text())
        for rrset in section
        for rdata in rrset
    )


def make_query(name: str, rdtype: str, *, message_id: int, edns_size: int | None = None) -> bytes:
    """The bytes of a plain recursive query."""
    message = dns.message.make_query(name, rdtype, use_edns=0 if edns_size else -1, payload=edns_size or MIN_UDP_SIZE)
    message.id = message_id
    return message.to_wire()
