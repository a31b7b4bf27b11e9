"""What the nf_tables backend makes of port matches: it turns them into native comparisons and reads those back.

So several tcp (or udp) matches of a rule come back as one, an inverted range that begins at 0 as the range of the
other ports, and "not any port" as nothing: it is not compared at all. Source: nft.c (add_nft_tcpudp), nft-ruleparse.c
(nft_parse_transport_cmp/_range).
"""

from __future__ import annotations

from typing import Any

import attrs

from fakecluster.rules.iptables.match_transport import EVERY_PORT, PortsMatch, TcpMatch
from fakecluster.rules.iptables.numbers import U16
from fakecluster.rules.iptables.rule import Match, RuleParts

_DEFAULTS = {"tcp": TcpMatch(), "udp": PortsMatch()}


def as_read_back(parts: RuleParts) -> RuleParts:
    """The rule as iptables-nft reads it back from the kernel."""
    if not any(match.name in _DEFAULTS for match in parts.matches):
        return parts
    matches: list[Match] = []
    places: dict[str, int] = {}
    for match in parts.matches:
        if match.name in _DEFAULTS:
            value = _other_side(match.value)
            if value != match.value and value == _DEFAULTS[match.name]:
                continue
            match = Match(match.name, value)
            at = places.get(match.name)
            joined = None if at is None else _joined(matches[at].value, match.value, _DEFAULTS[match.name])
            if at is not None and joined is not None:
                matches[at] = Match(match.name, joined)
                continue
            places.setdefault(match.name, len(matches))
        matches.append(match)
    return attrs.evolve(parts, matches=tuple(matches))


def _other_side(value: PortsMatch) -> PortsMatch:
    changes: dict[str, Any] = {}
    for name in ("sport", "dport"):
        low, high = getattr(value, name)
        if getattr(value, f"not_{name}") and low != high and (low, high) != EVERY_PORT:
            if low == 0:
                changes |= {name: (high + 1, U16), f"not_{name}": False}
        elif getattr(value, f"not_{name}") and (low, high) == EVERY_PORT:
            changes |= {f"not_{name}": False}
    return attrs.evolve(value, **changes) if changes else value


def _joined(first: PortsMatch, second: PortsMatch, default: PortsMatch) -> PortsMatch | None:
    """Both tests in one match, or None when they speak about the same field."""
    changes = {}
    for field in attrs.fields(type(default)):
        ours, theirs = getattr(first, field.name), getattr(second, field.name)
        plain = getattr(default, field.name)
        if theirs != plain:
            if ours != plain:
                return None
            changes[field.name] = theirs
    return attrs.evolve(first, **changes)
