"""The stub resolvers: which questions they send, in what order, how long they wait, and what they conclude."""

from __future__ import annotations

from collections.abc import Callable

import dns.flags
import dns.message
import pytest

from fakecluster.discovery.resolvconf import ResolvConf
from fakecluster.discovery.resolver import Exchange, Lookup, candidates, lookup

SEARCH = ("ns.svc.cluster.local", "svc.cluster.local", "cluster.local")
CLUSTER = ResolvConf(("10.96.0.10",), SEARCH, ("ndots:5",))
#: rcode, or an address, or `tc` for a truncated answer, or None for silence
Server = Callable[[Exchange], "str | None"]


def respond(exchange: Exchange, said: str | None) -> bytes | None:
    if said is None:
        return None
    response = dns.message.make_response(dns.message.from_wire(exchange.message))
    name = exchange.question
    if said == "tc":
        response.flags |= dns.flags.TC
    elif said.isupper() and "." not in said:
        response.set_rcode(dns.rcode.from_text(said)) if said != "NODATA" else None
    elif said.startswith("alias "):
        target = said.removeprefix("alias ")
        response.answer.append(dns.rrset.from_text(name, 5, "IN", "CNAME", target))
        response.answer.append(dns.rrset.from_text(target, 5, "IN", exchange.type, "192.0.2.9"))
    else:
        response.answer.append(dns.rrset.from_text(name, 5, "IN", exchange.type, said))
    return response.to_wire()


def run(name: str, conf: ResolvConf, server: Server, **options: object) -> tuple[Lookup, list[tuple[Exchange, ...]]]:
    """The end of a look-up and the rounds that it sent."""
    ids = iter(range(1, 1000))
    steps = lookup(name, conf, lambda: next(ids), **options)  # type: ignore[arg-type]
    rounds = [next(steps)]
    while True:
        try:
            rounds.append(steps.send([respond(one, server(one)) for one in rounds[-1]]))
        except StopIteration as end:
            return end.value, rounds


def knows(**names: str) -> Server:
    """A server of A records: `web_ns_svc_cluster_local="10.96.0.5"`; everything else does not exist."""
    table = {f"{name.replace('_', '.')}.": said for name, said in names.items()}
    return lambda one: table.get(one.question, "NXDOMAIN") if one.type == "A" else "NODATA"


# --- which names


@pytest.mark.parametrize(
    ("name", "flavour", "expected"),
    [
        ("web", "glibc", ["web.a.", "web.b.", "web."]),
        ("web", "musl", ["web.a.", "web.b.", "web."]),
        ("w.x", "glibc", ["w.x.a.", "w.x.b.", "w.x."]),
        ("w.x.y", "glibc", ["w.x.y.", "w.x.y.a.", "w.x.y.b."]),
        ("w.x.y", "musl", ["w.x.y."]),
        ("web.", "glibc", ["web."]),
        ("web.", "musl", ["web."]),
    ],
)
def test_the_search_list_is_walked_by_the_number_of_dots(name: str, flavour: str, expected: list[str]) -> None:
    conf = ResolvConf(("192.0.2.1",), ("a", "b"), ("ndots:2",))
    assert list(candidates(name, conf, flavour)) == expected


def test_ndots_is_one_by_default_and_fifteen_at_most() -> None:
    assert next(candidates("a.b", ResolvConf(searches=("s",)))) == "a.b."
    many = ".".join("a" * 16)
    assert next(candidates(many, ResolvConf(searches=("s",), options=("ndots:99",)))) == f"{many}."


def test_no_tld_query_keeps_single_words_from_being_asked_for_as_they_are() -> None:
    conf = ResolvConf(searches=("a",), options=("ndots:2", "no-tld-query"))
    assert list(candidates("web", conf)) == ["web.a."]
    assert list(candidates("web", conf, "musl")) == ["web.a.", "web."]


@pytest.mark.parametrize("flavour", ["glibc", "musl"])
def test_the_walk_ends_with_the_first_name_that_has_records(flavour: str) -> None:
    found, rounds = run("web.ns", CLUSTER, knows(web_ns_svc_cluster_local="10.96.0.5"), flavour=flavour)
    assert (found.status, found.name, found.addresses) == ("NOERROR", "web.ns.svc.cluster.local.", ("10.96.0.5",))
    assert [one.question for sent in rounds for one in sent] == [
        "web.ns.ns.svc.cluster.local.",
        "web.ns.svc.cluster.local.",
    ]


@pytest.mark.parametrize("flavour", ["glibc", "musl"])
def test_a_and_aaaa_are_asked_together(flavour: str) -> None:
    server = knows(web_ns_svc_cluster_local="10.96.0.5")
    found, rounds = run("web", CLUSTER, server, types=("A", "AAAA"), flavour=flavour)
    assert [[one.type for one in sent] for sent in rounds] == [["A", "AAAA"]]
    assert found.addresses == ("10.96.0.5",)
    assert [(query.type, query.status) for query in found.queries] == [("A", "NOERROR"), ("AAAA", "NODATA")]


