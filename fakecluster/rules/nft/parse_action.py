"""Text to actions: the statements of a rule that begin with their own word."""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.rules.nft.datatypes import (
    ICMP_CODE,
    ICMPV6_CODE,
    ICMPX_CODE,
    STRING,
    TCP_FLAG,
    Datatype,
    parse,
    parse_time_ms,
)  # fmt: skip
from fakecluster.rules.nft.expressions import (
    Concat,
    Const,
    Ct,
    Element,
    Expression,
    Meta,
    Payload,
    TcpOption,
    Verdict,
    datatypes_of,
    width,
)
from fakecluster.rules.nft.parse_expression import (
    computed,
    concatenation_words,
    left_hand_side,
    map_source,
    types_of,
)  # fmt: skip
from fakecluster.rules.nft.parse_nat import nat, tproxy
from fakecluster.rules.nft.parse_selector import starts_selector, unsupported
from fakecluster.rules.nft.parse_verdict import verdict
from fakecluster.rules.nft.scope import RuleContext
from fakecluster.rules.nft.selectors import CT_SETTABLE, META_SETTABLE
from fakecluster.rules.nft.statements import (
    Assign,
    ConnLimit,
    Counter,
    Limit,
    Log,
    MapName,
    Match,
    Named,
    Notrack,
    Quota,
    Reject,
    SetUpdate,
    Statement,
)  # fmt: skip
from fakecluster.rules.nft.symbols import LOG_LEVELS
from fakecluster.rules.nft.tokens import Cursor

_BYTE_UNITS = {"bytes": 1, "kbytes": 1024, "mbytes": 1024 * 1024}
_RATE_UNITS = ("second", "minute", "hour", "day", "week")
DEFAULT_PACKET_BURST = 5
TERMINAL = frozenset(("accept", "drop", "continue", "return", "jump", "goto", "reject"))


def counter(rule: RuleContext) -> Statement:
    """``counter [packets N bytes N]``, ``counter name X``."""
    cursor = rule.cursor
    cursor.take()
    if cursor.word == "name":
        return _named(rule, "counter")
    return counter_values(cursor)


def counter_values(cursor: Cursor) -> Counter:
    if not cursor.accept("packets"):
        return Counter()
    packets = cursor.number()
    cursor.expect("bytes")
    return Counter(packets, cursor.number())


def _named(rule: RuleContext, kind: str) -> Named:
    cursor = rule.cursor
    cursor.take()
    if starts_selector(cursor.word) and cursor.word[0] != '"':
        key = left_hand_side(rule)
        cursor.expect("map")
        source, _types = map_source(rule, key, [(STRING, 0)])
        return Named(kind, MapName(key, source))
    return Named(kind, cursor.quoted())


def limit(rule: RuleContext) -> Statement:
    """``limit rate [over] N/UNIT [burst M packets]``, ``limit name X``."""
    cursor = rule.cursor
    cursor.take()
    if cursor.word == "name":
        return _named(rule, "limit")
    return limit_values(cursor)


def limit_values(cursor: Cursor) -> Limit:
    cursor.expect("rate")
    over = cursor.accept("over")
    if not over:
        cursor.accept("until")
    rate = cursor.number()
    unit = cursor.word
    if cursor.accept("/"):
        return Limit(rate, _rate_unit(cursor, cursor.take()), _burst(cursor, "packets"), "packets", over)
    size, _slash, per = unit.partition("/")
    cursor.take()
    if size not in _BYTE_UNITS:
        cursor.at -= 1
        cursor.unexpected()
    if not per:
        cursor.expect("/")
        per = cursor.take()
    return Limit(rate * _BYTE_UNITS[size], _rate_unit(cursor, per), _burst(cursor, "bytes"), "bytes", over)


def _rate_unit(cursor: Cursor, unit: str) -> str:
    if unit not in _RATE_UNITS:
        cursor.at -= 1
        cursor.unexpected()
    return unit


def _burst(cursor: Cursor, kind: str) -> int:
    if not cursor.accept("burst"):
        return DEFAULT_PACKET_BURST if kind == "packets" else 0
    burst = cursor.number()
    if kind == "packets":
        cursor.expect("packets")
        return burst
    return burst * _byte_unit(cursor)


def _byte_unit(cursor: Cursor) -> int:
    if cursor.word not in _BYTE_UNITS:
        cursor.unexpected()
    return _BYTE_UNITS[cursor.take()]


def quota(rule: RuleContext) -> Statement:
    """``quota [over|until] N bytes [used M bytes]``, ``quota name X``."""
    cursor = rule.cursor
    cursor.take()
    if cursor.word == "name":
        return _named(rule, "quota")
    return quota_values(cursor)


