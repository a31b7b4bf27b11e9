"""Matches on the packet's surroundings: comment, owner, mac, pkttype, physdev, rpfilter, set, socket, ipvs, cpu.

Sources: extensions/libxt_owner.c, libxt_set.h, libxt_socket.c and kin.
"""

from __future__ import annotations

import attrs

from fakecluster.rules.iptables.numbers import U32, address_text, number
from fakecluster.rules.iptables.numbers import mac as mac_bytes
from fakecluster.rules.iptables.numbers import protocol as protocol_number
from fakecluster.rules.iptables.option import (
    Extension,
    Given,
    Option,
    Place,
    host_mask,
    integer,
    one_port,
    spelled,
    string,
)
from fakecluster.rules.iptables.problem import INVALID, RuleProblem
from fakecluster.rules.iptables.words import quote

IFNAME_LIMIT = 15
SET_NAME_LIMIT = 31
SET_DIMENSIONS = 6


@attrs.frozen
class CommentMatch:
    """comment: a text, always matches."""

    text: str


@attrs.frozen
class OwnerMatch:
    """owner: user and group ranges of the sending socket; None when not asked."""

    uid: tuple[int, int] | None = None
    gid: tuple[int, int] | None = None
    exists: bool | None = None
    not_uid: bool = False
    not_gid: bool = False
    suppl_groups: bool = False


@attrs.frozen
class MacMatch:
    """mac: the source address of the Ethernet frame."""

    mac: bytes
    inverted: bool = False


@attrs.frozen
class PkttypeMatch:
    """pkttype: unicast, broadcast or multicast frame."""

    kind: str
    inverted: bool = False


@attrs.frozen
class PhysdevMatch:
    """physdev: bridge ports; tests as (option, value, inverted)."""

    tests: tuple[tuple[str, str, bool], ...]


@attrs.frozen
class RpfilterMatch:
    """rpfilter: the reverse path test with its flags."""

    loose: bool = False
    validmark: bool = False
    accept_local: bool = False
    invert: bool = False


@attrs.frozen
class SetMatch:
    """set: membership of (src|dst, ...) in an ipset."""

    name: str
    directions: tuple[str, ...]
    inverted: bool = False
    return_nomatch: bool = False
    skip_counters: bool = False


@attrs.frozen
class SocketMatch:
    """socket: a local socket would take the packet."""

    transparent: bool = False
    nowildcard: bool = False
    restore_mark: bool = False


@attrs.frozen
class IpvsMatch:
    """ipvs: the packet belongs to an IPVS connection; tests as (option, value text, inverted)."""

    tests: tuple[tuple[str, str, bool], ...]


@attrs.frozen
class CpuMatch:
    """cpu: the CPU that handles the packet."""

    cpu: int
    inverted: bool = False


ID_LIMIT = U32 - 1


def _ids(text: str, place: Place) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    low = 0 if first == "root" else number(first, 0, ID_LIMIT)
    high = number(last, 0, ID_LIMIT) if dash else low
    if low is None or high is None:
        raise RuleProblem(f'owner: Bad value for "--{place.option}" option: "{text}"', token=text)
    return low, high


def _owner(given: Given) -> OwnerMatch:
    if not given.options:
        raise RuleProblem("owner: At least one of --uid-owner, --gid-owner or --socket-exists is required")
    if given.has("suppl-groups") and not given.has("gid-owner"):
        raise RuleProblem('owner: Bad value for "--suppl-groups" option: "you need to use --gid-owner first"')
    for name in ("uid-owner", "gid-owner"):
        low, high = given.value(name, (0, 0))
        if low > high:
            raise RuleProblem(f"RULE_APPEND failed ({INVALID})", kind="commit")
    exists = not given.inverted("socket-exists") if given.has("socket-exists") else None
    return OwnerMatch(
        given.value("uid-owner", None), given.value("gid-owner", None), exists, given.inverted("uid-owner"),
        given.inverted("gid-owner"), given.has("suppl-groups"),
    )  # fmt: skip


