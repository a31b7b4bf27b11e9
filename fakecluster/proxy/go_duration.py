"""Durations as Go writes them: ``1h2m3.5s``."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration_s(text: str) -> float:
    """Seconds of a Go duration such as ``1h2m3.5s``; raises ValueError in Go's words."""
    sign, digits = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if digits == "0":
        return 0.0
    parts = _DURATION.findall(digits)
    if not parts or "".join(number + unit for number, unit in parts) != digits:
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def duration_text(seconds: float) -> str:
    """A duration as Go prints it: ``1h2m3.5s``, ``200ms``, ``0s``."""
    sign, left = ("-", -seconds) if seconds < 0 else ("", seconds)
    for unit in ("s", "ms", "µs"):
        if left == 0 or left >= _UNIT_S[unit]:
            break
    else:
        unit = "ns"
    if unit != "s":
        return f"{sign}{round(left / _UNIT_S[unit], 6):g}{unit}"
    minutes, rest = divmod(left, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{round(rest, 9):g}s"
    return sign + (f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}" if minutes else text)
