"""nft's actions as targets of iptables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from fakecluster.rules.nft import symbols
from fakecluster.rules.nft.datatypes import show_end
from fakecluster.rules.nft.expressions import Bitwise, Const, Ct, Expression, Meta, Payload, Range, Rt, TcpOption
from fakecluster.rules.nft.print_expression import expression
from fakecluster.rules.nft.reject_words import ICMP_WORDS, ICMPV6_WORDS, ICMPX_CODES
from fakecluster.rules.nft.statements import Assign, Log, Nat, Notrack, Reject, Statement
from fakecluster.rules.translate.condition import no
from fakecluster.rules.translate.words import IP

U32 = 0xFFFFFFFF
#: Letters of a prefix; iptables cuts the rest off.
LOG_PREFIX, NFLOG_PREFIX = 29, 63


@attrs.frozen
class Action:
    """`text` after ``-j``; `writes` is what later matches would see changed; `ends` when no rule follows.

    `may_stop` says that nft leaves the rule here for a packet without a connection, and iptables does not. `needs` is a
    match for packets that have what the target changes.
    """

    text: str
    writes: frozenset[str] = frozenset()
    ends: bool = False
    may_stop: bool = False
    needs: str = ""


def changes(statements: Iterable[Statement]) -> frozenset[str]:
    """What the statements of a rule may change that conditions look at."""
    found = set()
    for each in statements:
        if isinstance(each, Assign):
            match each.target:
                case Meta() | Ct():
                    found.add(f"{type(each.target).__name__.lower()} {each.target.key}")
                case Payload(field="ttl") | Payload(field="hoplimit"):
                    found.add("lifetime")
                case Payload():
                    found.add(each.target.field)
        elif isinstance(each, Notrack):
            found.add("ct")
    return frozenset(found)


def action(value: Any, family: int) -> Action:
    """The target of a statement. Raises `NoTranslation`."""
    writer = _ACTIONS.get(type(value))
    if writer is None:
        raise no(type(value).__name__.lower())
    return writer(value, family)


_WORDS = {
    ("icmp", 4): ICMP_WORDS, ("icmp", 6): ICMP_WORDS, ("icmpv6", 4): ICMPV6_WORDS, ("icmpv6", 6): ICMPV6_WORDS,
    ("icmpx", 4): {code: ICMP_WORDS[v4] for code, (v4, _) in ICMPX_CODES.items()},
    ("icmpx", 6): {code: ICMPV6_WORDS[v6] for code, (_, v6) in ICMPX_CODES.items()},
}  # fmt: skip


def _reject(value: Reject, family: int) -> Action:
    if value.kind == "tcp":
        return Action("REJECT --reject-with tcp-reset", ends=True)
    codes = _WORDS[value.kind, family]
    if value.code not in codes:
        raise no(f"reject with {value.kind} code {value.code}")
    return Action(f"REJECT --reject-with {codes[value.code]}", ends=True)


def _log(value: Log, _family: int) -> Action:
    longest = LOG_PREFIX if value.group is None else NFLOG_PREFIX
    if len(value.prefix) > longest:
        raise no(f"a log prefix of more than {longest} letters")
    if value.group is not None:
        words = [f"NFLOG --nflog-group {value.group}"]
        words += [f'--nflog-prefix "{value.prefix}"'] if value.prefix else []
        words += [f"--nflog-size {value.snaplen}"] if value.snaplen else []
        words += [f"--nflog-threshold {value.queue_threshold}"] if value.queue_threshold else []
        return Action(" ".join(words))
    words = ["LOG"] + ([f'--log-prefix "{value.prefix}"'] if value.prefix else [])
    level = symbols.LOG_LEVELS[value.level or "warn"]
    if level > symbols.LOG_LEVELS["debug"]:
        raise no("the audit log")
    words.append(f"--log-level {level}")
    options = {"tcp sequence": "--log-tcp-sequence", "tcp options": "--log-tcp-options", "ip options": "--log-ip-options",
               "skuid": "--log-uid", "ether": "--log-macdecode"}  # fmt: skip
    words += [option for flag, option in options.items() if flag in value.flags or "all" in value.flags]
    return Action(" ".join(words))


def _nat(value: Nat, family: int) -> Action:
    if value.family not in ("", IP[family]):
        return Action("")  # packets of the other family go on
    address, port = _end(value.address), _end(value.port)
    if address and port and family == 6:
        address = "-".join(f"[{end}]" for end in address.split("-"))
    flags = "".join(f" --{flag}" for flag in ("random", "persistent") if flag in value.flags)
    flags += " --random-fully" if "fully-random" in value.flags else ""
    ports = f" --to-ports {port}" if port else ""
    texts = {
        "dnat": f"DNAT --to-destination {address}{':' if port else ''}{port}",
        "snat": f"SNAT --to-source {address}{':' if port else ''}{port}",
        "masquerade": f"MASQUERADE{ports}",
        "redirect": f"REDIRECT{ports}",
    }
    return Action(texts[value.kind] + flags, ends=True)


def _end(value: Expression | None) -> str:
    """An address, a port, or a range of them."""
    match value:
        case None:
            return ""
        case Const():
            return show_end(value.raw, value.datatype)
        case Range():
            return f"{show_end(value.low, value.datatype)}-{show_end(value.high, value.datatype)}"
    raise no(f"translation to {expression(value)}")


def _assign(value: Assign, family: int) -> Action:
    target, given = value.target, value.value
    if isinstance(target, Meta) and target.key == "mark":
        return _set_mark(given)
    if isinstance(target, Ct) and target.key == "mark":
        return _set_ct_mark(given)
    number = given.raw if isinstance(given, Const) else None
    match target:
        case Payload(field="ttl") | Payload(field="hoplimit") if number is not None:
            return Action(f"{'TTL --ttl' if family == 4 else 'HL --hl'}-set {number}", writes=frozenset(("lifetime",)))
        case Payload(field="dscp") if number is not None:
            return Action(f"DSCP --set-dscp {number:#x}", writes=frozenset(("dscp",)))
        case TcpOption(option="maxseg", field="size") if number is not None or isinstance(given, Rt):
            size = "--clamp-mss-to-pmtu" if isinstance(given, Rt) else f"--set-mss {number}"
            return Action(f"TCPMSS {size}", needs="-m tcpmss")
    raise no(f"{expression(target)} set {expression(given)}")


def _masked(given: Expression, own: str) -> tuple[str, int, int]:
    """A value as (source & mask) ^ xor: the source's word, "" for a constant."""
    match given:
        case Const() if isinstance(given.raw, int):
            return "", 0, given.raw
        case Meta(key="mark"):
            return "meta", U32, 0
        case Ct(key="mark"):
            return "ct", U32, 0
        case Bitwise(left=Meta(key="mark")):
            return "meta", given.mask, given.xor
        case Bitwise(left=Ct(key="mark")):
            return "ct", given.mask, given.xor
    raise no(f"{own} set {expression(given)}")


