"""`nft -j list ...`: tables as JSON (libnftables-json(5), src/json.c of 1.0.6)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

from fakecluster.errors import Unsupported
from fakecluster.rules.nft.datatypes import FIB_ADDRTYPE, INET_PROTO, Datatype, Raw, show
from fakecluster.rules.nft.expressions import (
    AnonymousSet,
    Bitwise,
    Concat,
    Const,
    Ct,
    Element,
    Exthdr,
    Fib,
    Hash,
    MapLookup,
    Meta,
    Numgen,
    Payload,
    Prefix,
    Range,
    Rt,
    SetRef,
    Shift,
    Socket,
    TcpOption,
    Verdict,
)
from fakecluster.rules.nft.objects import ObjectSpec, Rule
from fakecluster.rules.nft.parse_set import FLAGS
from fakecluster.rules.nft.print_expression import operations_of
from fakecluster.rules.nft.print_statement import amount, reject_words
from fakecluster.rules.nft.printer import ChainView, SetView, TableView
from fakecluster.rules.nft.statements import (
    Assign,
    ConnLimit,
    Counter,
    Limit,
    Log,
    Match,
    Named,
    Nat,
    Notrack,
    Quota,
    Reject,
    SetUpdate,
    Tproxy,
    Vmap,
)

Json = Any
METAINFO = {"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}


def listing(views: Iterable[TableView], *, nouns: frozenset[str]) -> str:
    """The document that lists `views`; `nouns` are what was asked for: a table itself, or only things in it."""
    whole = bool(nouns & {"ruleset", "table", "tables", "rules"})
    entries = [entry for view in views for entry in table(view, whole=whole)]
    return json.dumps({"nftables": [METAINFO, *entries]}) + "\n"


def table(view: TableView, *, whole: bool = True) -> Iterator[Json]:
    """A table and everything in it, one entry each; the rules of all chains come last."""
    family, name = view.name.family, view.name.name
    if whole:
        yield {"table": _with_flags({"family": family, "name": name, "handle": view.handle}, sorted(view.spec.flags))}
    for each in view.objects:
        yield {each.kind: {"family": family, "name": each.name, "table": name, **_object(each)}}
    for each_set in view.sets:
        yield {each_set.spec.word: {"family": family, "name": each_set.spec.name, "table": name, **_set(each_set)}}
    for chain in view.chains:
        yield {"chain": {"family": family, "table": name, "name": chain.spec.name, **_chain(chain)}}
    for chain in view.chains:
        for rule in chain.rules:
            place = {"family": family, "table": name, "chain": chain.spec.name}
            yield {"rule": {**place, **_rule(rule, family)}}


def _with_flags(entry: dict[str, Json], flags: list[str]) -> dict[str, Json]:
    return {**entry, "flags": flags[0] if len(flags) == 1 else flags} if flags else entry


def _object(spec: ObjectSpec) -> dict[str, Json]:
    comment = {"comment": spec.comment} if spec.comment else {}
    state = spec.state
    if isinstance(state, Counter):
        return {**comment, "packets": state.packets, "bytes": state.bytes}
    if isinstance(state, Quota):
        return {**comment, "bytes": state.limit, "used": state.used, "inv": state.over}
    return {**comment, **limit(state)}


def _chain(view: ChainView) -> dict[str, Json]:
    entry: dict[str, Json] = {"handle": view.handle}
    base = view.spec.base
    if base is not None:
        entry |= {"type": base.kind, "hook": base.hook, "prio": base.priority, "policy": base.policy}
    return entry


def _rule(rule: Rule, family: str) -> dict[str, Json]:
    comment = {"comment": rule.comment} if rule.comment else {}
    shown = [each for each in rule.statements if not (isinstance(each, Match) and each.implicit)]
    return {"handle": rule.handle, **comment, "expr": [statement(each, family) for each in shown]}


def _set(view: SetView) -> dict[str, Json]:
    spec = view.spec
    types = [each.name for each in spec.key]
    entry: dict[str, Json] = {"type": types[0] if len(types) == 1 else types, "handle": view.handle}
    if spec.comment:
        entry["comment"] = spec.comment
    if spec.data_kind:
        named = spec.data_kind in ("value", "verdict")
        entry["map"] = " . ".join(each.name for each in spec.data) if named else spec.data_kind
    if spec.policy:
        entry["policy"] = spec.policy
    if spec.size:
        entry["size"] = spec.size
    flags = [flag for flag in FLAGS if flag in spec.flags and flag != "dynamic"]
    if flags:
        entry["flags"] = flags
    if spec.timeout_ms:
        entry["timeout"] = spec.timeout_ms // 1000
    if spec.gc_interval_ms:
        entry["gc-interval"] = spec.gc_interval_ms // 1000
    if spec.auto_merge:
        entry["auto-merge"] = True
    if view.elements:
        entry["elem"] = [member(each) for each in view.elements]
    if spec.statements:
        entry["stmt"] = [statement(each, "ip") for each in spec.statements]
    return entry


def member(element: Element) -> Json:
    """One element of a set, or the pair of one of a map."""
    key: Json = "*" if element.key is None else expression(element.key)
    details: dict[str, Json] = {}
    if element.timeout_ms:
        details["timeout"] = element.timeout_ms // 1000
    if element.expires_ms:
        details["expires"] = element.expires_ms // 1000
    if element.comment:
        details["comment"] = element.comment
    for each in element.statements:
        details |= statement(each, "ip")
    if details:
        key = {"elem": {"val": key, **details}}
    return key if element.data is None else [key, expression(element.data)]


# --- expressions


def value_of(raw: Raw, datatype: Datatype) -> Json:
    """A constant: a number where nft writes one, else its name; several flags are a list."""
    if datatype.kind == "time" and isinstance(raw, int):
        return raw // 1000
    text = show(raw, datatype)
    if text.startswith('"'):
        return text[1:-1]
    if datatype.kind == "bitmask" and "," in text:
        return text.split(",")
    if text in ("exists", "missing"):
        return text == "exists"
    try:
        return int(text, 0)
    except ValueError:
        return text


def expression(value: Any) -> Json:
    """An expression as JSON. Raises `Unsupported` for what has no JSON form here."""
    printer = _EXPRESSIONS.get(type(value))
    if printer is None:
        raise Unsupported(f"nft -j: {type(value).__name__}")
    return printer(value)


def _payload(value: Payload) -> Json:
    if value.protocol:
        return {"payload": {"protocol": value.protocol, "field": value.field}}
    return {"payload": {"base": value.field, "offset": value.offset, "len": value.bits}}


def _ct(value: Ct) -> Json:
    direction = {"dir": value.direction} if value.direction else {}
    return {"ct": {"key": value.key, **direction}}


def _bitwise(value: Bitwise) -> Json:
    found: Json = expression(value.left)
    for operator, number, datatype in operations_of(value):
        found = {operator: [found, value_of(number, datatype)]}
    return found


def _hash(value: Hash) -> Json:
    rest: dict[str, Json] = {"mod": value.modulus}
    offset: dict[str, Json] = {"offset": value.offset} if value.offset else {}
    if value.of is None:
        return {"symhash": {**rest, **offset}}
    if value.seed is not None:
        rest["seed"] = value.seed
    return {"jhash": {**rest, **offset, "expr": expression(value.of)}}


def _tcp_option(value: TcpOption) -> Json:
    field = {"field": value.field} if value.field else {}
    return {"tcp option": {"name": value.option, **field}}


def _exthdr(value: Exthdr) -> Json:
    field = {"field": value.field} if value.field else {}
    return {"exthdr": {"name": value.header, **field}}


def _rt(value: Rt) -> Json:
    family = {"family": value.family} if value.family else {}
    return {"rt": {"key": value.key, **family}}


def _verdict(value: Verdict) -> Json:
    return {value.kind: {"target": value.chain} if value.chain else None}


def _range_of(value: Range) -> Json:
    if value.datatype in (INET_PROTO, FIB_ADDRTYPE):
        return {"range": [value.low, value.high]}
    return {"range": [value_of(value.low, value.datatype), value_of(value.high, value.datatype)]}


def _lookup(value: MapLookup) -> Json:
    return {"map": {"key": expression(value.key), "data": expression(value.source)}}


_EXPRESSIONS: dict[type, Callable[[Any], Json]] = {
    AnonymousSet: lambda value: {"set": [member(each) for each in value.elements]},
    Bitwise: _bitwise,
    Concat: lambda value: {"concat": [expression(part) for part in value.parts]},
    Const: lambda value: value_of(value.raw, value.datatype),
    Ct: _ct,
    Exthdr: _exthdr,
    Fib: lambda value: {
        "fib": {"result": "oif" if value.result == "exists" else value.result, "flags": list(value.flags)}
    },
    Hash: _hash,
    MapLookup: _lookup,
    Meta: lambda value: {"meta": {"key": value.key}},
    Numgen: lambda value: {"numgen": {"mode": value.mode, "mod": value.modulus, "offset": value.offset}},
    Payload: _payload,
    Prefix: lambda value: {"prefix": {"addr": value_of(value.raw, value.datatype), "len": value.length}},
    Range: _range_of,
    Rt: _rt,
    SetRef: lambda value: f"@{value.name}",
    Shift: lambda value: {value.operator: [expression(value.left), value.count]},
    Socket: lambda value: {"socket": {"key": value.key}},
    TcpOption: _tcp_option,
    Verdict: _verdict,
}


# --- statements


def statement(value: Any, family: str) -> Json:
    """A statement as JSON; the table's family decides how a plain reject is spelled."""
    if isinstance(value, Reject):
        return _reject(value)
    printer = _STATEMENTS.get(type(value))
    if printer is None:
        raise Unsupported(f"nft -j: {type(value).__name__}")
    return printer(value)


