"""nft's matches as conditions of iptables: a writer for each kind of left side."""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.rules.nft.expressions import (
    Bitwise,
    Concat,
    Const,
    Ct,
    Expression,
    Fib,
    Meta,
    Numgen,
    Payload,
    SetRef,
    TcpOption,
)
from fakecluster.rules.nft.print_expression import expression
from fakecluster.rules.nft.statements import Match
from fakecluster.rules.translate.condition import (
    ALWAYS,
    NEVER,
    Spans,
    Ways,
    each,
    joined,
    no,
    one,
    sign,
    singles,
    spans,
    values,
)
from fakecluster.rules.translate.to_ipset import IpSets
from fakecluster.rules.translate.to_iptables_conntrack import conntrack
from fakecluster.rules.translate.to_iptables_header import first_fragment, length, payload, protocol, tcp_flags
from fakecluster.rules.translate.words import IP, span_word

NFPROTO, ETHERTYPE = {4: 2, 6: 10}, {4: 0x0800, 6: 0x86DD}
PKTTYPES = ("unicast", "broadcast", "multicast")
FIB_TYPES = ("UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT")
FRAGMENT_OFFSET = 0x1FFF
LOOPBACK = "lo"


def match(value: Match, family: int, sets: IpSets) -> Ways:
    """All ways in which a match can hold. Raises `NoTranslation`."""
    if value.with_next:
        raise no("two fields compared as one")
    left = value.left
    if isinstance(value.right, SetRef) or isinstance(left, Concat):
        return _in_set(value, family, sets)
    writer = _WRITERS.get(type(left))
    if writer is None:
        raise no(expression(left))
    return writer(value, family, sets)


def _in_set(value: Match, family: int, sets: IpSets) -> Ways:
    parts = value.left.parts if isinstance(value.left, Concat) else (value.left,)
    if any(
        isinstance(part, Payload) and part.protocol in IP.values() and part.protocol != IP[family] for part in parts
    ):
        return NEVER
    name, sides = sets.of(parts, value.right)
    looked_up = f"--match-set {name} {','.join(sides)}"
    ways = one(f"-m set {sign(looked_up, inverted=value.operator == '!=')}")
    is_of_ports = isinstance(parts[-1], Payload) and parts[-1].field.endswith("port")
    return joined(ways, first_fragment(family)) if is_of_ports and value.operator == "!=" else ways


# --- metadata


def _meta(value: Match, _family: int, _sets: IpSets) -> Ways:
    assert isinstance(value.left, Meta)
    key = value.left.key
    if key in ("iifname", "oifname", "iif", "oif"):
        return _interface(key, value)
    writer = _META.get(key)
    if writer is None:
        raise no(f"meta {key}")
    found, inverted = spans(value.operator, value.right, value.left)
    return writer(found, inverted, _family)


def _interface(key: str, value: Match) -> Ways:
    option, inverted = f"-{key[0]}", value.operator == "!="
    if value.operator not in ("==", "!="):
        raise no(f"{key} {value.operator}")
    names = [member.raw for member in _constants(value)]
    if not key.endswith("name") and names != [LOOPBACK]:
        raise no(f"{key}: one device for good ({key}name is by name)")
    if any(not isinstance(name, str) or name.endswith("+") or not name.strip("*") for name in names):
        raise no(f"{key} of this name")
    words = [f"{name[:-1]}+" if name.endswith("*") else name for name in map(str, names)]
    ways = [one(sign(f"{option} {word}", inverted=inverted), slot=option) for word in words]
    return each(ways, inverted=inverted, what=key)


def _constants(value: Match) -> list[Const]:
    found = [member for member in values(value.right) if isinstance(member, Const)]
    if len(found) != len(values(value.right)):
        raise no(f"a range of {expression(value.left)}")
    return found


def _is(number: dict[int, int]) -> Callable[[Spans, bool, int], Ways]:
    """A test of what is always the same within a table of iptables."""

    def write(found: Spans, inverted: bool, family: int) -> Ways:
        return ALWAYS if any(low <= number[family] <= high for low, high in found) != inverted else NEVER

    return write


def mark_test(found: Spans, inverted: bool, extension: str, what: str) -> Ways:
    """Marks; a range must be all that share their upper bits."""
    ways = []
    for low, high in found:
        size = high - low + 1
        if size & size - 1 or low & size - 1:
            raise no(f"a range of {what}")
        ways.append(masked_mark(low, 0xFFFFFFFF & ~(size - 1), inverted, extension, what))
    return each(ways, inverted=inverted, what=what)


def masked_mark(value: int, mask: int, inverted: bool, extension: str, what: str) -> Ways:
    shown = f"{value:#x}" + ("" if mask == 0xFFFFFFFF else f"/{mask:#x}")
    return one(f"-m {extension} {sign(f'--mark {shown}', inverted=inverted)}", reads=what)


