"""Lines read by their shape mean what they mean word by word, and are wrong where they are wrong word by word."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from rules.recorded_nft import recorded_texts

from fakecluster.errors import Unsupported
from fakecluster.rules.nft import NftError, folding, parse
from fakecluster.rules.nft.objects import Command, Rule
from fakecluster.rules.nft.parser import word_by_word
from fakecluster.rules.nft.scope import Nothing
from fakecluster.strategies import nft_rules

_TOKEN = re.compile(r'"[^"]*"|[\w./:-]+|\S')
#: What a mutation puts in the place of a word.
_WORDS = (
    "80", "0", "65535", "65536", "99999", "10.0.0.1", "10.0.0.256", "010.1.1.1", "fd00::1", "fd00:::1", "1::2::3", "::",
    "0x10", "0x123456789", "4294967296", "one", "nowhere", "1abc", "@seen", "@hosts", '"vethA"', '"a name too long to be"',
    "{", "}", ",", "-", "/", "!=", "tcp", "udp", "accept", "comment", "7", "10.0.0.0/8", "80-90", "90-80", "drop", ";", "#",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _every_text_is_worthwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "WORTHWHILE", 0)


def outcome(text: str, *, short: bool) -> object:
    """All that a text's commands say, with the places that errors would point at; or what is wrong with it."""
    try:
        commands = parse(text, source="f") if short else word_by_word(text, Nothing(), "f", {})
    except (NftError, Unsupported) as error:
        return str(error)
    return [_told(command) for command in commands]


def _told(command: Command) -> tuple[object, ...]:
    place, body = command.place, command.body
    assert place is not None
    cursor, first, last = place.cursor.unfolded(place.first, place.last)
    told = (body.statements, body.comment) if isinstance(body, Rule) else body
    return (
        command.verb, command.noun, command.table, command.name, told, command.handle, command.position, command.index,
        cursor.span(first, last),
    )  # fmt: skip


def as_commands(text: str) -> Iterator[str]:
    """The lines of a file in the form of commands: its rules, and everything else at its head."""
    chain = ""
    table = text.split()[1:3]
    for line in text.split("\n")[1:]:
        words = line.split()
        if words[:1] == ["chain"]:
            chain = words[1]
            yield f"add chain {' '.join(table)} {chain}"
        elif words and words[0] not in ("}", "set", "map", "counter", "quota", "limit", "elements", "type") and chain:
            yield f"add rule {' '.join((*table, chain))} {line}"


def declared(text: str) -> str:
    """The sets and objects of a generated file, without its chains' rules."""
    lines = text.split("\n")
    first = next(index for index, line in enumerate(lines) if line.startswith("chain"))
    return "\n".join((*lines[:first], "chain one { }", "chain two { }", "}", ""))


def mutated(line: str, chance: random.Random) -> str:
    """The line with a word or two replaced, left out or doubled."""
    for _ in range(chance.randint(1, 2)):
        found = list(_TOKEN.finditer(line))
        if not found:
            return line
        word = chance.choice(found)
        how = chance.randint(0, 5)
        new = chance.choice(_WORDS) if how < 4 else "" if how == 4 else f"{word[0]} {word[0]}"
        line = line[: word.start()] + new + line[word.end() :]
    return line


@given(st.sampled_from((4, 6)).flatmap(nft_rules.files), st.integers(0, 1 << 30))
@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_generated_and_mutated_lines_mean_the_same_both_ways(text: str, seed: int) -> None:
    assert outcome(text, short=True) == outcome(text, short=False)
    head, chance = declared(text), random.Random(seed)
    lines = list(as_commands(text))
    for line in lines:
        assert outcome(head + line + "\n", short=True) == outcome(head + line + "\n", short=False)
    for line in lines:
        text = head + mutated(line, chance) + "\n"
        assert outcome(text, short=True) == outcome(text, short=False)


def test_recorded_texts_mean_the_same_both_ways() -> None:
    texts = recorded_texts()
    assert len(texts) > 20
    chance = random.Random(7)
    for text in chance.sample(texts, 60):
        assert outcome(text, short=True) == outcome(text, short=False)
        lines = text.split("\n")
        at = chance.randrange(len(lines))
        text = "\n".join((*lines[:at], mutated(lines[at], chance), *lines[at + 1 :]))
        assert outcome(text, short=True) == outcome(text, short=False)


@pytest.mark.parametrize(
    "line",
    [
        "add rule ip t c ip saddr 10.0.0.300 jump one",
        "add rule ip t c ip saddr 10.0.0.1 jump 1one",
        "add rule ip t c tcp dport 70000 accept",
        "add rule ip t 1c tcp dport 80 accept",
        "add rule ip t c tcp dport 80 accept accept",
        "add rule ip t c numgen random mod 0 vmap { 0 : goto one, 1 : goto two }",
        "add rule ip t c ip daddr @missing accept",
        "add rule ip t c ip daddr @ports accept",
        "add element ip t hosts { 10.0.0.1, 10.0.0.300 }",
        "add element ip t hosts { 10.0.0.0/8 }",
        "add element ip t hosts { 10.0.0.1 : drop }",
        "add element ip t missing { 10.0.0.1 }",
        "add element ip t hosts { }",
        "add chain ip t a b",
        "add chain inet t 9",
        "flush chain ip t",
    ],
)
def test_a_wrong_line_is_wrong_in_the_same_words(line: str) -> None:
    head = """table ip t {
        set hosts { type ipv4_addr; }
        set ports { type inet_service; }
        chain one { }
        chain two { }
    }
    add chain ip t c
    add rule ip t c ip saddr 10.0.0.1 jump one
    add rule ip t c tcp dport 80 accept
    add rule ip t c numgen random mod 2 vmap { 0 : goto one, 1 : goto two }
    add rule ip t c ip daddr @hosts accept
    """
    text = re.sub("^    ", "", head, flags=re.M) + line + "\n"
    wrong = outcome(text, short=True)
    assert isinstance(wrong, str) and "Error" in wrong
    assert wrong == outcome(text, short=False)