def _set_mark(given: Expression) -> Action:
    source, mask, value = _masked(given, "meta mark")
    if source == "ct":
        if value:
            raise no("a connection's mark restored with other bits")
        masks = "" if mask == U32 else f" --nfmask {U32:#x} --ctmask {mask:#x}"
        return Action(f"CONNMARK --restore-mark{masks}", writes=frozenset(("meta mark",)), may_stop=True)
    return Action(f"MARK --set-xmark {value:#x}/{~mask & U32:#x}", writes=frozenset(("meta mark",)))


def _set_ct_mark(given: Expression) -> Action:
    source, mask, value = _masked(given, "ct mark")
    if source == "meta":
        if value:
            raise no("a packet's mark saved with other bits")
        masks = "" if mask == U32 else f" --nfmask {mask:#x} --ctmask {U32:#x}"
        return Action(f"CONNMARK --save-mark{masks}", writes=frozenset(("ct mark",)))
    return Action(
        f"CONNMARK --set-xmark {value:#x}/{~mask & U32:#x}", writes=frozenset(("ct mark",)), may_stop=source == "ct"
    )


_ACTIONS: dict[type, Callable[[Any, int], Action]] = {
    Assign: _assign,
    Log: _log,
    Nat: _nat,
    Notrack: lambda _value, _family: Action("CT --notrack", writes=frozenset(("ct",))),
    Reject: _reject,
}