def test_single_request_asks_one_after_the_other() -> None:
    conf = ResolvConf(("10.96.0.10",), SEARCH, ("ndots:5", "single-request"))
    _, rounds = run("web", conf, knows(web_ns_svc_cluster_local="10.96.0.5"), types=("A", "AAAA"))
    assert [[one.type for one in sent] for sent in rounds] == [["A"], ["AAAA"]]


def test_no_aaaa_leaves_out_aaaa() -> None:
    conf = ResolvConf(("10.96.0.10",), (), ("no-aaaa",))
    found, _ = run("x.", conf, knows(x="192.0.2.1"), types=("A", "AAAA"))
    assert [query.type for query in found.queries] == ["A"]


# --- what the answers mean


@pytest.mark.parametrize(
    ("said", "flavour", "names", "status"),
    [
        ("NXDOMAIN", "glibc", 4, "NXDOMAIN"),
        ("NXDOMAIN", "musl", 4, "NXDOMAIN"),
        ("NODATA", "glibc", 4, "NODATA"),
        ("NODATA", "musl", 1, "NODATA"),
        ("SERVFAIL", "glibc", 4, "SERVFAIL"),
        ("SERVFAIL", "musl", 1, "SERVFAIL"),
        ("REFUSED", "glibc", 4, "SERVFAIL"),
        (None, "glibc", 2, "TIMEOUT"),  # after silence only the name as it is
        (None, "musl", 1, "TIMEOUT"),
    ],
)
def test_what_ends_the_walk(said: str | None, flavour: str, names: int, status: str) -> None:
    found, _ = run("web", CLUSTER, lambda one: said, flavour=flavour)
    assert found.status == status
    assert len({query.name for query in found.queries}) == names


def test_no_data_on_the_way_is_remembered_by_glibc() -> None:
    server: Server = lambda one: "NODATA" if one.question == "web.svc.cluster.local." else "NXDOMAIN"  # noqa: E731
    assert run("web", CLUSTER, server)[0].status == "NODATA"


def test_a_name_with_enough_dots_fails_as_it_did_as_it_is() -> None:
    conf = ResolvConf(("10.96.0.10",), ("a",), ("ndots:1",))
    server: Server = lambda one: "NODATA" if one.question == "w.x." else "NXDOMAIN"  # noqa: E731
    assert run("w.x", conf, server)[0].status == "NODATA"


def test_aliases_are_followed_inside_an_answer() -> None:
    found, _ = run("x.", CLUSTER, lambda one: "alias y.example.")
    assert found.addresses == ("192.0.2.9",)
    assert found.name == "x."


@pytest.mark.parametrize("flavour", ["glibc", "musl"])
def test_a_truncated_answer_is_asked_for_again_over_tcp(flavour: str) -> None:
    found, rounds = run("x.", CLUSTER, lambda one: "192.0.2.1" if one.tcp else "tc", flavour=flavour)
    assert [one.tcp for sent in rounds for one in sent] == [False, True]
    assert [query.status for query in found.queries] == ["TRUNCATED", "NOERROR"]
    assert found.addresses == ("192.0.2.1",)


def test_use_vc_asks_over_tcp_at_once() -> None:
    conf = ResolvConf(("10.96.0.10",), (), ("use-vc",))
    _, rounds = run("x.", conf, lambda one: "192.0.2.1")
    assert [one.tcp for sent in rounds for one in sent] == [True]


def test_edns0_offers_1200_bytes() -> None:
    _, rounds = run("x.", ResolvConf(("10.96.0.10",), (), ("edns0",)), lambda one: "192.0.2.1")
    assert dns.message.from_wire(rounds[0][0].message).payload == 1200
    _, rounds = run("x.", CLUSTER, lambda one: "192.0.2.1")
    assert dns.message.from_wire(rounds[0][0].message).edns == -1


# --- whom, how often, how long


def test_glibc_asks_the_servers_in_turn_and_all_of_them_twice() -> None:
    conf = ResolvConf(("192.0.2.1", "192.0.2.2", "192.0.2.3"))
    found, rounds = run("x.", conf, lambda one: None)
    assert [query.server for query in found.queries] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"] * 2
    assert [sent[0].timeout_s for sent in rounds] == [5, 3, 6] * 2  # resolv.conf(5): 5, 10/3, 20/3


def test_musl_asks_all_servers_at_once_and_takes_the_first_good_answer() -> None:
    conf = ResolvConf(("192.0.2.1", "192.0.2.2"))
    found, rounds = run("x.", conf, lambda one: "192.0.2.7" if one.server == "192.0.2.2" else None, flavour="musl")
    assert [[one.server for one in sent] for sent in rounds] == [["192.0.2.1", "192.0.2.2"]]
    assert found.addresses == ("192.0.2.7",)
    assert rounds[0][0].timeout_s == 2.5


