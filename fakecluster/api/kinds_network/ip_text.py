"""Addresses and CIDRs as text: what older fields accept, what newer ones do, and when to warn (util/validation/ip.go).

Fields that exist since early days must be read as before by clients written in other languages, so leading zeros and
IPv4-mapped IPv6 addresses are refused there too; newer fields also want the canonical text.
"""

from __future__ import annotations

import functools
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from fakecluster.api.go_values import go_quote

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_AN_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_NOT_A_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_ZEROS = re.compile(r"(?<![0-9A-Fa-f:.])0+(?=[0-9])|(?<=\.)0+(?=[0-9])|(?<=:)0+(?=[0-9]+\.)")
_PREFIX_LENGTH = re.compile("[0-9]{1,3}")
#: Texts whose meaning is remembered: one write looks at an address several times, many objects at the same ones.
_REMEMBERED = 8192


@functools.lru_cache(maxsize=_REMEMBERED)
def parse_ip(text: str) -> Address | None:
    """The address that a text means to old clients, which ignore leading zeros; None when it is none."""
    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        pass
    try:
        return ip_address(_ZEROS.sub("", text)) if "." in text else None
    except ValueError:
        return None


@functools.lru_cache(maxsize=_REMEMBERED)
def is_strict(text: str) -> bool:
    """Whether every client reads the address alike: no leading zeros in dotted numbers."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _mapped(address: Address) -> bool:
    return isinstance(address, IPv6Address) and address.ipv4_mapped is not None


def canonical(text: str) -> str:
    """The one text of an address that is valid (RFC 5952 for IPv6)."""
    address = parse_ip(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def legacy_ip(text: str) -> list[str]:
    """Complaints about an address in an older field."""
    address = parse_ip(text)
    if address is None:
        return [_NOT_AN_IP]
    if not is_strict(text):
        return ["must not have leading 0s"]
    return ["must not be an IPv4-mapped IPv6 address"] if _mapped(address) else []


def strict_ip(text: str) -> list[str]:
    """Complaints about an address in a newer field, which must be in canonical form."""
    if found := legacy_ip(text):
        return found
    wanted = canonical(text)
    return [] if wanted == text else [f"must be in canonical form ({go_quote(wanted)})"]


def _split(text: str) -> tuple[Address, int] | None:
    base, _, length = text.partition("/")
    address = parse_ip(base)
    if address is None or not _PREFIX_LENGTH.fullmatch(length) or int(length) > address.max_prefixlen:
        return None
    return address, int(length)


def parse_cidr(text: str) -> Network | None:
    """The network that a text means to old clients, which ignore leading zeros and set bits; None when it is none."""
    parts = _split(text)
    return None if parts is None else ip_network(parts, strict=False)


def legacy_cidr(text: str) -> list[str]:
    """Complaints about a CIDR in an older field."""
    parts = _split(text)
    if parts is None:
        return [_NOT_A_CIDR]
    address, length = parts
    base, _, digits = text.partition("/")
    if not is_strict(base) or (len(digits) > 1 and digits.startswith("0")):
        return ["must not have leading 0s in IP or prefix length"]
    if _mapped(address):
        return ["must not have an IPv4-mapped IPv6 address"]
    if ip_network((address, length), strict=False).network_address != address:
        return ["must not have bits set beyond the prefix length"]
    return []


def strict_cidr(text: str) -> list[str]:
    """Complaints about a CIDR in a newer field, which must be in canonical form."""
    if found := legacy_cidr(text):
        return found
    wanted = str(ip_network(text))
    return [] if wanted == text else [f"must be in canonical form ({go_quote(wanted)})"]


def special_ip(text: str) -> list[str]:
    """Complaints about an address that no endpoint or external IP can have."""
    address = parse_ip(text)
    if address is None:
        return ["must be a valid IP address"]
    if address.is_unspecified:
        return [f"may not be unspecified ({text})"]
    if address.is_loopback:
        return ["may not be in the loopback range (127.0.0.0/8, ::1/128)"]
    if address.is_link_local:
        return ["may not be in the link-local range (169.254.0.0/16, fe80::/10)"]
    if _link_local_multicast(address):
        return ["may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"]
    return []


def _link_local_multicast(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.packed[:3] == b"\xe0\x00\x00"
    return address.packed[0] == 0xFF and address.packed[1] & 0x0F == 0x02


def ip_warnings(path: str, text: str) -> list[str]:
    """What `kubectl` users are told about an address that is accepted but not written canonically."""
    address = parse_ip(text)
    if address is None:
        return []
    if not is_strict(text) or _mapped(address):
        return [
            f"{path}: non-standard IP address {go_quote(text)} will be considered invalid in a future Kubernetes "
            f"release: use {go_quote(canonical(text))}"
        ]
    if isinstance(address, IPv6Address) and str(address) != text:
        wanted = go_quote(str(address))
        return [f"{path}: IPv6 address {go_quote(text)} should be in RFC 5952 canonical format ({wanted})"]
    return []


def cidr_warnings(path: str, text: str) -> list[str]:
    """As `ip_warnings`, for a CIDR."""
    network = None if legacy_cidr(text) else parse_cidr(text)
    if isinstance(network, IPv6Network) and str(network) != text:
        wanted = go_quote(str(network))
        return [f"{path}: IPv6 CIDR value {go_quote(text)} should be in RFC 5952 canonical format ({wanted})"]
    return []