def quota_values(cursor: Cursor) -> Quota:
    over = cursor.accept("over")
    if not over:
        cursor.accept("until")
    amount = cursor.number() * _byte_unit(cursor)
    used = 0
    if cursor.accept("used"):
        used = cursor.number() * _byte_unit(cursor)
    return Quota(amount, used, over)


def ct_count(rule: RuleContext) -> Statement:
    """``ct count [over] N``."""
    rule.cursor.take()
    rule.cursor.take()
    over = rule.cursor.accept("over")
    return ConnLimit(rule.cursor.number(), over)


def log(rule: RuleContext) -> Statement:
    """``log [prefix P] [group G] [level L] [flags F] ...`` in any order."""
    cursor = rule.cursor
    cursor.take()
    prefix, level = "", ""
    flags: tuple[str, ...] = ()
    numbers: dict[str, int] = {}
    while True:
        word = cursor.word
        if word == "prefix":
            cursor.take()
            prefix = cursor.quoted()
        elif word in ("group", "snaplen", "queue-threshold"):
            cursor.take()
            numbers[word] = cursor.number()
        elif word == "level":
            cursor.take()
            level = cursor.word
            if level not in LOG_LEVELS:
                cursor.fail_at("invalid log level", cursor.at, cursor.at)
            cursor.take()
        elif word == "flags":
            cursor.take()
            flags = (*flags, *_log_flags(cursor))
        else:
            break
    return Log(
        prefix, numbers.get("group"), numbers.get("snaplen"), numbers.get("queue-threshold"),
        "" if level == "warn" else level, flags,
    )  # fmt: skip


def _log_flags(cursor: Cursor) -> tuple[str, ...]:
    word = cursor.take()
    if word in ("all", "skuid", "ether"):
        return (word,)
    if word not in ("tcp", "ip"):
        cursor.at -= 1
        cursor.unexpected()
    found = []
    while True:
        if cursor.word not in ("sequence", "options"):
            cursor.unexpected()
        found.append(f"{word} {cursor.take()}")
        if not cursor.accept(","):
            return tuple(found)


_REJECT_TYPES: dict[str, tuple[str, Datatype]] = {
    "icmp": ("icmp", ICMP_CODE), "icmpv6": ("icmpv6", ICMPV6_CODE), "icmpx": ("icmpx", ICMPX_CODE),
}  # fmt: skip


def reject(rule: RuleContext) -> Statement:
    """``reject [with icmp|icmpv6|icmpx [type] CODE | with tcp reset]``."""
    cursor, first = rule.cursor, rule.cursor.at
    cursor.take()
    if not cursor.accept("with"):
        return _default_reject(rule)
    if cursor.accept("tcp"):
        cursor.expect("reset")
        _reject_needs_tcp(rule, first)
        return Reject("tcp", 0)
    kind, datatype = _REJECT_TYPES.get(cursor.word, ("", ICMP_CODE))
    if not kind:
        cursor.unexpected()
    at_kind = cursor.at
    cursor.take()
    cursor.accept("type")
    try:
        code = parse(cursor.word, datatype, 8)
    except ValueError as error:
        cursor.fail_at(str(error).split(";")[0], cursor.at, cursor.at)
    cursor.take()
    if kind == "icmpx" and rule.table.family != "inet":
        cursor.fail_at("abstracted ICMP unreachable not supported", cursor.at - 1)
    wanted = {"icmp": "ip", "icmpv6": "ip6"}.get(kind, "")
    if wanted and rule.network and rule.network != wanted:
        behind = (rule.network_words or (first, first)) if rule.table.family == "inet" else (first, first)
        cursor.fail_at("conflicting protocols specified: ip vs ip6", cursor.at - 1, other=behind)
    if wanted and not rule.network:
        rule.require_network(wanted, at_kind)
    return Reject(kind, int(code))


def _default_reject(rule: RuleContext) -> Reject:
    if rule.table.family == "inet":
        if rule.network == "ip":
            return Reject("icmp", 3)
        if rule.network == "ip6":
            return Reject("icmpv6", 4)
        return Reject("icmpx", 1)
    return Reject("icmp", 3) if rule.table.family == "ip" else Reject("icmpv6", 4)


def _reject_needs_tcp(rule: RuleContext, first: int) -> None:
    said = rule.transport or next((each for each in rule.one_of if each != "tcp"), "tcp")
    if said != "tcp":
        rule.cursor.fail_at("you cannot use tcp reset with this protocol", first, first, other=rule.transport_words)
    if rule.table.family != "inet":
        rule.one_of = ()  # what was said after a set of protocols counts
        rule.require_transport("tcp", first)
    elif rule.transport != "tcp":
        rule.require_transport("tcp", first)
        last = rule.statements[-1]
        if isinstance(last, Match):
            rule.statements[-1] = Match(last.left, last.operator, last.right)


