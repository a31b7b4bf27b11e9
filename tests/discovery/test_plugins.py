"""The plugins around the zone: cache, hosts, rewrite, template, forward, loadbalance, autopath."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from zone_objects import ask, endpoint, endpoint_slice, namespace, pod, server, service

from fakecluster.discovery.chain import Upstreams, Waiting
from fakecluster.discovery.forward import server_address
from fakecluster.discovery.records import Answer, Question, Record
from fakecluster.discovery.server import DnsServer
from fakecluster.sim import Choices
from fakecluster.sim.choices import enumerate_outcomes

ZONE = "kubernetes cluster.local\n"


def counting(ttl_s: int = 60, rcode: str = "NOERROR") -> tuple[Callable[[Question], Answer], list[str]]:
    """An upstream that notes what it is asked; its addresses count the questions."""
    asked: list[str] = []

    def outside(question: Question) -> Answer:
        asked.append(question.name)
        if rcode != "NOERROR":
            soa = Record(".", ttl_s, "SOA", f"ns. admin. 1 2 3 4 {ttl_s}")
            return Answer(rcode, authority=(soa,) if rcode == "NXDOMAIN" else (), authoritative=False)
        return Answer(answer=(Record(question.name, ttl_s, "A", f"192.0.2.{len(asked)}"),), authoritative=False)

    return outside, asked


def corefile(*lines: str) -> str:
    return ".:53 {\n" + "".join(f"{line}\n" for line in lines) + "}\n"


# --- cache


def test_answers_are_kept_for_their_ttl_and_count_down() -> None:
    outside, asked = counting(ttl_s=60)
    made = server(corefile=corefile("cache", "forward . 192.0.2.9"), outside=outside)
    assert ask(made, "example.com") == ["A 192.0.2.1"]
    made.clock.advance(59)
    (record,) = made.resolve(Question("EXAMPLE.com.", "A")).answer
    assert (record.data, record.ttl_s, record.name) == ("192.0.2.1", 1, "EXAMPLE.com.")
    made.clock.advance(1)
    assert ask(made, "example.com") == ["A 192.0.2.2"]
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("option", "ttl_s", "kept_s"),
    [("30", 60, 30), ("30", 10, 10), ("3600", 1, 5), ("", 86400, 3600)],
)
def test_the_time_that_an_answer_is_kept_has_bounds(option: str, ttl_s: int, kept_s: int) -> None:
    outside, asked = counting(ttl_s)
    made = server(corefile=corefile(f"cache {option}", "forward . 192.0.2.9"), outside=outside)
    ask(made, "example.com")
    made.clock.advance(kept_s - 1)
    ask(made, "example.com")
    assert len(asked) == 1
    made.clock.advance(1)
    ask(made, "example.com")
    assert len(asked) == 2


@pytest.mark.parametrize(("rcode", "kept_s"), [("NXDOMAIN", 20), ("SERVFAIL", 5)])
def test_denials_and_failures_are_kept_too(rcode: str, kept_s: int) -> None:
    outside, asked = counting(20, rcode)
    made = server(corefile=corefile("cache", "forward . 192.0.2.9"), outside=outside)
    assert ask(made, "example.com") == [rcode]
    made.clock.advance(kept_s - 1)
    assert ask(made, "example.com") == [rcode]
    assert len(asked) == 1
    made.clock.advance(1)
    ask(made, "example.com")
    assert len(asked) == 2


def test_a_zone_can_be_left_out_of_the_cache() -> None:
    outside, asked = counting()
    lines = ("cache 30 {", "disable success example.com", "}", "forward . 192.0.2.9")
    made = server(corefile=corefile(*lines), outside=outside)
    for name in ("a.example.com", "a.example.com", "example.org", "example.org"):
        ask(made, name)
    assert Counter(asked) == {"a.example.com.": 2, "example.org.": 1}


def test_the_cluster_s_own_names_can_be_stale_in_a_cache() -> None:
    made = server(service("web", "10.96.0.5"), corefile=corefile("cache 30", ZONE))
    assert ask(made, "web.ns.svc.cluster.local") == ["A 10.96.0.5"]
    made.on_change(service("web", "10.96.0.5"), deleted=True)
    assert ask(made, "web.ns.svc.cluster.local") == ["A 10.96.0.5"]
    made.clock.advance(5)
    assert ask(made, "web.ns.svc.cluster.local") == ["NXDOMAIN"]


def test_a_fork_begins_with_the_cache_and_keeps_its_own() -> None:
    outside, asked = counting()
    made = server(corefile=corefile("cache", "forward . 192.0.2.9"), outside=outside)
    ask(made, "one.example")
    copy = made.fork(made.clock.fork(), made.choices.fork())
    for each in (copy, made):
        ask(each, "one.example")
        ask(each, "two.example")
    assert Counter(asked) == {"one.example.": 1, "two.example.": 2}


def test_another_corefile_empties_the_cache() -> None:
    outside, asked = counting()
    made = server(corefile=corefile("cache", "forward . 192.0.2.9"), outside=outside)
    ask(made, "example.com")
    made.configure(corefile("cache 60", "forward . 192.0.2.9"))
    ask(made, "example.com")
    assert len(asked) == 2


# --- hosts, rewrite, template


HOSTS = ("hosts {", "192.0.2.7 db.corp db", "2001:db8::7 db.corp", "{more}", "}", "forward . 192.0.2.9")


def hosts(more: str = "") -> DnsServer:
    outside, _ = counting()
    return server(corefile=corefile(*(line.replace("{more}", more) for line in HOSTS)), outside=outside)


def test_hosts_answers_for_the_names_that_it_lists() -> None:
    made = hosts("fallthrough")
    assert ask(made, "db.corp") == ["A 192.0.2.7"]
    assert ask(made, "DB", "A") == ["A 192.0.2.7"]
    assert ask(made, "db.corp", "AAAA") == ["AAAA 2001:db8::7"]
    assert ask(made, "7.2.0.192.in-addr.arpa", "PTR") == ["PTR db.", "PTR db.corp."]
    assert ask(made, "other.corp") == ["A 192.0.2.1"]


def test_hosts_fails_for_other_names_without_fallthrough() -> None:
    assert ask(hosts(), "other.corp") == ["SERVFAIL"]


def test_hosts_falls_through_for_chosen_zones_only() -> None:
    made = hosts("fallthrough corp")
    assert ask(made, "other.corp") == ["A 192.0.2.1"]
    assert ask(made, "other.example") == ["SERVFAIL"]


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        ("name old.example web.ns.svc.cluster.local", "old.example"),
        ("name exact old.example web.ns.svc.cluster.local", "OLD.example"),
        ("name suffix .example .ns.svc.cluster.local answer auto", "web.example"),
        ("name prefix old- web. answer auto", "old-ns.svc.cluster.local"),
        ("name substring .corp. .cluster. answer auto", "web.ns.svc.corp.local"),
        ("name regex (.*)[.]corp {1}.ns.svc.cluster.local answer auto", "web.corp"),
        ("stop name old.example web.ns.svc.cluster.local", "old.example"),
    ],
)
def test_rewrite_changes_the_name_and_puts_it_back(rule: str, asked: str) -> None:
    made = server(service("web", "10.96.0.5"), corefile=corefile(f"rewrite {rule}", ZONE))
    answer = made.resolve(Question(f"{asked}.", "A"))
    assert [(record.name, record.data) for record in answer.answer] == [(f"{asked}.", "10.96.0.5")]


def test_rewrite_can_change_the_type() -> None:
    made = server(service("web", "10.96.0.5"), corefile=corefile("rewrite type ANY A", ZONE))
    assert ask(made, "web.ns.svc.cluster.local", "ANY") == ["A 10.96.0.5"]


def test_template_makes_answers_from_a_pattern() -> None:
    lines = (
        "template IN A nip.test {",
        r"match ^ip-(?P<a>\d+)-(?P<b>\d+)[.]nip[.]test[.]$",
        'answer "{{ .Name }} 60 IN A 10.0.{{ .Group.a }}.{{ .Group.b }}"',
        "fallthrough",
        "}",
        "forward . 192.0.2.9",
    )
    outside, _ = counting()
    made = server(corefile=corefile(*lines), outside=outside)
    assert ask(made, "ip-4-5.nip.test") == ["A 10.0.4.5"]
    assert ask(made, "x.nip.test") == ["A 192.0.2.1"]
    assert ask(made, "ip-4-5.nip.test", "AAAA") == ["A 192.0.2.2"]


def test_template_can_refuse() -> None:
    made = server(corefile=corefile("template ANY ANY bad.test {", "rcode NXDOMAIN", "}", ZONE))
    assert ask(made, "a.bad.test") == ["NXDOMAIN"]


# --- forward


def test_forward_waits_for_whom_it_asks() -> None:
    made = server(
        corefile=corefile("forward . 192.0.2.9 /etc/resolv.conf {", "policy sequential", "force_tcp", "}"), outside=None
    )
    with pytest.raises(Waiting) as waiting:
        made.resolve(Question("example.com.", "A"))
    assert waiting.value.upstreams == Upstreams(("192.0.2.9", "/etc/resolv.conf"), "sequential", "tcp")
    assert waiting.value.question.name == "example.com."


def test_forward_leaves_other_zones_and_exceptions_alone() -> None:
    outside, asked = counting()
    lines = ("forward example.com 192.0.2.9 {", "except a.example.com", "}")
    made = server(corefile=corefile(*lines), outside=outside)
    assert ask(made, "b.example.com") == ["A 192.0.2.1"]
    assert ask(made, "x.a.example.com") == ["SERVFAIL"]
    assert ask(made, "example.org") == ["SERVFAIL"]
    assert asked == ["b.example.com."]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("dns://192.0.2.1", ("192.0.2.1", 53)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
        ("name", None),
        ("192.0.2.1:x", None),
    ],
)
def test_upstreams_are_addresses(text: str, address: tuple[str, int] | None) -> None:
    assert server_address(text) == address


def test_the_block_with_the_longest_zone_answers() -> None:
    outside, _ = counting()
    text = corefile("forward . 192.0.2.9") + "corp.test {\nhosts {\n192.0.2.77 db.corp.test\n}\n}\n"
    made = server(corefile=text, outside=outside)
    assert ask(made, "db.corp.test") == ["A 192.0.2.77"]
    assert ask(made, "xcorp.test") == ["A 192.0.2.1"]


def test_what_no_block_serves_is_refused() -> None:
    assert ask(server(corefile="corp.test {\nhosts {\n}\n}\n"), "example.com") == ["REFUSED"]


# --- loadbalance, autopath


def test_every_address_is_equally_often_the_first() -> None:
    objects = service("hl", "None"), endpoint_slice("hl", *(endpoint(f"10.244.0.{n}") for n in (1, 2, 3)))
    made = server(*objects, corefile=corefile("loadbalance", ZONE))

    def first(choices: Choices) -> str:
        copy = made.fork(made.clock.fork(), choices)
        return copy.resolve(Question("hl.ns.svc.cluster.local.", "A")).answer[0].data

    seen = {outcome: str(probability) for probability, outcome, _ in enumerate_outcomes(first)}
    assert seen == {"10.244.0.1": "1/3", "10.244.0.2": "1/3", "10.244.0.3": "1/3"}


def test_autopath_walks_the_search_list_of_the_pod_that_asks() -> None:
    objects = namespace("ns"), pod("client", "10.244.0.7"), service("web", "10.96.0.5")
    text = corefile("autopath @kubernetes", "kubernetes cluster.local {", "pods verified", "}", "forward . 192.0.2.9")
    outside, _ = counting()
    made = server(*objects, corefile=text, outside=outside)
    asked = Question("example.com.ns.svc.cluster.local.", "A", source="10.244.0.7")
    assert [str(record) for record in made.resolve(asked).answer] == [
        "example.com.ns.svc.cluster.local. 60 CNAME example.com.",
        "example.com. 60 A 192.0.2.1",
    ]
    assert made.resolve(Question("example.com.ns.svc.cluster.local.", "A", source="10.244.0.8")).rcode == "NXDOMAIN"
