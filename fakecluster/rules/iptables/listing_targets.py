"""The words of each target in `iptables -L` (see listing_matches.py)."""

from __future__ import annotations

from typing import Any

from fakecluster.rules.iptables.extensions import TARGETS
from fakecluster.rules.iptables.listing_matches import TOS_NAME_MASK, TOS_TITLES, Shown, Words
from fakecluster.rules.iptables.numbers import U32, address_text, mask_text
from fakecluster.rules.iptables.target_mark import ClassifyTarget, ConnmarkTarget, MarkTarget, TproxyTarget
from fakecluster.rules.iptables.target_nat import NatTarget, NetmapTarget, span_text
from fakecluster.rules.iptables.target_packet import (
    LogTarget,
    NflogTarget,
    NfqueueTarget,
    RejectTarget,
    TcpmssTarget,
    TosTarget,
    TtlTarget,
)
from fakecluster.rules.iptables.words import quote

#: level -> its name in `LOG level ...`
_LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
_LOG_FLAGS = {
    "log-tcp-sequence": 1, "log-tcp-options": 2, "log-ip-options": 4, "log-uid": 8, "log-macdecode": 32,
}  # fmt: skip


def _marking(value: int, mask: int) -> str:
    """What (mark & ~mask) ^ value does, in one word and its number."""
    if value == 0:
        return f"and {_hex(~mask & U32)}"
    if value == mask:
        return f"or {_hex(value)}"
    if mask == 0:
        return f"xor {_hex(value)}"
    return f"set {_hex(value)}" if mask == U32 else f"xset {_hex(value)}/{_hex(mask)}"


def _hex(number: int) -> str:
    return f"0x{number:x}"


def _mark(value: MarkTarget, _shown: Shown) -> str:
    return f" MARK {_marking(value.value, value.mask)}"


def _connmark(value: ConnmarkTarget, _shown: Shown) -> str:
    shift = f" {'right' if value.to_right else 'left'}-shift-mark {value.shift}" if value.shift else ""
    if value.mode == "set":
        return f" CONNMARK {_marking(value.value, value.ct_mask)}{shift}"
    nf, ct = _hex(value.nf_mask), _hex(value.ct_mask)
    masks = f" nfmask {nf} ctmask ~{ct}" if value.mode == "save" else f" ctmask {ct} nfmask ~{nf}"
    if value.nf_mask == value.ct_mask:
        masks = "" if value.nf_mask == U32 else f" mask {nf}"
    return f" CONNMARK {value.mode}{masks}{shift}"


def _classify(value: ClassifyTarget, _shown: Shown) -> str:
    return f" CLASSIFY set {value.major:x}:{value.minor:x}"


def _tproxy(value: TproxyTarget, _shown: Shown) -> str:
    where = address_text(value.address, value.family)
    return f" TPROXY redirect {where}:{value.port} mark {_hex(value.mark)}/{_hex(value.mask)}"


def _nat_flags(value: NatTarget) -> str:
    flags = {"random": value.random, "random-fully": value.random_fully, "persistent": value.persistent}
    return "".join(f" {name}" for name, is_set in flags.items() if is_set)


def _nat(value: NatTarget, _shown: Shown) -> str:
    return f" to:{span_text(value)}{_nat_flags(value)}"


def _nat_ports(title: str) -> Words:
    def words(value: NatTarget, _shown: Shown) -> str:
        span = f" {title} {span_text(value).removeprefix(':')}" if value.ports else ""
        return span + _nat_flags(value)

    return words


def _netmap(value: NetmapTarget, _shown: Shown) -> str:
    return f" to:{address_text(value.network, value.family)}/{mask_text(value.mask, value.family)}"


def _reject(value: RejectTarget, _shown: Shown) -> str:
    return f" reject-with {value.kind}"


def _log(value: LogTarget, shown: Shown) -> str:
    prefix = f' prefix "{value.prefix}"' if value.prefix else ""
    if shown.numeric:
        return f" LOG flags {sum(_LOG_FLAGS[name] for name in value.flags)} level {value.level}{prefix}"
    flags = "".join(f" {name.removeprefix('log-')}" for name in value.flags)
    return f" LOG level {_LEVELS[value.level]}{prefix}{flags}"


def _nflog(value: NflogTarget, _shown: Shown) -> str:
    text = f" nflog-prefix {quote(value.prefix)}" if value.prefix else ""
    numbers = TARGETS["NFLOG"].text(NflogTarget("", value.group, value.size, value.threshold, value.range))
    return text + numbers.replace(" --", " ")


def _nfqueue(value: NfqueueTarget, _shown: Shown) -> str:
    queues = f"num {value.first}" if value.first == value.last else f"balance {value.first}:{value.last}"
    return f" NFQUEUE {queues}{' bypass' if value.bypass else ''}{' cpu-fanout' if value.fanout else ''}"


def _tcpmss(value: TcpmssTarget, _shown: Shown) -> str:
    return " TCPMSS clamp to PMTU" if value.mss is None else f" TCPMSS set {value.mss}"


_OPERATIONS = {"set": "set to", "inc": "increment by", "dec": "decrement by"}


def _ttl(value: TtlTarget, _shown: Shown) -> str:
    return f" {value.option.upper()} {_OPERATIONS[value.operation]} {value.value}"


def _tos(value: TosTarget, shown: Shown) -> str:
    if not shown.numeric:
        if value.mask == TOS_NAME_MASK and value.value in TOS_TITLES:
            return f"  TOS set{TOS_TITLES[value.value]}"
        if value.value == 0:
            return f" TOS and 0x{~value.mask & 255:02x}"
        if value.value == value.mask:
            return f" TOS or 0x{value.value:02x}"
        if value.mask == 0:
            return f" TOS xor 0x{value.value:02x}"
    return f" TOS set 0x{value.value:02x}/0x{value.mask:02x}"


def _dscp(value: TosTarget, _shown: Shown) -> str:
    return f" DSCP set 0x{value.value >> 2:02x}"


def _as_saved(name: str, title: str = "") -> Words:
    """The options as iptables-save writes them, behind a title and without their dashes."""

    def words(value: Any, _shown: Shown) -> str:
        return title + TARGETS[name].text(value).replace(" --", " ")

    return words


def _just(text: str) -> Words:
    return lambda _value, _shown: text


#: target -> its words
TARGET_WORDS: dict[str, Words] = {
    "CHECKSUM": _just(" CHECKSUM fill"), "CLASSIFY": _classify, "CONNMARK": _connmark, "CT": _as_saved("CT", " CT"),
    "DNAT": _nat, "DSCP": _dscp, "HL": _ttl, "LOG": _log, "MARK": _mark, "MASQUERADE": _nat_ports("masq ports:"),
    "NETMAP": _netmap, "NFLOG": _nflog, "NFQUEUE": _nfqueue, "NOTRACK": _just(" NOTRACK"),
    "REDIRECT": _nat_ports("redir ports"), "REJECT": _reject, "SET": _as_saved("SET"), "SNAT": _nat,
    "TCPMSS": _tcpmss, "TOS": _tos, "TPROXY": _tproxy, "TRACE": _just(""), "TTL": _ttl,
}  # fmt: skip
#: targets that the column calls by another name
TARGET_TITLES = {"NOTRACK": "CT"}
