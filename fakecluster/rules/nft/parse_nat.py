"""Text to address translation: dnat, snat, masquerade, redirect, tproxy."""

from __future__ import annotations

from fakecluster.rules.nft.datatypes import INET_SERVICE, IPV4_ADDR, IPV6_ADDR, Datatype
from fakecluster.rules.nft.expressions import Concat, Expression, MapLookup
from fakecluster.rules.nft.parse_expression import computed, left_hand_side, map_source, value
from fakecluster.rules.nft.parse_selector import starts_selector, unsupported
from fakecluster.rules.nft.scope import RuleContext
from fakecluster.rules.nft.statements import Nat, Statement, Tproxy
from fakecluster.rules.nft.tokens import SEPARATORS

_FLAGS = ("random", "fully-random", "persistent")
_ADDRESS = {"ip": IPV4_ADDR, "ip6": IPV6_ADDR}
_NEED_TRANSPORT = "transport protocol mapping is only valid after transport protocol match"


def nat(rule: RuleContext) -> Statement:
    """``dnat [ip|ip6] [addr . port] to ADDRESS[:PORT] [FLAGS]`` and its kin."""
    cursor, first = rule.cursor, rule.cursor.at
    kind = cursor.take()
    family = cursor.take() if cursor.word in _ADDRESS else ""
    joined = False
    if cursor.word == "addr":
        cursor.take()
        cursor.expect(".")
        cursor.expect("port")
        joined = True
    if cursor.word in ("interval", "prefix"):
        unsupported(rule, f"{kind} {cursor.word}")
    address = port = None
    if cursor.accept("to") or (kind in ("dnat", "snat") and cursor.word not in _FLAGS):
        if kind in ("masquerade", "redirect"):
            cursor.accept(":")
            port = _port(rule)
        else:
            address, port = _target(rule, family, first, joined=joined)
    if kind in ("dnat", "snat"):
        family = _family(rule, family, address)
    return Nat(kind, family, address, port, _flags(rule))


def _flags(rule: RuleContext) -> tuple[str, ...]:
    found = []
    while rule.cursor.word in _FLAGS:
        found.append(rule.cursor.take())
        rule.cursor.accept(",")
    return tuple(flag for flag in _FLAGS if flag in found)


def _family(rule: RuleContext, family: str, address: Expression | None) -> str:
    """nft lists the family in inet tables, and where an address and a port come out of one look-up."""
    if rule.table.family == "inet" or is_joined(address):
        return family or rule.network
    return ""


def is_joined(address: Expression | None) -> bool:
    """Whether a translation target gives address and port together."""
    if isinstance(address, MapLookup):
        source = address.source
        return address.datatype is JOINED or (
            not hasattr(source, "name") and isinstance(source.elements[0].data, Concat)
        )
    return isinstance(address, Concat)


#: The type of a look-up that answers an address and a port.
JOINED = Datatype("address . port", 0, "joined")


def _target(rule: RuleContext, family: str, first: int, *, joined: bool) -> tuple[Expression | None, Expression | None]:
    cursor = rule.cursor
    if cursor.accept(":"):
        return None, _port(rule)
    wanted = family or rule.network
    if not wanted:
        cursor.fail_at("ip or ip6 must be specified with address for inet tables.", first, first)
    if rule.network and family and family != rule.network:
        cursor.fail_at(f"conflicting protocols specified: {rule.network} vs. {family}", first, first)
    if not rule.network:
        rule.link_match = None  # it is no header field
        rule.require_network(wanted, first)
    datatype = _ADDRESS[wanted]
    address = _address(rule, datatype, joined=joined)
    port = _port(rule) if cursor.accept(":") else None
    return address, port


def _address(rule: RuleContext, datatype: Datatype, *, joined: bool) -> Expression:
    cursor, first = rule.cursor, rule.cursor.at
    if starts_selector(cursor.word):
        key = left_hand_side(rule)
        if not cursor.accept("map"):
            return key
        source, answers = map_source(rule, key, [(datatype, datatype.bits), (INET_SERVICE, 16)])
        if len(answers) > 1:
            _check_transport(rule, first)
        return MapLookup(key, source, JOINED if len(answers) > 1 else datatype)
    address = value(rule, datatype, datatype.bits)
    if joined or cursor.word == ".":
        cursor.expect(".")
        port = value(rule, INET_SERVICE, 16)
        _check_transport(rule, first)
        return Concat((address, port))
    return address


def _port(rule: RuleContext) -> Expression:
    first = rule.cursor.at
    port = computed(rule, INET_SERVICE, 16)
    _check_transport(rule, first)
    return port


def _check_transport(rule: RuleContext, first: int) -> None:
    if not rule.transport and not rule.any_transport:
        rule.cursor.fail_at(_NEED_TRANSPORT, first)


def tproxy(rule: RuleContext) -> Statement:
    """``tproxy [ip|ip6] to [ADDRESS][:PORT]``."""
    cursor, first = rule.cursor, rule.cursor.at
    cursor.take()
    family = cursor.take() if cursor.word in _ADDRESS else ""
    cursor.expect("to")
    address: Expression | None = None
    port: Expression | None = None
    wanted = family or rule.network
    if cursor.word != ":":
        if not wanted:
            while cursor.word not in SEPARATORS and cursor.word not in ("", "}"):
                cursor.take()
            cursor.fail_at("ip or ip6 must be specified with address for inet tables.", first)
        address = value(rule, _ADDRESS[wanted], _ADDRESS[wanted].bits)
    if cursor.accept(":"):
        port = value(rule, INET_SERVICE, 16)
    if not rule.transport and not rule.any_transport:
        cursor.fail_at("Transparent proxy support requires transport protocol match", first)
    return Tproxy(family, address, port)