def assignment(rule: RuleContext, target: Meta | Ct | Payload | TcpOption, first: int) -> Statement:
    """The rest of ``TARGET set VALUE``."""
    cursor = rule.cursor
    cursor.take()
    if isinstance(target, Meta) and target.key not in META_SETTABLE:
        unsupported(rule, f"meta {target.key} set")
    if isinstance(target, Ct) and target.key not in CT_SETTABLE:
        unsupported(rule, f"ct {target.key} set")
    bits = width(target)
    rule.left_words = first, cursor.at
    return Assign(target, computed(rule, datatypes_of(target)[0], bits))


def notrack(rule: RuleContext) -> Statement:
    rule.cursor.take()
    return Notrack()


def set_update(rule: RuleContext) -> Statement:
    """``add|update|delete @set { KEY [timeout T] [STATEMENTS] [: DATA] }``."""
    cursor, begin = rule.cursor, rule.cursor.at
    action = cursor.take()
    first = cursor.at
    cursor.expect("@")
    cursor.note("set")
    name = cursor.name()
    spec = rule.scope.set_spec(rule.table, name)
    if spec is None:
        cursor.fail_at("No such file or directory", first)
    cursor.expect("{")
    cursor.skip_newlines()
    key_first = cursor.at
    key = left_hand_side(rule)
    if [d.name for d in datatypes_of(key)] != [d.name for d in spec.key]:
        key_last = cursor.at - 1
        while cursor.word not in ("}", "\n", ""):
            cursor.at += 1
        cursor.fail_at(
            f"datatype mismatch: expected {concatenation_words(spec.key)}, "
            f"expression has type {concatenation_words(datatypes_of(key))}",
            key_first, key_last, other=(begin, cursor.at),
        )  # fmt: skip
    timeout_ms, statements = _update_extras(rule)
    data: Expression | None = None
    if cursor.accept(":"):
        data = verdict(cursor) if spec.data_kind == "verdict" else _update_data(rule, spec.data)
    cursor.skip_newlines()
    cursor.expect("}")
    return SetUpdate(action, name, Element(key, data, timeout_ms=timeout_ms, statements=statements))


def _update_extras(rule: RuleContext) -> tuple[int, tuple[Statement, ...]]:
    timeout_ms, statements = 0, []
    while True:
        word = rule.cursor.word
        if word == "timeout":
            timeout_ms = time_value(rule.cursor)
        elif word in ("limit", "counter", "quota"):
            statements.append({"limit": limit, "counter": counter, "quota": quota}[word](rule))
        elif word == "ct" and rule.cursor.peek() == "count":
            statements.append(ct_count(rule))
        else:
            return timeout_ms, tuple(statements)


def time_value(cursor: Cursor) -> int:
    """The time after a word such as ``timeout``, in milliseconds."""
    cursor.take()
    value = parse_time_ms(cursor.word)
    if value is None:
        cursor.unexpected()
    cursor.take()
    return value


def _update_data(rule: RuleContext, types: tuple[Datatype, ...]) -> Expression:
    parts = [computed(rule, types[0], types[0].bits)]
    for datatype in types[1:]:
        rule.cursor.expect(".")
        parts.append(computed(rule, datatype, datatype.bits))
    return parts[0] if len(parts) == 1 else Concat(tuple(parts))


def _verdict(rule: RuleContext) -> Statement:
    return verdict(rule.cursor)


def _refused(rule: RuleContext) -> None:
    unsupported(rule, f"nft statement {rule.cursor.word!r}")


ACTIONS: dict[str, Callable[[RuleContext], Statement | None]] = {
    **dict.fromkeys(("accept", "drop", "continue", "return", "jump", "goto"), _verdict),
    "counter": counter,
    "limit": limit,
    "quota": quota,
    "ct": ct_count,
    "log": log,
    "reject": reject,
    "notrack": notrack,
    **dict.fromkeys(("dnat", "snat", "masquerade", "redirect"), nat),
    "tproxy": tproxy,
    **dict.fromkeys(("add", "update", "delete"), set_update),
    **dict.fromkeys(("queue", "dup", "fwd", "synproxy", "flow", "meter", "set", "secmark", "reset"), _refused),
}
__all__ = ["ACTIONS", "TCP_FLAG", "TERMINAL", "Const", "Verdict", "assignment", "types_of"]
