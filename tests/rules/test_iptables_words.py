"""Lines of rules into words, as iptables-restore takes them apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakecluster.rules.iptables.problem import RuleProblem
from fakecluster.rules.iptables.words import quote, split

LINES: dict[str, list[str]] = {
    "-A X\t-j  Y\n": ["-A", "X", "-j", "Y"],
    '--comment "a b" -j Y': ["--comment", "a b", "-j", "Y"],
    '--comment ""': ["--comment", ""],
    r'--comment "a \"b\" \\ c"': ["--comment", 'a "b" \\ c'],
    r'a\b "c"': [r"a\b", "c"],
    'before"inside"behind': ["beforeinside", "behind"],
    '"one""two"': ["one", "two"],
    '"not closed -j Y\n': ["not closed -j Y\n"],
    '-j Y "': ["-j", "Y", "\n"],
    '"ends in a backslash\\': ["ends in a backslash\\\n"],
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_has_these_words(line: str) -> None:
    assert split(line) == LINES[line]


def test_a_word_that_is_too_long_is_refused() -> None:
    assert split(f'"{"x" * 1023}"') == ["x" * 1023]
    with pytest.raises(RuleProblem, match="Parameter too long!"):
        split(f'"{"x" * 1024}"')


@given(st.lists(st.text(st.characters(exclude_characters="\0\n", codec="utf-8"), min_size=1, max_size=9)))
def test_what_is_quoted_is_read_back(words: list[str]) -> None:
    assert split(" ".join(f'"{quote(word)}"' if quote(word) == word else quote(word) for word in words)) == words
