"""nft's data types: how many bits a value has, how its text is read and how it is printed.

A value is an int (addresses, ports, marks, flags) or, for interface names, a str. `parse` raises `ValueError` with
nft's own words. Source: nft(8) "DATA TYPES" and the behaviour of nft 1.0.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv6Address

import attrs

from fakecluster.rules.nft import symbols

Raw = int | str
_ADDRESS4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)
_TIME_PART = re.compile(r"(\d+)(w|d|h|ms|m|s)", re.ASCII)
_TIME_UNITS_MS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


@attrs.frozen(eq=False)
class Datatype:
    """One type: `kind` is integer, bitmask, string, verdict, address4, address6, mac or time; `shown` its notation."""

    name: str
    bits: int
    kind: str = "integer"
    order: str = "big"
    words: Mapping[str, int] = attrs.field(factory=dict)
    shown: str = "decimal"
    description: str = ""

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _type(
    name: str,
    bits: int,
    description: str,
    *,
    kind: str = "integer",
    order: str = "big",
    words: Mapping[str, int] | None = None,
    shown: str = "decimal",
) -> Datatype:
    return Datatype(name, bits, kind, order, words or {}, shown, description)


VERDICT = _type("verdict", 0, "netfilter verdict", kind="verdict")
INTEGER = _type("integer", 0, "integer")
#: What nft gives a field of which it does not know yet what it holds.
INVALID = _type("invalid", 0, "invalid", kind="invalid")
STRING = _type("string", 0, "string", kind="string", order="host")
IPV4_ADDR = _type("ipv4_addr", 32, "IPv4 address", kind="address4")
IPV6_ADDR = _type("ipv6_addr", 128, "IPv6 address", kind="address6")
ETHER_ADDR = _type("ether_addr", 48, "Ethernet address", kind="mac")
ETHER_TYPE = _type("ether_type", 16, "Ethernet protocol", words=symbols.ETHER_TYPE, shown="hex")
INET_PROTO = _type("inet_proto", 8, "Internet protocol", words={**symbols.PROTOCOLS, **symbols.PROTOCOL_ALIASES})
INET_SERVICE = _type("inet_service", 16, "internet network service", kind="service", words=symbols.SERVICES)
MARK = _type("mark", 32, "packet mark", order="host", shown="mark")
IFINDEX = _type("iface_index", 32, "network interface index", kind="ifindex", order="host")
IFNAME = _type("ifname", 128, "network interface name", kind="string", order="host")
UID = _type("uid", 32, "user ID", order="host", words={"root": 0})
GID = _type("gid", 32, "group ID", order="host", words={"root": 0})
NFPROTO = _type("nf_proto", 8, "netfilter protocol", words=symbols.NFPROTO, order="host")
TCP_FLAG = _type("tcp_flag", 8, "TCP flag", kind="bitmask", words=symbols.TCP_FLAGS)
CT_STATE = _type("ct_state", 32, "conntrack state", kind="bitmask", order="host", words=symbols.CT_STATE)
CT_STATUS = _type("ct_status", 32, "conntrack status", kind="bitmask", order="host", words=symbols.CT_STATUS)
CT_DIR = _type("ct_dir", 8, "conntrack direction", words=symbols.CT_DIRECTION, order="host")
PKTTYPE = _type("pkt_type", 8, "packet type", words=symbols.PKTTYPE, order="host")
FIB_ADDRTYPE = _type("fib_addrtype", 32, "fib address type", words=symbols.FIB_TYPE, order="host")
DSCP = _type("dscp", 6, "Differentiated Services Code Point", words=symbols.DSCP, shown="hex2")
ECN = _type("ecn", 2, "Explicit Congestion Notification", words=symbols.ECN, shown="hexadecimal")
ICMP_TYPE = _type("icmp_type", 8, "ICMP type", words=symbols.ICMP_TYPE)
ICMPV6_TYPE = _type("icmpv6_type", 8, "ICMPv6 type", words=symbols.ICMPV6_TYPE)
ICMP_CODE = _type("icmp_code", 8, "icmp code", words=symbols.ICMP_CODE)
ICMPV6_CODE = _type("icmpv6_code", 8, "icmpv6 code", words=symbols.ICMPV6_CODE)
ICMPX_CODE = _type("icmpx_code", 8, "icmpx code", words=symbols.ICMPX_CODE)
BOOLEAN = _type("boolean", 8, "boolean type", words=symbols.BOOLEAN, order="host")
TIME = _type("time", 64, "relative time", kind="time", order="host")
CLASSID = _type("classid", 32, "TC classid", kind="classid", order="host", words={"none": 0, "root": 0xFFFFFFFF})
IFACE_TYPE = _type("iface_type", 16, "network interface type", order="host", words=symbols.INTERFACE_TYPES)
REALM = _type("realm", 32, "routing realm", order="host")
DEVGROUP = _type("devgroup", 32, "devgroup name", order="host", words={"default": 0})

#: The types that a set or map may be declared with.
BY_NAME: Mapping[str, Datatype] = {
    datatype.name: datatype
    for datatype in (
        VERDICT, IPV4_ADDR, IPV6_ADDR, ETHER_ADDR, ETHER_TYPE, INET_PROTO, INET_SERVICE, MARK, IFINDEX, IFNAME, UID,
        GID,
        NFPROTO, TCP_FLAG, CT_STATE, CT_STATUS, CT_DIR, PKTTYPE, FIB_ADDRTYPE, DSCP, ECN, ICMP_TYPE, ICMPV6_TYPE,
        ICMP_CODE, ICMPV6_CODE, ICMPX_CODE, CLASSID, IFACE_TYPE, BOOLEAN, TIME, REALM, DEVGROUP, INTEGER, STRING,
    )
}  # fmt: skip


@lru_cache(maxsize=256)
def integer(bits: int) -> Datatype:
    """The plain integer type of this width, network order."""
    return Datatype("integer", bits, description="integer")


@lru_cache(maxsize=256)
def raw_integer(bits: int) -> Datatype:
    """The type of bits without a name."""
    return Datatype("integer", bits, shown="hexadecimal", description="integer")


@lru_cache(maxsize=256)
def host_integer(bits: int) -> Datatype:
    return Datatype("integer", bits, order="host", description="integer")


def parse(text: str, datatype: Datatype, bits: int) -> Raw:
    """The value that `text` names in `datatype`. Raises ValueError in nft's words."""
    return _PARSERS.get(datatype.kind, _parse_number)(text, datatype, bits)


