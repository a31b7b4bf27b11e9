from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakecluster.api.kinds_workload.quantity import canonical, parse_quantity


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1.5Gi", "1536Mi"),
        ("1024Mi", "1Gi"),
        ("512", "512"),
        ("1e3", "1e3"),
        ("0.1Ki", "102400m"),
        ("100k", "100k"),
        ("2000000", "2M"),
        ("0", "0"),
        ("-500m", "-500m"),
        ("1000Ki", "1000Ki"),
        ("1023", "1023"),
        (".5", "500m"),
        ("5.", "5"),
    ],
)
def test_a_quantity_has_one_canonical_spelling(text: str, wanted: str) -> None:
    assert canonical(text) == wanted


@pytest.mark.parametrize("text", ["", "x", "1x", "1 Gi", "--1", "1.2.3", "1Gi ", "\x00"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantit"):
        parse_quantity(text)


def test_finer_than_a_nano_is_rounded_up() -> None:
    assert canonical("0.1n") == "1n"
    assert parse_quantity("0.00000000001").value == Fraction(1, 10**9)


def test_what_is_larger_than_64_bits_is_capped() -> None:
    assert canonical("1e300") == "9223372036854775807"
    assert canonical("-9999999999999999999") == "-9223372036854775807"


@given(st.integers(-(10**15), 10**15), st.sampled_from(["", "m", "k", "M", "Ki", "Mi", "Gi", "e3"]))
def test_the_canonical_spelling_means_the_same_and_stays(number: int, suffix: str) -> None:
    quantity = parse_quantity(f"{number}{suffix}")
    again = parse_quantity(str(quantity))
    assert again.value == quantity.value
    assert str(again) == str(quantity)
