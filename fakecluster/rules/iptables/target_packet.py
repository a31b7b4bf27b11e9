"""Targets that change, answer or report the packet: REJECT, LOG, NFLOG, NFQUEUE, TCPMSS, TTL, HL, TOS, DSCP, CHECKSUM.

Sources: extensions/libipt_REJECT.c, libip6t_REJECT.c, libxt_LOG.c, libxt_NFLOG.c, libxt_TCPMSS.c, libxt_TOS.c and kin.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from fakecluster.rules.iptables.match_header import dscp_class, tos_mask
from fakecluster.rules.iptables.numbers import U16, U32, number
from fakecluster.rules.iptables.option import (
    Extension,
    Given,
    Option,
    Place,
    Read,
    integer,
)
from fakecluster.rules.iptables.problem import RuleProblem
from fakecluster.rules.iptables.target_mark import empty
from fakecluster.rules.iptables.words import quote

REJECT_TYPES = {
    "icmp-net-unreachable": "net-unreach", "icmp-host-unreachable": "host-unreach",
    "icmp-proto-unreachable": "proto-unreach", "icmp-port-unreachable": "port-unreach",
    "icmp-net-prohibited": "net-prohib", "icmp-host-prohibited": "host-prohib", "tcp-reset": "tcp-rst",
    "icmp-admin-prohibited": "admin-prohib",
}  # fmt: skip
REJECT6_TYPES = {
    "icmp6-no-route": "no-route", "icmp6-adm-prohibited": "adm-prohibited", "icmp6-addr-unreachable": "addr-unreach",
    "icmp6-port-unreachable": "port-unreach", "tcp-reset": "tcp-reset", "icmp6-policy-fail": "policy-fail",
    "icmp6-reject-route": "reject-route",
}  # fmt: skip
LOG_LEVELS = {
    "alert": 1, "crit": 2, "debug": 7, "emerg": 0, "error": 3, "info": 6, "notice": 5, "panic": 0, "warning": 4,
}  # fmt: skip
LOG_PREFIX_LIMIT, NFLOG_PREFIX_LIMIT = 29, 127


@attrs.frozen
class RejectTarget:
    """REJECT: which answer is sent."""

    kind: str


@attrs.frozen
class LogTarget:
    """LOG: a line in the kernel's log."""

    prefix: str = ""
    level: int = 4
    flags: tuple[str, ...] = ()


@attrs.frozen
class NflogTarget:
    """NFLOG: a copy to a listener's group."""

    prefix: str = ""
    group: int = 0
    size: int | None = None
    threshold: int = 0
    #: what was given as --nflog-range, which does nothing; iptables-legacy prints it back
    range: int = 0


@attrs.frozen
class NfqueueTarget:
    """NFQUEUE: hand the packet to user space (only --queue-bypass without a listener is modelled)."""

    first: int
    last: int
    bypass: bool
    fanout: bool


@attrs.frozen
class TcpmssTarget:
    """TCPMSS: the MSS option of a SYN; None clamps to the path MTU."""

    mss: int | None


@attrs.frozen
class TtlTarget:
    """TTL and HL: `operation` is set, inc or dec."""

    option: str
    operation: str
    value: int


@attrs.frozen
class TosTarget:
    """TOS and DSCP: tos = (tos & ~mask) ^ value; `shown` is how it prints."""

    value: int
    mask: int
    dscp: bool = False


def _reject_type(text: str, place: Place) -> str:
    types = REJECT_TYPES if place.family == 4 else REJECT6_TYPES
    for name, alias in types.items():
        if text and (name.startswith(text.lower()) or alias.startswith(text.lower())):
            return name
    raise RuleProblem(f'unknown reject type "{text}"', token=text)


def _reject(given: Given) -> RejectTarget:
    kind = given.value("reject-with", "icmp-port-unreachable" if given.family == 4 else "icmp6-port-unreachable")
    if kind == "tcp-reset" and given.protocol != 6:
        raise RuleProblem("RULE_APPEND failed (Invalid argument)", kind="commit")
    return RejectTarget(kind)


def _level(text: str, _place: Place) -> int:
    value = number(text, 0, 7)
    if value is None:
        value = LOG_LEVELS.get(text.lower())
    if value is None:
        raise RuleProblem(f'log level "{text}" unknown\n', token=text)
    return value


