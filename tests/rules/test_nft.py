"""nft's language: what is read prints as `nft list ruleset` prints it, and reads back as itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rules.recorded_nft import recorded_texts

from fakecluster.errors import CommandError, Unsupported
from fakecluster.kernel.netns import Netns
from fakecluster.rules.nft import NftError, parse, ruleset, tables
from fakecluster.sim import Seeded
from fakecluster.strategies import nft_rules


def listed(rule: str, *, declarations: str = "", family: str = "ip") -> str:
    """One rule as nft lists it."""
    chain = "chain c { type filter hook forward priority filter; policy accept"
    text = ruleset(tables(parse(f"table {family} t {{\n{declarations}\n{chain}\n{rule}\n}}\n}}\n")))
    return text.splitlines()[-3].strip()


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("tcp dport 80 counter accept", "tcp dport 80 counter packets 0 bytes 0 accept"),
        ("tcp dport http", "tcp dport 80"),
        ("ip saddr 10.0.0.0/8 drop", "ip saddr 10.0.0.0/8 drop"),
        ("ip saddr { 10.0.0.2, 10.0.0.1 }", "ip saddr { 10.0.0.1, 10.0.0.2 }"),
        ("tcp dport 1-1024", "tcp dport 1-1024"),
        ("meta mark 0x10", "meta mark 0x00000010"),
        ("meta mark set mark or 0x4000", "meta mark set meta mark | 0x00004000"),
        ("ct state established,related accept", "ct state established,related accept"),
        ("iifname eth0", 'iifname "eth0"'),
        ("ip protocol tcp", "ip protocol tcp"),
        ("reject", "reject"),
        ('log prefix "x: "', 'log prefix "x: "'),
        ("limit rate 10/second burst 5 packets", "limit rate 10/second"),
        ("numgen inc mod 2 vmap { 0 : accept, 1 : drop }", "numgen inc mod 2 vmap { 0 : accept, 1 : drop }"),
        ("jump d", "jump d"),
    ],
)
def test_a_rule_prints_as_nft_lists_it(written: str, printed: str) -> None:
    assert listed(written, declarations="chain d { }") == printed


def test_a_counter_in_a_set_update_shows_no_values() -> None:
    declared = "set seen { type ipv4_addr; flags dynamic; }"
    assert listed("update @seen { ip saddr counter }", declarations=declared) == "update @seen { ip saddr counter }"


@given(st.sampled_from((4, 6)).flatmap(nft_rules.files))
@settings(max_examples=60, deadline=None)
def test_what_is_printed_reads_back_as_itself(text: str) -> None:
    try:
        first = ruleset(tables(parse(text)))
    except NftError:
        return
    assert ruleset(tables(parse(first))) == first


def test_all_recorded_rule_sets_read_back_as_themselves() -> None:
    printed = 0
    for text in recorded_texts():
        first, second = (Netns("n", choices=Seeded(1)) for _ in range(2))
        try:
            first.run("nft -f -", text)
        except CommandError:  # a later part of something, or refused there too
            continue
        listing = first.run("nft list ruleset")
        second.run("nft -f -", listing)
        assert second.run("nft list ruleset") == listing
        printed += 1
    assert printed > 280


@pytest.mark.parametrize(
    ("rule", "words", "caret"),
    [
        ("tcp dport nosuch", "Could not resolve service", "nosuch"),
        ("tcp dport 99999", "Service out of range", "99999"),
        ("ip saddr 10.0.0.300", "Could not resolve hostname", "10.0.0.300"),
    ],
)
def test_a_wrong_rule_is_refused_with_nfts_words_and_a_caret(rule: str, words: str, caret: str) -> None:
    with pytest.raises(NftError) as refused:
        parse(f"add rule ip t c {rule}\n")
    lines = str(refused.value).splitlines()
    assert words in lines[0]
    begin = lines[1].index(caret)
    assert lines[2][begin : begin + len(caret)] == "^" * len(caret)


def test_a_rule_in_a_chain_ends_with_a_separator() -> None:
    with pytest.raises(NftError, match="unexpected '}', expecting newline or semicolon"):
        parse("table ip t {\nchain c { accept }\n}\n")


def test_families_that_are_not_modelled_say_so() -> None:
    with pytest.raises(Unsupported, match="bridge"):
        parse("add table bridge t\n")


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda data: data.decode("latin-1"))))
@settings(max_examples=200, deadline=None)
def test_garbage_is_refused_not_crashed_on(text: str) -> None:
    for garbage in (text, f"add rule ip t c {text}", f"table ip t {{\n{text}\n}}\n", f"add set ip t s {{ {text} }}"):
        try:
            parse(garbage)
        except (NftError, Unsupported):
            continue


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(NftError, match="memory exhausted"):
        parse("add rule ip t c meta mark " + "(" * 20_000 + "\n")


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("tcp dport 80 tcp sport 53", "tcp sport 53 tcp dport 80"),
        ("tcp sport 53 counter tcp dport 80", "tcp sport 53 tcp dport 80 counter packets 0 bytes 0"),
        ("tcp dport 80 counter tcp sport 53", "meta l4proto tcp counter packets 0 bytes 0 tcp sport 53 tcp dport 80"),
        ("ip protocol tcp counter ip ttl 64", "ip ttl 64 ip protocol tcp counter packets 0 bytes 0"),
        ("ip daddr 10.0.0.1 ip saddr 10.0.0.2", "ip daddr 10.0.0.1 ip saddr 10.0.0.2"),
    ],
)
def test_neighbouring_fields_are_compared_as_one(written: str, printed: str) -> None:
    assert listed(written) == printed


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("meta iiftype ether ip saddr 10.0.0.1", "ip saddr 10.0.0.1"),
        ("meta iiftype ether counter ip saddr 10.0.0.1", "meta iiftype ether counter packets 0 bytes 0 ip saddr 10.0.0.1"),
        ("meta iiftype ether tcp dport 80", "meta iiftype ether tcp dport 80"),
        ("meta iiftype ether dnat ip to 10.0.0.1", "meta iiftype ether dnat ip to 10.0.0.1"),
    ],
)
def test_a_link_type_goes_without_saying_before_a_network_header(written: str, printed: str) -> None:
    assert listed(written, family="inet") == printed


def test_a_network_header_needs_a_link_that_nft_knows() -> None:
    with pytest.raises(NftError, match=r"conflicting protocols specified: unknown vs\. ip"):
        listed("meta iiftype ppp ip saddr 10.0.0.1", family="inet")