def _match(value: Match) -> Json:
    operator = value.operator
    if operator in ("any", "none"):
        operator = "in" if operator == "any" else "!"
    return {"match": {"op": operator, "left": expression(value.left), "right": expression(value.right)}}


def _vmap(value: Vmap) -> Json:
    return {"vmap": {"key": expression(value.key), "data": expression(value.source)}}


def limit(value: Limit) -> dict[str, Json]:
    entry: dict[str, Json] = {"rate": value.rate, "burst": value.burst, "per": value.unit}
    if value.kind != "packets":
        entry["rate"], entry["rate_unit"] = amount(value.rate)
        entry["burst"], entry["burst_unit"] = amount(value.burst)
    return {**entry, "inv": True} if value.over else entry


def _quota(value: Quota) -> Json:
    number, unit = amount(value.limit)
    entry: dict[str, Json] = {"val": number, "val_unit": unit}
    if value.used:
        entry["used"], entry["used_unit"] = amount(value.used)
    return {"quota": {**entry, "inv": True} if value.over else entry}


#: The order in which nft lists them.
_LOG_FLAGS = ("tcp sequence", "tcp options", "ip options", "skuid", "ether", "all")


def _log(value: Log) -> Json:
    entry: dict[str, Json] = {"prefix": value.prefix} if value.prefix else {}
    numbers = {"group": value.group, "snaplen": value.snaplen, "queue-threshold": value.queue_threshold}
    entry |= {name: number for name, number in numbers.items() if number is not None}
    if value.level:
        entry["level"] = value.level
    if value.flags:
        flags = sorted(value.flags, key=_LOG_FLAGS.index)
        entry["flags"] = flags[0] if len(flags) == 1 else flags
    return {"log": entry or None}


