"""host[:port] as ipvsadm reads and writes it.

IPv4 addresses follow inet_aton(3): parts may be missing, octal or hexadecimal. Host names need a resolver: none here.
"""

from __future__ import annotations

import re
from functools import lru_cache

from fakecluster.rules.iptables.numbers import SERVICES, address_text, ipv6

U16 = 2**16 - 1
_PART = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*")
_NUMBER = re.compile(r"\s*\+?(\d+)")
_SERVICE_NAMES = {number: name for name, number in reversed(list(SERVICES.items()))}


def whole_number(text: str) -> int | None:
    """A decimal number, maybe with a plus sign before it; None when it is none."""
    found = _NUMBER.fullmatch(text)
    return int(found[1]) if found else None


def ipv4(text: str) -> int | None:
    """An IPv4 address in any notation of inet_aton(3); None when it is none."""
    parts = text.split(".")
    if len(parts) > 4 or not all(_PART.fullmatch(part) for part in parts):
        return None
    numbers = [int(part, 16) if part[:2] in ("0x", "0X") else int(part, 8 if part[0] == "0" else 10) for part in parts]
    *leading, last = numbers
    if any(number > 255 for number in leading) or last >= 1 << 8 * (5 - len(parts)):
        return None
    value = last
    for position, number in enumerate(leading):
        value |= number << 24 - 8 * position
    return value


@lru_cache(maxsize=65536)
def endpoint(text: str) -> tuple[int, int, int] | None:
    """Read host[:port] as (family, address, port), port 0 when there is none; None when it cannot be read."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        return _joined(6, ipv6(host), rest[1:] if rest else None)
    if text.count(":") > 1:
        return _joined(6, ipv6(text), None)
    host, colon, port = text.partition(":")
    return _joined(4, ipv4(host), port if colon else None)


def _joined(family: int, address: int | None, port: str | None) -> tuple[int, int, int] | None:
    number = 0
    if port is not None:
        found = whole_number(port)
        number = SERVICES.get(port, -1) if found is None else found
    return (family, address, number) if address is not None and 0 <= number <= U16 else None


def endpoint_text(family: int, address: int, port: int, *, numeric: bool = True) -> str:
    """host:port; without `numeric` well-known ports appear by name (addresses always as numbers)."""
    host = address_text(address, family)
    word = str(port) if numeric else _SERVICE_NAMES.get(port, str(port))
    return f"[{host}]:{word}" if family == 6 else f"{host}:{word}"
