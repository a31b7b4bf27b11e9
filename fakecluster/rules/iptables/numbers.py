"""Numbers, names, addresses and ports as iptables reads them, and as iptables-save prints them.

Sources: libxtables/xtables.c (xtables_strtoul, xtables_parse_port, xtables_ipparse_any), xtoptions.c.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from fakecluster.rules.iptables.problem import RuleProblem

_TCP, _UDP = 6, 17
U16, U32, U64 = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF

#: names of /etc/protocols, as iptables prints them
PROTOCOLS = {
    "hopopt": 0, "icmp": 1, "igmp": 2, "ggp": 3, "ipencap": 4, "st": 5, "tcp": 6, "egp": 8, "igp": 9, "pup": 12,
    "udp": 17, "hmp": 20, "xns-idp": 22, "rdp": 27, "iso-tp4": 29, "dccp": 33, "xtp": 36, "ddp": 37,
    "idpr-cmtp": 38, "ipv6": 41, "ipv6-route": 43, "ipv6-frag": 44, "idrp": 45, "rsvp": 46, "gre": 47, "esp": 50,
    "ah": 51, "skip": 57, "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "rspf": 73, "vmtp": 81, "eigrp": 88,
    "ospf": 89, "ax.25": 93, "ipip": 94, "etherip": 97, "encap": 98, "pim": 103, "ipcomp": 108, "vrrp": 112,
    "l2tp": 115, "isis": 124, "sctp": 132, "fc": 133, "mobility-header": 135, "udplite": 136, "mpls-in-ip": 137,
    "manet": 138, "hip": 139, "shim6": 140, "wesp": 141, "rohc": 142, "ethernet": 143,
}  # fmt: skip
PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}
_PROTOCOL_ALIASES = {"icmpv6": 58, "ipv6-mh": 135, "mh": 135, "all": 0, "ip": 0}

#: the services of /etc/services that rules name in practice
SERVICES = {
    "tcpmux": 1, "echo": 7, "discard": 9, "systat": 11, "daytime": 13, "netstat": 15, "ftp-data": 20, "ftp": 21,
    "ssh": 22, "telnet": 23, "smtp": 25,
    "time": 37, "domain": 53, "bootps": 67, "bootpc": 68, "tftp": 69, "gopher": 70, "http": 80, "www": 80,
    "kerberos": 88, "pop3": 110, "sunrpc": 111, "ntp": 123, "netbios-ns": 137, "netbios-dgm": 138,
    "netbios-ssn": 139, "imap2": 143, "imap": 143, "snmp": 161, "snmp-trap": 162, "bgp": 179, "ldap": 389,
    "https": 443, "microsoft-ds": 445, "isakmp": 500, "syslog": 514, "shell": 514, "submission": 587, "ldaps": 636,
    "imaps": 993, "pop3s": 995, "openvpn": 1194, "ms-sql-s": 1433, "nfs": 2049, "mysql": 3306, "sip": 5060,
    "mdns": 5353, "postgresql": 5432, "amqp": 5672, "http-alt": 8080, "webcache": 8080,
}  # fmt: skip

#: of those, the ones that /etc/services has for one protocol only
_TCP_SERVICES = frozenset((
    1, 11, 15, 20, 21, 22, 23, 25, 70, 80, 110, 139, 143, 179, 445, 587, 993, 995, 1433, 3306, 5432, 5672, 8080,
))  # fmt: skip
_UDP_SERVICES = frozenset((67, 68, 69, 123, 137, 138, 500, 5353))
_SERVICE_NAMES = {number: name for name, number in reversed(SERVICES.items())}
#: what the same port is called with another protocol
_OTHER_NAMES = {(21, 17): "fsp", (514, 6): "shell", (5672, 132): "amqp"}
#: IPv4 addresses that /etc/hosts and /etc/networks of any machine name
_ADDRESS_NAMES = {0x7F000001: "localhost", 0: "default", 0x7F000000: "loopback", 0xA9FE0000: "link-local"}

_NUMBER = re.compile(r"\s*\+?(?:0[xX](?P<hex>[0-9a-fA-F]+)|(?P<octal>0[0-7]*)|(?P<decimal>[1-9][0-9]*))\Z")
_QUAD = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\Z")


def number(text: str, lowest: int = 0, highest: int = U32) -> int | None:
    """A C number (decimal, 0x hexadecimal, 0 octal), or None when it is none or out of bounds."""
    found = _NUMBER.match(text)
    if not found or len(text) > 32:
        return None
    if found["hex"]:
        value = int(found["hex"], 16)
    else:
        value = int(found["octal"], 8) if found["octal"] else int(found["decimal"])
    return value if lowest <= value <= highest else None


def protocol(text: str) -> int:
    """A protocol's number from its number or name; `all` is 0."""
    value = number(text, 0, 255)
    if value is None:
        value = PROTOCOLS.get(text, _PROTOCOL_ALIASES.get(text))
    if value is None:
        raise RuleProblem(f'unknown protocol "{text}" specified', token=text)
    return value


