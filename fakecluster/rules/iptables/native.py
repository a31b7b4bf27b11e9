"""What the nf_tables backend makes of port matches: it turns them into native comparisons and reads those back.

So several tcp (or udp) matches of a rule come back as one, an inverted range that begins at 0 as the range of the
other ports, and "not any port" as nothing: it is not compared at all. Source: nft.c (add_nft_tcpudp), nft-ruleparse.c
(nft_parse_transport_cmp/_range).
"""

from __future__ import annotations

from typing import Any

import attrs

from fakecluster.rules.iptables.match_rate import LIMIT_BURST
from fakecluster.rules.iptables.match_transport import EVERY_PORT, PortsMatch, TcpMatch
from fakecluster.rules.iptables.numbers import U16
from fakecluster.rules.iptables.rule import Interface, Match, RuleParts

_NFLOG_PREFIX_LIMIT_LEGACY = 63
_DEFAULTS = {"tcp": TcpMatch(), "udp": PortsMatch()}


def as_read_back(parts: RuleParts) -> RuleParts:
    """The rule as iptables-nft reads it back from the kernel."""
    target = parts.target
    if target is not None and target.name == "NFLOG" and target.value.range:  # it has never worked
        parts = attrs.evolve(parts, target=target._replace(value=attrs.evolve(target.value, range=0)))
    if not any(match.name in _DEFAULTS or match.name == "limit" for match in parts.matches):
        return parts
    matches: list[Match] = []
    places: dict[str, int] = {}
    for match in parts.matches:
        if match.name == "limit" and not match.value.burst:  # nft_limit_init(): the default of 5
            match = Match("limit", attrs.evolve(match.value, burst=LIMIT_BURST))
        if match.name in _DEFAULTS:
            if not _is_native(match):
                matches.append(match)
                continue
            value = _other_side(match.value)
            if value == _DEFAULTS[match.name]:
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


def _is_native(match: Match) -> bool:
    """What says nothing, or asks for a TCP option, is left to the xtables match."""
    return bool(match.value != _DEFAULTS[match.name]) and not getattr(match.value, "option", 0)


def _other_side(value: PortsMatch) -> PortsMatch:
    changes: dict[str, Any] = {}
    for name in ("sport", "dport"):
        low, high = getattr(value, name)
        if getattr(value, f"not_{name}") and low != high and (low, high) != EVERY_PORT:
            if low == 0:
                changes |= {name: (high + 1, U16), f"not_{name}": False}
        elif getattr(value, f"not_{name}") and (low, high) == EVERY_PORT:
            changes |= {f"not_{name}": False}
    if getattr(value, "not_flags", False) and not getattr(value, "flags", (1, 0))[0]:
        changes["not_flags"] = False
    return attrs.evolve(value, **changes) if changes else value


def as_kept_by_legacy(parts: RuleParts) -> RuleParts:
    """The rule as iptables-legacy keeps it: `! -i +` is a name of no letters, NFLOG's prefix has 63."""
    changes: dict[str, Any] = {
        name: Interface("", inverted=True)
        for name, held in (("iif", parts.iif), ("oif", parts.oif))
        if held == Interface("+", inverted=True)
    }
    target = parts.target
    if target is not None and target.name == "NFLOG" and len(target.value.prefix) > _NFLOG_PREFIX_LIMIT_LEGACY:
        shorter = attrs.evolve(target.value, prefix=target.value.prefix[:_NFLOG_PREFIX_LIMIT_LEGACY])
        changes["target"] = target._replace(value=shorter)
    return attrs.evolve(parts, **changes) if changes else parts


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
