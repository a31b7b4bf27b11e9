"""Resource quantities ("500m", "1Gi"): parsed exactly, printed in the server's canonical form.

A quantity is a decimal number with a suffix: decimal SI (n u m, none, k M G T P E), binary SI (Ki Mi Gi Ti Pi Ei) or
an exponent (e3, E3). Finer than a nano is rounded up. The canonical form keeps the suffix family, has no fraction and
the largest suffix that allows it; a binary quantity below 1024 turns decimal.
Source: apimachinery pkg/api/resource.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from math import ceil

import attrs

#: What the real server answers to a text that is no quantity.
SYNTAX_ERROR = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
SUFFIX_ERROR = "unable to parse quantity's suffix"

_NUMBER = re.compile(r"([+-]?)(\d+(?:\.\d*)?|\.\d+)(.*)", re.DOTALL)
_EXPONENT = re.compile(r"[eE]([+-]?\d{1,3})")
#: decimal suffix -> power of ten
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
#: binary suffix -> power of two
BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_NAMES = {power: suffix for suffix, power in DECIMAL.items()}
_BINARY_NAMES = {power: suffix for suffix, power in BINARY.items()}
_NANO = 10**9
#: The server caps what is larger.
_MAX = 2**63 - 1
#: Digits beyond this cannot matter, but would cost time.
_MAX_TEXT = 256


@attrs.frozen
class Quantity:
    """An exact amount: `value` in units, `family` is "decimal", "binary" or "exponent" (how it is printed)."""

    value: Fraction
    family: str

    @property
    def milli(self) -> int:
        """The amount in thousandths, rounded up."""
        return ceil(self.value * 1000)

    def __str__(self) -> str:
        if self.value == 0:
            return "0"
        if self.family == "binary" and abs(self.value) >= 1024:
            return _binary_text(self.value)
        return _decimal_text(self.value, exponent=self.family == "exponent")


@lru_cache(maxsize=4096)
def parse_quantity(text: str) -> Quantity:
    """Read a quantity; raises ValueError with the server's words when `text` is none."""
    match = _NUMBER.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None:
        raise ValueError(SYNTAX_ERROR)
    sign, digits, suffix = match.groups()
    number = Fraction(f"{sign}{digits}" if not digits.endswith(".") else f"{sign}{digits}0")
    if suffix in DECIMAL:
        return _rounded(number * Fraction(10) ** DECIMAL[suffix], "decimal")
    if suffix in BINARY:
        return _rounded(number * 2 ** BINARY[suffix], "binary")
    exponent = _EXPONENT.fullmatch(suffix)
    if exponent is None:
        raise ValueError(SUFFIX_ERROR if re.fullmatch(r"[a-zA-Z]*[-+]?\d*", suffix) else SYNTAX_ERROR)
    return _rounded(number * Fraction(10) ** int(exponent[1]), "exponent")


def _rounded(value: Fraction, family: str) -> Quantity:
    limit = Fraction(_MAX)
    nanos = max(-limit, min(limit, value)) * _NANO
    if nanos.denominator != 1:  # finer than a nano: away from zero
        nanos = Fraction(ceil(abs(nanos)) * (1 if nanos > 0 else -1))
    return Quantity(nanos / _NANO, family)


def canonical(text: object) -> str:
    """The server's own spelling of a quantity, as it is stored and answered."""
    return str(parse_quantity(str(text)))


def rounded_to_milli(text: str) -> str:
    """The same amount, rounded up to thousandths, as resource lists are kept."""
    quantity = parse_quantity(text)
    milli = quantity.value * 1000
    if milli.denominator == 1:
        return text
    up = Fraction(ceil(abs(milli)) * (1 if milli > 0 else -1), 1000)
    return str(Quantity(up, quantity.family))


def _decimal_text(value: Fraction, *, exponent: bool) -> str:
    power = 18
    while power > -9 and (value / Fraction(10) ** power).denominator != 1:
        power -= 3
    mantissa = value / Fraction(10) ** power
    if exponent:
        return f"{mantissa.numerator}e{power}" if power else str(mantissa.numerator)
    return f"{mantissa.numerator}{_DECIMAL_NAMES[power]}"


def _binary_text(value: Fraction) -> str:
    if value.denominator != 1:  # a fraction of a byte is printed in decimal
        return _decimal_text(value, exponent=False)
    power = 60
    while power > 0 and value.numerator % (1 << power):
        power -= 10
    return f"{value.numerator >> power}{_BINARY_NAMES.get(power, '')}"
