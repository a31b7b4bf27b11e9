"""Text to selectors: the left-hand sides of rules (``ip daddr``, ``ct state``, ``numgen random mod 3``, ...)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import attrs

from fakecluster.errors import Unsupported
from fakecluster.rules.nft import selectors
from fakecluster.rules.nft.datatypes import INVALID, Datatype
from fakecluster.rules.nft.expressions import (
    Const,
    Ct,
    Exthdr,
    Fib,
    Hash,
    Meta,
    Numgen,
    Payload,
    Rt,
    Selector,
    Socket,
    TcpOption,
)  # fmt: skip
from fakecluster.rules.nft.headers import (
    HEADERS,
    ICMP_TYPES_WITH,
    RAW_BASES,
    extension_header,
    named,
    raw_payload,
    tcp_option,
)  # fmt: skip
from fakecluster.rules.nft.scope import RuleContext
from fakecluster.rules.nft.statements import Match

_KNOWN_META_KEYS = (
    "length, protocol, priority, mark, iif, oif, iifname, oifname, iiftype, oiftype, skuid, skgid, nftrace, rtclassid, "
    "secmark, nfproto, l4proto, ibrname, obrname, pkttype, cpu, iifgroup, oifgroup, cgroup, random, ipsec, iifkind, "
    "oifkind, ibrpvid, ibrvproto, time, day, hour, sdif, sdifname"
)
_UNQUALIFIED = frozenset(
    ("mark", "iif", "iifname", "iiftype", "oif", "oifname", "skuid", "skgid", "nftrace", "rtclassid", "iifgroup",
     "oifgroup", "cgroup")
)  # fmt: skip
#: What cannot stand on the right side of a relation.
NO_VALUES = frozenset(("\n", ";", "", "}", "accept", "drop", "continue", "return", "jump", "goto"))
_REFUSED = frozenset(("vlan", "arp", "osf", "ipsec", "tunnel", "geneve", "gre", "vxlan", "gretap"))


def starts_selector(word: str) -> bool:
    """Whether a word can begin a selector."""
    return word in _PARSERS or word in _UNQUALIFIED or word in _REFUSED


def selector(rule: RuleContext) -> Selector:
    """Read one selector. Raises NftError at what is no selector, `Unsupported` at what is not modelled."""
    word = rule.cursor.word
    if word in _REFUSED:
        unsupported(rule, f"nft expression {word!r}")
    if word in _UNQUALIFIED and word not in _PARSERS:
        rule.cursor.take()
        return selectors.META[word]
    parse = _PARSERS.get(word)
    if parse is None:
        if word and (word[0].isalpha() or word[0] == '"'):
            if rule.cursor.peek() in NO_VALUES:
                rule.cursor.at += 1
                rule.cursor.unexpected()
            rule.cursor.fail_at("No symbol type information", rule.cursor.at, rule.cursor.at)
        rule.cursor.unexpected()
    return parse(rule)


def unsupported(rule: RuleContext, what: str) -> NoReturn:
    cursor = rule.cursor
    line = cursor.text.count("\n", 0, cursor.here().start) + 1
    raise Unsupported(what, line=line, token=cursor.word, source=cursor.source)


def _header(rule: RuleContext) -> Payload | TcpOption:
    cursor, first = rule.cursor, rule.cursor.at
    protocol = cursor.take()
    if cursor.word == "option":
        return _option(rule, protocol)
    field = HEADERS[protocol].get(cursor.word)
    if field is None:
        if (protocol, cursor.word) in (("sctp", "chunk"), ("dccp", "type")):
            unsupported(rule, f"{protocol} {cursor.word}")
        cursor.unexpected()
    cursor.take()
    rule.require(field, first)
    types = ICMP_TYPES_WITH.get((protocol, field.field))
    if types:
        _require_icmp_type(rule, protocol, types)
    if protocol == "th" and rule.transport:
        rule.require_transport(rule.transport, first)
        return named(field, rule.transport)
    return field


def _require_icmp_type(rule: RuleContext, protocol: str, types: tuple[int, ...]) -> None:
    from fakecluster.rules.nft.expressions import AnonymousSet, Element

    field = HEADERS[protocol]["type"]
    for statement in rule.statements:
        if isinstance(statement, Match) and statement.left == field:
            return
    values = tuple(Const(field.datatype, number) for number in types)
    one = len(values) == 1
    right = values[0] if one else AnonymousSet(tuple(Element(value) for value in values))
    rule.statements.append(Match(field, "==", right, implicit=one))


def _option(rule: RuleContext, protocol: str) -> TcpOption:
    cursor, first = rule.cursor, rule.cursor.at - 1
    if protocol != "tcp":
        unsupported(rule, f"{protocol} option")
    cursor.take()
    name = cursor.take()
    field = cursor.word if tcp_option(name, cursor.word) and cursor.word.isalpha() else ""
    option = tcp_option(name, field)
    if option is None:
        cursor.at -= 1
        if name.isdigit():
            unsupported(rule, "a TCP option by number")
        cursor.unexpected()
    if field:
        cursor.take()
    rule.require_transport("tcp", first)
    return option


def _raw(rule: RuleContext) -> Payload:
    cursor = rule.cursor
    cursor.take()
    if cursor.word not in RAW_BASES:
        unsupported(rule, f"raw payload base {cursor.word!r}") if cursor.word == "ih" else cursor.unexpected()
    base = cursor.take()
    cursor.expect(",")
    offset = cursor.number()
    cursor.expect(",")
    first = cursor.at
    bits = cursor.number()
    if not 0 < bits <= 128:
        cursor.fail_at("Invalid payload length", first)
    payload = raw_payload(base, offset, bits)
    if base == "th":
        return named(payload, rule.transport or "th")
    if base == "nh" and rule.network:
        return named(payload, rule.network)
    return payload


def _meta(rule: RuleContext) -> Meta:
    cursor = rule.cursor
    first = cursor.at
    cursor.take()
    if cursor.word in selectors.META_REFUSED:
        unsupported(rule, f"meta {cursor.word}")
    key = selectors.META.get(cursor.word)
    if key is None:
        word = cursor.word
        if not word[:1].isalpha():
            cursor.unexpected()
        cursor.fail_at(f"syntax error, unexpected {word}, known keys are {_KNOWN_META_KEYS}", first, cursor.at)
    cursor.take()
    if key.key == "nfproto" and rule.table.family != "inet":
        rule.cursor.fail_at("meta nfproto is only useful in the inet family", first, cursor.at - 1)
    return key


def _ct(rule: RuleContext) -> Ct:
    cursor, first = rule.cursor, rule.cursor.at
    cursor.take()
    direction = cursor.take() if cursor.word in ("original", "reply") else ""
    family = cursor.take() if cursor.word in ("ip", "ip6") else ""
    key = cursor.word
    if key in selectors.CT_REFUSED:
        unsupported(rule, f"ct {key}")
    if key in ("saddr", "daddr") and not family:
        family = rule.network
        if not family:
            cursor.fail_at(
                'cannot determine ip protocol version, use "ip saddr" or "ip6 saddr" instead'.replace("saddr", key),
                first, cursor.at,
            )  # fmt: skip
    found = selectors.ct(key, direction, family)
    if found is None or (direction and key not in selectors.CT_MAY_HAVE_DIRECTION):
        cursor.unexpected()
    if not direction and key in selectors.CT_NEED_DIRECTION:
        cursor.unexpected()
    cursor.take()
    if key in ("saddr", "daddr") and rule.network and family != rule.network:
        cursor.fail_at(f"conflicting protocols specified: {rule.network} vs. {family}", first)
    if key in ("proto-src", "proto-dst") and not (rule.transport or rule.any_transport):
        return attrs.evolve(found, datatype=INVALID)
    return found


def _fib(rule: RuleContext) -> Fib:
    cursor = rule.cursor
    cursor.take()
    flags = [_fib_flag(rule)]
    while cursor.accept("."):
        flags.append(_fib_flag(rule))
    if cursor.word not in ("oif", "oifname", "type"):
        cursor.unexpected()
    result = cursor.take()
    if "saddr" not in flags and "daddr" not in flags:
        cursor.fail_at("fib: need either saddr or daddr", cursor.at - 1)
    return selectors.fib(tuple(flags), result)


def _fib_flag(rule: RuleContext) -> str:
    if rule.cursor.word not in selectors.FIB_FLAGS:
        rule.cursor.unexpected()
    return rule.cursor.take()


def _numgen(rule: RuleContext) -> Numgen:
    cursor = rule.cursor
    cursor.take()
    if cursor.word not in ("inc", "random"):
        cursor.unexpected(expecting="inc or random")
    mode = cursor.take()
    modulus = _modulus(rule)
    return Numgen(mode, modulus, _offset(rule), _GENERATED)


#: What numgen and hashes give: a 32-bit number that fits any integer type.
_GENERATED = Datatype("integer", 32, order="host", description="integer")


def _modulus(rule: RuleContext) -> int:
    rule.cursor.expect("mod")
    first = rule.cursor.at
    rule.cursor.note("modulus")
    modulus = rule.cursor.number()
    if not 0 < modulus < 1 << 32:
        rule.cursor.fail_at("modulus must be between 1 and 4294967295", first)
    return modulus


def _offset(rule: RuleContext) -> int:
    return rule.cursor.number() if rule.cursor.accept("offset") else 0


def _jhash(rule: RuleContext) -> Hash:
    from fakecluster.rules.nft.parse_expression import left_hand_side

    rule.cursor.take()
    of = left_hand_side(rule)
    modulus = _modulus(rule)
    seed = rule.cursor.number() if rule.cursor.accept("seed") else None
    return Hash(of, modulus, seed, _offset(rule), _GENERATED)


def _symhash(rule: RuleContext) -> Hash:
    rule.cursor.take()
    modulus = _modulus(rule)
    return Hash(None, modulus, None, _offset(rule), _GENERATED)


def _socket(rule: RuleContext) -> Socket:
    rule.cursor.take()
    if rule.cursor.word == "cgroupv2":
        unsupported(rule, "socket cgroupv2")
    key = selectors.SOCKET.get(rule.cursor.word)
    if key is None:
        rule.cursor.unexpected()
    rule.cursor.take()
    return key


def _rt(rule: RuleContext) -> Rt | Exthdr:
    cursor, first = rule.cursor, rule.cursor.at
    extension = extension_header("rt", cursor.peek())
    if extension and extension.field:
        return _extension(rule)
    cursor.take()
    said = cursor.take() if cursor.word in ("ip", "ip6") else ""
    family = said or rule.network
    if rule.table.family != "inet":
        if said == "ip6" and rule.table.family == "ip":
            cursor.fail_at("ip6 nexthop will not match", first, cursor.at)
        family = rule.table.family
    if cursor.word == "ipsec":
        unsupported(rule, "rt ipsec")
    if cursor.word == "nexthop" and not family:
        cursor.fail_at(
            'cannot determine ip protocol version, use "ip nexthop" or "ip6 nexthop" instead', first, cursor.at
        )
    key = selectors.rt(cursor.word, family)
    if key is None:
        cursor.unexpected()
    cursor.take()
    return key


def _extension(rule: RuleContext) -> Exthdr:
    cursor, first = rule.cursor, rule.cursor.at
    name = cursor.take()
    if name == "exthdr":
        name = cursor.take()
        header = extension_header(name, "")
    else:
        header = extension_header(name, cursor.take())
    if header is None:
        cursor.at -= 1
        cursor.unexpected()
    if rule.network == "ip":
        cursor.fail_at("cannot use exthdr with ip", first, cursor.at - 1)
    if not rule.network:
        rule.require_network("ip6", first)
    return header


_PARSERS: dict[str, Callable[[RuleContext], Selector]] = {
    **dict.fromkeys(HEADERS, _header),
    "@": _raw,
    "meta": _meta,
    "ct": _ct,
    "fib": _fib,
    "numgen": _numgen,
    "jhash": _jhash,
    "symhash": _symhash,
    "socket": _socket,
    "rt": _rt,
    "exthdr": _extension,
    "hbh": _extension,
    "frag": _extension,
    "dst": _extension,
    "mh": _extension,
}
