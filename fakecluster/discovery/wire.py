"""DNS messages on the wire, by dnspython: a question out of bytes, an answer into bytes.

Sizes and truncation follow CoreDNS' request.SizeAndDo and Scrub: UDP answers fit the client's EDNS size (512 without
one); what does not fit loses its additional section first, then answers from the end, and sets TC.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, cast

import attrs
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.OPT
import dns.renderer
import dns.rrset

from fakecluster.discovery.records import Answer, Question, Record

MIN_UDP_SIZE = 512
MAX_UDP_SIZE = 65535
EDNS_SIZE = 11
#: Rdata texts whose parsed form is kept: a large cluster asks the same names again and again.
RDATA_CACHE = 65536


@attrs.frozen
class Query:
    """A message that asks one question, and what its header said."""

    message: dns.message.Message
    question: Question


def parse_query(wire: bytes, *, source: str = "", tcp: bool = False) -> Query | bytes | None:
    """Read a query; the bytes of an error response when it deserves one; None for what is answered with silence.

    CoreDNS (by miekg/dns, acceptfunc.go) ignores responses and messages shorter than a header, answers NOTIMP to other
    operations than QUERY and NOTIFY, FORMERR to odd numbers of records and to what cannot be read, REFUSED to classes
    other than IN.
    """
    if len(wire) < 12 or wire[2] & 0x80:
        return None
    opcode = wire[2] >> 3 & 15
    if opcode not in (dns.opcode.QUERY, dns.opcode.NOTIFY):
        return error_response(wire, dns.rcode.NOTIMP)
    questions, answers, authorities, additional = struct.unpack_from("!HHHH", wire, 4)
    if questions != 1 or answers > 1 or authorities > 1 or additional > 2:
        return error_response(wire, dns.rcode.FORMERR)
    try:
        message = dns.message.from_wire(wire, keyring=cast(Any, False), ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return error_response(wire, dns.rcode.FORMERR)
    asked = message.question[0]
    if asked.rdclass != dns.rdataclass.IN:
        return error_response(wire, dns.rcode.REFUSED)
    text = asked.name.to_text()
    remember(text, asked.name)  # most answers are about that very name
    question = Question(text, dns.rdatatype.to_text(asked.rdtype), source, tcp)
    return Query(message, question)


def error_response(wire: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """A bare header that refuses: the query's id, QR, the code, and what miekg/dns leaves of the flags."""
    opcode = wire[2] & 0x78 if rcode != dns.rcode.FORMERR else 0
    flags = 0x8000 | (opcode | wire[2] & 3) << 8 | wire[3] & 0xB0 | int(rcode)
    return wire[:2] + flags.to_bytes(2) + bytes(8)


class CaseSensitive(dict[Any, int]):
    """Name compression that keeps each name's own spelling, as CoreDNS does (dnspython would fold the case)."""

    def get(self, name: dns.name.Name, default: Any = None) -> Any:
        return super().get(name.labels, default)

    def __setitem__(self, name: dns.name.Name, offset: int) -> None:
        super().__setitem__(name.labels, offset)


def response(query: Query, answer: Answer) -> bytes:
    """The bytes of `answer` to `query`, cut to what the client can take."""
    asked = query.message
    rcode, limit = dns.rcode.from_text(answer.rcode), MIN_UDP_SIZE
    opt = None
    if asked.edns >= 0:
        limit = max(asked.payload, MIN_UDP_SIZE)
        rcode = dns.rcode.BADVERS if asked.edns > 0 else rcode
        opt = _opt((asked.ednsflags & dns.flags.DO) | (int(rcode) >> 4) << 24, asked.payload)
    limit = MAX_UDP_SIZE if query.question.tcp else limit
    flags = dns.flags.QR | asked.flags & 0x7800 | int(rcode) & 15
    flags |= asked.flags & (dns.flags.RD | dns.flags.CD) if asked.opcode() == dns.opcode.QUERY else 0
    flags |= dns.flags.AA if answer.authoritative else 0
    flags |= dns.flags.RA if answer.recursion_available else 0
    flags |= dns.flags.TC if answer.truncated else 0
    try:
        return _render(query, answer, flags, opt, limit)
    except dns.exception.TooBig:
        return _render(query, answer, flags | dns.flags.TC, opt, limit, cut=True)