def _parse_number(text: str, datatype: Datatype, bits: int) -> int:
    value = datatype.words.get(text)
    if value is None:
        value = _number(text)
    if value is None:
        raise ValueError(_unresolved(text, datatype))
    if bits and value >> bits:
        raise ValueError(f"Value {value} exceeds valid range 0-{(1 << bits) - 1}")
    return value


def _unresolved(text: str, datatype: Datatype) -> str:
    if datatype is INET_PROTO:
        return "Could not resolve protocol name"
    if datatype is INET_SERVICE:
        return "Could not resolve service: Servname not supported for ai_socktype"
    if datatype is UID:
        return "User does not exist"
    if datatype is GID:
        return "Group does not exist"
    if datatype.words:
        return f"Could not parse {datatype.description}"
    return f"Could not parse {datatype.description}"


def _number(text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text)
    if text[:2] == "0x":
        try:
            return int(text, 16)
        except ValueError:
            return None
    return None


def _parse_service(text: str, datatype: Datatype, bits: int) -> int:
    if text.isascii() and text.isdigit():
        value = int(text)
        if value > 0xFFFF:
            raise ValueError("Service out of range")
        return value
    return _parse_number(text, datatype, bits)


def address4(text: str) -> int | None:
    """A dotted quad as an int, None when it is not one."""
    if not _ADDRESS4.fullmatch(text):
        return None
    try:
        return int.from_bytes(bytes(map(int, text.split("."))))
    except ValueError:
        return None


_NUMBER_ADDRESS = re.compile(r"0x[0-9a-fA-F]{1,8}|[1-9][0-9]{0,9}|0")


def _parse_address4(text: str, _datatype: Datatype, _bits: int) -> int:
    value = address4(text)
    if value is None and _NUMBER_ADDRESS.fullmatch(text) and int(text, 0) >> 32 == 0:
        value = int(text, 0)
    if value is None:
        family = ":" in text
        raise ValueError(
            "Could not resolve hostname: "
            + ("Address family for hostname not supported" if family else "Name or service not known")
        )
    return value


def _parse_address6(text: str, _datatype: Datatype, _bits: int) -> int:
    try:
        return int(IPv6Address(text))
    except ValueError:
        supported = address4(text) is None
        raise ValueError(
            "Could not resolve hostname: "
            + ("Name or service not known" if supported else "Address family for hostname not supported")
        ) from None


def _parse_mac(text: str, _datatype: Datatype, _bits: int) -> int:
    parts = text.split(":")
    try:
        if len(parts) == 6 and all(len(part) in (1, 2) for part in parts):
            return int.from_bytes(bytes(int(part, 16) for part in parts))
    except ValueError:
        pass
    raise ValueError("Could not parse Ethernet address")


