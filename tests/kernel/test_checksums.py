"""The sums that packets carry, against values that their RFCs and others give."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fakecluster.kernel.checksums import checksum, checksum_change, crc32c


def test_the_words_of_rfc_1071_add_up_as_there() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


def test_crc32c_of_the_nine_digits_is_the_known_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_a_change_is_what_the_sum_of_words_differs_by(before: int, after: int) -> None:
    change = checksum_change(before, after)
    words = [(number >> 16) + (number & 0xFFFF) for number in (before, after)]
    assert (words[1] - words[0] - change) % 0xFFFF == 0
    assert (change == 0) == (before == after)
