"""Names that a test declares for the outside."""

from __future__ import annotations

import pytest

from fakecluster.discovery.records import Question
from fakecluster.discovery.zone import Zone


def ask(zone: Zone, name: str, rtype: str = "A") -> tuple[str, list[str]]:
    answer = zone.answer(Question(name, rtype))
    return answer.rcode, [f"{record.name} {record.ttl_s} {record.type} {record.data}" for record in answer.answer]


def example() -> Zone:
    zone = Zone()
    zone["example.com"] = ["198.51.100.7", "2001:db8::7", "MX 10 mail.example.com"]
    zone["www.example.com"] = "CNAME example.com"
    zone["*.apps.example.com"] = "198.51.100.8"
    zone["own.apps.example.com"] = "TXT hello"
    return zone


@pytest.mark.parametrize(
    ("name", "rtype", "rcode", "records"),
    [
        ("example.com.", "A", "NOERROR", ["example.com. 300 A 198.51.100.7"]),
        ("Example.COM.", "AAAA", "NOERROR", ["Example.COM. 300 AAAA 2001:db8::7"]),
        ("example.com.", "MX", "NOERROR", ["example.com. 300 MX 10 mail.example.com."]),
        ("example.com.", "TXT", "NOERROR", []),
        ("com.", "A", "NOERROR", []),  # only names below it
        ("nope.example.com.", "A", "NXDOMAIN", []),
        ("x.apps.example.com.", "A", "NOERROR", ["x.apps.example.com. 300 A 198.51.100.8"]),
        ("y.x.apps.example.com.", "A", "NOERROR", ["y.x.apps.example.com. 300 A 198.51.100.8"]),
        ("own.apps.example.com.", "A", "NOERROR", []),  # a name of its own is not the wildcard's
        ("below.own.apps.example.com.", "A", "NXDOMAIN", []),
    ],
)
def test_a_zone_answers_what_was_declared(name: str, rtype: str, rcode: str, records: list[str]) -> None:
    assert ask(example(), name, rtype) == (rcode, records)


def test_aliases_are_followed_inside_the_zone() -> None:
    assert ask(example(), "www.example.com.") == (
        "NOERROR",
        ["www.example.com. 300 CNAME example.com.", "example.com. 300 A 198.51.100.7"],
    )
    zone = Zone()
    zone["a"], zone["b"] = "CNAME b", "CNAME a"
    assert ask(zone, "a.")[0] == "SERVFAIL"


def test_denials_come_with_an_soa() -> None:
    answer = example().answer(Question("nope.", "A"))
    assert [(record.name, record.type, record.ttl_s) for record in answer.authority] == [(".", "SOA", 60)]
    assert (answer.authoritative, answer.recursion_available) == (False, True)


def test_records_can_be_added_with_a_time_to_live_and_taken_away() -> None:
    zone = example()
    zone.add("example.com", "198.51.100.9", ttl_s=5)
    assert ask(zone, "example.com.")[1][1] == "example.com. 5 A 198.51.100.9"
    assert "example.com" in zone and len(zone["example.com"]) == 4
    del zone["example.com"]
    assert "example.com" not in zone
    assert sorted(zone) == ["*.apps.example.com.", "own.apps.example.com.", "www.example.com."]


def test_a_fork_has_names_of_its_own() -> None:
    zone = example()
    copy = zone.fork()
    copy["new.example.com"] = "192.0.2.1"
    assert len(copy) == len(zone) + 1


@pytest.mark.parametrize("text", ["", "nonsense", "A 1.2.3", "A", "BOGUS x", "MX mail", "SRV 1 2 3", "A 2001:db8::1"])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no DNS record"):
        Zone()["example.com"] = text