def _owner_text(value: OwnerMatch) -> str:
    text = "" if value.exists is None else f"{'' if value.exists else ' !'} --socket-exists"
    for option, ids, inverted in (("uid-owner", value.uid, value.not_uid), ("gid-owner", value.gid, value.not_gid)):
        if ids:
            shown = str(ids[0]) if ids[0] == ids[1] else f"{ids[0]}-{ids[1]}"
            text += spelled(option, shown, inverted=inverted)
    return text + (" --suppl-groups" if value.suppl_groups else "")


def _mac(text: str, _place: Place) -> bytes:
    value = mac_bytes(text)
    if value is None:
        raise RuleProblem("Invalid MAC address specified.", token=text)
    return value


def _packet_type(text: str, _place: Place) -> str:
    for name in ("unicast", "broadcast", "multicast", "otherhost"):
        if text.lower() in (name, {"unicast": "host"}.get(name)):
            return name
    raise RuleProblem(f"Bad packet type '{text}'", token=text)


def interface(text: str, _place: Place) -> str:
    if len(text.encode(errors="surrogateescape")) > IFNAME_LIMIT:
        raise RuleProblem(f"interface name `{text}' must be shorter than IFNAMSIZ ({IFNAME_LIMIT})", token=text)
    return text


_PHYSDEV = ("physdev-is-in", "physdev-in", "physdev-is-out", "physdev-out", "physdev-is-bridged")
_PHYSDEV_OPTIONS = tuple(Option(name, None if "-is-" in name else interface, invertible=True) for name in _PHYSDEV)


def _physdev(given: Given) -> PhysdevMatch:
    if not given.options:
        raise RuleProblem("PHYSDEV: no physdev option specified")
    tests = tuple(
        (name, "" if "-is-" in name else given.value(name, ""), given.inverted(name))
        for name in _PHYSDEV
        if given.has(name)
    )
    return PhysdevMatch(tests)


def _tests_text(tests: tuple[tuple[str, str, bool], ...]) -> str:
    return "".join(
        f"{' !' if inverted else ''} --{name}{' ' if value else ''}{value}" for name, value, inverted in tests
    )


_RPFILTER = ("loose", "validmark", "accept-local", "invert")


def _rpfilter(given: Given) -> RpfilterMatch:
    return RpfilterMatch(*(given.has(name) for name in _RPFILTER))


def _rpfilter_text(value: RpfilterMatch) -> str:
    flags = zip(_RPFILTER, (value.loose, value.validmark, value.accept_local, value.invert), strict=True)
    return "".join(f" --{name}" for name, is_set in flags if is_set)


def set_and_directions(text: str, _place: Place) -> tuple[str, tuple[str, ...]]:
    """The two words after --match-set, --add-set, --del-set."""
    name, _, rest = text.partition("\0")
    if len(name) > SET_NAME_LIMIT:
        raise RuleProblem(f"setname `{name}' too long, max {SET_NAME_LIMIT} characters.", token=name)
    directions = tuple(rest.split(","))
    for direction in directions:
        if direction not in ("src", "dst"):
            raise RuleProblem("You must spefify (the comma separated list of) 'src' or 'dst'.", token=direction)
    if len(directions) > SET_DIMENSIONS:
        raise RuleProblem(f"Can't be more src/dst options than {SET_DIMENSIONS}.", token=rest)
    return name, directions


def _set(given: Given) -> SetMatch:
    if not given.has("match-set"):
        raise RuleProblem("You must specify `--match-set' with proper arguments")
    name, directions = given.value("match-set", ("", ()))
    return SetMatch(
        name, directions, given.inverted("match-set"), given.has("return-nomatch"), given.inverted("update-counters")
    )


def _set_text(value: SetMatch) -> str:
    text = spelled("match-set", f"{value.name} {','.join(value.directions)}", inverted=value.inverted)
    text += " --return-nomatch" if value.return_nomatch else ""
    return text + (" ! --update-counters" if value.skip_counters else "")


_SET_OPTIONS = (
    Option("match-set", set_and_directions, invertible=True, words=2, aliases=("set",)),
    Option("return-nomatch"),
    Option("update-counters", invertible=True),
    Option("update-subcounters", invertible=True),
    *(
        Option(f"{unit}-{test}", string(SET_NAME_LIMIT), invertible=True, refused="counters of set elements")
        for unit in ("packets", "bytes")
        for test in ("eq", "lt", "gt")
    ),
)


