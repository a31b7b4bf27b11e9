"""Priorities by name, and how nft writes a number near one of them. Source: nft(8), "CHAINS"."""

from __future__ import annotations

NAMED = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
#: How far from a named priority nft still writes "name + offset".
_REACH = 10
_ONLY_ON = {"dstnat": "prerouting", "srcnat": "postrouting"}


def show(priority: int, hook: str) -> str:
    """``filter``, ``dstnat - 10`` or a plain number."""
    for name, number in NAMED.items():
        offset = priority - number
        if abs(offset) > _REACH or _ONLY_ON.get(name, hook) != hook:
            continue
        if not offset:
            return name
        return f"{name} {'+' if offset > 0 else '-'} {abs(offset)}"
    return str(priority)
