"""Messages: what a response keeps of its query, and what is left out when it does not fit."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest
from zone_objects import endpoint, endpoint_slice, exchange, server, service, summary

from fakecluster.discovery import wire
from fakecluster.discovery.records import Answer, Record
from fakecluster.discovery.server import DnsServer

NAME = "many.ns.svc.cluster.local."


def many(count: int) -> DnsServer:
    endpoints = (endpoint(f"10.244.{number >> 8}.{number & 255}") for number in range(1, count + 1))
    return server(service("many", "None"), endpoint_slice("many", *endpoints))


def test_a_small_answer_is_whole() -> None:
    assert summary(exchange(many(3), NAME, "A")) == {
        "rcode": "NOERROR",
        "flags": "QR AA RD",
        "answers": 3,
        "additional": 0,
    }


@pytest.mark.parametrize(
    ("options", "limit", "whole"),
    [
        ({}, 512, False),
        ({"payload": 512}, 512, False),
        ({"payload": 1232}, 1232, False),
        ({"payload": 8192}, 8192, True),
    ],
)
def test_udp_answers_fit_what_the_client_can_take(options: dict[str, int], limit: int, whole: bool) -> None:
    made = many(100)
    query = dns.message.make_query(NAME, "A", **options).to_wire()
    response = made.answer(query)
    assert response is not None
    message = dns.message.from_wire(response, raise_on_truncation=False)
    assert len(response) <= limit
    assert bool(message.flags & dns.flags.TC) is not whole
    assert (sum(len(rrset) for rrset in message.answer) == 100) is whole


def test_the_first_addresses_that_fit_are_kept() -> None:
    # 12 of header, 31 of question, 16 for each compressed address: 29 fit into 512
    message = exchange(many(100), NAME, "A")
    assert summary(message)["answers"] == (512 - 12 - 31) // 16 == 29


def test_tcp_answers_are_whole() -> None:
    assert summary(exchange(many(1000), NAME, "A", tcp=True))["answers"] == 1000


def test_additional_records_go_first() -> None:
    made = many(9)
    message = exchange(made, f"_http._tcp.{NAME}", "SRV", payload=700)
    assert summary(message)["additional"] == 0
    assert message.flags & dns.flags.TC
    assert summary(exchange(made, f"_http._tcp.{NAME}", "SRV", payload=4096))["additional"] == 9


def test_edns_is_answered_with_edns() -> None:
    message = exchange(many(1), NAME, "A", payload=1400, want_dnssec=True)
    assert (message.edns, message.payload, bool(message.ednsflags & dns.flags.DO)) == (0, 1400, True)
    assert exchange(many(1), NAME, "A").edns == -1


def test_an_unknown_version_of_edns_is_said_so() -> None:
    assert summary(exchange(many(1), NAME, "A", use_edns=1))["rcode"] == "BADVERS"


def test_flags_of_the_query_that_come_back() -> None:
    query = dns.message.make_query(NAME, "A")
    query.flags = dns.flags.CD | dns.flags.AD
    response = many(1).answer(query.to_wire())
    assert response is not None
    assert dns.flags.to_text(dns.message.from_wire(response).flags) == "QR AA CD"


def test_names_keep_the_spelling_of_the_question() -> None:
    message = exchange(many(1), "MaNy.ns.svc.cluster.local.", "A")
    assert message.question[0].name.to_text() == message.answer[0].name.to_text() == "MaNy.ns.svc.cluster.local."


def test_another_class_is_refused() -> None:
    assert summary(exchange(many(1), NAME, "A", rdclass="CH"))["rcode"] == "REFUSED"


def test_a_signed_query_is_read_although_the_key_is_not_known() -> None:
    import dns.tsigkeyring

    query = dns.message.make_query(NAME, "A")
    query.use_tsig(dns.tsigkeyring.from_text({"key.": "c2VjcmV0"}))
    response = many(1).answer(query.to_wire())
    assert response is not None
    assert response[3] & 15 == dns.rcode.NOERROR


def test_responses_are_read_back_as_answers() -> None:
    records = (Record("a.", 5, "CNAME", "b."), Record("b.", 6, "A", "192.0.2.1"), Record("b.", 6, "A", "192.0.2.2"))
    answer = Answer("NOERROR", records, recursion_available=True)
    query = wire.parse_query(wire.make_query("a.", "A", message_id=5))
    assert isinstance(query, wire.Query)
    assert wire.parse_response(wire.response(query, answer)) == answer


def test_records_stand_in_the_order_of_the_answer() -> None:
    addresses = [f"192.0.2.{number}" for number in (9, 1, 8, 2, 7, 3)]
    query = wire.parse_query(wire.make_query("a.", "A", message_id=5))
    assert isinstance(query, wire.Query)
    response = wire.response(query, Answer(answer=tuple(Record("a.", 5, "A", address) for address in addresses)))
    assert [record.data for record in wire.parse_response(response).answer] == addresses


def test_rubbish_is_no_response() -> None:
    with pytest.raises(ValueError, match="not a DNS message"):
        wire.parse_response(b"\0\1\2")