def _socket(given: Given) -> SocketMatch:
    return SocketMatch(given.has("transparent"), given.has("nowildcard"), given.has("restore-skmark"))


def _socket_text(value: SocketMatch) -> str:
    text = " --transparent" if value.transparent else ""
    text += " --nowildcard" if value.nowildcard else ""
    return text + (" --restore-skmark" if value.restore_mark else "")


_IPVS = ("ipvs", "vproto", "vaddr", "vport", "vdir", "vmethod", "vportctl")


def _ipvs_value(text: str, place: Place) -> str:
    if place.option == "vproto":
        return str(protocol_number(text))
    if place.option == "vaddr":
        value, mask = host_mask(text, place)
        return address_text(value & mask, place.family) + ("" if "/" not in text else "/" + text.partition("/")[2])
    return str(one_port(text, place)) if place.option in ("vport", "vportctl") else text


def _ipvs(given: Given) -> IpvsMatch:
    if not given.options:
        raise RuleProblem("IPVS: At least one option is required")
    return IpvsMatch(
        tuple((n, "" if n == "ipvs" else given.value(n, ""), given.inverted(n)) for n in _IPVS if given.has(n))
    )


_OWNER_OPTIONS = (
    Option("uid-owner", _ids, invertible=True),
    Option("gid-owner", _ids, invertible=True, refused="processes here have no group"),
    Option("socket-exists", invertible=True),
    Option("suppl-groups"),
)
_IPVS_OPTIONS = (
    Option("ipvs", invertible=True), *(Option(name, _ipvs_value, invertible=True) for name in _IPVS[1:])
)  # fmt: skip
PACKET_MATCHES = (
    Extension(
        "comment", "a comment; always matches", (Option("comment", string(255), required=True),),
        lambda given: CommentMatch(given.value("comment", "")),
        lambda value: spelled("comment", quote(value.text)), CommentMatch,
    ),
    Extension("owner", "user and group of the sending socket", _OWNER_OPTIONS, _owner, _owner_text, OwnerMatch),
    Extension(
        "mac", "the frame's source address", (Option("mac-source", _mac, invertible=True, required=True),),
        lambda given: MacMatch(given.value("mac-source", b""), given.inverted("mac-source")),
        lambda value: spelled("mac-source", value.mac.hex(":"), inverted=value.inverted), MacMatch,
    ),
    Extension(
        "pkttype", "unicast, broadcast or multicast frames",
        (Option("pkt-type", _packet_type, invertible=True, required=True),),
        lambda given: PkttypeMatch(given.value("pkt-type", ""), given.inverted("pkt-type")),
        lambda value: spelled("pkt-type", value.kind, inverted=value.inverted), PkttypeMatch,
    ),
    Extension(
        "physdev", "bridge ports (no packet here has crossed a bridge)", _PHYSDEV_OPTIONS, _physdev,
        lambda value: _tests_text(value.tests), PhysdevMatch,
    ),
    Extension(
        "rpfilter", "the reverse path", tuple(Option(name) for name in _RPFILTER), _rpfilter, _rpfilter_text,
        RpfilterMatch,
    ),
    Extension("set", "membership in an ipset", _SET_OPTIONS, _set, _set_text, SetMatch),
    Extension(
        "socket", "a local socket would take the packet",
        (Option("transparent"), Option("nowildcard"), Option("restore-skmark")), _socket, _socket_text, SocketMatch,
    ),
    Extension(
        "ipvs", "properties of the packet's IPVS connection", _IPVS_OPTIONS, _ipvs,
        lambda value: _tests_text(value.tests), IpvsMatch,
    ),
    Extension(
        "cpu", "the CPU (there is one, number 0)", (Option("cpu", integer(), invertible=True, required=True),),
        lambda given: CpuMatch(given.value("cpu", 0), given.inverted("cpu")),
        lambda value: spelled("cpu", value.cpu, inverted=value.inverted), CpuMatch,
    ),
)  # fmt: skip
