"""Targets that write metadata or steer conntrack: MARK, CONNMARK, CT, NOTRACK, CLASSIFY, TPROXY, SET, TRACE.

Sources: extensions/libxt_MARK.c, libxt_CONNMARK.c, libxt_CT.c, libxt_TPROXY.c, libxt_SET.c.
"""

from __future__ import annotations

import attrs

from fakecluster.rules.iptables.match_packet import set_and_directions
from fakecluster.rules.iptables.numbers import U16, U32, address_text, number
from fakecluster.rules.iptables.option import (
    Extension,
    Given,
    Option,
    Place,
    host,
    integer,
    mark,
    one_port,
    string,
)
from fakecluster.rules.iptables.problem import INVALID, RuleProblem

#: connmark_tg_check()
CONNMARK_SHIFT_LIMIT = 31
CT_EVENTS = ("new", "related", "destroy", "reply", "assured", "protoinfo", "helper", "mark", "natseqinfo", "secmark")


@attrs.frozen
class MarkTarget:
    """MARK and CONNMARK --set-xmark: mark = (mark & ~mask) ^ value."""

    value: int
    mask: int


@attrs.frozen
class ConnmarkTarget:
    """CONNMARK: `mode` is set (value, ct_mask), save or restore (nf_mask, ct_mask); then a shift to the left (or right)."""

    mode: str
    value: int = 0
    nf_mask: int = U32
    ct_mask: int = U32
    shift: int = 0
    to_right: bool = False


@attrs.frozen
class CtTarget:
    """CT and NOTRACK: no tracking, or a template with a zone; events change nothing for packets."""

    notrack: bool = False
    zone: int = 0
    zone_from_mark: bool = False
    zone_direction: str = ""
    events: tuple[str, ...] = ()
    expectation_events: tuple[str, ...] = ()


@attrs.frozen
class ClassifyTarget:
    """CLASSIFY: the packet's priority, major and minor."""

    major: int
    minor: int


@attrs.frozen
class TproxyTarget:
    """TPROXY: deliver to a transparent socket at (address, port); 0 means the packet's own."""

    family: int
    port: int
    address: int = 0
    mark: int = 0
    mask: int = 0


@attrs.frozen
class SetTarget:
    """SET: add to or delete from an ipset."""

    add: tuple[str, tuple[str, ...]] | None = None
    delete: tuple[str, tuple[str, ...]] | None = None
    exist: bool = False
    timeout: int | None = None


@attrs.frozen
class EmptyTarget:
    """A target without parameters: NOTRACK, TRACE, CHECKSUM."""

    flag: str = ""


_MARK_OPTIONS = ("set-xmark", "set-mark", "and-mark", "or-mark", "xor-mark")


def _xmark(given: Given) -> tuple[int, int] | None:
    """(value, mask) from whichever of the five spellings was given."""
    for name in ("set-xmark", "set-mark"):
        if given.has(name):
            value, mask = given.value(name, (0, 0))
            return (value, mask) if name == "set-xmark" else (value, value | mask)
    if given.has("and-mark"):
        return 0, ~given.value("and-mark", 0) & U32
    if given.has("or-mark"):
        return given.value("or-mark", 0), given.value("or-mark", 0)
    return (given.value("xor-mark", 0), 0) if given.has("xor-mark") else None


def _mark(given: Given) -> MarkTarget:
    found = _xmark(given)
    if found is None:
        raise RuleProblem("MARK: One of the --set-xmark, --{and,or,xor,set}-mark options is required")
    return MarkTarget(*found)


def _connmark(given: Given) -> ConnmarkTarget:
    found = _xmark(given)
    side = next((side for side in ("right", "left") if given.has(f"{side}-shift-mark")), "left")
    shift = given.value(f"{side}-shift-mark", 0)
    if shift > CONNMARK_SHIFT_LIMIT:
        raise RuleProblem(f"RULE_APPEND failed ({INVALID})", kind="commit")
    if found:
        return ConnmarkTarget("set", found[0], ct_mask=found[1], shift=shift, to_right=side == "right")
    for mode in ("save", "restore"):
        if given.has(f"{mode}-mark"):
            both = given.value("mask", U32)
            masks = given.value("nfmask", both), given.value("ctmask", both)
            return ConnmarkTarget(mode, 0, *masks, shift, side == "right")
    raise RuleProblem("CONNMARK target: No operation specified")


def _connmark_text(value: ConnmarkTarget) -> str:
    shift = f" --{'right' if value.to_right else 'left'}-shift-mark {value.shift}" if value.shift else ""
    if value.mode == "set":
        return f" --set-xmark {value.value:#x}/{value.ct_mask:#x}{shift}"
    return f" --{value.mode}-mark --nfmask {value.nf_mask:#x} --ctmask {value.ct_mask:#x}{shift}"


def _mark_options(*extra: str) -> tuple[Option, ...]:
    names = (*_MARK_OPTIONS, *extra)
    return tuple(
        Option(
            name, mark if name.startswith("set") else integer() if name in _MARK_OPTIONS else None,
            excludes=tuple(other for other in names if other != name),
        )
        for name in names
    )  # fmt: skip


_CONNMARK_OPTIONS = (
    *_mark_options("save-mark", "restore-mark"),
    Option("ctmask", integer()),
    Option("nfmask", integer()),
    Option("mask", integer(), excludes=("ctmask", "nfmask")),
    Option("left-shift-mark", integer()),
    Option("right-shift-mark", integer()),
)