def _parse_string(text: str, datatype: Datatype, _bits: int) -> str:
    text = text.strip('"')
    if datatype is not STRING and len(text) > 15 + text.endswith("*"):
        raise ValueError("String exceeds maximum length of 16")
    return text


def parse_time_ms(text: str) -> int | None:
    """A time string ("1h30m", "90", "500ms") in milliseconds; a bare number means seconds."""
    if text.isascii() and text.isdigit():
        return int(text) * 1000
    parts = _TIME_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(int(number) * _TIME_UNITS_MS[unit] for number, unit in parts)


def _parse_time(text: str, _datatype: Datatype, _bits: int) -> int:
    value = parse_time_ms(text)
    if value is None:
        raise ValueError("Could not parse relative time")
    return value


def _parse_classid(text: str, datatype: Datatype, bits: int) -> int:
    major, colon, minor = text.partition(":")
    if not colon:
        return _parse_number(text, datatype, bits)
    try:
        return int(major or "0", 16) << 16 | int(minor or "0", 16)
    except ValueError:
        raise ValueError("Could not parse TC classid") from None


def _parse_invalid(_text: str, _datatype: Datatype, _bits: int) -> int:
    raise ValueError("Can't parse symbolic invalid expressions")


_PARSERS: Mapping[str, Callable[[str, Datatype, int], Raw]] = {
    "invalid": _parse_invalid,
    "classid": _parse_classid,
    "service": _parse_service,
    "address4": _parse_address4,
    "address6": _parse_address6,
    "mac": _parse_mac,
    "string": _parse_string,
    "ifindex": _parse_string,
    "time": _parse_time,
}


def show(raw: Raw, datatype: Datatype) -> str:
    """The text of a value as `nft list ruleset` prints it."""
    if isinstance(raw, str):
        return f'"{raw}"'
    return _SHOWERS.get(datatype.kind, _show_number)(raw, datatype)


def show_end(raw: Raw, datatype: Datatype) -> str:
    """The text of an end of a range: names of numbers stand only alone."""
    if isinstance(raw, int) and datatype.kind == "integer":
        return _show_digits(raw, datatype)
    return show(raw, datatype)


def _show_number(raw: int, datatype: Datatype) -> str:
    if datatype.words and datatype.kind != "service":
        name = _names(datatype).get(raw)
        if name is not None:
            return name
    return _show_digits(raw, datatype)


def _show_digits(raw: int, datatype: Datatype) -> str:
    if datatype.shown == "mark":
        return f"{raw:#010x}"
    if datatype.shown == "hexadecimal":
        return f"{raw:#x}"
    if datatype.shown == "hex2":
        return f"{raw:#04x}"
    return f"{raw:#06x}" if datatype.shown == "hex" else str(raw)


@lru_cache(maxsize=64)
def _names(datatype: Datatype) -> Mapping[int, str]:
    names: dict[int, str] = {}
    for name, number in datatype.words.items():
        names.setdefault(number, name)
    if datatype is UID or datatype is GID:
        return {}
    return names


def _show_bitmask(raw: int, datatype: Datatype) -> str:
    if not raw:
        return "0x0"
    found, rest = [], raw
    for name, bit in datatype.words.items():
        if raw & bit:
            found.append(name)
            rest &= ~bit
    if rest:
        found.append(f"{rest:#x}")
    return ",".join(found)


def _show_address4(raw: int, _datatype: Datatype) -> str:
    return f"{raw >> 24}.{raw >> 16 & 255}.{raw >> 8 & 255}.{raw & 255}"


def _show_address6(raw: int, _datatype: Datatype) -> str:
    if raw >> 32 == 0xFFFF:
        return f"::ffff:{_show_address4(raw & 0xFFFFFFFF, IPV4_ADDR)}"
    return str(IPv6Address(raw))


def _show_classid(raw: int, _datatype: Datatype) -> str:
    return {0: "none", 0xFFFFFFFF: "root"}.get(raw) or f"{raw >> 16:x}:{raw & 0xFFFF:x}"


def _show_mac(raw: int, _datatype: Datatype) -> str:
    return raw.to_bytes(6).hex(":")


def show_time_ms(total_ms: int) -> str:
    """Milliseconds as nft writes a time: "1d2h3m4s500ms"."""
    parts = []
    rest = total_ms
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _TIME_UNITS_MS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _show_time(raw: int, _datatype: Datatype) -> str:
    return show_time_ms(raw)


_SHOWERS = {
    "bitmask": _show_bitmask,
    "address4": _show_address4,
    "address6": _show_address6,
    "classid": _show_classid,
    "mac": _show_mac,
    "time": _show_time,
}
