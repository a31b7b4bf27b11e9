"""What nft asks of a connection, as conditions of iptables' conntrack match, each in a match of its own.

In one match with a state, iptables lets a packet without a connection pass all other tests; alone they fail as nft's do.
"""

from __future__ import annotations

from fakecluster.rules.nft.expressions import Const, Ct
from fakecluster.rules.nft.print_expression import expression
from fakecluster.rules.nft.statements import Match
from fakecluster.rules.nft.symbols import CT_STATE, CT_STATUS
from fakecluster.rules.translate.condition import NEVER, Spans, Ways, each, joined, no, one, sign, singles, spans
from fakecluster.rules.translate.to_ipset import prefixes
from fakecluster.rules.translate.words import IP, address_word, span_word

STATES = {number: name.upper() for name, number in CT_STATE.items()}
#: Bits of the status that iptables tests as a status, and those that it tests as a state.
STATUSES = {
    CT_STATUS[name]: name.upper().replace("-", "_") for name in ("expected", "seen-reply", "assured", "confirmed")
}
NAT_STATUSES = {CT_STATUS[name]: name.upper() for name in ("snat", "dnat")}
#: What a packet without a connection is.
WITHOUT = "-m conntrack ! --ctstate INVALID,UNTRACKED"


def conntrack(value: Match, family: int, *, mask: int = 0) -> Ways:
    """The ways of a match on ``ct``; `mask` is that of ``ct status & MASK``. Raises `NoTranslation`."""
    left = value.left
    key = left.key if isinstance(left, Ct) else "status"
    if key == "state" and not mask:
        return _state(value)
    if key == "status":
        return _status(value, mask)
    if not isinstance(left, Ct):
        raise no(expression(left))
    found, inverted = spans(value.operator, value.right, left)
    word, _, field = key.rpartition(" ")
    if field in ("saddr", "daddr"):
        return _addresses(left, found, inverted, family) if word == IP[family] else NEVER
    if key in ("proto-src", "proto-dst"):
        option = f"ct{_side(left)}{key[6:]}port"
        words = [sign(f"--{option} {span_word(*span, ':')}", inverted=inverted) for span in found]
    elif key == "direction":
        if len(found) != 1 or found[0] not in ((0, 0), (1, 1)):
            raise no("both directions")
        words = [f"--ctdir {('ORIGINAL', 'REPLY')[found[0][0] != inverted]}"]
    elif key == "protocol":
        words = [sign(f"--ctproto {number}", inverted=inverted) for number in singles(found, "protocols")]
    else:
        raise no(expression(left))
    return each(
        [one(f"-m conntrack {each_word}", reads="ct") for each_word in words], inverted=inverted, what=f"ct {key}"
    )


def _side(left: Ct) -> str:
    return {"original": "orig", "reply": "repl"}[left.direction]


def _addresses(left: Ct, found: Spans, inverted: bool, family: int) -> Ways:
    option = f"ct{_side(left)}{'src' if left.key.endswith('saddr') else 'dst'}"
    ways = []
    for low, high in found:
        for address, length in prefixes(low, high, left.bits):
            word = sign(f"--{option} {address_word(address, family)}/{length}", inverted=inverted)
            ways.append(one(f"-m conntrack {word}", reads="ct"))
    return each(ways, inverted=inverted, what=f"ct {left.key}")


def _state(value: Match) -> Ways:
    if value.operator in ("any", "none"):
        assert isinstance(value.right, Const)
        assert isinstance(value.right.raw, int)
        bits, inverted = value.right.raw, value.operator == "none"
    else:
        found, inverted = spans(value.operator, value.right, value.left)
        bits = sum(number for number in singles(found, "states") if number in STATES)  # a packet is in one state
    if not bits:
        return ((),) if inverted else NEVER
    names = ",".join(name for bit, name in STATES.items() if bits & bit)
    return one(f"-m conntrack {sign(f'--ctstate {names}', inverted=inverted)}", reads="ct")


def _status(value: Match, mask: int) -> Ways:
    if not isinstance(value.right, Const) or not isinstance(value.right.raw, int):
        raise no("sets of ct status")
    wanted = value.right.raw
    if value.operator in ("any", "none"):
        return _any_status(wanted, inverted=value.operator == "none")
    if value.operator == "!=" and not mask & mask - 1 and mask:
        return _any_status(mask, inverted=bool(wanted)) if not wanted & ~mask else one(WITHOUT, reads="ct")
    if value.operator != "==" or not mask:
        raise no("ct status as a whole")
    if wanted & ~mask:
        return NEVER
    ways: Ways = ((),)
    for bit in (1 << place for place in range(32)):
        if mask & bit:
            ways = joined(ways, _any_status(bit, inverted=not wanted & bit))
    return ways


def _any_status(bits: int, *, inverted: bool) -> Ways:
    """One of these bits is set, or none."""
    for known, option in ((STATUSES, "ctstatus"), (NAT_STATUSES, "ctstate")):
        if not bits & ~sum(known):
            names = ",".join(name for bit, name in known.items() if bits & bit)
            ways = one(f"-m conntrack {sign(f'--{option} {names}', inverted=inverted)}", reads="ct")
            return joined(ways, one(WITHOUT, reads="ct")) if inverted and option == "ctstate" else ways
    raise no("this ct status")