def _events(text: str, _place: Place) -> tuple[str, ...]:
    chosen = text.split(",")
    for name in chosen:
        if name not in CT_EVENTS:
            raise RuleProblem(f'Unknown event type "{name}"', token=text)
    return tuple(name for name in CT_EVENTS if name in chosen)


def _zone(text: str, _place: Place) -> int:
    value = -1 if text == "mark" else number(text, 0, U16)
    if value is None:
        raise RuleProblem(f"Cannot parse {text} as a zone ID", token=text)
    return value


_ZONES = ("zone", "zone-orig", "zone-reply")
_CT_OPTIONS = (
    Option("notrack"),
    *(Option(name, _zone) for name in _ZONES),
    Option("ctevents", _events),
    Option("expevents", _events),
    Option("helper", string(U16), refused="conntrack helpers"),
    Option("timeout", string(U16), refused="conntrack timeout policies"),
)


def _ct(given: Given) -> CtTarget:
    zone, direction = 0, ""
    for name in _ZONES:
        if given.has(name):
            zone, direction = given.value(name, 0), name.removeprefix("zone").removeprefix("-")
    return CtTarget(
        given.has("notrack"), max(zone, 0), zone < 0, direction, given.value("ctevents", ()),
        given.value("expevents", ()),
    )  # fmt: skip


def _ct_text(value: CtTarget) -> str:
    if value.notrack:
        return " --notrack"
    text = f" --ctevents {','.join(value.events)}" if value.events else ""
    text += f" --expevents {','.join(value.expectation_events)}" if value.expectation_events else ""
    option = f"zone-{value.zone_direction}" if value.zone_direction else "zone"
    if value.zone_from_mark:
        return f"{text} --{option} mark"
    return text + (f" --{option} {value.zone}" if value.zone else "")


def _class(text: str, _place: Place) -> ClassifyTarget:
    major, colon, minor = text.partition(":")
    high, low = number("0x" + major, 0, U16), number("0x" + minor, 0, U16)
    if not colon or high is None or low is None:
        raise RuleProblem(f'Bad class value "{text}"', token=text)
    return ClassifyTarget(high, low)


def _tproxy(given: Given) -> TproxyTarget:
    if given.protocol not in (6, 17):
        raise RuleProblem("RULE_APPEND failed (Invalid argument)", kind="commit")
    value, mask = given.value("tproxy-mark", (0, 0))
    return TproxyTarget(given.family, given.value("on-port", 0), given.value("on-ip", 0), value, mask)


def _tproxy_text(value: TproxyTarget) -> str:
    where = address_text(value.address, value.family)
    return f" --on-port {value.port} --on-ip {where} --tproxy-mark {value.mark:#x}/{value.mask:#x}"


def _set(given: Given) -> SetTarget:
    if not (given.has("add-set") or given.has("del-set")):
        raise RuleProblem("You must specify either `--add-set' or `--del-set' or `--map-set'")
    return SetTarget(
        given.value("add-set", None), given.value("del-set", None), given.has("exist"), given.value("timeout", None)
    )


def _set_text(value: SetTarget) -> str:
    text = f" --add-set {value.add[0]} {','.join(value.add[1])}" if value.add else ""
    text += " --exist" if value.exist else ""
    text += f" --timeout {value.timeout}" if value.timeout is not None else ""
    return text + (f" --del-set {value.delete[0]} {','.join(value.delete[1])}" if value.delete else "")


def empty(name: str, describe: str) -> Extension[EmptyTarget]:
    return Extension(name, describe, (), lambda _given: EmptyTarget(), lambda _value: "", EmptyTarget)


_TPROXY_OPTIONS = (
    Option("on-port", one_port, required=True),
    Option("on-ip", host),
    Option("tproxy-mark", mark),
)
_SET_OPTIONS = (
    Option("add-set", set_and_directions, words=2),
    Option("del-set", set_and_directions, words=2),
    Option("exist"),
    Option("timeout", integer()),
    Option("map-set", string(U16), words=2, refused="mapping sets"),
)
MARK_TARGETS = (
    Extension(
        "MARK", "the packet's mark", _mark_options(), _mark,
        lambda value: f" --set-xmark {value.value:#x}/{value.mask:#x}",
        MarkTarget,
    ),
    Extension(
        "CONNMARK", "the connection's mark: set, save, restore", _CONNMARK_OPTIONS, _connmark, _connmark_text,
        ConnmarkTarget,
    ),
    Extension("CT", "no tracking, or a conntrack zone (helpers and timeouts: refused)", _CT_OPTIONS, _ct, _ct_text,
    CtTarget),
    empty("NOTRACK", "no tracking"),
    Extension(
        "CLASSIFY", "the packet's priority", (Option("set-class", _class, required=True),),
        lambda given: given.value("set-class", ClassifyTarget(0, 0)),
        lambda value: f" --set-class {value.major:04x}:{value.minor:04x}", ClassifyTarget,
    ),
    Extension("TPROXY", "delivery to a transparent socket", _TPROXY_OPTIONS, _tproxy, _tproxy_text, TproxyTarget),
    Extension("SET", "adding to and deleting from an ipset", _SET_OPTIONS, _set, _set_text, SetTarget),
    empty("TRACE", "no effect on the packet (traces are always available)"),
)  # fmt: skip