def _opt(flags: int, payload: int) -> dns.rrset.RRset:
    options = dns.rdtypes.ANY.OPT.OPT(payload, dns.rdatatype.OPT, ())
    opt = dns.rrset.from_rdata(dns.name.root, flags, options)
    opt.rdclass = dns.rdataclass.from_text(f"CLASS{payload}")
    return opt


def _render(
    query: Query, answer: Answer, flags: int, opt: dns.rrset.RRset | None, limit: int, *, cut: bool = False
) -> bytes:
    """The message within `limit` bytes, its records in order (dnspython would shuffle them).

    `cut` leaves out additional records and the answers that do not fit.
    """
    renderer: Any = dns.renderer.Renderer(query.message.id, flags, limit)
    renderer.compress = CaseSensitive()
    asked = query.message.question[0]
    renderer.add_question(asked.name, asked.rdtype, asked.rdclass)
    renderer.reserve(EDNS_SIZE if opt is not None else 0)
    try:
        for rrset in rrsets(answer.answer, single=cut):
            renderer.add_rrset(dns.renderer.ANSWER, rrset, want_shuffle=False)
    except dns.exception.TooBig:
        if not cut:
            raise
    if not cut:
        for section, records in (
            (dns.renderer.AUTHORITY, answer.authority),
            (dns.renderer.ADDITIONAL, answer.additional),
        ):
            for rrset in rrsets(records):
                renderer.add_rrset(section, rrset, want_shuffle=False)
    renderer.release_reserved()
    if opt is not None:
        renderer.add_opt(opt)
    renderer.write_header()
    return bytes(renderer.get_wire())


_rdata: dict[tuple[str, str], dns.rdata.Rdata] = {}
_names: dict[str, dns.name.Name] = {}


def rrsets(records: Sequence[Record], *, single: bool = False) -> list[dns.rrset.RRset]:
    """One set per run of records with the same owner and type (or per record), in order."""
    found: list[dns.rrset.RRset] = []
    last: tuple[str, str] | None = None
    for record in records:
        if single or (record.name, record.type) != last:
            last = (record.name, record.type)
            rdtype = dns.rdatatype.from_text(record.type)
            found.append(dns.rrset.RRset(name_of(record.name), dns.rdataclass.IN, rdtype))
            found[-1].ttl = record.ttl_s
        found[-1].add(rdata_of(record.type, record.data))
    return found


def name_of(text: str) -> dns.name.Name:
    name = _names.get(text)
    if name is None:
        name = dns.name.from_text(text)
        remember(text, name)
    return name


def remember(text: str, name: dns.name.Name) -> None:
    if len(_names) >= RDATA_CACHE:
        _names.clear()
    _names[text] = name


def rdata_of(rdtype: str, data: str) -> dns.rdata.Rdata:
    rdata = _rdata.get((rdtype, data))
    if rdata is None:
        if len(_rdata) >= RDATA_CACHE:
            _rdata.clear()
        number = dns.rdatatype.from_text(rdtype)
        rdata = dns.rdata.from_text(dns.rdataclass.IN, number, data, origin=dns.name.root, relativize=False)
        _rdata[rdtype, data] = rdata
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


def is_name(text: str) -> bool:
    """Whether text is a name that a message can hold."""
    try:
        name_of(text)
    except (dns.exception.DNSException, ValueError):
        return False
    return True


def is_type(text: str) -> bool:
    """Whether text names a record type."""
    try:
        dns.rdatatype.from_text(text)
    except (dns.exception.DNSException, ValueError):
        return False
    return True


def make_query(name: str, rdtype: str, *, message_id: int, edns_size: int | None = None) -> bytes:
    """The bytes of a plain recursive query."""
    message = dns.message.make_query(name, rdtype, use_edns=0 if edns_size else -1, payload=edns_size or MIN_UDP_SIZE)
    message.id = message_id
    return message.to_wire()
