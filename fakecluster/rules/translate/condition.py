"""What an nft match becomes in iptables: one of several ways to hold, each a few conditions that hold together.

    tcp dport { 22, 80 }          one way:  -m multiport --dports 22,80
    iifname { "eth0", "eth1" }    two ways: -i eth0, -i eth1, and so two rules

Ways of one match never hold together, so that the rules made of them do not meet the same packet twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from fakecluster.rules.nft.expressions import AnonymousSet, Const, Expression, Prefix, Range, width
from fakecluster.rules.nft.intervals import bounds
from fakecluster.rules.translate.words import NoTranslation

#: Rules that one rule of nft may become.
MOST_RULES = 64


@attrs.frozen
class Condition:
    """One test of iptables. `slot` is the option of the header that it takes (-s, -d, -i, -o, -p, -f; "" for a match).

    `reads` names what a rule may change under it; `is_last` says that it counts or draws, and must only be asked when
    all others hold. `value` is what a later condition needs to know: the protocol's number, the ICMP type.
    """

    text: str
    slot: str = ""
    reads: str = ""
    is_last: bool = False
    value: int | None = None


Way = tuple[Condition, ...]
Ways = Sequence[Way]
Spans = Sequence[tuple[int, int]]

ALWAYS: Ways = ((),)
NEVER: Ways = ()


def no(what: str) -> NoTranslation:
    return NoTranslation(what, "iptables")


def one(text: str, *, slot: str = "", reads: str = "", is_last: bool = False, value: int | None = None) -> Ways:
    """A single condition."""
    return ((Condition(text, slot, reads, is_last, value),),)


def sign(text: str, *, inverted: bool) -> str:
    return f"! {text}" if inverted else text


def each(ways: Iterable[Ways], *, inverted: bool, what: str) -> Ways:
    """One of several values; none of them when inverted: then all inverted conditions together."""
    found = list(ways)
    if not inverted:
        return tuple(way for ways_of_one in found for way in ways_of_one)
    if any(len(ways_of_one) != 1 for ways_of_one in found):
        raise no(f"several values of {what} left out at once")
    together = tuple(condition for ways_of_one in found for condition in ways_of_one[0])
    if len({condition.slot for condition in together if condition.slot}) < sum(bool(c.slot) for c in together):
        raise no(f"several values of {what} left out at once")
    return (together,)


def spans(operator: str, right: Expression, left: Expression) -> tuple[Spans, bool]:
    """The values that a match asks for, as ranges in order, and whether it asks for all others."""
    top = (1 << width(left)) - 1
    if operator in ("<", "<=", ">", ">="):
        assert isinstance(right, Const)
        assert isinstance(right.raw, int)
        raw = right.raw
        low, high = {"<": (0, raw - 1), "<=": (0, raw), ">": (raw + 1, top), ">=": (raw, top)}[operator]
        return ([(low, high)] if low <= high else []), False
    return [bounds(key, width(left)) for key in values(right)], operator == "!="


def values(right: Expression) -> list[Const | Prefix | Range]:
    """The values on the right of a match, of one type."""
    keys = [element.key for element in right.elements] if isinstance(right, AnonymousSet) else [right]
    found = [key for key in keys if isinstance(key, Const | Prefix | Range)]
    if len(found) != len(keys) or (isinstance(right, AnonymousSet) and any(e.statements for e in right.elements)):
        raise no("a set of this kind in a rule")
    return found


def singles(found: Spans, what: str) -> list[int]:
    """Ranges written out as single values, as long as they are few."""
    if sum(high - low + 1 for low, high in found) > MOST_RULES:
        raise no(f"a range of {what}")
    return [value for low, high in found for value in range(low, high + 1)]


def joined(left: Ways, right: Ways) -> Ways:
    """Both matches: every way of the one with every way of the other that can hold beside it."""
    ways = [way for a in left for b in right if (way := _together(a, b)) is not None]
    if len(ways) > MOST_RULES:
        raise no(f"sets that make more than {MOST_RULES} rules")
    return tuple(ways)


def _together(a: Way, b: Way) -> Way | None:
    """Conditions that hold together, without those said twice; None when they cannot."""
    result = list(a)
    for condition in b:
        if condition in result:
            continue
        if any(other.is_last for other in result) and not condition.is_last:
            raise no("a match behind what counts or draws")
        same = next((other for other in result if condition.slot and other.slot == condition.slot), None)
        if same is None:
            result.append(condition)
        elif condition.slot == "-p":
            both = _protocols(same, condition)
            if both is None:
                return None
            result[result.index(same)] = both
        else:
            raise no(f"two tests for {condition.slot}")
    return tuple(result)


def _protocols(first: Condition, second: Condition) -> Condition | None:
    """Two tests of the protocol as one; None when no packet passes both."""
    not_first, not_second = first.text.startswith("!"), second.text.startswith("!")
    if not_first and not_second:
        raise no("two protocols left out")
    if not_first == not_second or first.value == second.value:
        return None
    return second if not_first else first
