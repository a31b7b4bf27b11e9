"""iptables' targets in nft's language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.rules.iptables import RuleParts
from fakecluster.rules.iptables.numbers import U32
from fakecluster.rules.iptables.rule import Target
from fakecluster.rules.iptables.target_mark import ConnmarkTarget, CtTarget, MarkTarget
from fakecluster.rules.iptables.target_nat import NatTarget
from fakecluster.rules.iptables.target_packet import (
    LogTarget,
    NflogTarget,
    RejectTarget,
    TcpmssTarget,
    TosTarget,
    TtlTarget,
)
from fakecluster.rules.translate.words import IP, NoTranslation, address_word, span_word

LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")


def target(value: Target, parts: RuleParts) -> list[str]:
    if value.is_chain:
        return [f"{'goto' if value.goto else 'jump'} {value.name}"]
    if value.name in ("ACCEPT", "DROP", "RETURN"):
        return [value.name.lower()]
    writer = _TARGETS.get(value.name)
    if writer is None:
        raise NoTranslation(f"target {value.name}")
    return writer(value.value, parts)


def _nat(word: str) -> Callable[[NatTarget, RuleParts], list[str]]:
    def write(value: NatTarget, parts: RuleParts) -> list[str]:
        if value.base_port is not None:
            raise NoTranslation("a shifted range of ports")
        span = ""
        if value.addresses:
            ends = [address_word(end, parts.family) for end in dict.fromkeys(value.addresses)]
            six = parts.family == 6 and value.ports
            span = "-".join(f"[{end}]" if six else end for end in ends)
        if value.ports:
            span += f":{span_word(*value.ports)}"
        flags = {"random": value.random, "fully-random": value.random_fully, "persistent": value.persistent}
        shown = ",".join(name for name, is_set in flags.items() if is_set)
        return [" ".join(part for part in (word, f"to {span}" if span else "", shown) if part)]

    return write


def _mark(value: MarkTarget, _parts: RuleParts) -> list[str]:
    return [f"meta mark set {_masked('meta mark', value.value, value.mask)}"]


def _masked(word: str, value: int, mask: int) -> str:
    """`(word & ~mask) ^ value` (xt_mark)."""
    if mask == U32:
        return f"{value:#x}"
    kept = "" if not mask else f" & {~mask & U32:#x}"
    return f"{word}{kept}" + (f" ^ {value:#x}" if value else "")


def _connmark(value: ConnmarkTarget, _parts: RuleParts) -> list[str]:
    if value.mode == "set":
        return [f"ct mark set {_masked('ct mark', value.value, value.ct_mask)}"]
    if (value.nf_mask, value.ct_mask) != (U32, U32):
        raise NoTranslation("a part of a mark saved or restored")
    return ["ct mark set meta mark" if value.mode == "save" else "meta mark set ct mark"]


def _ct(value: CtTarget, _parts: RuleParts) -> list[str]:
    if not value.notrack:
        raise NoTranslation("a conntrack zone")
    return ["notrack"]


def _reject(value: RejectTarget, parts: RuleParts) -> list[str]:
    if value.kind == "tcp-reset":
        return ["reject with tcp reset"]
    if parts.family == 4:
        words = {"proto-unreachable": "prot-unreachable"}
        name = value.kind.removeprefix("icmp-")
        return [f"reject with icmp {words.get(name, name)}"]
    names = {"adm-prohibited": "admin-prohibited", "addr-unreachable": "addr-unreachable"}
    name = value.kind.removeprefix("icmp6-")
    return [f"reject with icmpv6 {names.get(name, name)}"]


def _log(value: LogTarget, _parts: RuleParts) -> list[str]:
    if value.flags:
        raise NoTranslation("LOG's flags")
    prefix = f' prefix "{value.prefix}"' if value.prefix else ""
    level = f" level {LEVELS[value.level]}" if value.level != 4 else ""
    return [f"log{prefix}{level}"]


def _nflog(value: NflogTarget, _parts: RuleParts) -> list[str]:
    prefix = f' prefix "{value.prefix}"' if value.prefix else ""
    return [f"log{prefix} group {value.group}"]


def _tcpmss(value: TcpmssTarget, parts: RuleParts) -> list[str]:
    if not any(match.name == "tcpmss" and not match.value.inverted for match in parts.matches):
        raise NoTranslation("an MSS for packets without that option (nft changes it only where it is)")
    return [f"tcp option maxseg size set {value.mss if value.mss is not None else 'rt mtu'}"]


def _set_ttl(value: TtlTarget, parts: RuleParts) -> list[str]:
    if value.operation != "set":
        raise NoTranslation("a TTL counted up or down")
    return [f"{'ip ttl' if parts.family == 4 else 'ip6 hoplimit'} set {value.value}"]


def _set_tos(value: TosTarget, parts: RuleParts) -> list[str]:
    if not value.dscp:
        raise NoTranslation("target TOS")
    return [f"{IP[parts.family]} dscp set {value.value >> 2:#x}"]


_TARGETS: dict[str, Callable[[Any, RuleParts], list[str]]] = {
    "CONNMARK": _connmark,
    "CT": _ct,
    "DNAT": _nat("dnat"),
    "DSCP": _set_tos,
    "HL": _set_ttl,
    "LOG": _log,
    "MARK": _mark,
    "MASQUERADE": _nat("masquerade"),
    "NFLOG": _nflog,
    "NOTRACK": lambda _value, _parts: ["notrack"],
    "REDIRECT": _nat("redirect"),
    "REJECT": _reject,
    "SNAT": _nat("snat"),
    "TCPMSS": _tcpmss,
    "TTL": _set_ttl,
}