def _prefix(longest: int) -> Read:
    def read(text: str, place: Place) -> str:
        if not text:
            raise RuleProblem("Argument must have a minimum length of 1 characters\n", token=place.option)
        if "\n" in text:
            raise RuleProblem("Newlines not allowed in --log-prefix", token=text[:40])
        return text.encode(errors="surrogateescape")[:longest].decode(errors="surrogateescape")

    return read


_LOG_FLAGS = ("log-tcp-sequence", "log-tcp-options", "log-ip-options", "log-uid", "log-macdecode")
_LOG_OPTIONS = (
    Option("log-level", _level),
    Option("log-prefix", _prefix(LOG_PREFIX_LIMIT)),
    *(Option(name) for name in _LOG_FLAGS),
)


def _log(given: Given) -> LogTarget:
    flags = tuple(name for name in _LOG_FLAGS if given.has(name))
    return LogTarget(given.value("log-prefix", ""), given.value("log-level", 4), flags)


def _log_text(value: LogTarget) -> str:
    text = f" --log-prefix {quote(value.prefix)}" if value.prefix else ""
    text += f" --log-level {value.level}" if value.level != 4 else ""
    return text + "".join(f" --{name}" for name in value.flags)


def _nflog(given: Given) -> NflogTarget:
    return NflogTarget(
        given.value("nflog-prefix", ""), given.value("nflog-group", 0), given.value("nflog-size", None),
        given.value("nflog-threshold", 0), given.value("nflog-range", 0),
    )  # fmt: skip


def _nflog_text(value: NflogTarget) -> str:
    text = f" --nflog-prefix {quote(value.prefix)}" if value.prefix else ""
    text += f" --nflog-group {value.group}" if value.group else ""
    text += f" --nflog-range {value.range}" if value.range and value.size is None else ""
    text += f" --nflog-size {value.size}" if value.size is not None else ""
    return text + (f" --nflog-threshold {value.threshold}" if value.threshold else "")


def _queues(text: str, place: Place) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    if not colon:
        raise RuleProblem(f'Bad range "{text}"', token=text)
    low = number(first, 0, U16) if first else 0
    high = number(last, 0, U16) if last else U16
    if low is None or high is None:
        raise place.bad(0, U16, near=text if low is None else last)
    if low >= high:
        raise RuleProblem(f"{low} should be less than {high}", token=text)
    return low, high


def _nfqueue(given: Given) -> NfqueueTarget:
    number_ = given.value("queue-num", 0)
    first, last = given.value("queue-balance", (number_, number_))
    if (first, last) == (0, U16):
        raise RuleProblem("RULE_APPEND failed (Invalid argument)", kind="commit")
    return NfqueueTarget(first, last, given.has("queue-bypass"), given.has("queue-cpu-fanout"))


def _nfqueue_text(value: NfqueueTarget) -> str:
    text = f" --queue-num {value.first}"
    if value.first != value.last:
        text = f" --queue-balance {value.first}:{value.last}"
    text += " --queue-bypass" if value.bypass else ""
    return text + (" --queue-cpu-fanout" if value.fanout else "")


def _mss(text: str, place: Place) -> object:
    return integer(0, U16 - (20 if place.family == 4 else 40))(text, place)


def _tcpmss(given: Given) -> TcpmssTarget:
    if not given.options:
        raise RuleProblem("TCPMSS target: At least one parameter is required")
    return TcpmssTarget(given.value("set-mss", None))


def _tcpmss_text(value: TcpmssTarget) -> str:
    return " --clamp-mss-to-pmtu" if value.mss is None else f" --set-mss {value.mss}"


def _ttl(prefix: str) -> Callable[[Given], TtlTarget]:
    def build(given: Given) -> TtlTarget:
        for operation in ("set", "inc", "dec"):
            name = f"{prefix}-{operation}"
            if given.has(name):
                return TtlTarget(prefix, operation, given.value(name, 0))
        raise RuleProblem(f"{prefix.upper()}: You must specify an action")

    return build


def _ttl_extension(name: str, describe: str, prefix: str, family: int) -> Extension[TtlTarget]:
    names = [f"{prefix}-{operation}" for operation in ("set", "inc", "dec")]
    options = tuple(
        Option(each, integer(0 if each.endswith("set") else 1, 255), excludes=tuple(n for n in names if n != each))
        for each in (names[0], names[2], names[1])
    )
    return Extension(
        name, describe, options, _ttl(prefix), lambda value: f" --{prefix}-{value.operation} {value.value}", TtlTarget,
        (family,),
    )  # fmt: skip


