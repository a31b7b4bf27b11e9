from __future__ import annotations

import pytest

from fakecluster.api.rest.go_json import SyntaxProblem, parse_json, parse_yaml


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "unexpected end of JSON input"),
        (b"{", "unexpected end of JSON input"),
        (b'{"a":', "unexpected end of JSON input"),
        (b'{"a": tru', "unexpected end of JSON input"),
        (b'"abc', "unexpected end of JSON input"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b"{a:1}", "invalid character 'a' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b":2}', "invalid character '\"' after object key:value pair"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"nope", "invalid character 'o' in literal null (expecting 'u')"),
        (b"hello", "invalid character 'h' looking for beginning of value"),
    ],
)
def test_broken_json_is_told_in_gos_words(text: bytes, words: str) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        parse_json(text)
    assert str(caught.value) == words


def test_repeated_keys_are_remembered_and_the_last_one_counts() -> None:
    value = parse_json(b'{"a": {"x": 1, "x": 2}, "b": 1}')
    assert value == {"a": {"x": 2}, "b": 1}
    assert value["a"].keys_twice == ("x",)
    assert not hasattr(value, "keys_twice")


def test_yaml_is_read_as_the_server_reads_it() -> None:
    text = b"a: 2026-01-01\nb: y\nc: yes\nd: 0o17\n1: x\ne: null\n"
    assert parse_yaml(text) == {"a": "2026-01-01", "b": True, "c": True, "d": "0o17", "1": "x", "e": None}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a: [b", "yaml: line 1: did not find expected ',' or ']'"),
        (b"[[" * 100_000, "yaml: exceeded max depth"),
        (b"- " * 100_000, "yaml: exceeded max depth"),
    ],
)
def test_broken_yaml_is_told_with_its_line(text: bytes, words: str) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        parse_yaml(text)
    assert str(caught.value) == words


def test_a_yaml_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(SyntaxProblem, match="excessive aliasing"):
        parse_yaml("\n".join(lines).encode())


def test_deep_json_is_refused() -> None:
    with pytest.raises(SyntaxProblem, match="exceeded max depth"):
        parse_json(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