def _reject(value: Reject) -> Json:
    kind, code = reject_words(value)
    return {"reject": {"type": kind, "expr": code} if code else {"type": kind}}


def _nat(value: Nat) -> Json:
    entry: dict[str, Json] = {"family": value.family} if value.family else {}
    if value.address is not None:
        entry["addr"] = expression(value.address)
    if value.port is not None:
        entry["port"] = expression(value.port)
    return {value.kind: _with_flags(entry, list(value.flags)) or None}


def _assign(value: Assign) -> Json:
    return {"mangle": {"key": expression(value.target), "value": expression(value.value)}}


def _update(value: SetUpdate) -> Json:
    element = value.element
    plain = attrs.evolve(element, statements=(), data=None)
    entry: dict[str, Json] = {"op": value.action, "elem": member(plain)}
    if element.data is not None:
        entry["data"] = expression(element.data)
    entry["map" if element.data is not None else "set"] = f"@{value.name}"
    if element.statements:
        entry["stmt"] = [
            {"counter": None} if isinstance(each, Counter) else statement(each, "ip") for each in element.statements
        ]
    return {"map" if element.data is not None else "set": entry}


def _tproxy(value: Tproxy) -> Json:
    entry: dict[str, Json] = {"family": value.family} if value.family else {}
    if value.address is not None:
        entry["addr"] = expression(value.address)
    if value.port is not None:
        entry["port"] = expression(value.port)
    return {"tproxy": entry}


def _named(value: Named) -> Json:
    if isinstance(value.name, str):
        return {value.kind: value.name}
    return {value.kind: {"map": {"key": expression(value.name.key), "data": expression(value.name.source)}}}


_STATEMENTS: dict[type, Callable[[Any], Json]] = {
    Assign: _assign,
    ConnLimit: lambda value: {"ct count": {"val": value.count, **({"inv": True} if value.over else {})}},
    Counter: lambda value: {"counter": {"packets": value.packets, "bytes": value.bytes}},
    Limit: lambda value: {"limit": limit(value)},
    Log: _log,
    Match: _match,
    Named: _named,
    Nat: _nat,
    Notrack: lambda _value: {"notrack": None},
    Quota: _quota,
    SetUpdate: _update,
    Tproxy: _tproxy,
    Verdict: _verdict,
    Vmap: _vmap,
}
__all__ = ["expression", "listing", "statement", "table"]