def _tos(given: Given) -> TosTarget:
    if given.has("set-tos"):
        value, mask = given.value("set-tos", (0, 0))
        return TosTarget(value, mask)
    if given.has("and-tos"):
        return TosTarget(0, ~given.value("and-tos", 0) & 255)
    if given.has("or-tos"):
        return TosTarget(given.value("or-tos", 0), given.value("or-tos", 0))
    if given.has("xor-tos"):
        return TosTarget(given.value("xor-tos", 0), 0)
    raise RuleProblem("TOS: An action is required")


def _dscp(given: Given) -> TosTarget:
    name = "set-dscp-class" if given.has("set-dscp-class") else "set-dscp"
    if not given.has(name):
        raise RuleProblem("DSCP target: Parameter --set-dscp is required")
    return TosTarget(given.value(name, 0) << 2, 0xFC, dscp=True)


def _tos_text(value: TosTarget) -> str:
    if value.dscp:
        return f" --set-dscp 0x{value.value >> 2:02x}"
    return f" --set-tos 0x{value.value:02x}/0x{value.mask:02x}"


_TOS_NAMES = ("set-tos", "and-tos", "or-tos", "xor-tos")
_TOS_OPTIONS = tuple(
    Option(
        name, tos_mask(255) if name == "set-tos" else integer(0, 255),
        excludes=tuple(other for other in _TOS_NAMES if other != name),
    )
    for name in _TOS_NAMES
)  # fmt: skip
_DSCP_OPTIONS = (
    Option("set-dscp", integer(0, 63), excludes=("set-dscp-class",)),
    Option("set-dscp-class", dscp_class, excludes=("set-dscp",)),
)
_NFLOG_OPTIONS = (
    Option("nflog-group", integer(0, U16)),
    Option("nflog-prefix", _prefix(NFLOG_PREFIX_LIMIT)),
    Option("nflog-range", integer(0, U32), excludes=("nflog-size",)),
    Option("nflog-size", integer(0, U32)),
    Option("nflog-threshold", integer(0, U16)),
)
_NFQUEUE_OPTIONS = (
    Option("queue-num", integer(0, U16), excludes=("queue-balance",)),
    Option("queue-balance", _queues, excludes=("queue-num",)),
    Option("queue-bypass"),
    Option("queue-cpu-fanout", needs=("queue-balance",)),
)
_TCPMSS_OPTIONS = (
    Option("set-mss", _mss, excludes=("clamp-mss-to-pmtu",)),
    Option("clamp-mss-to-pmtu", excludes=("set-mss",)),
)
PACKET_TARGETS = (
    Extension(
        "REJECT", "drop with an ICMP error or a TCP reset", (Option("reject-with", _reject_type),), _reject,
        lambda value: f" --reject-with {value.kind}", RejectTarget,
    ),
    Extension("LOG", "a line in the kernel's log", _LOG_OPTIONS, _log, _log_text, LogTarget),
    Extension("NFLOG", "a copy of the packet to a log group", _NFLOG_OPTIONS, _nflog, _nflog_text, NflogTarget),
    Extension(
        "NFQUEUE", "a user space queue; nobody listens, so the packet is dropped or bypasses", _NFQUEUE_OPTIONS,
        _nfqueue, _nfqueue_text, NfqueueTarget,
    ),
    Extension("TCPMSS", "the MSS option of SYNs", _TCPMSS_OPTIONS, _tcpmss, _tcpmss_text, TcpmssTarget),
    _ttl_extension("TTL", "the TTL", "ttl", 4),
    _ttl_extension("HL", "the hop limit", "hl", 6),
    Extension("TOS", "the TOS byte", _TOS_OPTIONS, _tos, _tos_text, TosTarget),
    Extension("DSCP", "the DSCP bits", _DSCP_OPTIONS, _dscp, _tos_text, TosTarget),
    Extension(
        "CHECKSUM", "fills in a partial checksum; packets here always have theirs",
        (Option("checksum-fill", required=True),), lambda _given: empty("", "").build(_given),
        lambda _value: " --checksum-fill", empty("", "").value_type,
    ),
)  # fmt: skip
