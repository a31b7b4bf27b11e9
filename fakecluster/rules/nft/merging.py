"""Header fields that nft loads and compares as one (payload_try_merge() in src/rule.c of 1.0.6).

Two neighbouring fields of at most 32 bits become one comparison where the lower field stood, even when other statements
stand between them. So `tcp dport 80 counter tcp sport 53` counts what matches both, and `tcp sport != 1 tcp dport != 2`
only leaves out what has both ports.
"""

from __future__ import annotations

from itertools import pairwise

import attrs

from fakecluster.rules.nft.expressions import Const, Payload
from fakecluster.rules.nft.statements import Match, Statement

#: Bits up to which fields are loaded as one.
MERGED_BITS = 32


def merged(statements: list[Statement]) -> tuple[Statement, ...]:
    """The statements in the order in which the kernel gets them and nft lists them."""
    result, batch = list(statements), list[Match]()
    for each in statements:
        if isinstance(each, Match):
            if _is_plain(each):
                batch.append(each)
        elif len(batch) > 1:  # one alone is kept for what follows the statement
            _join(batch, result)
            batch.clear()
    _join(batch, result)
    return tuple(_shown(result, statements))


def _is_plain(match: Match) -> bool:
    return (
        isinstance(match.left, Payload)
        and match.operator in ("==", "!=")
        and isinstance(match.right, Const)
        and not match.left.bits % 8
        and not match.left.offset % 8
    )


def _join(batch: list[Match], statements: list[Statement]) -> None:
    """Bring the fields of a batch that touch together, each behind the lower one."""
    ordered, held = sorted(batch, key=_place), 0
    for index, match in enumerate(ordered):
        if index and _touches(ordered[index - 1], match) and held + _bits(match) <= MERGED_BITS:
            held += _bits(match)
            _move(ordered, index, statements)
        else:
            held = _bits(match)


def _place(match: Match) -> tuple[str, int]:
    assert isinstance(match.left, Payload)
    return match.left.base, match.left.offset


def _bits(match: Match) -> int:
    assert isinstance(match.left, Payload)
    return match.left.bits


def _touches(low: Match, high: Match) -> bool:
    one, other = low.left, high.left
    assert isinstance(one, Payload)
    assert isinstance(other, Payload)
    same = (one.base, one.protocol, low.operator) == (other.base, other.protocol, high.operator)
    return same and one.offset + one.bits == other.offset


def _move(ordered: list[Match], index: int, statements: list[Statement]) -> None:
    """Put a field right behind its lower neighbour; unequal ones then are unequal together.

    The field that tells the protocol stays where it is, and the lower one comes to it.
    """
    low, high = ordered[index - 1], ordered[index]
    lower, higher = _index(statements, low), _index(statements, high)
    if _tells_protocol(high) and higher < lower:
        del statements[lower]
        statements.insert(higher, low)
    else:
        del statements[higher]
        statements.insert(_index(statements, low) + 1, high)
    if low.operator == "!=":
        ordered[index - 1] = attrs.evolve(low, with_next=True)
        statements[_index(statements, low)] = ordered[index - 1]


def _index(statements: list[Statement], match: Match) -> int:
    return next(index for index, each in enumerate(statements) if each is match)


def _tells_protocol(match: Match) -> bool:
    field = match.left
    return isinstance(field, Payload) and (field.protocol, field.field) in (("ip", "protocol"), ("ip6", "nexthdr"))


def _shown(result: list[Statement], before: list[Statement]) -> list[Statement]:
    """A protocol that went without saying before its field is said when the field has moved away."""
    near = {id(each) for each, following in pairwise(before) if isinstance(following, Match)}
    for index, each in enumerate(result[:-1]):
        if isinstance(each, Match) and each.implicit and id(each) in near and not isinstance(result[index + 1], Match):
            result[index] = attrs.evolve(each, implicit=False)
    return result
