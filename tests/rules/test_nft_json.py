"""nft's JSON: what `nft -j list` prints (compared with nft 1.0.6), and that it reads back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.kernel_node import router

from fakecluster.errors import CommandError, Unsupported
from fakecluster.rules.nft import NftError, parse, ruleset, tables
from fakecluster.rules.nft.json_listing import listing
from fakecluster.rules.nft.json_reading import as_text, commands
from fakecluster.strategies import nft_rules

WHOLE = frozenset(("ruleset",))


def rule_json(text: str, *, declarations: str = "") -> list[Any]:
    """The `expr` of one rule."""
    chain = "chain c { type nat hook prerouting priority dstnat; policy accept"
    views = tables(parse(f"table ip t {{\n{declarations}\nchain d {{ }}\n{chain}\n{text}\n}}\n}}\n"))
    found: list[Any] = json.loads(listing(views, nouns=WHOLE))["nftables"][-1]["rule"]["expr"]
    return found


DADDR = {"payload": {"protocol": "ip", "field": "daddr"}}
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ip daddr 10.0.0.1", [{"match": {"op": "==", "left": DADDR, "right": "10.0.0.1"}}]),
        ("tcp dport 80 dnat to 10.0.0.2:8080",
         [{"match": {"op": "==", "left": DPORT, "right": 80}}, {"dnat": {"addr": "10.0.0.2", "port": 8080}}]),
        ("ip daddr != 10.0.0.0/8 jump d",
         [{"match": {"op": "!=", "left": DADDR, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}},
          {"jump": {"target": "d"}}]),
        ("ct state established,related accept",
         [{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}},
          {"accept": None}]),
        ("meta mark set mark or 0x10",
         [{"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"|": [{"meta": {"key": "mark"}}, 16]}}}]),
        ("tcp dport { 1-3, 80 } continue",
         [{"match": {"op": "==", "left": DPORT, "right": {"set": [{"range": [1, 3]}, 80]}}}, {"continue": None}]),
        ("ip daddr . tcp dport vmap { 10.0.0.1 . 80 : goto d }",
         [{"vmap": {"key": {"concat": [DADDR, DPORT]},
                    "data": {"set": [[{"concat": ["10.0.0.1", 80]}, {"goto": {"target": "d"}}]]}}}]),
        ("numgen random mod 2 vmap { 0 : accept, 1 : drop }",
         [{"vmap": {"key": {"numgen": {"mode": "random", "mod": 2, "offset": 0}},
                    "data": {"set": [[0, {"accept": None}], [1, {"drop": None}]]}}}]),
        ("fib saddr . iif oif missing drop",
         [{"match": {"op": "==", "left": {"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, "right": False}},
          {"drop": None}]),
        ("limit rate over 10/second", [{"limit": {"rate": 10, "burst": 5, "per": "second", "inv": True}}]),
        ("counter", [{"counter": {"packets": 0, "bytes": 0}}]),
        ('log prefix "x: " group 3', [{"log": {"prefix": "x: ", "group": 3}}]),
    ],
)  # fmt: skip
def test_a_rule_as_nft_lists_it(text: str, expected: list[Any]) -> None:
    assert rule_json(text) == expected


def test_a_namespace_lists_and_loads_json() -> None:
    netns = router()
    document = {
        "nftables": [
            {"add": {"table": {"family": "ip", "name": "t"}}},
            {"add": {"map": {"family": "ip", "table": "t", "name": "v", "type": "ipv4_addr", "map": "verdict",
                             "elem": [["10.0.0.1", {"goto": {"target": "c"}}]]}}},
            {"add": {"chain": {"family": "ip", "table": "t", "name": "c"}}},
            {"add": {"rule": {"family": "ip", "table": "t", "chain": "c", "comment": "why",
                              "expr": [{"match": {"op": "==", "left": DPORT, "right": 80}}, {"drop": None}]}}},
        ]
    }  # fmt: skip
    netns.run("nft -j -f -", json.dumps(document))
    assert netns.run("nft list ruleset") == (
        "table ip t {\n\tmap v {\n\t\ttype ipv4_addr : verdict\n\t\telements = { 10.0.0.1 : goto c }\n\t}\n\n"
        '\tchain c {\n\t\ttcp dport 80 drop comment "why"\n\t}\n}\n'
    )
    listed = json.loads(netns.run("nft -j list ruleset"))["nftables"]
    assert [next(iter(entry)) for entry in listed] == ["metainfo", "table", "map", "chain", "rule"]


@given(st.sampled_from((4, 6)).flatmap(nft_rules.files))
@settings(max_examples=50, deadline=None)
def test_what_is_listed_reads_back_as_itself(text: str) -> None:
    try:
        views = tables(parse(text))
    except NftError:
        return
    document = listing(views, nouns=WHOLE)
    again = tables(commands(document))
    assert ruleset(again) == ruleset(views).replace("\t\tflags dynamic,timeout\n", "")  # nft tells no more
    assert listing(again, nouns=WHOLE) == document


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"nftables": [5]}', '{"nftables": [{"add": {"rule": {}}}]}', '{"nftables": 1}']
)
def test_broken_documents_are_refused(text: str) -> None:
    with pytest.raises(NftError):
        as_text(text) and commands(text)


def test_an_unknown_noun_says_so() -> None:
    with pytest.raises(Unsupported, match="flowtable"):
        as_text('{"nftables": [{"add": {"flowtable": {}}}]}')


def test_a_failing_document_changes_nothing() -> None:
    netns = router()
    bad = {"nftables": [{"add": {"table": {"family": "ip", "name": "t"}}},
                        {"add": {"rule": {"family": "ip", "table": "t", "chain": "none",
                                          "expr": [{"drop": None}]}}}]}  # fmt: skip
    with pytest.raises(CommandError, match="No such file or directory"):
        netns.run("nft -j -f -", json.dumps(bad))
    assert netns.run("nft list ruleset") == ""
