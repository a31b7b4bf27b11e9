from __future__ import annotations

import pytest

from fakecluster.api import names

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


@pytest.mark.parametrize("text", ["a", "9", "web-0", "a--b", "x" * 63])
def test_a_label_may_be(text: str) -> None:
    assert names.dns_label(text) == []


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a_b", "é", "a\n"])
def test_a_label_may_not_be(text: str) -> None:
    assert names.dns_label(text) == [LABEL]


def test_a_label_with_dots_is_told_about_the_dots_only() -> None:
    assert names.dns_label("a.b") == ["must not contain dots"]


def test_a_label_that_is_too_long_and_wrong_hears_both() -> None:
    assert names.dns_label("X" * 64) == ["must be no more than 63 characters", LABEL]


def test_lengths_count_bytes() -> None:
    assert names.length_of("é€") == 5
    assert names.label_value("é" * 32)[0] == "must be no more than 63 bytes"


def test_a_qualified_name_blames_the_part_that_is_wrong() -> None:
    assert names.qualified_name("example.com/name") == []
    assert names.qualified_name("/name") == ["prefix part must be non-empty"]
    assert names.qualified_name("x/" + "y" * 64) == ["name part must be no more than 63 bytes"]
    assert names.qualified_name("Bad/x")[0].startswith("prefix part a lowercase RFC 1123 subdomain")


def test_a_port_name_needs_a_letter() -> None:
    assert names.port_name("8080") == ["must contain at least one letter (a-z)"]
    assert names.port_name("a--b") == ["must not contain consecutive hyphens"]
    assert names.port_name("-a") == ["must not begin or end with a hyphen"]


def test_a_generated_names_prefix_may_end_with_a_hyphen() -> None:
    check = names.with_prefix(names.dns_label)
    assert check("web-", True) == []
    assert check("web-", False) == [LABEL]
    assert check("dot.", True) == [LABEL]


def test_config_keys_cannot_climb_directories() -> None:
    assert names.config_key("..data") == ["must not start with '..'"]
    assert names.config_key("..") == ["must not be '..'"]
    assert names.config_key("a.b_c-1") == []