def service(text: str) -> int | None:
    """A port by number or by service name; None when it is neither."""
    value = number(text, 0, U16)
    return SERVICES.get(text) if value is None else value


def service_name(number: int, protocol: int) -> str:
    """The name of a protocol's port, or its number when the services known here have none (getservbyport())."""
    if (number, protocol) in _OTHER_NAMES:
        return _OTHER_NAMES[number, protocol]
    without = {_TCP: _UDP_SERVICES, _UDP: _TCP_SERVICES}.get(protocol)
    if without is not None and number not in without:
        return _SERVICE_NAMES.get(number, str(number))
    return str(number)


def port(text: str) -> int:
    """A port in the words of the tcp, udp, sctp and multiport matches."""
    value = service(text)
    if value is None:
        raise RuleProblem(f"invalid port/service `{text}' specified", token=text)
    return value


def port_range(text: str) -> tuple[int, int]:
    """`7`, `7:9`, `:9`, `7:` as (low, high) in those matches' words."""
    low, colon, high = text.partition(":")
    first = port(low) if low or not colon else 0
    last = (port(high) if high else U16) if colon else first
    if first > last:
        raise RuleProblem("invalid portrange (min > max)", token=text)
    return first, last


@lru_cache(maxsize=65536)
def ipv4(text: str) -> int | None:
    """A dotted quad as an integer, or None."""
    found = _QUAD.match(text)
    if not found:
        return None
    a, b, c, d = map(int, found.groups())
    return a << 24 | b << 16 | c << 8 | d if a < 256 and b < 256 and c < 256 and d < 256 else None


@lru_cache(maxsize=65536)
def ipv6(text: str) -> int | None:
    """An IPv6 address as an integer, or None."""
    if "%" in text:
        return None
    try:
        return int(IPv6Address(text))
    except (AddressValueError, ValueError):
        return None


def address(text: str, family: int) -> int | None:
    """An address of one family as an integer, or None."""
    return ipv4(text) if family == 4 else ipv6(text)


@lru_cache(maxsize=65536)
def address_text(value: int, family: int) -> str:
    """As inet_ntop(3) prints it: an IPv4 address in an IPv6 one stands as a quad."""
    if family == 4:
        return str(IPv4Address(value))
    if value >> 32 == 0xFFFF or (value >> 32 == 0 and value >> 16):
        return ("::ffff:" if value >> 32 else "::") + str(IPv4Address(value & U32))
    return str(IPv6Address(value))


def address_name(value: int, family: int) -> str:
    """An address by its name when a file of every machine has one; nobody answers questions for other names."""
    return _ADDRESS_NAMES.get(value, address_text(value, 4)) if family == 4 else address_text(value, family)


def bits(family: int) -> int:
    return 32 if family == 4 else 128


def mask_of(length: int, family: int) -> int:
    """The mask with `length` leading ones."""
    width = bits(family)
    return (1 << width) - (1 << (width - length))


def prefix_length(mask: int, family: int) -> int | None:
    """How many leading ones a mask has, or None when it is not contiguous."""
    inverse = mask ^ mask_of(bits(family), family)
    return None if inverse & (inverse + 1) else bits(family) - inverse.bit_length()


def mask_text(mask: int, family: int) -> str:
    """A mask as iptables-save prints it: a length when contiguous, else an address."""
    length = prefix_length(mask, family)
    return address_text(mask, family) if length is None else str(length)


def mac(text: str) -> bytes | None:
    """A MAC address, one or two hexadecimal digits a byte."""
    parts = text.split(":")
    if len(parts) != 6 or not all(re.fullmatch(r"[0-9a-fA-F]{1,2}", part) for part in parts):
        return None
    return bytes(int(part, 16) for part in parts)