def test_musl_asks_a_failing_server_again_at_once_twice_a_round() -> None:
    _, rounds = run("x.", ResolvConf(("192.0.2.1",)), lambda one: "SERVFAIL", flavour="musl")
    assert len(rounds) == 6


def test_a_server_that_fails_is_passed_over_for_the_next() -> None:
    conf = ResolvConf(("192.0.2.1", "192.0.2.2"))
    found, _ = run("x.", conf, lambda one: "SERVFAIL" if one.server == "192.0.2.1" else "192.0.2.7")
    assert [(query.server, query.status) for query in found.queries] == [
        ("192.0.2.1", "SERVFAIL"),
        ("192.0.2.2", "NOERROR"),
    ]


def test_only_what_was_not_answered_is_asked_for_again() -> None:
    def server(one: Exchange) -> str | None:
        return (
            None if one.type == "AAAA" and one.server == "192.0.2.1" else "192.0.2.7" if one.type == "A" else "NODATA"
        )

    _, rounds = run("x.", ResolvConf(("192.0.2.1", "192.0.2.2")), server, types=("A", "AAAA"))
    assert [[(one.server, one.type) for one in sent] for sent in rounds] == [
        [("192.0.2.1", "A"), ("192.0.2.1", "AAAA")],
        [("192.0.2.2", "AAAA")],
    ]


@pytest.mark.parametrize(
    ("option", "flavour", "rounds", "timeout_s"),
    [
        (("timeout:2", "attempts:3"), "glibc", 3, 2),
        (("timeout:99", "attempts:9"), "glibc", 5, 30),
        (("timeout:0",), "glibc", 2, 1),
        (("timeout:4", "attempts:4"), "musl", 4, 1),
        (("timeout:99", "attempts:99"), "musl", 10, 6),
    ],
)
def test_options_set_time_out_and_attempts_within_limits(
    option: tuple[str, ...], flavour: str, rounds: int, timeout_s: float
) -> None:
    _, sent = run("x.", ResolvConf(("192.0.2.1",), (), option), lambda one: None, flavour=flavour)
    assert (len(sent), sent[0][0].timeout_s) == (rounds, timeout_s)


def test_rotate_begins_with_any_server() -> None:
    conf = ResolvConf(("192.0.2.1", "192.0.2.2"), (), ("rotate", "attempts:1"))
    found, _ = run("x.", conf, lambda one: None, choose=lambda count: count - 1)
    assert [query.server for query in found.queries] == ["192.0.2.2", "192.0.2.1"]


def test_without_a_name_server_this_host_is_asked() -> None:
    _, rounds = run("x.", ResolvConf(), lambda one: "192.0.2.1")
    assert rounds[0][0].server == "127.0.0.1"


def test_answers_to_other_questions_are_disregarded() -> None:
    steps = lookup("x.", ResolvConf(("192.0.2.1",), (), ("attempts:1",)), lambda: 7)
    (sent,) = next(steps)
    answer = respond(sent, "192.0.2.1")
    assert answer is not None
    with pytest.raises(StopIteration) as end:
        steps.send([b"\x00\x08" + answer[2:]])
    assert end.value.value.status == "TIMEOUT"


def test_a_look_up_reads_as_a_list_of_queries() -> None:
    found, _ = run("web", CLUSTER, knows(web_svc_cluster_local="10.96.0.5"))
    assert str(found).splitlines() == [
        "web.ns.svc.cluster.local. A @10.96.0.10 udp: NXDOMAIN",
        "web.svc.cluster.local. A @10.96.0.10 udp: NOERROR (A 10.96.0.5)",
        "web.svc.cluster.local.: 10.96.0.5",
    ]


@pytest.mark.parametrize("flavour", ["glibc", "musl"])
def test_names_that_no_message_can_hold_are_not_asked_for(flavour: str) -> None:
    ids = iter(range(9))
    with pytest.raises(StopIteration) as end:
        next(lookup("a..b", CLUSTER, lambda: next(ids), flavour=flavour))
    assert (end.value.value.status, end.value.value.queries) == ("BADNAME", ())
    long = ".".join(["x" * 62] * 4)  # fits alone, but not with a search domain behind it
    found, _ = run(long, CLUSTER, lambda one: "192.0.2.1", flavour=flavour)
    assert [query.name for query in found.queries] == [f"{long}."]


def test_an_unknown_record_type_is_refused() -> None:
    with pytest.raises(ValueError, match="'BOGUS'"):
        run("web", CLUSTER, lambda one: None, types=("BOGUS",))


def test_an_unknown_flavour_is_refused() -> None:
    with pytest.raises(ValueError, match="glibc or musl"):
        run("web", CLUSTER, lambda one: None, flavour="bionic")
