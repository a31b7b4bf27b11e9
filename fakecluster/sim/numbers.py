"""Numbers as people give them: what is no number, or none that a simulation can count with, is refused by name."""

from __future__ import annotations

from fractions import Fraction
from math import isfinite, isnan
from numbers import Real
from typing import TypeVar

Number = TypeVar("Number", bound=Fraction | float)


def finite(name: str, value: Number) -> Number:
    """The value. Raises TypeError for what is no number, ValueError for NaN and infinity."""
    _real(name, value)
    if not isfinite(value):
        raise ValueError(f"{name}={value}: expected a finite number")
    return value


def not_nan(name: str, value: Number) -> Number:
    """The value, which may be infinite. Raises TypeError for what is no number, ValueError for NaN."""
    _real(name, value)
    if isnan(value):
        raise ValueError(f"{name}={value}: expected a number")
    return value


def whole(name: str, value: float) -> int:
    """The value as an integer. Raises TypeError for what is no number, ValueError for one with a fraction."""
    number = finite(name, value)
    if number != int(number):
        raise ValueError(f"{name}={value}: expected a whole number")
    return int(number)


def _real(name: str, value: object) -> None:
    if not isinstance(value, Real):
        raise TypeError(f"{name}={value!r}: expected a number, not {type(value).__name__}")
