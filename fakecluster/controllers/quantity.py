"""Resource quantities (`100m`, `2Gi`, `1e3`) as exact fractions."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

#: apimachinery pkg/api/resource/suffix.go
SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}


@lru_cache(maxsize=4096)
def quantity(text: str | int | float) -> Fraction:
    """The value of a quantity as the API server accepted it, such as ``"250m"`` or ``"1Gi"``."""
    text = str(text)
    for suffix in ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei", *"numkMGTPE"):
        if text.endswith(suffix):
            return Fraction(text[: -len(suffix)]) * SUFFIXES[suffix]
    return Fraction(text)