def _pkttype(found: Spans, inverted: bool, _family: int) -> Ways:
    numbers = singles(found, "packet types")
    if any(number >= len(PKTTYPES) for number in numbers):
        raise no("packets for other hosts")
    words = [sign(f"--pkt-type {PKTTYPES[number]}", inverted=inverted) for number in numbers]
    return each([one(f"-m pkttype {word}") for word in words], inverted=inverted, what="packet types")


def _owner(option: str) -> Callable[[Spans, bool, int], Ways]:
    def write(found: Spans, inverted: bool, _family: int) -> Ways:
        there = "--socket-exists " if inverted else ""
        words = [sign(f"--{option} {span_word(low, high)}", inverted=inverted) for low, high in found]
        return each([one(f"-m owner {there}{word}") for word in words], inverted=inverted, what="owners")

    return write


_META: dict[str, Callable[[Spans, bool, int], Ways]] = {
    "l4proto": protocol,
    "length": length,
    "mark": lambda found, inverted, _family: mark_test(found, inverted, "mark", "meta mark"),
    "nfproto": _is(NFPROTO),
    "pkttype": _pkttype,
    "protocol": _is(ETHERTYPE),
    "skgid": _owner("gid-owner"),
    "skuid": _owner("uid-owner"),
}


# --- what remains


def _bitwise(value: Match, family: int, sets: IpSets) -> Ways:
    left, right = value.left, value.right
    assert isinstance(left, Bitwise)
    inner = left.left
    if left.xor or value.operator not in ("==", "!=") or not isinstance(right, Const) or not isinstance(right.raw, int):
        raise no(expression(left))
    inverted = value.operator == "!="
    match inner:
        case Meta(key="mark"):
            return masked_mark(right.raw, left.mask, inverted, "mark", "meta mark")
        case Ct(key="mark"):
            return masked_mark(right.raw, left.mask, inverted, "connmark", "ct mark")
        case Ct():
            return conntrack(value, family, mask=left.mask)
        case Payload(protocol="tcp", field="flags"):
            return tcp_flags(value, left.mask)
        case Payload(protocol="ip", field="frag-off") if left.mask == FRAGMENT_OFFSET and not right.raw:
            if family == 6:
                return NEVER
            return one("-f" if inverted else "! -f", slot="-f")
    raise no(expression(left))


def _fib(value: Match, _family: int, _sets: IpSets) -> Ways:
    left = value.left
    assert isinstance(left, Fib)
    sides = [flag for flag in left.flags if flag in ("saddr", "daddr")]
    others = [flag for flag in left.flags if flag not in ("saddr", "daddr")]
    if left.result != "type" or len(sides) != 1 or "mark" in others or len(others) > 1:
        raise no(expression(left))
    found, inverted = spans(value.operator, value.right, left)
    kinds = singles(found, "address types")
    if any(kind >= len(FIB_TYPES) for kind in kinds):
        raise no("an address type of this number")
    limit = f" --limit-iface-{'in' if others == ['iif'] else 'out'}" if others else ""
    option = "--src-type" if sides == ["saddr"] else "--dst-type"
    word = sign(f"{option} {','.join(FIB_TYPES[kind] for kind in kinds)}", inverted=inverted)
    return one(f"-m addrtype {word}{limit}")


def _numgen(value: Match, _family: int, _sets: IpSets) -> Ways:
    left = value.left
    assert isinstance(left, Numgen)
    found, inverted = spans(value.operator, value.right, left)
    wanted = [(low - left.offset, high - left.offset) for low, high in found]
    if left.mode == "random":
        chance = sum(min(high, left.modulus - 1) - max(low, 0) + 1 for low, high in wanted)
        share = (left.modulus - chance if inverted else chance) / left.modulus
        if not 0 < share < 1:
            raise no("a chance that is none")
        return one(f"-m statistic --mode random --probability {share:.11f}", is_last=True)
    numbers = singles(wanted, "packets of a round")
    if len(numbers) != 1 or not 0 <= numbers[0] < left.modulus:
        raise no("several packets of a round")
    words = f"-m statistic --mode nth {sign(f'--every {left.modulus}', inverted=inverted)} --packet {numbers[0]}"
    return one(words, is_last=True)


def _option(value: Match, _family: int, _sets: IpSets) -> Ways:
    left = value.left
    assert isinstance(left, TcpOption)
    found, inverted = spans(value.operator, value.right, left)
    if (left.option, left.field) == ("maxseg", "size"):
        words = [sign(f"--mss {span_word(*span, ':')}", inverted=inverted) for span in found]
        return each([one(f"-m tcpmss {word}") for word in words], inverted=inverted, what="MSS values")
    raise no(expression(left))


def _conntrack(value: Match, family: int, _sets: IpSets) -> Ways:
    left = value.left
    if isinstance(left, Ct) and left.key == "mark":
        return mark_test(*spans(value.operator, value.right, left), "connmark", "ct mark")
    return conntrack(value, family)


_WRITERS: dict[type[Expression], Callable[[Match, int, IpSets], Ways]] = {
    Bitwise: _bitwise,
    Ct: _conntrack,
    Fib: _fib,
    Meta: _meta,
    Numgen: _numgen,
    Payload: payload,
    TcpOption: _option,
}
