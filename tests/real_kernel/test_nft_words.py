"""nft's own words: what it takes, refuses and lists, in three families, next to what the model does."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from nft_files import by_table, loaded, real, sorted_by_the_model, table
from real_node import why_not

from fakecluster.errors import CommandError

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"needs a network namespace of the real kernel: {REASON}")

FAMILIES = ("ip", "ip6", "inet")
#: Rules that both refuse, nft in other words: where it differs.
OTHER_WORDS = {
    "reads on to a syntax error before it looks at what words mean": (
        "ct packets original > 10 accept", "meta random < 0.5 accept", "ip saddr map { 10.0.0.1 : 1 }",
        "ip6 saddr map { 10.0.0.1 : 1 }", "ip6 saddr vmap { 10.0.0.1 : foo }",
    ),
    "underlines the statement without the verdict": (
        "add @seen { ip saddr ct count over 5 } drop", "add @seen { ip6 saddr ct count over 5 } drop",
    ),
    "asks whether something else was meant": (
        "ip saddr @absent accept", "ip6 saddr @absent accept", "jump absent", "add @absent { ip saddr }",
        "add @absent { ip6 saddr }", "counter name absent",
    ),
    "complains twice": ("ct original saddr 10.0.0.1 accept",),
    "asks a resolver": ("ip6 saddr 10.0.0.300 accept", "ip saddr 10.0.0.300 accept"),
}  # fmt: skip
#: Rules that nft refuses, or lists so that it cannot read its own listing; the model is kinder.
KINDER = frozenset(
    rule
    for rule in (
        "meta l4proto { tcp, udp } ct original proto-dst 80", "meta nfproto { ipv4, ipv6 } ip saddr 1.1.1.1",
        "meta nfproto { ipv4, ipv6 } ip6 saddr ::1", "meta nfproto { ipv6, ipv4 } ip saddr 1.1.1.1",
        "meta l4proto { tcp, udp } meta l4proto tcp reject with tcp reset",
    )
)  # fmt: skip
#: JSON that differs, with what nft writes.
OTHER_JSON = {
    "ct original saddr 10.0.0.1 accept": "nft tells `saddr` from `ip saddr`",
    "ct label 3 accept": "nft says `in`",
    "tcp dport { 1-5, 3-9 } accept": "nft makes one range of a set of one when it reads JSON",
}


@cache
def sorted_rules(family: str) -> tuple[list[str], dict[str, str], list[str]]:
    return sorted_by_the_model(family)


def whole(family: str, without: frozenset[str] = frozenset()) -> str:
    """All rules that both take, in one file."""
    taken = [rule for rule in sorted_rules(family)[0] if rule not in KINDER and rule not in without]
    return "".join(table(rule, family, f"t{number}") for number, rule in enumerate(taken))


@pytest.mark.parametrize("family", FAMILIES)
def test_rules_are_listed_as_nft_lists_them_and_nft_takes_the_listing(family: str) -> None:
    text = whole(family)
    assert text.count("chain c") > 150
    ours = loaded(text).run("nft list ruleset")
    every = ("", ("list", "ruleset"))
    said, listed, checked, _, _, again = real(
        [(text, ("-f", "-")), every, (ours, ("-c", "-f", "-")), ("", ("flush", "ruleset")), (ours, ("-f", "-")), every]
    )
    assert (said, checked) == ("", "")
    assert list(by_table(ours)) == list(by_table(listed))
    assert again.replace("dport 1-9 ", "dport { 1-9 } ") == listed  # a set of one range is a range


@pytest.mark.parametrize("family", FAMILIES)
def test_json_is_what_nft_lists_and_nft_reads_it(family: str) -> None:
    text = whole(family, frozenset(OTHER_JSON))
    netns = loaded(text)
    ours, every = netns.run("nft -j list ruleset"), ("", ("list", "ruleset"))
    _, listed, _, said, again = real(
        [(text, ("-f", "-")), ("", ("-j", "list", "ruleset")), ("", ("flush", "ruleset")), (ours, ("-j", "-f", "-")),
         every]
    )  # fmt: skip
    assert objects(ours) == objects(listed)
    assert said == ""
    assert without_dynamic(again) == without_dynamic(netns.run("nft list ruleset"))


def objects(document: str) -> list[Any]:
    """What a document lists, without handles; its first entry tells nft's version."""
    found: list[Any] = json.loads(document)["nftables"][1:]
    for entry in found:
        for body in entry.values():
            body.pop("handle", None)
    return found


def without_dynamic(listing: str) -> str:
    """nft's JSON does not say that a set is dynamic."""
    return listing.replace("flags dynamic,timeout", "flags timeout")


@pytest.mark.parametrize("family", FAMILIES)
def test_what_nft_refuses_is_refused_in_its_words(family: str) -> None:
    other = {rule for rules in OTHER_WORDS.values() for rule in rules}
    refused = sorted_rules(family)[1]
    theirs = dict(zip(refused, real([(table(rule, family), ("-f", "-")) for rule in refused]), strict=True))
    assert [rule for rule in refused if not theirs[rule]] == []
    assert len(refused.keys() - other) > 50
    assert {rule: words for rule, words in theirs.items() if rule not in other} == {
        rule: words for rule, words in refused.items() if rule not in other
    }


@pytest.mark.parametrize(
    "block",
    ["type ipv4_addr", "type ipv4_addr . inet_service", "type ipv4_addr; flags interval", "type ipv4_addr; timeout 5s",
     'type ipv4_addr; comment "x"', "type ipv4_addr; size 5", "type ipv4_addr; elements = { 10.0.0.1 }"],
)  # fmt: skip
def test_a_sets_properties_end_where_nft_wants_an_end(block: str) -> None:
    text = f"table ip t {{\n\tset s {{ {block} }}\n}}\n"
    try:
        loaded(text)
        ours = ""
    except CommandError as refused:
        ours = refused.stderr
    [theirs] = real([(text, ("-f", "-"))])
    assert theirs.startswith(ours)  # nft goes on to what else does not fit then
    assert bool(ours) == bool(theirs)
